"""Connect to a Ray cluster, or start one on this machine."""

from __future__ import annotations

import logging
import os
import secrets
import sys
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import AuthenticationError, RuntimeEnvSetupError

import mtlsweep
from mtlsweep.addresses import split_address
from mtlsweep.environment import origin, usable_cpus
from mtlsweep.errors import UserError, first_line
from mtlsweep.params.resources import Resources

OBJECT_STORE_BYTES = 200_000_000
"""Space for checkpoints in transfer; data is memory-mapped from disk and never uses the object store."""


LONGEST_DIRECTORY = 35
"""Characters of Ray's directory. A socket's path has at most 107 (macOS: 103), of which Ray uses up to 68."""


def living_nodes() -> list[Mapping[str, Any]]:
    """Return Ray's descriptions of the hosts that there are now."""
    return [node for node in ray.nodes() if node["Alive"]]


def hosts_with_room(cpus: float, gpus: float) -> list[str]:
    """Return the ids of the hosts that are large enough for a trial, whatever runs on them now."""
    needed = {"CPU": cpus, "GPU": gpus}
    return [
        str(node["NodeID"])
        for node in living_nodes()
        if all(node["Resources"].get(name, 0) >= count for name, count in needed.items())
    ]


def address_of(resources: Resources) -> str:
    """Return the address of the cluster, which is `RAY_ADDRESS` if that is set; `local` starts one here."""
    return os.environ.get("RAY_ADDRESS") or resources.address


def connect(resources: Resources) -> None:
    """Connect to the cluster at `RAY_ADDRESS` or `resources.address`, or start one on loopback.

    Raises:
        UserError: the address is malformed, the cluster does not answer or refuses the token, or a local one cannot start where its files belong.
    """
    address = address_of(resources)
    if not _is_address(address):
        raise UserError(
            f"`{address}` ({_origin()}) is not the address of a Ray cluster; allowed are `local`, `auto`, HOST:PORT and "
            "ray://HOST:PORT."
        )
    variables = {name: str(resources.threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
    options: dict[str, Any]
    if address == "local":
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
        os.environ.update(variables)  # inherited by workers; a runtime environment would delay their start by a second
        options = {
            "num_cpus": usable_cpus(),
            "object_store_memory": OBJECT_STORE_BYTES,
            "include_dashboard": False,
        }
    else:
        sent_by_a_job = "RAY_JOB_CONFIG_JSON_ENV_VAR" in os.environ  # a Ray job brings its own files
        own_code = {"py_modules": [str(Path(mtlsweep.__file__).parent)]}  # has priority over a copy installed on a host
        files = {} if sent_by_a_job else {"working_dir": os.getcwd(), **own_code}
        options = {"runtime_env": {"env_vars": variables, **files}}
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, **options)
    except AuthenticationError as error:
        raise UserError(
            f"the Ray cluster at `{address}` ({_origin()}) requires a token; set RAY_AUTH_TOKEN, or RAY_AUTH_TOKEN_PATH to the file with the token."
        ) from error
    except (OSError, RuntimeError, ValueError, RuntimeEnvSetupError) as error:
        if address == "local" and isinstance(error, OSError) and not isinstance(error, ConnectionError):
            raise UserError(_directory_refused(error)) from error
        raise UserError(
            f"cannot connect to a Ray cluster at `{address}` ({_origin()}): {first_line(error)}; "
            f"start it, or {'unset RAY_ADDRESS' if os.environ.get('RAY_ADDRESS') else 'set `resources.address: local`'}."
        ) from error
    where = "a local Ray on this machine" if address == "local" else f"the Ray cluster at {address}"
    print(f"running on {where}", flush=True)


def _is_address(address: str) -> bool:
    if address in ("local", "auto"):
        return True
    parts = split_address(address)
    if parts is None or not parts.hostname:
        return False
    return parts.scheme == "ray" or (parts.scheme == "" and parts.port is not None)


def _origin() -> str:
    return origin("RAY_ADDRESS", "resources.address")


def _directory_refused(error: OSError) -> str:
    """Return a sentence on the directory of a local Ray: it is read-only, full, or its path too long."""
    variables = ("RAY_TMPDIR", "TMPDIR") if sys.platform.startswith("linux") else ("RAY_TMPDIR",)
    variable = next((name for name in variables if os.environ.get(name)), None)
    where = f"`{os.environ[variable]}` (the environment variable {variable})" if variable else "`/tmp`"
    why = "its path is too long for Ray's sockets" if "AF_UNIX" in str(error) else first_line(error)
    return (
        f"Ray cannot start in {where}: {why}; set RAY_TMPDIR to a directory on a local disk whose path has at most "
        f"{LONGEST_DIRECTORY} characters."
    )


def hidden_gpus() -> str:
    """Return a remark if the environment may hide GPUs."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return ""
    return f" (the environment variable CUDA_VISIBLE_DEVICES, which hides GPUs, is `{visible}` here)"


def count_slots(cpus: float, gpus: float, without: Collection[str] = ()) -> int:
    """Return how many trials fit at once on the hosts that there are.

    Args:
        cpus, gpus: of one trial.
        without: ids of hosts that do not count.
    """
    return sum(
        min(
            int(node["Resources"].get(name, 0) / count + 1e-9)
            for name, count in (("CPU", cpus), ("GPU", gpus))
            if count
        )
        for node in living_nodes()
        if node["NodeID"] not in without
    )


def no_room(cpus: float, gpus: float) -> str:
    """Return a sentence, without the next step, on why no trial of `cpus` and `gpus` fits."""
    totals = [sum(node["Resources"].get(name, 0) for node in living_nodes()) for name in ("CPU", "GPU")]
    return (
        f"no trial fits: `resources` requests {cpus:g} CPUs and {gpus:g} GPUs per trial, and no host has them; "
        f"the cluster has {totals[0]:g} CPUs and {totals[1]:g} GPUs{hidden_gpus() if gpus else ''}"
    )


@contextmanager
def asked_for(bundle: Mapping[str, float], count: int) -> Iterator[None]:
    """Show demand for `count` times `bundle` to the cluster's autoscaler; with the driver it would end, too."""
    groups = [ray.util.placement_group([dict(bundle)]) for _ in range(count)]
    try:
        yield
    finally:
        for group in groups:
            ray.util.remove_placement_group(group)
