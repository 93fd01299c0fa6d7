"""Pending trials onto a Ray cluster: the user's, or one of this machine's own that ends with the sweep."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from mtlsweep.params.resources import Resources
from mtlsweep.sweep.driver import Driver
from mtlsweep.sweep.executors.checkpoints import LedgerCheckpoints
from mtlsweep.sweep.executors.ray.cluster import connect, count_slots, largest_node
from mtlsweep.sweep.executors.ray.data_copies import DataCopies
from mtlsweep.sweep.executors.ray.tune_callback import TuneStopper
from mtlsweep.sweep.executors.ray.tune_searcher import StrategySearcher
from mtlsweep.sweep.executors.ray.worker import WorkerSetup, train
from mtlsweep.sweep.executors.setup import Setup
from mtlsweep.sweep.stopping import StopRequest


def execute(
    driver: Driver,
    resources: Resources,
    data_directory: Path,
    score: Callable[[Mapping[str, float]], float],
) -> str | None:
    """Run what the driver's strategy wants until it wants no more, or a stop is asked for; the driver is told everything.

    Returns:
        Why it was stopped, or None.

    Raises:
        UserError: no cluster can be reached, no trial fits on it, or results cannot be written any more.
    """
    connect(resources)
    try:
        slots = count_slots(resources)
        with (
            StopRequest(resources.budget, slots, lambda: driver.trouble is not None) as stop,
            tempfile.TemporaryDirectory(prefix="mtlsweep-") as scratch,
        ):
            node = ray.get_runtime_context().get_node_id()
            here = NodeAffinitySchedulingStrategy(node, soft=False)
            keeper = ray.remote(LedgerCheckpoints).options(num_cpus=0, scheduling_strategy=here).remote(driver.ledger)
            setup = WorkerSetup(
                trial=Setup(
                    data=data_directory.resolve(),
                    score=score,
                    device=resources.device,
                    threads=resources.threads,
                    checkpoint_seconds=resources.checkpoint_seconds,
                    import_path=os.getcwd(),
                ),
                keeper=keeper,
                data=DataCopies(data_directory.resolve(), node),
                gpu_share=resources.gpus_per_trial,
                trial_seconds=resources.trial_hours and resources.trial_hours * 3600,
            )
            searcher = StrategySearcher(driver.strategy, driver.study, stop)
            driver.retry_alone = searcher.retry_alone
            tune.Tuner(
                tune.with_resources(
                    tune.with_parameters(train, setup=setup), partial(_share, resources, largest_node())
                ),
                tune_config=tune.TuneConfig(
                    search_alg=searcher,
                    num_samples=-1,  # until the searcher says there is no more
                    max_concurrent_trials=slots,
                    reuse_actors=True,
                ),
                run_config=tune.RunConfig(
                    name="sweep",
                    storage_path=scratch,
                    callbacks=[driver],
                    failure_config=tune.FailureConfig(max_failures=resources.worker_retries),
                    stop=TuneStopper(stop),
                    verbose=0,
                ),
            ).fit()
            reason = stop.reason_to_start_no_more()
    finally:
        ray.shutdown()
    if driver.trouble is not None:
        raise driver.trouble
    return reason


def _share(
    resources: Resources, largest_node: Mapping[str, float], config: Mapping[str, Any]
) -> tune.PlacementGroupFactory:
    """Return what a trial occupies: its share, or a device (without GPUs a host) to itself after it ran out of memory."""
    cpus, gpus = resources.cpus_per_trial, resources.gpus_per_trial
    if config["alone"]:
        cpus, gpus = (cpus, max(1.0, gpus)) if gpus > 0 else (largest_node.get("CPU", cpus), 0)
    return tune.PlacementGroupFactory([{"CPU": cpus, "GPU": gpus} if gpus > 0 else {"CPU": cpus}])
