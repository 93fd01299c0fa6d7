"""What the page says about gradient conflicts: between tasks and between samples, with effect sizes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import altair as alt
import pandas as pd

from mtlsweep.record.tables.parquet import read_table
from mtlsweep.report.figures.figure import Figure, spans
from mtlsweep.report.sections import Section, read_json
from mtlsweep.report.tables.table import Table, names, numbers
from mtlsweep.studies.gradients.shares_section import CELL, shares_figure, shares_sentences

KINDS = ("inter-task", "inter-sample")
MEASURES = {
    "cosine": "cosine similarity",
    "magnitude_similarity": "magnitude similarity",
    "conflicting_share": "share of conflicting parameters, of all",
    "conflicting_share_of_active": "share of conflicting parameters, of those non-zero in both",
    "scalar_product": "scalar product",
}

_HEIGHT = 180


def read(directory: Path) -> Section | None:
    """Return the study's section, from the tables under `directory`.

    Raises:
        UserError: a file of the study is missing or damaged.
    """
    costs, shares = directory / "costs.json", directory / "shares.parquet"  # older results have no shares
    return gradients_section(
        read_table(directory / "epochs.parquet"),
        read_table(directory / "effects.parquet"),
        read_json(directory / "about.json"),
        read_json(costs) if costs.exists() else {},
        read_table(shares) if shares.exists() else pd.DataFrame(),
    )


def gradients_section(
    epochs: pd.DataFrame,
    effects: pd.DataFrame,
    about: Sequence[Mapping[str, Any]],
    costs: Mapping[str, Mapping[str, float]],
    shares: pd.DataFrame,
) -> Section | None:
    """Return the section of the experiment `gradients`; None if nothing was measured.

    Args:
        epochs, effects: tables of the study.
        about: how each trial was measured. costs: by trial key, seconds measuring and in all.
        shares: table of the study; empty where it was not asked for.
    """
    if epochs.empty:
        return None
    said_of_shares = () if shares.empty else shares_sentences(shares)
    sentences = (*gradients_sentences(effects), *said_of_shares, *_method_sentences(about, costs))
    figures = [figure for figure in (*_figures(epochs), shares_figure(shares)) if figure is not None]
    return Section("gradients", "Gradient conflicts", sentences, (effects_table(effects),), tuple(figures))


def gradients_sentences(effects: pd.DataFrame) -> Iterator[str]:
    """Say, per cell, whether tasks conflict more than samples, in angle, in magnitude and averaged."""
    for (weighting, optimizer, lr), own in effects.groupby(CELL, sort=True):
        yield f"While {weighting} with {optimizer} trains at learning rate {lr:g}:"
        single = own[~own["averaged"]].groupby("measure").mean(numeric_only=True)
        yield _angle_sentence(single.loc["cosine"])
        yield _share_sentence(single.loc["conflicting_share_of_active"])
        yield _magnitude_sentence(single.loc["magnitude_similarity"])
        averaged = own[own["averaged"]].groupby("measure").mean(numeric_only=True).loc["cosine"]
        yield (
            f"Averaged, the mean cosine is {averaged['inter_task']:+.2f} between tasks over the whole batch and "
            f"{averaged['inter_sample']:+.2f} between samples over tasks."
        )


def _angle_sentence(row: pd.Series) -> str:
    if abs(row["cohens_d"]) < 0.2:
        verdict = "Tasks of one sample are about as much at odds as samples of one task"
    elif row["difference"] > 0:
        verdict = "Tasks of one sample are less at odds than samples of one task"
    else:
        verdict = "Tasks of one sample are more at odds than samples of one task"
    return (
        f"{verdict}: mean cosine {row['inter_task']:+.3f} against {row['inter_sample']:+.3f}, a {_size(row['cohens_d'])} effect "
        f"(Cohen's d {row['cohens_d']:+.2f}); a pair of tasks has the larger cosine with probability {row['task_above_sample']:.2f}, "
        f"and {100 * row['task_conflicts']:.0f} % of pairs of tasks conflict against {100 * row['sample_conflicts']:.0f} % of pairs of samples."
    )


def _share_sentence(row: pd.Series) -> str:
    return (
        f"Of the parameters on which both gradients are non-zero, {100 * row['inter_task']:.1f} % have opposite signs between tasks "
        f"and {100 * row['inter_sample']:.1f} % between samples (Cohen's d {row['cohens_d']:+.2f}, {_size(row['cohens_d'])})."
    )


def _magnitude_sentence(row: pd.Series) -> str:
    relation = "less alike" if row["difference"] < 0 else "more alike"
    return (
        f"In magnitude, gradients of tasks are {relation} than those of samples: mean similarity {row['inter_task']:.2f} against "
        f"{row['inter_sample']:.2f} (Cohen's d {row['cohens_d']:+.2f}, {_size(row['cohens_d'])})."
    )


def _size(d: float) -> str:
    """Return Cohen's word for an effect."""
    magnitude = abs(d)
    return "negligible" if magnitude < 0.2 else "small" if magnitude < 0.5 else "medium" if magnitude < 0.8 else "large"


