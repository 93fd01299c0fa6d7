"""System metrics on request: one run that shows how busy the driver's machine was while a stage ran."""

from __future__ import annotations

import socket
from collections.abc import Callable

from mlflow import MlflowClient
from mlflow.environment_variables import MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING
from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor


def watch_machine(client: MlflowClient, uri: str, experiment: str) -> Callable[[], None]:
    """Record CPU, memory, disk, network and GPUs until the function that is returned is called.

    Nothing is recorded unless the environment variable `MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING` is true, MLflow's
    own switch. Trials share the machine, so there is one run per start of a stage, not one per trial; a run that
    a killed driver left open is closed. On a cluster this is the head; Ray's dashboard shows the others.
    """
    for left in client.search_runs([experiment], "tags.kind = 'system' and attributes.status = 'RUNNING'"):
        client.set_terminated(left.info.run_id, "KILLED")
    if not MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING.get():
        return lambda: None
    run = client.create_run(experiment, tags={"kind": "system"}, run_name=f"system {socket.gethostname()}")
    monitor = SystemMetricsMonitor(run.info.run_id, tracking_uri=uri)
    monitor.start()

    def end() -> None:
        monitor.finish()
        client.set_terminated(run.info.run_id)

    return end
