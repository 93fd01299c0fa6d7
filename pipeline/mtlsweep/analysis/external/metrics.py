"""Which columns of a table are metrics, and which direction of each is better."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mtlsweep.analysis.objectives import Objective, tasks_of
from mtlsweep.errors import UserError, nearest
from mtlsweep.trials.metric_names import check_columns

REQUIRED = ("weighting", "optimizer", "lr")
SEED = "seed"
PRINTED = ("delta_m", "delta_m_std", "seeds")
"""Columns assumed to be printed results and over how many seeds they are: shown beside ours, never counted."""

HIGHER = frozenset({
    "acc", "accuracy", "balanced_accuracy", "pixel_accuracy", "pixel_acc", "pix_acc", "pixacc", "top1", "top5",
    "top1_acc", "top5_acc", "miou", "iou", "mean_iou", "jaccard", "dice", "f1", "macro_f1", "micro_f1",
    "f1_macro", "f1_micro", "precision", "recall", "sensitivity", "specificity", "auc", "auroc", "roc_auc",
    "auprc", "pr_auc", "ap", "map", "ap50", "ap75", "map50", "mcc", "kappa", "r2", "pearson", "spearman",
    "bleu", "psnr", "ssim", "within_11_25", "within_22_5", "within_30",
})  # fmt: skip
"""Well-known metrics of which higher is better, in lower case and without the task."""

LOWER = frozenset({
    "loss", "error", "err", "error_rate", "mae", "mse", "rmse", "msle", "rmsle", "mape", "abs_err", "rel_err",
    "abserr", "relerr", "abs_error", "rel_error", "abs_rel", "sq_rel", "log_rmse", "rmse_log", "nll",
    "cross_entropy", "bce", "logloss", "log_loss", "perplexity", "ppl", "brier", "ece", "wer", "cer", "fid",
    "lpips", "mean_angle", "median_angle",
})  # fmt: skip
"""Well-known metrics of which lower is better."""

SPLITS = frozenset({"train", "training", "val", "valid", "validation", "dev", "test"})
"""A column such as `val_acc` names a split where a task should be, so it counts only if the user says so."""


@dataclass(frozen=True)
class Metrics:
    """The metrics of a table by column, and the names of the columns that are left out."""

    objectives: dict[str, Objective]
    left_out: tuple[str, ...]


def metrics_of(columns: Sequence[str], higher: Sequence[str], lower: Sequence[str], source: str) -> Metrics:
    """Choose the metrics among the columns of a table.

    Args:
        columns: every column of the table.
        higher, lower: metrics for which higher, or lower, is better; they overrule the known names.
        source: what the table is called in error messages.

    Raises:
        UserError: a required column is missing or occurs twice, no column is a metric, or `higher` or
            `lower` name something else.
    """
    _check_required(columns, source)
    candidates = [column for column in columns if column not in (*REQUIRED, SEED, *PRINTED)]
    for option, names in (("--higher", higher), ("--lower", lower)):
        for name in names:
            if name not in candidates:
                raise UserError(
                    f"{source}: {option} names `{name}`, which is not a metric{nearest(name, candidates)} "
                    f"Found: {', '.join(candidates)}."
                )
    both = sorted({*higher} & {*lower})
    if both:
        raise UserError(f"{source}: `{both[0]}` is in --higher and in --lower; keep one of them.")
    said = dict.fromkeys(higher, True) | dict.fromkeys(lower, False)
    directions = {column: said.get(column, _known_direction(column)) for column in candidates}
    objectives = {
        column: Objective(*_task_and_metric(column), higher_is_better)
        for column, higher_is_better in directions.items()
        if higher_is_better is not None
    }
    left_out = tuple(column for column in candidates if column not in objectives)
    if not objectives:
        raise UserError(
            f"{source}: there is no metric with a known direction; name the columns of metrics with --higher or --lower. "
            f"Found: {', '.join(left_out) or 'no further column'}."
        )
    _check_names(objectives, source)
    return Metrics(objectives, left_out)


def _check_required(columns: Sequence[str], source: str) -> None:
    for column in REQUIRED:
        if column not in columns:
            raise UserError(
                f"{source}: there is no column `{column}`; expected {', '.join(REQUIRED)} and a column per metric, "
                f"found {', '.join(columns)}. Rename the column that holds it."
            )
    for column in columns:
        if columns.count(column) > 1:
            raise UserError(f"{source}: {columns.count(column)} columns are called `{column}`; keep or rename one.")


def _task_and_metric(column: str) -> tuple[str, str]:
    task, separator, metric = column.partition("_")
    return task, metric if separator else "metric"


def _known_direction(column: str) -> bool | None:
    """Return whether higher is better for a column called like a known metric, with or without a task before it."""
    task, separator, metric = column.lower().partition("_")
    if separator and task in SPLITS:
        return None
    for name in (column.lower(), metric):
        if name in HIGHER or name in LOWER:
            return name in HIGHER
    return None


def _check_names(objectives: dict[str, Objective], source: str) -> None:
    own = tuple(objectives.values())
    columns: dict[str, str] = {}
    for column, objective in objectives.items():
        other = columns.setdefault(objective.name, column)
        if other != column:
            raise UserError(
                f"{source}: columns `{other}` and `{column}` would both be called `{objective.name}`: rename one of them."
            )
    try:
        check_columns({task: [o.metric for o in own if o.task == task] for task in tasks_of(own)})
    except UserError as error:
        raise UserError(f"{source}: columns are read as `<task>_<metric>`: {error}") from error
