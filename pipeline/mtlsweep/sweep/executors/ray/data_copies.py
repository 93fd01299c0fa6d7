"""Copy prepared data to hosts that do not have it, so that the hosts of a cluster need no shared disk.

A worker reads the data from the driver's path if its host has it (one machine, a shared disk, a manual
copy). Otherwise the first trial on a host copies it to the host's temporary directory, named by the
fingerprint of the data; later trials use this copy. The copy travels
through Ray's object store, since the hosts share nothing else, and gets its name once it is checked.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from mtlsweep.suites.prepared.layout import SUMMARY
from mtlsweep.sweep.executors.ray.verified_copy import FileContent, copy_files, describe_files, read_piece


@dataclass(frozen=True)
class DataCopies:
    """Location of the prepared data of a sweep.

    Attributes:
        directory: absolute path on the driver's host.
        node: Ray's id of that host.
    """

    directory: Path
    node: str

    def directory_here(self, fingerprint: str) -> Path:
        """Return a directory on this host with the data called `fingerprint`; copy it if it is missing.

        Raises:
            DamagedCopyError: a file arrives damaged.
            OSError: the copy cannot be written, or other users could change it.
        """
        if _fingerprint(self.directory) == fingerprint:
            return self.directory
        copies = _own_directory(Path(tempfile.gettempdir()) / f"mtlsweep-data-{os.getuid()}")
        copy = copies / fingerprint[:16]
        with (copies / f"{copy.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # if several trials start together, one copies and the others wait
            if _fingerprint(copy) != fingerprint:
                self._fetch(copy)
        return copy

    def _fetch(self, target: Path) -> None:
        driver_host = NodeAffinitySchedulingStrategy(self.node, soft=False)
        describe = ray.remote(describe_files).options(num_cpus=0, scheduling_strategy=driver_host)
        piece = ray.remote(read_piece).options(num_cpus=0, scheduling_strategy=driver_host)
        shutil.rmtree(target, ignore_errors=True)
        with tempfile.TemporaryDirectory(prefix=target.name, dir=target.parent) as temporary:
            arriving = Path(temporary) / target.name
            arriving.mkdir()
            files: dict[str, FileContent] = ray.get(describe.remote(self.directory))
            copy_files(files, lambda name, start: ray.get(piece.remote(self.directory / name, start)), arriving)
            arriving.rename(target)


def _own_directory(path: Path) -> Path:
    """Make the directory `path` if it is missing, and return it.

    Raises:
        OSError: other users can write to it: where all share `/tmp`, one of them may have made it first.
    """
    path.mkdir(mode=0o700, exist_ok=True)
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise PermissionError(f"{path} is not this user's alone; remove it, or set TMPDIR to a directory of your own")
    return path


def _fingerprint(directory: Path) -> str | None:
    """Return the fingerprint of the data in `directory`, or None."""
    try:
        return str(json.loads((directory / SUMMARY).read_bytes())["fingerprint"])
    except (OSError, ValueError, KeyError):
        return None
