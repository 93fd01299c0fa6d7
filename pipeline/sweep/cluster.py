"""Pending trials onto a Ray cluster: the user's, or one of this machine's own that ends with the sweep."""

from __future__ import annotations

import logging
import os
import secrets
import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

# Read by Ray when it is imported or started.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")
os.environ.setdefault("TUNE_DISABLE_SIGINT_HANDLER", "1")
os.environ.setdefault("TUNE_GLOBAL_CHECKPOINT_S", "inf")  # a sweep goes on from the ledger, never from Tune's own state
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")
os.environ.setdefault("RAY_AUTH_MODE", "token")
os.environ.setdefault("RAY_CHDIR_TO_TRIAL_DIR", "0")  # a user's own code finds its files as `mtlsweep run` does

import ray
from ray import tune
from ray.exceptions import AuthenticationError, RuntimeEnvSetupError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from pipeline.errors import UserError
from pipeline.params import Resources
from pipeline.sweep.delivery import Delivery
from pipeline.sweep.driver import Driver
from pipeline.sweep.keeper import Keeper
from pipeline.sweep.search import StrategySearcher
from pipeline.sweep.stopping import StopRequest, TuneStopper
from pipeline.sweep.worker import WorkerSetup, train

OBJECT_STORE_BYTES = 200_000_000
"""Checkpoints in flight; data is memory-mapped from disk and never enters the object store."""


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
    _connect(resources)
    try:
        slots = _slots(resources)
        with (
            StopRequest(resources.budget, slots, lambda: driver.trouble is not None) as stop,
            tempfile.TemporaryDirectory(prefix="mtlsweep-") as scratch,
        ):
            node = ray.get_runtime_context().get_node_id()
            here = NodeAffinitySchedulingStrategy(node, soft=False)
            keeper = ray.remote(Keeper).options(num_cpus=0, scheduling_strategy=here).remote(driver.ledger)
            setup = WorkerSetup(
                keeper=keeper,
                delivery=Delivery(data_directory.resolve(), node),
                score=score,
                device=resources.device,
                threads=resources.threads,
                gpu_share=resources.gpus_per_trial,
                checkpoint_seconds=resources.checkpoint_seconds,
                trial_seconds=resources.trial_hours and resources.trial_hours * 3600,
                import_path=os.getcwd(),
            )
            searcher = StrategySearcher(driver.strategy, driver.study, stop)
            driver.retry_alone = searcher.retry_alone
            tune.Tuner(
                tune.with_resources(
                    tune.with_parameters(train, setup=setup), partial(_share, resources, _largest_node())
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


def _largest_node() -> Mapping[str, float]:
    """Return the resources of the host with the most CPUs."""
    found: Mapping[str, float] = max(
        (node["Resources"] for node in ray.nodes() if node["Alive"]), key=lambda r: r.get("CPU", 0)
    )
    return found


def _connect(resources: Resources) -> None:
    """Attach to the cluster of `RAY_ADDRESS` or `resources.address`, or start one on loopback."""
    address = os.environ.get("RAY_ADDRESS") or resources.address
    variables = {name: str(resources.threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
    options: dict[str, Any]
    if address == "local":
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
        os.environ.update(variables)  # inherited: workers with an environment of their own start a second later
        options = {"object_store_memory": OBJECT_STORE_BYTES, "include_dashboard": False}
    else:
        sent_by_a_job = "RAY_JOB_CONFIG_JSON_ENV_VAR" in os.environ  # with its files
        files = {} if sent_by_a_job else {"working_dir": os.getcwd()}
        options = {"runtime_env": {"env_vars": variables, **files}}
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, **options)
    except AuthenticationError as error:
        raise UserError(
            f"the Ray cluster at `{address}` asks for its token: set RAY_AUTH_TOKEN, or RAY_AUTH_TOKEN_PATH to a file that holds it."
        ) from error
    except (ConnectionError, RuntimeError, ValueError, RuntimeEnvSetupError) as error:
        raise UserError(
            f"cannot attach to a Ray cluster at `{address}` (RAY_ADDRESS or `resources.address`): {str(error).splitlines()[0]}; "
            "start it, or set `resources.address: local`."
        ) from error
    where = "a local Ray on this machine" if address == "local" else f"the Ray cluster at {address}"
    print(f"running on {where}", flush=True)


def _slots(resources: Resources) -> int:
    """Return how many trials run at once: as many as fit, or fewer where the user says so."""
    total = ray.cluster_resources()
    room = int(total.get("CPU", 0) / resources.cpus_per_trial + 1e-9)
    if resources.gpus_per_trial > 0:
        room = min(room, int(total.get("GPU", 0) / resources.gpus_per_trial + 1e-9))
    if room == 0:
        raise UserError(
            f"no trial fits: `resources` asks for {resources.cpus_per_trial:g} CPUs and {resources.gpus_per_trial:g} GPUs a trial, "
            f"the cluster has {total.get('CPU', 0):g} CPUs and {total.get('GPU', 0):g} GPUs; ask for less in params.yaml."
        )
    return room if resources.concurrency is None else min(room, resources.concurrency)
