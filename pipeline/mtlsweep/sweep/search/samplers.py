"""Samplers that suggest cells: those of Optuna by name, and those of OptunaHub, whose code comes from elsewhere."""

from __future__ import annotations

import importlib.util
import inspect
import warnings
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

import optuna
from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator

from mtlsweep.errors import UserError, first_line
from mtlsweep.params.section import Folder

BuiltIn = Literal["nsga2", "nsga3", "tpe", "gp", "random", "qmc"]

_BUILT_IN: Mapping[BuiltIn, Callable[[int], optuna.samplers.BaseSampler]] = {
    "nsga2": lambda seed: optuna.samplers.NSGAIISampler(population_size=20, seed=seed),
    "nsga3": lambda seed: optuna.samplers.NSGAIIISampler(population_size=20, seed=seed),
    "tpe": lambda seed: optuna.samplers.TPESampler(seed=seed, constant_liar=True),
    "gp": lambda seed: optuna.samplers.GPSampler(seed=seed, warn_independent_sampling=False),
    "random": lambda seed: optuna.samplers.RandomSampler(seed=seed),
    "qmc": lambda seed: optuna.samplers.QMCSampler(scramble=True, seed=seed, warn_independent_sampling=False),
}
"""Populations are smaller than Optuna's default of 50: a sweep has tens of cells, and the first generation is random.

TPE takes running cells as bad ones (`constant_liar`), lest parallel trials try neighbours; Optuna's default differs by version.
"""


class HubSampler(BaseModel):
    """A sampler of OptunaHub: code that this project does not ship, pinned or on this machine.

    Attributes:
        optunahub: `package:Class`, such as `samplers/auto_sampler:AutoSampler`.
        ref: the commit of the registry to download it from; with `allow_download`.
        allow_download: consent to run code from the internet.
        registry: in place of both, a folder on this machine that has the package.
        options: arguments of the class.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    optunahub: Annotated[str, Field(pattern=r"^[\w-]+(/[\w-]+)+:\w+$")]
    ref: Annotated[str, Field(pattern="^[0-9a-f]{40}$")] | None = None
    allow_download: bool = False
    registry: Folder | None = None
    options: Mapping[str, Any] = {}

    @model_validator(mode="after")
    def _check(self) -> HubSampler:
        if (self.ref is None) == (self.registry is None):
            raise ValueError(
                "name its place once: `registry` (a folder on this machine), or `ref` (40 hexadecimal digits: a commit of the "
                "registry of OptunaHub) with `allow_download: true`"
            )
        if self.ref is not None and not self.allow_download:
            raise ValueError(
                "its code would be downloaded and run on the machine of the sweep: read it at that commit, then add "
                "`allow_download: true`"
            )
        if importlib.util.find_spec("optunahub") is None:
            raise ValueError(
                "the package `optunahub` is not installed: run `pip install 'mtlsweep[hub]'`, or choose a sampler of Optuna"
            )
        return self


def _form(value: Any) -> str:
    return "name" if isinstance(value, str) else "hub"


Sampler = Annotated[Annotated[BuiltIn, Tag("name")] | Annotated[HubSampler, Tag("hub")], Discriminator(_form)]
"""A name, or `{optunahub: package:Class, ...}`."""


def make_sampler(sampler: BuiltIn | HubSampler, seed: int, objectives: int) -> optuna.samplers.BaseSampler:
    """Return a sampler for so many objectives; one of OptunaHub is loaded now.

    Raises:
        UserError: a sampler of OptunaHub cannot be had, or does not search so many objectives.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        if isinstance(sampler, str):
            return _BUILT_IN[sampler](seed)
        make = _load(sampler)
        try:
            _try_out(make(seed), objectives)
            return make(seed)
        except Exception as error:  # whatever its code raises
            raise UserError(
                f"sampler `{sampler.optunahub}` of OptunaHub does not suggest cells for {objectives} objectives "
                f"({first_line(error)}): correct its `options`, or choose another sampler."
            ) from error


def _load(sampler: HubSampler) -> Callable[[int], optuna.samplers.BaseSampler]:
    """Return a function that makes the sampler from a seed."""
    import optunahub  # optional, see HubSampler

    package, _, name = sampler.optunahub.partition(":")
    try:
        if sampler.registry is not None:
            module = optunahub.load_local_module(package, registry_root=str(sampler.registry.absolute()))
        else:
            assert sampler.ref is not None
            module = optunahub.load_module(package, ref=sampler.ref)
        made = getattr(module, name)
    except Exception as error:  # no network, no such commit or package, or whatever its code raises
        place = f"`{sampler.registry}`" if sampler.registry is not None else f"commit {sampler.ref} of its registry"
        raise UserError(
            f"sampler `{sampler.optunahub}` of OptunaHub cannot be loaded from {place} ({first_line(error)}): check name and "
            "place, and the network, or choose a sampler of Optuna."
        ) from error
    seeded = "seed" in inspect.signature(made).parameters
    return lambda seed: made(**{**({"seed": seed} if seeded else {}), **sampler.options})


def _try_out(sampler: optuna.samplers.BaseSampler, objectives: int) -> None:
    study = optuna.create_study(directions=["minimize"] * objectives, sampler=sampler)
    trial = study.ask()
    trial.suggest_categorical("weighting", ["a", "b"])
    trial.suggest_float("lr", 1e-3, 1e-1, log=True)
    study.tell(trial, [0.0] * objectives)
