"""CPUs that a process may use, by affinity and by both versions of control groups, and where a value comes from."""

import os
from pathlib import Path

import pytest

from mtlsweep.environment import origin, usable_cpus


@pytest.fixture
def eight_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)))


def write(root: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    return root


@pytest.mark.usefixtures("eight_cpus")
@pytest.mark.parametrize(
    ("files", "cpus"),
    [
        ({}, 8),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "max 100000\n"}, 8),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "300000 100000\n"}, 3),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "50000 100000\n"}, 1),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "2000000 100000\n"}, 8),
        (
            {
                "proc/self/cgroup": "0::/user/job\n",
                "sys/fs/cgroup/user/job/cpu.max": "max 100000\n",
                "sys/fs/cgroup/user/cpu.max": "200000 100000\n",
            },
            2,
        ),
        (
            {
                "proc/self/cgroup": "12:memory:/docker/c0ffee\n4:cpu,cpuacct:/docker/c0ffee\n",
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "250000\n",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
            },
            2,
        ),
        (
            {
                "proc/self/cgroup": "4:cpu,cpuacct:/\n",
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
            },
            8,
        ),
    ],
    ids=["none", "no quota", "quota", "half a CPU", "above", "of a parent", "version 1", "version 1 without quota"],
)
def test_a_quota_counts_where_it_is_below_the_affinity(tmp_path: Path, files: dict[str, str], cpus: int) -> None:
    assert usable_cpus(write(tmp_path, files)) == cpus


def test_the_affinity_counts_where_it_is_below_the_number_of_cpus(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {3, 5})
    assert usable_cpus(tmp_path) == 2


def test_a_system_without_affinities_uses_every_cpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 5)
    assert usable_cpus(tmp_path) == 5


def test_cpus_are_counted_in_one_place_only() -> None:
    root = Path(__file__).parents[2]
    sources = [path for folder in ("pipeline", "stages", "benchmarks") for path in (root / folder).rglob("*.py")]
    counts = [path.name for path in sources if any(word in path.read_text() for word in ("cpu_count", "sched_getaff"))]
    assert counts == ["environment.py"]


def test_a_message_names_the_variable_when_the_value_came_from_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    assert origin("RAY_ADDRESS", "resources.address") == "`resources.address` of params.yaml"
    monkeypatch.setenv("RAY_ADDRESS", "head:6379")
    assert origin("RAY_ADDRESS", "resources.address") == "the environment variable RAY_ADDRESS"