def _method_sentences(about: Sequence[Mapping[str, Any]], costs: Mapping[str, Mapping[str, float]]) -> Iterator[str]:
    one = about[0]
    norms = "BatchNorm uses its running statistics meanwhile" if one["batch_norm"] else "the network has no BatchNorm"
    yield (
        f"Measured once in {one['every']} iterations on {one['samples']} random samples and {one['tasks']} tasks, on {one['parameters']} of "
        f"{one['shared_parameters']} shared parameters (those that every task reaches); dropout is off and {norms}. "
        "Pairs of one iteration are not independent, so effect sizes are given and no test."
    )
    spent = sum(cost["measuring"] for cost in costs.values())
    total = sum(cost["total"] for cost in costs.values())
    if total > spent > 0:
        yield f"Measuring took {spent:.0f} s of {total:.0f} s: training takes {total / (total - spent):.1f} times as long with it."


def effects_table(effects: pd.DataFrame) -> Table:
    """Return how tasks and samples differ in every measure."""
    variant = effects["averaged"].map({False: "pairs", True: "averaged"})
    worded = effects.assign(variant=variant, measure=effects["measure"].map(MEASURES))
    columns = (
        *names(worded, "weighting", "optimizer"),
        numbers(worded, "lr", "learning rate", "~"),
        numbers(worded, "seed", "seed", ".0f"),
        *names(worded, "variant", "measure"),
        numbers(worded, "inter_task", "inter-task", ".3g"),
        numbers(worded, "inter_sample", "inter-sample", ".3g"),
        numbers(worded, "cohens_d", "Cohen's d", "+.2f"),
        numbers(worded, "task_above_sample", "P(task > sample)", ".2f"),
    )
    caption = (
        "Means over all pairs of the training; Cohen's d is their difference in pooled standard deviations; P is the probability that a random "
        "pair of tasks lies above a random pair of samples. Averaged: tasks over the whole batch, samples over tasks. The share of conflicting "
        "parameters among all is the paper's measure; it falls where ReLU sets gradients to zero. The other share counts only parameters "
        "where both are non-zero."
    )
    return Table("effects", caption, columns, effects)


def _figures(epochs: pd.DataFrame) -> Iterator[Figure | None]:
    whole = epochs[epochs["layer"] == "all"]
    single, averaged = whole[~whole["averaged"]], whole[whole["averaged"]]
    band = "line: mean, dark band: one standard deviation, light band: 2.5 % to 97.5 %"
    every = single[single["subset"] == "all"]
    yield _figure(
        "per_epoch", f"Per epoch between two tasks of one sample and two samples of one task; {band}.", every, MEASURES
    )
    yield _figure(
        "averaged",
        f"The same averaged: between two tasks over the whole batch, and two samples over tasks; {band}.",
        averaged[averaged["subset"] == "all"],
        MEASURES,
    )
    for subset, what in (("conflicting", "a negative"), ("supporting", "no negative")):
        chosen = single[single["subset"] == subset]
        yield _figure(f"{subset}_pairs", f"Only pairs with {what} cosine; {band}.", chosen, MEASURES)
    yield _layers(epochs[(epochs["layer"] != "all") & ~epochs["averaged"] & (epochs["subset"] == "all")])


