"""Sections of the four studies: sentences follow the numbers, figures can be drawn, what has not run is not shown."""

import json
import re

import numpy as np
import pandas as pd
import pytest

from mtlsweep.errors import UserError
from mtlsweep.record.tables.parquet import write_table
from mtlsweep.report.figures.figure import render
from mtlsweep.studies.gradients.section import KINDS, MEASURES, gradients_section, gradients_sentences
from mtlsweep.studies.gradients.shares_section import shares_figure, shares_sentences
from mtlsweep.studies.loss_scaling.section import loss_scaling_section
from mtlsweep.studies.robustness.section import delta_t_table, robustness_section
from mtlsweep.studies.study import study_results
from mtlsweep.studies.toy.section import iterations_table, toy_section, toy_sentences, with_progress


def say_what_is_seen(section):
    """Whether every figure has a text alternative with figures in it."""
    return all(re.search(r"\d", figure.seen) for figure in section.figures)


def toy_tables():
    iterations = pd.DataFrame(
        {
            "optimizer": ["gd", "gd", "adam", "adam"],
            "weighting": ["ew", "ew", "ew", "ew"],
            "lr": [1.0, 0.1, 1.0, 0.1],
            "iterations": [None, 30, 22, None],
        }
    ).astype({"iterations": "Int64"})
    points = [
        {
            "optimizer": row.optimizer,
            "weighting": "ew",
            "lr": row.lr,
            "start": start,
            "iteration": k,
            "x1": k / 5,
            "x2": -float(k),
        }
        for row in iterations.itertuples()
        for start in range(3)
        for k in range(4)
    ]
    axis = np.linspace(-12, 12, 21)
    x1, x2 = (each.ravel() for each in np.meshgrid(axis, axis))
    return iterations, pd.DataFrame(points), pd.DataFrame({"x1": x1, "x2": x2, "mean_loss": x1**2 + (x2 + 8) ** 2})


def test_toy_says_which_settings_arrive_and_which_is_fastest():
    iterations, *_ = toy_tables()
    sentences = list(toy_sentences(iterations))
    assert sentences[0].endswith("with adam: ew at 1 of 2.") and "learning rate 1: 22 iterations" in sentences[-1]
    nowhere = iterations.assign(iterations=pd.array([None] * 4, "Int64"))
    assert list(toy_sentences(nowhere))[-1] == "No setting reaches the global minimum from every start."
    rows = [[cell.text for cell in row] for row in iterations_table(iterations).rows]
    assert rows == [["adam", "ew", "22", "–"], ["gd", "ew", "–", "30"]]


def test_toy_trajectories_run_from_0_to_1_a_panel_per_method_at_the_rate_nearest_to_1():
    iterations, trajectories, surface = toy_tables()
    progress = with_progress(trajectories).groupby(["optimizer", "lr", "start"])["progress"].agg(["first", "last"])
    assert (progress["first"] == 0).all() and (progress["last"] == 1).all()
    section = toy_section(iterations, trajectories, surface)
    panels, everything = section.figures
    assert len(panels.panels) == 2 and len(everything.panels) == 1 and "at learning rate 1," in panels.caption
    assert say_what_is_seen(section)
    assert everything.seen.startswith("Trajectories of ew, gd, ew, adam, each at learning rates 1, 0.1;")


@pytest.mark.slow
def test_toy_trajectories_are_drawn_on_one_picture_of_contours_and_twice_the_same():
    iterations, trajectories, surface = toy_tables()
    everything = toy_section(iterations, trajectories, surface).figures[1]
    assert b"image" in render(everything)["svg"]
    assert toy_section(iterations, trajectories, surface).figures[1].specifications == everything.specifications


def loss_scaling_tables():
    curves = [
        {
            "weighting": "ew",
            "optimizer": "adam",
            "backbone": state,
            "losses": losses,
            "epoch": epoch,
            "quantity": quantity,
            "part": part,
            "value": 1.0,
        }
        for state in ("free", "frozen")
        for losses in ("unscaled", "scaled")
        for epoch in (1, 2)
        for quantity in ("loss", "scaled loss", "gradient norm", "update norm")
        for part in ("backbone", "head near", "head far")
    ]
    verdict = {"weighting": "ew", "optimizer": "adam", "median": 0.5, "first_norm_ratio": 1.0}
    rows = [
        {
            **verdict,
            "backbone": "free",
            "part": "backbone",
            "first": 0.9,
            "largest": 2.0,
            "first_invariant": False,
            "invariant": False,
        },
        {
            **verdict,
            "backbone": "free",
            "part": "head near",
            "first": 1e-7,
            "largest": 1.0,
            "first_invariant": True,
            "invariant": False,
        },
        {
            **verdict,
            "backbone": "frozen",
            "part": "head near",
            "first": 1e-7,
            "largest": 2e-6,
            "first_invariant": True,
            "invariant": True,
        },
    ]
    return pd.DataFrame(curves), pd.DataFrame(rows)


