"""Prepared data onto hosts that do not have it, so that a cluster's hosts need not share a disk.

A worker reads the data from the driver's own path where its host has that (one machine, a shared
disk, a copy made by hand). Elsewhere the first trial of a host fetches a copy into the host's
temporary directory, named by the data's fingerprint; all later ones find it there. The copy travels
through Ray's object store, since the hosts share nothing else, and gets its name once it is checked.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from mtlsweep.suites.prepared.layout import SUMMARY
from mtlsweep.sweep.executors.ray.verified_copy import FileContent, copy_files, describe_files, read_piece


@dataclass(frozen=True)
class DataCopies:
    """Where the prepared data of a sweep is.

    Attributes:
        directory: absolute path on the driver's host.
        node: Ray's id of that host.
    """

    directory: Path
    node: str

    def directory_here(self, fingerprint: str) -> Path:
        """Return a directory on this host that holds the data called `fingerprint`, fetched if need be.

        Raises:
            DamagedCopyError: a file arrives damaged.
            OSError: the copy cannot be written.
        """
        if _fingerprint(self.directory) == fingerprint:
            return self.directory
        copies = Path(tempfile.gettempdir()) / f"mtlsweep-data-{os.getuid()}"
        copies.mkdir(mode=0o700, exist_ok=True)
        copy = copies / fingerprint[:16]
        with (copies / f"{copy.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # trials that start together on one host: one fetches, the others wait
            if _fingerprint(copy) != fingerprint:
                self._fetch(copy)
        return copy

    def _fetch(self, target: Path) -> None:
        there = NodeAffinitySchedulingStrategy(self.node, soft=False)
        describe = ray.remote(describe_files).options(num_cpus=0, scheduling_strategy=there)
        piece = ray.remote(read_piece).options(num_cpus=0, scheduling_strategy=there)
        shutil.rmtree(target, ignore_errors=True)
        with tempfile.TemporaryDirectory(prefix=target.name, dir=target.parent) as temporary:
            arriving = Path(temporary) / target.name
            arriving.mkdir()
            files: dict[str, FileContent] = ray.get(describe.remote(self.directory))
            copy_files(files, lambda name, start: ray.get(piece.remote(self.directory / name, start)), arriving)
            arriving.rename(target)


def _fingerprint(directory: Path) -> str | None:
    """Return whose data `directory` holds, or None where there is none."""
    try:
        return str(json.loads((directory / SUMMARY).read_bytes())["fingerprint"])
    except (OSError, ValueError, KeyError):
        return None
