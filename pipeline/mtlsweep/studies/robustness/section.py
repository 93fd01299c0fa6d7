"""What the page says about robustness: delta_t per weighting, metric and corruption, and absolute scores."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import altair as alt
import pandas as pd

from mtlsweep.record.tables.parquet import read_table
from mtlsweep.report.figures.figure import Figure, spans
from mtlsweep.report.sections import Section, read_json
from mtlsweep.report.style import COLOURS
from mtlsweep.report.tables.table import Column, Table, names, numbers, with_spread

METHOD = ["weighting", "optimizer", "lr"]
_HEIGHT = 200


def read(directory: Path) -> Section | None:
    """Return the study's section, from the tables under `directory`.

    Raises:
        UserError: a file of the study is missing or damaged.
    """
    return robustness_section(
        read_table(directory / "scores.parquet"),
        read_table(directory / "by_corruption.parquet"),
        read_table(directory / "delta_t.parquet"),
        read_json(directory / "about.json"),
    )


def robustness_section(
    scores: pd.DataFrame, by_corruption: pd.DataFrame, delta_t: pd.DataFrame, about: Mapping[str, Any]
) -> Section | None:
    """Return the section of the experiment `robustness`; None if nothing was measured."""
    if delta_t.empty:
        return None
    sentences = (*robustness_sentences(delta_t, by_corruption), _method_sentence(about))
    tables = (delta_t_table(delta_t), scores_table(scores))
    figures = (_bars(by_corruption), _severities(scores, _best(delta_t)))
    return Section("robustness", "Robustness", sentences, tables, figures)


def robustness_sentences(delta_t: pd.DataFrame, by_corruption: pd.DataFrame) -> Iterator[str]:
    """Say how many methods are more robust than single-task learning, which most, and where it hurts."""
    overall = delta_t[delta_t["metric"] == "mean"].dropna(subset="delta_t").sort_values("delta_t")
    if overall.empty:
        yield "No method has a figure for every corruption, so none can be compared with single-task learning."
        return
    better = int((overall["delta_t"] < 0).sum())
    yield f"{better} of {len(overall)} methods lose less than single-task learning does when images are corrupted (mean delta_t below zero)."
    for words, row in (("Most robust", overall.iloc[0]), ("Least robust", overall.iloc[-1])):
        yield f"{words}: {row['weighting']} with {row['optimizer']}, mean delta_t {row['delta_t']:+.3f}{_spread(row)}."
    mean = by_corruption.groupby("corruption")["delta_t"].mean().sort_values()
    if len(mean) > 1:
        yield (
            f"Over all methods and metrics multi-task networks do best, relative to single-task ones, under {_words(mean.index[0])} "
            f"({mean.iloc[0]:+.3f}) and worst under {_words(mean.index[-1])} ({mean.iloc[-1]:+.3f})."
        )


def _method_sentence(about: Mapping[str, Any]) -> str:
    tuning = about["fine_tuning"]
    epochs = "1 epoch" if tuning["epochs"] == 1 else f"{tuning['epochs']} epochs"
    return (
        f"Backbones are frozen; heads were trained for {epochs} on {tuning['train_samples']} training images under random corruptions, "
        f"then measured on {about['test_samples']} test images under {len(about['corruptions'])} corruptions x {len(about['severities'])} severities "
        f"({about['library']} of imagecorruptions-imaug)."
    )


def delta_t_table(delta_t: pd.DataFrame) -> Table:
    """Return a row per method, a column per metric, lowest mean first."""
    worded = delta_t.assign(heading=(delta_t["task"] + " " + delta_t["metric"]).replace("all mean", "mean"))
    wide = worded.pivot(index=METHOD, columns="heading", values=["delta_t", "std"]).sort_values(("delta_t", "mean"))
    labels = wide.index.to_frame(index=False)
    columns = [*names(labels, "weighting", "optimizer"), numbers(labels, "lr", "learning rate", "~")]
    headings = [*sorted(set(worded["heading"]) - {"mean"}), "mean"]
    for heading in headings:
        values, spreads = wide["delta_t", heading], wide["std", heading]
        least = values.min()
        cells = tuple(with_spread(v, s, 4, bool(v == least)) for v, s in zip(values, spreads, strict=True))
        columns.append(Column(heading.replace("_", " "), cells))
    caption = (
        "delta_t: mean over corruptions and severities of the relative change against clean images, minus that of single-task learning; signed so that "
        "below zero the multi-task network is the more robust. Bold: the lowest of a column."
    )
    return Table("delta_t", caption, tuple(columns), delta_t)


def scores_table(scores: pd.DataFrame) -> Table:
    """Return absolute scores: clean, and the mean over corruptions and severities."""
    means = scores.assign(images=scores["corruption"].where(scores["corruption"] == "clean", "corrupted"))
    by_seed = means.groupby([*METHOD, "task", "metric", "images", "seed"])["value"].mean().reset_index()
    table = by_seed.groupby([*METHOD, "task", "metric", "images"])["value"].mean().unstack("images").reset_index()
    table = table.rename_axis(columns=None)
    table["retained"] = table["corrupted"] / table["clean"]
    columns = (
        *names(table, "weighting", "optimizer"),
        numbers(table, "lr", "learning rate", "~"),
        *names(table, "task", "metric"),
        numbers(table, "clean", "clean", ".4g"),
        numbers(table, "corrupted", "corrupted", ".4g"),
        numbers(table, "retained", "corrupted / clean", ".3f"),
    )
    caption = "Absolute scores with fine-tuned heads: on clean test images, and the mean over corruptions and severities; stl is single-task learning."
    return Table("scores", caption, columns, table)


def _bars(by_corruption: pd.DataFrame) -> Figure:
    """Draw delta_t per corruption, a panel per metric, of each weighting with its lowest optimizer."""
    chosen = _lowest_optimizers(by_corruption)
    by_mean = chosen.groupby("weighting")["delta_t"].mean().sort_values(kind="stable")
    weightings = sorted(by_mean.index[:COLOURS])
    left_out = f" Of {len(by_mean)} weightings the {COLOURS} with the lowest mean." if len(by_mean) > COLOURS else ""
    chosen = chosen[chosen["weighting"].isin(weightings)]
    order = list(dict.fromkeys(by_corruption["corruption"]))
    panels = []
    for (task, metric), own in chosen.groupby(["task", "metric"], sort=True):
        data = own.groupby(["weighting", "optimizer", "corruption"], as_index=False)["delta_t"].mean()
        panels.append(
            alt.Chart(data, title=f"{task} {metric}".replace("_", " "))
            .mark_bar()
            .encode(
                x=alt.X(
                    "corruption:N",
                    sort=order,
                    title=None,
                    axis=alt.Axis(labelAngle=-50, labelExpr="replace(datum.label, '_', ' ')"),
                ),
                xOffset=alt.XOffset("weighting:N", sort=weightings),
                y=alt.Y("delta_t:Q", title="delta_t (down is better)"),
                color=alt.Color("weighting:N", scale=alt.Scale(domain=weightings), title=None),
                tooltip=["weighting", "optimizer", "corruption", alt.Tooltip("delta_t", format=".3f")],
            )
            .properties(height=_HEIGHT)
        )
    caption = "delta_t per corruption, mean over severities and seeds, a panel per metric; of each weighting the optimizer with the lowest mean. Below zero: more robust than single-task learning."
    seen = (
        f"delta_t over corruptions, from lowest to highest: {spans(chosen, 'weighting', 'delta_t', '.2f', weightings)}."
    )
    return Figure("by_corruption", caption + left_out, tuple(panels), tuple(weightings), seen=seen)


def _lowest_optimizers(by_corruption: pd.DataFrame) -> pd.DataFrame:
    means = by_corruption.groupby(["weighting", "optimizer"], as_index=False)["delta_t"].mean()
    lowest = means.sort_values("delta_t").groupby("weighting", as_index=False).head(1)
    return by_corruption.merge(lowest[["weighting", "optimizer"]], on=["weighting", "optimizer"])


def _severities(scores: pd.DataFrame, best: pd.Series) -> Figure:
    """Draw each metric against severity, of single-task learning and of the most robust method."""
    multi = scores[(scores[METHOD] == best[METHOD]).all(axis=1)].assign(
        network=f"{best['weighting']} {best['optimizer']}"
    )
    data = pd.concat([multi, scores[scores["role"] == "stl"].assign(network="single-task")], ignore_index=True)
    networks = list(dict.fromkeys(data["network"]))
    panels = []
    for (task, metric), own in data.groupby(["task", "metric"], sort=True):
        means = own.groupby(["network", "severity"], as_index=False)["value"].mean()
        panels.append(
            alt.Chart(means, title=f"{task} {metric}".replace("_", " "))
            .mark_line(point=True)
            .encode(
                x=alt.X("severity:Q", title="severity (0: clean)", axis=alt.Axis(tickMinStep=1, grid=False)),
                y=alt.Y("value:Q", title=None, scale=alt.Scale(zero=False)),
                color=alt.Color("network:N", scale=alt.Scale(domain=networks), title=None),
                tooltip=["network", "severity", alt.Tooltip("value", format=".4g")],
            )
            .properties(height=_HEIGHT)
        )
    caption = "Absolute scores against severity, mean over corruptions and seeds: the multi-task method with the lowest mean delta_t, and single-task learning."
    both = data.assign(panel=data["network"] + " " + data["task"] + " " + data["metric"])
    means = both.groupby(["panel", "severity"], as_index=False)["value"].mean()
    seen = f"Means over severities, from lowest to highest: {spans(means, 'panel', 'value', '.3g')}."
    return Figure("severities", caption, tuple(panels), tuple(networks), seen=seen)


def _best(delta_t: pd.DataFrame) -> pd.Series:
    overall = delta_t[delta_t["metric"] == "mean"]
    ranked = overall.sort_values("delta_t", na_position="last")
    return ranked.iloc[0]


def _spread(row: pd.Series) -> str:
    return "" if math.isnan(row["std"]) else f" ± {row['std']:.3f} over {int(row['seeds'])} seeds"


def _words(name: str) -> str:
    return name.replace("_", " ")
