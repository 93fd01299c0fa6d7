"""Wait until the Ray cluster at `RAY_ADDRESS` has a number of hosts: `wait_for_hosts.py HOSTS`."""

from __future__ import annotations

import logging
import sys
import time

import ray

SECONDS = 180


def wait_for_hosts(hosts: int, seconds: float = SECONDS) -> int:
    """Connect as soon as the head answers, and return how many hosts there are: as many as wanted, or those after the time."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            ray.init(address="auto", log_to_driver=False, logging_level=logging.ERROR)
            break
        except ConnectionError:
            if time.monotonic() > deadline:
                return 0
            time.sleep(1)
    while (count := sum(node["Alive"] for node in ray.nodes())) < hosts and time.monotonic() < deadline:
        time.sleep(1)
    return count


if __name__ == "__main__":
    wanted = int(sys.argv[1])
    found = wait_for_hosts(wanted)
    print(f"{found} of {wanted} hosts are there", flush=True)
    sys.exit(0 if found else 1)  # fewer hosts are slower, not wrong
