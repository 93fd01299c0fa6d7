"""Studies as sections of the page: the four of the project from their tables, others as they describe themselves."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.analysis.tables import read_table
from pipeline.errors import UserError
from pipeline.reporting.sections import Section, read_sections
from pipeline.reporting.studies_gradients import gradients_section
from pipeline.reporting.studies_loss_scaling import loss_scaling_section
from pipeline.reporting.studies_robustness import robustness_section
from pipeline.reporting.studies_toy import toy_section


def suite_sections(directory: Path) -> tuple[Section, ...]:
    """Return what `gradients`, `robustness` and studies of one's own found of the suite under `directory`, as far as they have run.

    Raises:
        UserError: a file is missing beside others of its study, or damaged.
    """
    return _present(directory, {"gradients": _gradients, "robustness": _robustness}) + read_sections(directory)


def own_sections(directory: Path) -> tuple[Section, ...]:
    """Return what `toy`, `loss_scaling` and studies of one's own found, as far as they have run under `directory`.

    Raises:
        UserError: as `suite_sections`.
    """
    return _present(directory, {"toy": _toy, "loss_scaling": _loss_scaling}) + read_sections(directory)


def _present(directory: Path, readers: dict[str, Callable[[Path], Section | None]]) -> tuple[Section, ...]:
    sections = [read(directory / name) for name, read in readers.items() if (directory / name).is_dir()]
    return tuple(section for section in sections if section is not None)


def _toy(directory: Path) -> Section:
    iterations = _csv(directory / "iterations.csv").astype({"iterations": "Int64"})
    return toy_section(
        iterations, read_table(directory / "trajectories.parquet"), read_table(directory / "surface.parquet")
    )


def _loss_scaling(directory: Path) -> Section:
    return loss_scaling_section(read_table(directory / "curves.parquet"), _csv(directory / "verdicts.csv"))


def _gradients(directory: Path) -> Section | None:
    costs = directory / "costs.json"
    return gradients_section(
        read_table(directory / "epochs.parquet"),
        read_table(directory / "effects.parquet"),
        _json(directory / "about.json"),
        _json(costs) if costs.exists() else {},
    )


def _robustness(directory: Path) -> Section | None:
    return robustness_section(
        read_table(directory / "scores.parquet"),
        read_table(directory / "by_corruption.parquet"),
        read_table(directory / "delta_t.parquet"),
        _json(directory / "about.json"),
    )


def _csv(path: Path) -> pd.DataFrame:
    try:
        return pd.read_csv(path)
    except FileNotFoundError as error:
        raise UserError(f"`{path}` is missing; run `dvc repro` to make it.") from error
    except pd.errors.ParserError as error:
        raise UserError(f"`{path}` is damaged ({error}); delete it and run `dvc repro`.") from error


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text())
    except FileNotFoundError as error:
        raise UserError(f"`{path}` is missing; run `dvc repro` to make it.") from error
    except ValueError as error:
        raise UserError(f"`{path}` is damaged ({error}); delete it and run `dvc repro`.") from error
