"""Run trials on the user's Ray cluster, or on a local Ray that ends with the sweep."""

from __future__ import annotations

import tempfile
from functools import partial
from types import TracebackType
from typing import Self

import ray
from ray import tune
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from mtlsweep.params.resources import Resources
from mtlsweep.record.ledger import Ledger
from mtlsweep.sweep.devices.figures import FigureStore
from mtlsweep.sweep.executors.attempts import Attempts
from mtlsweep.sweep.executors.checkpoint_store import LedgerCheckpoints
from mtlsweep.sweep.executors.executor import Executor, Work
from mtlsweep.sweep.executors.ray.cluster import connect, count_slots, hosts_with_room, largest_node
from mtlsweep.sweep.executors.ray.data_copies import DataCopies
from mtlsweep.sweep.executors.ray.gpus import Measuring, describe_own_share, find_shares, gpu_hosts
from mtlsweep.sweep.executors.ray.places import Places, Pool, placement, shared_pools
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
        figures: what trials need on GPUs.
        trials: number of trials that are wanted now.
    """

    def __init__(
        self, setup: Setup, ledger: Ledger, fence: Fence, resources: Resources, figures: FigureStore, trials: int
    ) -> None:
        self._setup = setup
        self._ledger = ledger
        self._fence = fence
        self._resources = resources
        self._figures = figures
        self._most = min(trials, resources.concurrency or trials)
        self._pools: list[Pool] = []
        self._needs_gpu = False

    def __enter__(self) -> Self:
        """Connect to the cluster, or start one.

        Raises:
            UserError: no cluster can be reached, or no trial fits on it.
        """
        connect(self._resources)
        try:
            self._pools = self._find_pools()
            for sentence in self.devices:
                print(sentence, flush=True)
            fitting = sum(pool.slots for pool in self._pools)
            self.slots = fitting if self._resources.concurrency is None else min(fitting, self._resources.concurrency)
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
        needed = [min(getattr(pool, name) for pool in self._pools) for name in ("cpus", "gpus")]
        hosts = partial(hosts_with_room, *needed)
        attempts = Attempts(work, hosts)
        places = Places(self._pools, hosts, lambda: largest_node().get("CPU", needed[0]))
        searcher = AttemptSearcher(work, attempts, places)
        with tempfile.TemporaryDirectory(prefix="mtlsweep-") as scratch:
            tune.Tuner(
                tune.with_resources(tune.with_parameters(train, setup=self._worker_setup()), placement),
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

    def _find_pools(self) -> list[Pool]:
        """Return the pools of the cluster, and set the sentences about its GPUs.

        Raises:
            UserError: no trial fits.
        """
        cpus, gpus = self._resources.cpus_per_trial, self._resources.gpus_per_trial
        if gpus != "auto":
            self.devices = describe_own_share(gpus, self._resources.device)
            return [Pool(cpus, gpus, count_slots(cpus, gpus), gpus if 0 < gpus < 1 else None)]
        measuring = Measuring(self._setup, self._data_copies(), self._figures)
        shares, self.devices = find_shares(self._resources, measuring, self._most)
        self._needs_gpu = any(share.device == "cuda" for share in shares)
        if shares:
            return shared_pools(shares, cpus, [host.kind for host in gpu_hosts()])
        return [Pool(cpus, 0.0, count_slots(cpus, 0.0))]

    def _data_copies(self) -> DataCopies:
        return DataCopies(self._setup.data, ray.get_runtime_context().get_node_id())

    def _worker_setup(self) -> WorkerSetup:
        data, hours = self._data_copies(), self._resources.trial_hours
        here = NodeAffinitySchedulingStrategy(data.node, soft=False)
        return WorkerSetup(
            trial=self._setup,
            checkpoint_actor=ray.remote(LedgerCheckpoints)
            .options(num_cpus=0, scheduling_strategy=here)
            .remote(self._ledger, self._fence),
            data=data,
            needs_gpu=self._needs_gpu,
            trial_seconds=None if hours is None else 3600 * hours,
        )
