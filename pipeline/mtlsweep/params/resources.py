"""Where and how trials run, `resources` of params.yaml, and who is told about it, `notify`. Nothing here changes a result."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, PlainValidator, WithJsonSchema

from mtlsweep.addresses import StoreUri, split_address
from mtlsweep.errors import UserError
from mtlsweep.params.section import Section, expand_home

_SQLITE = "sqlite:///"

ROOTS = "allowed are a folder, and s3://BUCKET/FOLDER with letters, digits and ._=- in its names"


def _expand_home_in_uri(uri: str) -> str:
    return f"{_SQLITE}{expand_home(Path(uri.removeprefix(_SQLITE)))}" if uri.startswith(f"{_SQLITE}~") else uri


def _auto_or_gpus(value: Any) -> Any:
    if value == "auto":
        return value
    if not isinstance(value, int | float) or not 0 <= value < float("inf") or (value > 1 and value % 1):
        raise ValueError("it is neither `auto` nor a part of one GPU, such as 0.5, nor a whole number of GPUs")
    return float(value)


_AutoOrGpus = Annotated[Literal["auto"] | Annotated[float, Field(ge=0)], BeforeValidator(_auto_or_gpus)]


def _root(value: Any) -> Path | StoreUri:
    """Return a folder, or the URI of one in an object store."""
    if isinstance(value, Path | StoreUri):
        return value
    if not isinstance(value, str):
        raise ValueError(ROOTS)
    if "://" not in value:
        folder: Path = expand_home(Path(value))
        return folder
    parts = split_address(value)
    if parts is None or parts.username is not None or parts.password is not None:  # not shown: it may hold a secret
        raise UserError(
            "params.yaml: `resources.ledger_root` is a URI with a name or a key in it; write s3://BUCKET/FOLDER, and set "
            "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment."
        )
    uri = StoreUri.parse(value)
    if uri is None:
        raise ValueError(ROOTS)
    return uri


Root = Annotated[
    Path | StoreUri,
    PlainValidator(_root),
    PlainSerializer(str, when_used="json"),
    WithJsonSchema({"type": "string", "format": "path"}),
]
"""A folder, or the URI of one in an object store."""


_FROM_ENVIRONMENT = "env:"


def _variable(value: Any) -> Any:
    """Refuse an address in params.yaml; it is not shown, since it may hold a secret."""
    if not isinstance(value, str) or not re.fullmatch(rf"{_FROM_ENVIRONMENT}[A-Za-z_][A-Za-z0-9_]*", value):
        raise UserError(
            "params.yaml: an entry of `notify.to` is not of the form env:NAME; put the address, which may hold a secret, into an "
            "environment variable and write its name, such as env:MTLSWEEP_NOTIFY."
        )
    return value


Variable = Annotated[
    str, BeforeValidator(_variable), WithJsonSchema({"type": "string", "pattern": "^env:[A-Za-z_][A-Za-z0-9_]*$"})
]
"""`env:NAME`: the value is in an environment variable."""


class Notify(Section):
    """Who is told when a sweep ends, stalls, fails too often or has used its budget; see docs/watch.md.

    Attributes:
        to: addresses, each as `env:NAME` of the environment variable that holds it: a webhook (https://...) or one of apprise.
        failed_share: share of the trials that ended in a run above which failures are told.
    """

    to: tuple[Variable, ...] = ()
    failed_share: float = Field(default=0.1, ge=0, le=1)

    @property
    def variables(self) -> list[str]:
        """Names of the environment variables."""
        return [entry.removeprefix(_FROM_ENVIRONMENT) for entry in self.to]


class Budget(Section):
    """Limits of one run of a sweep; the next run trains what is missing.

    Attributes:
        trials: number of trials to start.
        hours: wall-clock hours.
        device_hours: hours in which trials held devices, summed over the trials.
    """

    trials: Annotated[int, Field(ge=1)] | None = None
    hours: Annotated[float, Field(gt=0)] | None = None
    device_hours: Annotated[float, Field(gt=0)] | None = None


class Resources(Section):
    """Where and how trials run. Nothing here changes a result, so DVC does not track it."""

    executor: Literal["ray", "inline"] = "ray"  # inline: in the stage's own process, one trial after another
    cpus_per_trial: float = Field(default=1, gt=0)
    gpus_per_trial: _AutoOrGpus = "auto"  # auto: see docs/gpus.md
    concurrency: Annotated[int, Field(ge=1)] | None = None  # None: as many as fit on the cluster
    device: Literal["auto", "cpu", "cuda"] = "auto"
    address: str = "local"
    wait_minutes: float = Field(default=15, ge=0, allow_inf_nan=False)  # for the first host of a cluster with room
    tracking_uri: Annotated[str, AfterValidator(_expand_home_in_uri)] = "sqlite:///mlflow.db"
    ledger_root: Root = Path("results")
    checkpoint_seconds: float = Field(default=30, ge=0)
    keep_weights: Literal["all", "leading", "none"] = "all"  # of the best epoch; others are trained again if needed
    worker_retries: int = Field(default=3, ge=0)
    trial_hours: Annotated[float, Field(gt=0)] | None = None  # a longer trial counts as hanging
    budget: Budget = Budget()
    failed_share_limit: float = Field(default=0.2, ge=0, le=1)
    price_per_device_hour: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = (
        None  # `mtlsweep watch` shows costs
    )

    @property
    def threads(self) -> int:
        """Number of threads of a trial."""
        return max(1, int(self.cpus_per_trial))