def _figure(name: str, caption: str, rows: pd.DataFrame, measures: Mapping[str, str]) -> Figure | None:
    data = rows.dropna(subset="mean")
    if data.empty:
        return None
    panels = []
    for (weighting, optimizer, lr), own in data.groupby(CELL, sort=True):
        several = data.groupby(CELL).ngroups > 1
        for measure, words in measures.items():
            title = f"{weighting}, {optimizer}, {lr:g}: {words}" if several else words
            panels.append(_panel(own[own["measure"] == measure], title))
    cosines = data[data["measure"] == "cosine"]
    seen = (
        f"Mean cosine similarity over epochs, from lowest to highest: {spans(cosines, 'kind', 'mean', '.3f', KINDS)}."
    )
    return Figure(name, caption, tuple(panels), KINDS, seen=seen)


def _panel(rows: pd.DataFrame, title: str) -> alt.LayerChart:
    over_seeds = rows.groupby(["kind", "epoch"], as_index=False)[["mean", "std", "low", "high"]].mean()
    data = over_seeds.assign(below=over_seeds["mean"] - over_seeds["std"], above=over_seeds["mean"] + over_seeds["std"])
    figures = ["mean", "below", "above", "low", "high"]
    data[figures] = data[figures].map(lambda value: float(f"{value:.4g}"))
    base = alt.Chart(data[["kind", "epoch", *figures]], title=_lines(title)).encode(
        x=alt.X("epoch:Q", axis=alt.Axis(tickMinStep=1, grid=False), scale=alt.Scale(zero=False, nice=False)),
        color=alt.Color("kind:N", scale=alt.Scale(domain=list(KINDS)), title=None),
    )
    wide = base.mark_area(opacity=0.12).encode(y=alt.Y("low:Q", title=None), y2="high:Q")
    narrow = base.mark_area(opacity=0.22).encode(y="below:Q", y2="above:Q")
    line = base.mark_line(point={"size": 25, "filled": True}).encode(
        y="mean:Q", tooltip=["kind", "epoch", "mean", "low", "high"]
    )
    return (wide + narrow + line).properties(height=_HEIGHT)


def _lines(title: str) -> alt.Title:
    """Return the title of a panel in lines that its width has room for."""
    return alt.Title(title.replace(": ", ":\n").replace(", of ", ",\nof ").split("\n"))


def _layers(rows: pd.DataFrame) -> Figure | None:
    """Draw means over epochs for each parameter, if the study measured them."""
    if rows.empty:
        return None
    order = list(dict.fromkeys(rows["layer"]))
    means = rows.groupby(["measure", "kind", "layer"], as_index=False)["mean"].mean()
    panels = []
    for measure, words in MEASURES.items():
        base = alt.Chart(means[means["measure"] == measure][["kind", "layer", "mean"]], title=_lines(words))
        points = base.mark_point(filled=True, size=50).encode(
            x=alt.X("mean:Q", title=None),
            y=alt.Y("layer:N", sort=order, title=None, axis=alt.Axis(labelLimit=110, grid=True)),
            color=alt.Color("kind:N", scale=alt.Scale(domain=list(KINDS)), title=None),
            tooltip=["layer", "kind", alt.Tooltip("mean", format=".3g")],
        )
        panels.append(points.properties(height=max(_HEIGHT, 14 * len(order))))
    cosines = means[means["measure"] == "cosine"]
    seen = f"Mean cosine similarity of {len(order)} tensors, from lowest to highest: {spans(cosines, 'kind', 'mean', '.3f', KINDS)}."
    caption = "Means over the training for each parameter tensor, from the input up."
    return Figure("layers", caption, tuple(panels), KINDS, seen=seen)
