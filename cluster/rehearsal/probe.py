"""Run on the head by `rehearse.py check`: print `host:owner` of every host, with `owner` read from its disk."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

address, owner_file = sys.argv[1:]
ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)


@ray.remote(num_cpus=0)
def look() -> str:
    """Return the name of this host, and the owner of the disk it sees."""
    return f"{os.uname().nodename}:{Path(owner_file).read_text()}"


nodes = [node["NodeID"] for node in ray.nodes() if node["Alive"]]
looks = [look.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False)).remote() for node in nodes]
print(" ".join(ray.get(looks)))
