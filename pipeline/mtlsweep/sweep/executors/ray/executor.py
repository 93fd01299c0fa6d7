"""Run trials on the user's Ray cluster, or on a local Ray that ends with the sweep."""

from __future__ import annotations

import gc
import logging
import tempfile
from types import TracebackType
from typing import Self

import ray
from ray import tune
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from mtlsweep.params.resources import Resources
from mtlsweep.record.ledger import Ledger
from mtlsweep.sweep.devices.figures import FigureStore
from mtlsweep.sweep.executors.attempts import Attempts
from mtlsweep.sweep.executors.checkpoint_store import LedgerCheckpoints
from mtlsweep.sweep.executors.executor import Executor, Work
from mtlsweep.sweep.executors.ray.cluster import address_of, connect
from mtlsweep.sweep.executors.ray.data_copies import DataCopies
from mtlsweep.sweep.executors.ray.gpus import Kinds, Measuring
from mtlsweep.sweep.executors.ray.places import Places, placement
from mtlsweep.sweep.executors.ray.room import Room
from mtlsweep.sweep.executors.ray.tune_callback import WorkCallback, WorkStopper
from mtlsweep.sweep.executors.ray.tune_searcher import AttemptSearcher, InOrder
from mtlsweep.sweep.executors.ray.worker import WorkerSetup, train
from mtlsweep.sweep.executors.setup import Setup
from mtlsweep.sweep.lease import Fence

TUNES_LOGGERS = ("ray.tune.tune", "ray.tune.execution.tune_controller")
"""One calls attempts incomplete that others followed, one shows a traceback of Ray for each process that dies; `WorkCallback` says it in a line."""

MOST_AT_ONCE = 100_000
"""Tune asks for this many trials at once. Without a number it would let one wait, and none on a host that comes."""


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

    def __enter__(self) -> Self:
        """Connect to the cluster, or start one.

        Raises:
            UserError: no cluster can be reached.
        """
        connect(self._resources)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Disconnect from the cluster; stop it if it was started here.

        A reference to a Ray object that another thread frees while Ray shuts down ends this process. Only the collector frees
        them there, such as in the thread that writes to MLflow, so it runs before and not meanwhile.
        """
        gc.collect()
        collects = gc.isenabled()
        gc.disable()
        try:
            ray.shutdown()
        finally:
            if collects:
                gc.enable()

    def run(self, work: Work) -> None:
        """Train until the work is complete or stops, on the hosts that there are at any moment.

        Raises:
            UserError: no host has room for a trial; see `Room.wait`.
        """
        kinds = Kinds(Measuring(self._setup, self._data_copies(), self._figures))
        room = Room(self._resources, kinds, self._most, grows=address_of(self._resources) != "local")
        if not room.wait(work):
            return
        attempts = Attempts(work, lambda: room.hosts, self._resources.worker_retries)
        places = Places(lambda: room.pools, lambda: room.hosts, lambda: room.largest_host)
        searcher = AttemptSearcher(work, attempts, places, room)
        setup = self._worker_setup()

        def take_host(key: str) -> str | None:
            try:
                host: str | None = ray.get(setup.checkpoint_actor.take_host.remote(key))
            except RayError:  # without it no checkpoint is written either, and the trials say so
                return None
            return host

        for logger in TUNES_LOGGERS:
            logging.getLogger(logger).setLevel(logging.CRITICAL)
        with tempfile.TemporaryDirectory(prefix="mtlsweep-") as scratch:
            tune.Tuner(
                tune.with_resources(tune.with_parameters(train, setup=setup), placement),
                tune_config=tune.TuneConfig(
                    search_alg=searcher,
                    scheduler=InOrder(searcher, room),
                    num_samples=-1,  # unlimited: the searcher ends the run
                    max_concurrent_trials=self._resources.concurrency or MOST_AT_ONCE,  # `Room.limit` is lower
                    reuse_actors=True,
                ),
                run_config=tune.RunConfig(
                    name="sweep",
                    storage_path=scratch,
                    callbacks=[WorkCallback(work, attempts, searcher, self._ledger, room, take_host)],
                    failure_config=tune.FailureConfig(max_failures=0),  # `Attempts` starts again what died
                    stop=WorkStopper(work),
                    verbose=0,
                ),
            ).fit()

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
            trial_seconds=None if hours is None else 3600 * hours,
        )