def test_loss_scaling_says_what_feels_the_scale_and_when():
    section = loss_scaling_section(*loss_scaling_tables())
    assert section.sentences == (
        "ew with adam: with a free backbone, backbone and head near feel the scale, head near not yet at the first step (relative difference "
        "up to 2); with a frozen backbone, every update is invariant (largest relative difference 2.0e-06).",
    )
    assert [len(figure.panels) for figure in section.figures] == [3, 3, 1]
    assert {row[-1].text for row in section.tables[0].rows} == {"invariant", "no"}
    assert say_what_is_seen(section)
    render(section.figures[2])


def gradient_tables(cosines=(0.1, 0.1), d=0.0, layers=("all",)):
    cell = {"trial_key": "k", "weighting": "ew", "optimizer": "adam", "lr": 0.01, "seed": 0}
    epochs = [
        {
            **cell,
            "epoch": epoch,
            "layer": layer,
            "kind": kind,
            "averaged": averaged,
            "subset": subset,
            "measure": measure,
            "mean": 0.1,
            "std": 0.2,
            "low": -0.3,
            "high": 0.5,
            "pairs": 10,
        }
        for epoch in (1, 2)
        for layer in layers
        for kind in KINDS
        for averaged in (False, True)
        for subset in ("all", "conflicting", "supporting")
        for measure in MEASURES
    ]
    effects = [
        {
            **cell,
            "averaged": averaged,
            "measure": measure,
            "inter_task": cosines[0],
            "inter_sample": cosines[1],
            "difference": cosines[0] - cosines[1],
            "cohens_d": d,
            "task_above_sample": 0.5,
            "task_pairs": 9,
            "sample_pairs": 9,
            "task_conflicts": 0.4,
            "sample_conflicts": 0.45,
        }
        for averaged in (False, True)
        for measure in MEASURES
    ]
    return pd.DataFrame(epochs), pd.DataFrame(effects)


ABOUT = [{"batch_norm": False, "every": 5, "samples": 8, "tasks": 3, "parameters": 10, "shared_parameters": 10}]


@pytest.mark.parametrize(
    ("cosines", "d", "words"),
    [
        ((0.10, 0.11), -0.05, "about as much at odds"),
        ((0.4, 0.1), 0.6, "less at odds"),
        ((0.0, 0.4), -0.9, "more at odds"),
    ],
)
def test_gradients_answer_the_question_with_effect_sizes(cosines, d, words):
    sentences = list(gradients_sentences(gradient_tables(cosines, d)[1]))
    assert words in sentences[1] and f"Cohen's d {d:+.2f}" in sentences[1]
    assert "40 % of pairs of tasks conflict against 45 % of pairs of samples" in sentences[1]
    shares = [f"{100 * share:.1f} %" for share in cosines]  # the tables have the same figures for every measure
    assert sentences[2].startswith(f"Of the parameters on which both gradients are non-zero, {shares[0]} have opposite")
    assert f"{shares[1]} between samples (Cohen's d {d:+.2f}" in sentences[2]


@pytest.mark.slow
def test_gradients_show_overhead_batch_norm_and_layers_when_measured():
    epochs, effects = gradient_tables(layers=("all", "backbone.0.weight"))
    section = gradients_section(epochs, effects, ABOUT, {"k": {"measuring": 30.0, "total": 40.0}}, pd.DataFrame())
    assert section is not None
    assert (
        "training takes 4.0 times as long with it" in section.sentences[-1]
        and "has no BatchNorm" in section.sentences[-2]
    )
    assert [figure.name for figure in section.figures] == [
        "per_epoch",
        "averaged",
        "conflicting_pairs",
        "supporting_pairs",
        "layers",
    ]
    assert [len(figure.panels) for figure in section.figures] == [len(MEASURES)] * 5
    assert say_what_is_seen(section)
    assert gradients_section(epochs[:0], effects[:0], [], {}, pd.DataFrame()) is None


def gradient_shares():
    cell = {"weighting": "ew", "lr": 0.1, "seed": 0, "std": 0.0, "updates": 4}
    return pd.DataFrame(
        {**cell, "optimizer": optimizer, "epoch": epoch, "mean": mean, "low": mean - 0.1, "high": mean + 0.1}
        for optimizer, means in (("adam", (0.31, 0.12)), ("sgd", (0.25, 0.104)))
        for epoch, mean in enumerate(means, start=1)
    )


def test_the_share_of_the_current_gradient_is_said_and_drawn_for_each_method():
    said = list(shares_sentences(gradient_shares()))
    assert [sentence.startswith("While ew with adam trains at learning rate 0.1, 31 %") for sentence in said] == [
        True,
        False,
    ]
    assert "10 % in epoch 2" in said[1]
    figure = shares_figure(gradient_shares())
    assert figure is not None and figure.name == "shares"
    assert figure.seen.endswith("ew, adam, 0.1 12% to 31%, ew, sgd, 0.1 10% to 25%.")
    assert shares_figure(gradient_shares()[:0]) is None


@pytest.mark.slow
def test_gradients_show_the_share_of_the_current_gradient_when_measured():
    epochs, effects = gradient_tables()
    section = gradients_section(epochs, effects, ABOUT, {}, gradient_shares())
    assert section is not None
    assert sum("current gradient" in sentence for sentence in section.sentences) == 2
    for figure in (section.figures[0], section.figures[-1]):
        assert render(figure)["svg"].startswith(b"<svg")


