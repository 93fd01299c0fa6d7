"""What missing labels cost: every weighting on MultiDigits with a share of each task's training labels removed.

    python benchmarks/missing_labels.py --directory build/missing_labels

Trains every weighting with Adam at one learning rate for each share, as `dvc repro` does; a second start continues where
the first stopped. Delta_m is relative to single-task training with all labels, so it shows what the missing ones cost;
`single task` is single-task training with as many labels missing. Draws `docs/missing_labels.svg`, with a .png beside the results.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import altair as alt
import pandas as pd

import mtlsweep
from mtlsweep.analysis.chosen_epochs import measured_on
from mtlsweep.analysis.delta_m import delta_m
from mtlsweep.analysis.objectives import Objective, counted
from mtlsweep.methods.weighting import WEIGHTINGS
from mtlsweep.report.figures.figure import Figure, render
from mtlsweep.suites.datasets.multidigits import MultiDigits
from mtlsweep.suites.tasks.metric_definitions import metric_definitions
from mtlsweep.trials.metric_names import DELTA_M

SHARES = (0.0, 0.2, 0.8)
SINGLE = "single task"
DRAWING = Path(__file__).parents[1] / "docs/missing_labels.svg"
OBJECTIVES = counted([Objective(**entry) for entry in metric_definitions(MultiDigits.tasks)])
OPTIONS: dict[str, dict[str, Any]] = {
    "scalar": {"left": 1.0, "right": 1.0, "mass": 0.5},
    "pivrg": {"reference": {"left": {"accuracy": 0.9}, "right": {"accuracy": 0.9}, "mass": {"mae": 0.3}}},
}


def suite_of(share: float) -> str:
    return f"digits-{100 * share:.0f}-missing"


def content(seeds: int) -> dict[str, Any]:
    """Return the parameters of a suite for each share."""
    rate, drawn = [0.003], list(range(seeds))
    suites = {
        suite_of(share): {
            "data": {"dataset": {"multidigits": {"train": 1000, "val": 250, "test": 500, "unlabelled": share}}},
            "network": {"lenet": {"downsampling": "stride"}},
            "training": {"epochs": 6, "batch_size": 32, "schedule": {"kind": "step", "every": 3, "factor": 0.5}},
            "baselines": {"learning_rates": rate, "seeds": drawn},
            "sweep": {
                "strategy": "grid",
                "weightings": [{name: OPTIONS.get(name, {})} for name in WEIGHTINGS.names()],
                "optimizers": ["adam"],
                "learning_rates": rate,
                "seeds": drawn,
            },
        }
        for share in SHARES
    }
    return {"active": list(suites), "resources": {"executor": "inline"}, "suites": suites}


def single_task(trials: pd.DataFrame) -> pd.DataFrame:
    """Return one row: the mean over seeds of each task's metrics when it is trained alone."""
    means = {one.name: trials.loc[trials["task"] == one.task, one.of("test").column].mean() for one in OBJECTIVES}
    return pd.DataFrame([means], index=[SINGLE])


def compare(tables: dict[float, pd.DataFrame]) -> pd.DataFrame:
    """Return test Delta_m in percent, a row per weighting and a column per share; fail if a trial did not train."""
    columns = {}
    baseline: dict[str, float] | None = None
    for share, trials in tables.items():
        ended = trials[trials["outcome"] != "done"]
        if len(ended):
            raise SystemExit(f"{100 * share:.0f} % removed: {', '.join(ended['weighting'])} did not train to the end.")
        alone = single_task(trials[trials["role"] == "stl"])
        baseline = baseline or alone.loc[SINGLE].to_dict()
        together = trials[trials["role"] != "stl"]
        names = together["weighting"].astype(str).str.partition("(")[0]  # without options
        values = measured_on(together, "test", OBJECTIVES).groupby(names).mean()
        columns[share] = delta_m(pd.concat([values, alone]), baseline, OBJECTIVES)[DELTA_M]
    return pd.DataFrame(columns)


def figure_of(results: pd.DataFrame) -> Figure:
    order = [SINGLE, *(results.drop(SINGLE)[SHARES[-1]].sort_values().index)]
    data = results.rename_axis("weighting").reset_index().melt("weighting", var_name="share", value_name=DELTA_M)
    data["removed"] = data["share"].map("{:.0%}".format)
    chart = alt.Chart(data).mark_point(filled=True, size=50, opacity=1).encode(
        x=alt.X(f"{DELTA_M}:Q", title="test Δm % against single-task training with all labels (left is better)", scale=alt.Scale(padding=10)),
        y=alt.Y("weighting:N", sort=order, title=None, axis=alt.Axis(grid=True)),
        color=alt.Color("removed:N", title="labels removed", sort=None),
        shape=alt.Shape("removed:N", title="labels removed", sort=None),
    )  # fmt: skip
    zero = alt.Chart(pd.DataFrame({"zero": [0.0]})).mark_rule(strokeDash=[4, 4]).encode(x="zero:Q")
    return Figure("missing_labels", "", ((zero + chart).properties(height=alt.Step(14)),), seen="")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--directory", type=Path, default=Path("build/missing_labels"))
    parser.add_argument("--seeds", type=int, default=1)
    options = parser.parse_args()
    options.directory.mkdir(parents=True, exist_ok=True)
    project = mtlsweep.Project(content(options.seeds), options.directory)
    tables = {share: project.run(suite_of(share)).trials(suite_of(share)) for share in SHARES}
    results = compare(tables)
    print(results.rename(columns="{:.0%}".format).round(1).to_string())
    print(results.describe().loc[["min", "50%", "max"]].round(1).to_string())
    drawn = render(figure_of(results))
    DRAWING.write_bytes(drawn["svg"])
    (options.directory / "missing_labels.png").write_bytes(drawn["png"])


if __name__ == "__main__":
    main()
