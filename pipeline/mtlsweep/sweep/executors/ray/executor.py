"""Run trials on the user's Ray cluster, or on a local Ray that ends with the sweep."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from functools import partial
from types import TracebackType
from typing import Any, Self

import ray
from ray import tune
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from mtlsweep.params.resources import Resources
from mtlsweep.record.ledger import Ledger
from mtlsweep.sweep.executors.attempts import Attempts
from mtlsweep.sweep.executors.checkpoint_store import LedgerCheckpoints
from mtlsweep.sweep.executors.executor import Executor, Work
from mtlsweep.sweep.executors.ray.cluster import connect, count_slots, hosts_with_room, largest_node
from mtlsweep.sweep.executors.ray.data_copies import DataCopies
from mtlsweep.sweep.executors.ray.tune_callback import WorkCallback, WorkStopper
from mtlsweep.sweep.executors.ray.tune_searcher import AttemptSearcher
from mtlsweep.sweep.executors.ray.worker import WorkerSetup, train
from mtlsweep.sweep.executors.setup import Setup
from mtlsweep.sweep.lease import Fence


class RayExecutor(Executor):
    """Runs trials with Ray Tune, with one reused worker process per slot.

    Args:
        setup: settings shared by all trials.
        ledger: stores checkpoints; an actor on this host writes them.
        fence: lets only the present sweep write them.
        resources: the cluster, and the resources of one trial.
    """

    def __init__(self, setup: Setup, ledger: Ledger, fence: Fence, resources: Resources) -> None:
        self._setup = setup
        self._ledger = ledger
        self._fence = fence
        self._resources = resources

    def __enter__(self) -> Self:
        """Connect to the cluster, or start one.

        Raises:
            UserError: no cluster can be reached, or no trial fits on it.
        """
        connect(self._resources)
        try:
            self.slots = count_slots(self._resources)
        except BaseException:
            ray.shutdown()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Disconnect from the cluster; stop it if it was started here."""
        ray.shutdown()

    def run(self, work: Work) -> None:
        """Train until the work is complete or stops."""
        attempts = Attempts(work, partial(hosts_with_room, self._resources))
        searcher = AttemptSearcher(work, attempts)
        with tempfile.TemporaryDirectory(prefix="mtlsweep-") as scratch:
            tune.Tuner(
                tune.with_resources(
                    tune.with_parameters(train, setup=self._worker_setup()),
                    partial(_placement, self._resources, largest_node()),
                ),
                tune_config=tune.TuneConfig(
                    search_alg=searcher,
                    num_samples=-1,  # unlimited: the searcher ends the run
                    max_concurrent_trials=self.slots,
                    reuse_actors=True,
                ),
                run_config=tune.RunConfig(
                    name="sweep",
                    storage_path=scratch,
                    callbacks=[WorkCallback(work, attempts, searcher, self._ledger)],
                    failure_config=tune.FailureConfig(max_failures=self._resources.worker_retries),
                    stop=WorkStopper(work),
                    verbose=0,
                ),
            ).fit()

    def _worker_setup(self) -> WorkerSetup:
        node = ray.get_runtime_context().get_node_id()
        here = NodeAffinitySchedulingStrategy(node, soft=False)
        hours = self._resources.trial_hours
        return WorkerSetup(
            trial=self._setup,
            checkpoint_actor=ray.remote(LedgerCheckpoints)
            .options(num_cpus=0, scheduling_strategy=here)
            .remote(self._ledger, self._fence),
            data=DataCopies(self._setup.data, node),
            gpu_share=self._resources.gpus_per_trial,
            trial_seconds=None if hours is None else 3600 * hours,
        )


def _placement(
    resources: Resources, largest_node: Mapping[str, float], config: Mapping[str, Any]
) -> tune.PlacementGroupFactory:
    """Return the resources of an attempt, and where it may start.

    After out-of-memory a trial gets a whole GPU, or a whole host without GPUs.
    """
    cpus, gpus = resources.cpus_per_trial, resources.gpus_per_trial
    if config["alone"]:
        cpus, gpus = (cpus, max(1.0, gpus)) if gpus > 0 else (largest_node.get("CPU", cpus), 0)
    bundle = {"CPU": cpus, "GPU": gpus} if gpus > 0 else {"CPU": cpus}
    if not config["avoid"]:
        return tune.PlacementGroupFactory([bundle])
    elsewhere = {"ray.io/node-id": f"!in({','.join(config['avoid'])})"}
    return tune.PlacementGroupFactory([bundle], bundle_label_selector=[elsewhere])