def robustness_tables():
    scores = [
        {
            "trial_key": weighting,
            "role": "stl" if weighting == "stl" else "mtl",
            "weighting": weighting,
            "optimizer": "adam",
            "lr": 0.1,
            "seed": 0,
            "task": "left",
            "metric": "accuracy",
            "higher_is_better": True,
            "in_delta_t": True,
            "corruption": corruption,
            "severity": severity,
            "value": value,
        }
        for weighting in ("stl", "ew", "uw")
        for corruption, severity, value in (("clean", 0, 0.8), ("fog", 1, 0.4), ("snow", 1, 0.2))
    ]
    by_corruption = [
        {
            "weighting": w,
            "optimizer": "adam",
            "lr": 0.1,
            "seed": 0,
            "task": "left",
            "metric": "accuracy",
            "corruption": c,
            "delta_t": d,
            "severities": 1,
        }
        for w, c, d in (("ew", "fog", -0.2), ("ew", "snow", 0.0), ("uw", "fog", 0.1), ("uw", "snow", 0.3))
    ]
    delta_t = [
        {
            "weighting": w,
            "optimizer": "adam",
            "lr": 0.1,
            "task": t,
            "metric": m,
            "delta_t": d,
            "std": np.nan,
            "seeds": 1,
        }
        for w, d in (("ew", -0.1), ("uw", 0.2))
        for t, m in (("left", "accuracy"), ("all", "mean"))
    ]
    about = {
        "fine_tuning": {"epochs": 2, "train_samples": 100},
        "test_samples": 50,
        "corruptions": ["fog", "snow"],
        "severities": [1],
        "library": "1.1.5",
    }
    return pd.DataFrame(scores), pd.DataFrame(by_corruption), pd.DataFrame(delta_t), about


def test_robustness_ranks_methods_and_shows_absolute_scores():
    scores, by_corruption, delta_t, about = robustness_tables()
    section = robustness_section(scores, by_corruption, delta_t, about)
    assert section is not None
    assert section.sentences[0].startswith("1 of 2 methods")
    assert "Most robust: ew with adam, mean delta_t -0.100." in section.sentences[1]
    assert "under fog (-0.050)" in section.sentences[3] and "under snow (+0.150)" in section.sentences[3]
    rows = delta_t_table(delta_t).rows
    assert [row[0].text for row in rows] == ["ew", "uw"] and rows[0][-1].bold and not rows[1][-1].bold
    absolute = {row[0].text: [cell.text for cell in row[-3:]] for row in section.tables[1].rows}
    assert absolute["stl"] == ["0.8", "0.3", "0.375"]
    assert say_what_is_seen(section)
    for figure in section.figures:
        render(figure)
    assert robustness_section(scores[:0], by_corruption[:0], delta_t[:0], {}) is None


@pytest.mark.slow
def test_what_has_run_is_read_and_what_has_not_is_not_shown(tmp_path):
    assert study_results(tmp_path, per_suite=False) == () and study_results(tmp_path, per_suite=True) == ()
    iterations, trajectories, surface = toy_tables()
    (tmp_path / "toy").mkdir()
    iterations.to_csv(tmp_path / "toy" / "iterations.csv", index=False)
    write_table(tmp_path / "toy" / "trajectories.parquet", trajectories)
    with pytest.raises(UserError, match=r"surface.parquet` is missing"):
        study_results(tmp_path, per_suite=False)
    write_table(tmp_path / "toy" / "surface.parquet", surface)
    curves, verdicts = loss_scaling_tables()
    write_table(tmp_path / "loss_scaling" / "curves.parquet", curves)
    verdicts.to_csv(tmp_path / "loss_scaling" / "verdicts.csv", index=False)
    assert [section.name for section in study_results(tmp_path, per_suite=False)] == ["loss_scaling", "toy"]

    for name, table in zip(("scores", "by_corruption", "delta_t"), robustness_tables()[:3], strict=True):
        write_table(tmp_path / "robustness" / f"{name}.parquet", table)
    (tmp_path / "robustness" / "about.json").write_text(json.dumps(robustness_tables()[3]))
    epochs, effects = gradient_tables()
    write_table(tmp_path / "gradients" / "epochs.parquet", epochs)
    write_table(tmp_path / "gradients" / "effects.parquet", effects)
    (tmp_path / "gradients" / "about.json").write_text(json.dumps(ABOUT))
    assert [section.name for section in study_results(tmp_path, per_suite=True)] == ["gradients", "robustness"]
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "section.json").write_text('{"title": "Mine", "sentences": [], "tables": [], "figures": []}')
    assert [section.name for section in study_results(tmp_path, per_suite=True)] == ["gradients", "robustness", "mine"]
    (tmp_path / "gradients" / "about.json").write_text("{")
    with pytest.raises(UserError, match=r"about.json` is damaged"):
        study_results(tmp_path, per_suite=True)
