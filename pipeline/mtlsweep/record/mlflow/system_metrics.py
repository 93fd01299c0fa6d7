"""Optional system metrics: one run with the load of the driver's machine during a stage."""

from __future__ import annotations

import socket
from collections.abc import Callable

from mlflow.environment_variables import MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING
from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

from mtlsweep.record.mlflow.experiment import Experiment
from mtlsweep.record.mlflow.outage import server_errors


def watch_machine(experiment: Experiment) -> Callable[[], None]:
    """Record CPU, memory, disk, network and GPUs until the caller calls the returned function.

    MLflow's environment variable `MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING` switches it on. Trials share the machine,
    so there is one run per start of a stage, not per trial. This ledger's open runs of killed drivers are closed. On a
    cluster only the driver's host is recorded; Ray's dashboard shows the others.
    """
    client = experiment.client
    for stale in list(experiment.own_runs("tags.kind = 'system' and attributes.status = 'RUNNING'")):
        client.set_terminated(stale.info.run_id, "KILLED")
    if not MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING.get():
        return lambda: None
    run = experiment.create_run(f"system {socket.gethostname()}", {"kind": "system"})
    monitor = SystemMetricsMonitor(run.info.run_id, tracking_uri=experiment.uri)
    monitor.start()

    def end() -> None:
        monitor.finish()
        with server_errors(experiment.uri):
            client.set_terminated(run.info.run_id)

    return end
