"""What surrounds the process: the CPUs it may use, and environment variables that decide in place of params.yaml."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

_CGROUPS = Path("sys/fs/cgroup")


def usable_cpus(root: Path = Path("/")) -> int:
    """Return how many CPUs this process may use: no more than its affinity and the quotas of its control groups allow.

    Args:
        root: directory that holds `proc` and `sys`. Where they are missing (macOS), every CPU counts.
    """
    try:
        allowed = len(os.sched_getaffinity(0))
    except AttributeError:  # macOS has none
        allowed = os.cpu_count() or 1
    return max(1, min([allowed, *(int(quota) for quota in _quotas(root))]))


def _quotas(root: Path) -> Iterator[float]:
    """Yield the quota, in CPUs, of each control group that the process is in and that has one; both versions of groups."""
    for line in _read(root / "proc/self/cgroup").splitlines():
        _, controllers, group = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        mounted = root / _CGROUPS / ("cpu" if controllers else "")
        for place in (Path(group.lstrip("/")), *Path(group.lstrip("/")).parents):
            directory = mounted / place
            if controllers:
                values = [_read(directory / f"cpu.cfs_{name}_us") for name in ("quota", "period")]
            else:
                values = _read(directory / "cpu.max").split()
            if len(values) == 2 and all(value.strip().isdecimal() for value in values):  # not `max`, not -1
                yield int(values[0]) / int(values[1])


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def origin(variable: str, field: str) -> str:
    """Return where a value comes from, in words: the environment `variable` if it is set, else the `field` of params.yaml."""
    return f"the environment variable {variable}" if os.environ.get(variable) else f"`{field}` of params.yaml"
