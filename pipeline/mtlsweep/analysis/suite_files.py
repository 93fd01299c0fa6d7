"""Where the analysis of a suite is on disk: `results/<suite>/`.

In: `{baselines,sweep}/{curves,outcomes}.parquet` and `sweep/metrics.json`. Out: `trials.parquet`,
`analysis/<table>.parquet`, `summary.json`, `headline.json` (`dvc metrics`) and `plots/*.csv` (`dvc plots`).
"""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from pathlib import Path

from mtlsweep.analysis.conclusions.importance import hyperparameter_importance
from mtlsweep.analysis.objectives import read_objectives
from mtlsweep.analysis.suite import SuiteAnalysis, analyse_suite
from mtlsweep.analysis.summary import headline, plot_data, summarise
from mtlsweep.files import canonical_json, write_atomically
from mtlsweep.record.tables.outcomes import read_outcomes
from mtlsweep.record.tables.parquet import read_table, write_table
from mtlsweep.record.tables.schema import CURVES

IMPORTANCE = "analysis/importance.parquet"
_TABLES = [field.name for field in fields(SuiteAnalysis) if field.name not in ("objectives", "trials")]


def analyse_directory(directory: Path, all_metrics: bool = False) -> SuiteAnalysis:
    """Analyse the raw tables under `directory` (one suite) and write everything beside them.

    Args:
        directory: see above.
        all_metrics: whether fronts are over all metrics, not only over those that count in Delta_m.

    Raises:
        UserError: a table is missing or damaged, or a task has no usable baseline.
    """
    raw = {"baseline": directory / "baselines", "sweep": directory / "sweep"}
    tables = {f"{stage}_outcomes": read_outcomes(path / "outcomes.parquet") for stage, path in raw.items()}
    for stage, path in raw.items():
        categories = ("split", "task", "metric")
        tables[f"{stage}_curves"] = read_table(path / "curves.parquet", CURVES.names, categories)
    objectives = read_objectives(directory / "sweep" / "metrics.json")
    analysis = analyse_suite(**tables, objectives=objectives, all_metrics=all_metrics)
    write_analysis(directory, analysis)
    write_table(directory / IMPORTANCE, hyperparameter_importance(analysis.trials, analysis.objectives))
    return analysis


def write_analysis(directory: Path, analysis: SuiteAnalysis) -> None:
    """Write every table of `analysis`, its summary and its plot data under `directory`."""
    write_table(directory / "trials.parquet", analysis.trials)
    for name in _TABLES:
        write_table(directory / "analysis" / f"{name}.parquet", getattr(analysis, name))
    objectives = [asdict(objective) for objective in analysis.objectives]
    write_atomically(directory / "analysis" / "metrics.json", canonical_json(objectives) + b"\n")
    summary = summarise(analysis)
    for name, content in (("summary", summary), ("headline", headline(summary))):
        text = json.dumps(content, indent=2, sort_keys=True, allow_nan=False)
        write_atomically(directory / f"{name}.json", text.encode() + b"\n")
    for name, plot in plot_data(analysis).items():
        write_atomically(directory / "plots" / f"{name}.csv", plot.to_csv(index=False, lineterminator="\n").encode())


def read_analysis(directory: Path) -> SuiteAnalysis:
    """Read back what `write_analysis` wrote.

    Raises:
        UserError: a table is missing or damaged.
    """
    tables = {name: read_table(directory / "analysis" / f"{name}.parquet") for name in _TABLES}
    objectives = read_objectives(directory / "analysis" / "metrics.json")
    return SuiteAnalysis(objectives=objectives, trials=read_table(directory / "trials.parquet"), **tables)
