"""A Ray of one head without CPUs. Of its standard input, `add` starts a host of one CPU and prints its id, and `kill ID` kills one.

A process of its own: Ray starts nodes in a main thread only, and the test's own one runs the stage.
"""

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import mtlsweep.sweep  # noqa: F401  # sets Ray's environment, so it comes first

# isort: split
from ray.cluster_utils import Cluster

QUICK = {"period_ms": 1000, "failure_threshold": 3, "timeout_ms": 2000, "initial_delay_ms": 3000}
os.environ.update({f"RAY_health_check_{name}": str(value) for name, value in QUICK.items()})

with tempfile.TemporaryDirectory(prefix="grow-", dir="/tmp") as short:  # Ray limits the length of its sockets' paths
    cluster = Cluster()
    try:
        cluster.add_node(num_cpus=0, include_dashboard=False, temp_dir=short)
        print(json.dumps(cluster.address), flush=True)
        hosts: dict[str, Any] = {}
        for line in sys.stdin:
            command, *words = line.split()
            if command == "add":
                own = Path(short) / str(len(hosts))  # a host that is killed takes the project's files there with it
                own.mkdir()
                host = cluster.add_node(num_cpus=1, temp_dir=str(own))
                hosts[host.node_id] = host
                print(json.dumps(host.node_id), flush=True)
            else:
                cluster.remove_node(hosts.pop(words[0]), allow_graceful=False)
    finally:
        cluster.shutdown()
