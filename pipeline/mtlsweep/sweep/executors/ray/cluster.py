"""Connect to a Ray cluster, or start one on this machine."""

from __future__ import annotations

import logging
import os
import secrets
import sys
from collections.abc import Mapping
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


def largest_node() -> Mapping[str, float]:
    """Return the resources of the host with the most CPUs."""
    found: Mapping[str, float] = max(
        (node["Resources"] for node in ray.nodes() if node["Alive"]), key=lambda r: r.get("CPU", 0)
    )
    return found


def hosts_with_room(cpus: float, gpus: float) -> list[str]:
    """Return the ids of the hosts that are large enough for a trial, whatever runs on them now."""
    needed = {"CPU": cpus, "GPU": gpus}
    return [
        str(node["NodeID"])
        for node in ray.nodes()
        if node["Alive"] and all(node["Resources"].get(name, 0) >= count for name, count in needed.items())
    ]


def connect(resources: Resources) -> None:
    """Connect to the cluster at `RAY_ADDRESS` or `resources.address`, or start one on loopback.

    Raises:
        UserError: the address is malformed, the cluster does not answer or refuses the token, or a local one cannot start where its files belong.
    """
    address = os.environ.get("RAY_ADDRESS") or resources.address
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


def count_slots(cpus: float, gpus: float) -> int:
    """Return how many trials fit on the cluster at once.

    Args:
        cpus, gpus: of one trial.

    Raises:
        UserError: no trial fits.
    """
    total = ray.cluster_resources()
    fitting = int(total.get("CPU", 0) / cpus + 1e-9)
    if gpus > 0:
        fitting = min(fitting, int(total.get("GPU", 0) / gpus + 1e-9))
    if fitting == 0:
        raise UserError(
            f"no trial fits: `resources` requests {cpus:g} CPUs and {gpus:g} GPUs per trial, "
            f"but the cluster has {total.get('CPU', 0):g} CPUs and {total.get('GPU', 0):g} GPUs{hidden_gpus() if gpus else ''}; "
            "reduce it in params.yaml."
        )
    return fitting
