"""A Ray of two nodes that ends with its standard input; prints its address and the ids of its nodes.

A process of its own: Ray's core keeps the token of the first Ray in a process, and the next one would refuse another.
"""

import json
import sys

import mtlsweep.sweep  # noqa: F401  # sets Ray's environment, so it comes first

# isort: split
from ray.cluster_utils import Cluster

cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
try:
    cluster.add_node(num_cpus=1)
    print(json.dumps([cluster.address, [node.node_id for node in cluster.list_all_nodes()]]), flush=True)
    sys.stdin.read()
finally:
    cluster.shutdown()
