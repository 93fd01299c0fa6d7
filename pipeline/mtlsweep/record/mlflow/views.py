"""Saved views of an experiment in the menu "Views" of MLflow's UI, and links to them.

A saved view is a tag of the experiment with columns, filter, order and charts, in the format of the
UI's "Save current view" (MLflow 3.17). A view with the same key is replaced.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from mlflow import MlflowClient

from mtlsweep.errors import UserError
from mtlsweep.record.mlflow.server import shown_uri, tracking_origin
from mtlsweep.trials.metric_names import DELTA_M, LOSS, MetricName, at_best, column_of

VIEW_TAG = "mlflow.sharedViewState."

SWEEP, BASELINES = "sweep", "baselines"
"""Keys of the views, as used in links."""

_METHOD = ("weighting", "optimizer", "lr", "seed")
_MOST_METRICS = 12  # columns; more are hard to read, and a tag is limited to 5000 characters
_RUN_NAME, _DATASET = "attributes.`Run Name`", "attributes.`Dataset`"
_NAME_WIDTH = 230  # in pixels; fits the longest method names
_SECTION = "Overview"  # sorts before the UI's own sections `test/...`, `train/...` and `val/...`


def saved_views(metrics: Iterable[str], created: int) -> dict[str, str]:
    """Return tag and content of each view of a suite's experiment; empty without test metrics.

    Args:
        metrics: names of the metrics of a multi-task trial, `<split>/<task>/<metric>`.
        created: creation time of the experiment in milliseconds, shown in the menu.
    """
    parsed = [MetricName.parse(text) for text in sorted(metrics)]
    measured = {
        at_best(name.column): name.task for name in parsed if name and name.split == "test" and name.metric != LOSS
    }
    test = list(measured)
    if not test:
        return {}
    delta = [at_best(column_of(split, DELTA_M)) for split in ("val", "test")]
    sweep = _view(
        "Sweep: best first",
        "tags.`role` = 'mtl'",
        (_named("metrics", delta)[0], True),
        [*_named("params", _METHOD), *_named("metrics", delta + test), "tags.`outcome`", _DATASET],
        created,
        _charts(measured),
    )
    baselines = _view(
        "Single-task baselines",
        "tags.`role` = 'stl'",
        ("params.`tasks`", True),
        [*_named("params", ("tasks", *_METHOD[1:])), *_named("metrics", test), "tags.`outcome`", _DATASET],
        created,
    )
    return {f"{VIEW_TAG}{SWEEP}": sweep, f"{VIEW_TAG}{BASELINES}": baselines}


def _named(kind: str, names: Sequence[str]) -> list[str]:
    """Return column names of the UI, such as params.`lr`."""
    return [f"{kind}.`{name}`" for name in names[:_MOST_METRICS]]


def _width(column: str) -> int:
    """Return a width in pixels that fits the column's name."""
    return 260 if column == _DATASET else max(70, 8 * len(column.split("`")[1]) + 24)


def _view(
    name: str,
    query: str,
    order: tuple[str, bool],
    columns: Sequence[str],
    created: int,
    charts: Sequence[dict[str, Any]] = (),
) -> str:
    state: dict[str, Any] = {
        "searchFilter": query,
        "orderByKey": order[0],
        "orderByAsc": order[1],
        "selectedColumns": columns,
        "columnOrder": [_RUN_NAME, *columns],
        "columnWidths": {_RUN_NAME: _NAME_WIDTH} | {column: _width(column) for column in columns},
        "runsHiddenMode": "FIRST_20_RUNS",
    }
    if charts:
        section = {"uuid": "overview", "name": _SECTION, "display": True, "isReordered": False}
        state |= {"compareRunSections": [section], "compareRunCharts": charts}
    return json.dumps({"name": name, "createdAt": created, "updatedAt": created, "state": json.dumps(state)})


def _charts(measured: dict[str, str]) -> list[dict[str, Any]]:
    """Return the charts to show before the UI's own charts of each metric; `measured` gives the task of each."""
    parallel = {
        "type": "PARALLEL",
        "displayName": "Methods and validation Δm",
        "selectedParams": ["weighting", "optimizer", "lr"],
        "selectedMetrics": [at_best(column_of("val", DELTA_M))],
        "showAllRuns": True,
    }
    charts: list[dict[str, Any]] = [parallel]
    tasks = {task: name for name, task in reversed(measured.items())}
    axes = [tasks[task] for task in sorted(tasks)][:2]
    if len(axes) == 2:
        x, y = ({"key": name, "type": "METRIC"} for name in axes)
        charts.append({"type": "SCATTER", "displayName": "Task against task", "xaxis": x, "yaxis": y})
    return [
        chart | {"uuid": f"chart-{position}", "metricSectionId": "overview", "runsCountToCompare": 100,
                 "deleted": False, "isGenerated": False}
        for position, chart in enumerate(charts)
    ]  # fmt: skip


def view_links(uri: str, address: str, suites: Sequence[str]) -> list[tuple[str, str, str]]:
    """Return (suite, name of the view, link) of every saved view, for suites with an experiment.

    Args:
        uri: URI of the tracking store.
        address: address of the UI, such as `http://127.0.0.1:5000`.
        suites: names of the experiments.

    Raises:
        UserError: the store cannot be read.
    """
    links = []
    try:
        client = MlflowClient(tracking_uri=uri)
        for suite in suites:
            experiment = client.get_experiment_by_name(suite)
            if experiment is None:
                continue
            for tag, content in sorted(experiment.tags.items(), reverse=True):
                if tag in (f"{VIEW_TAG}{SWEEP}", f"{VIEW_TAG}{BASELINES}"):
                    key = tag.removeprefix(VIEW_TAG)
                    link = f"{address}/#/experiments/{experiment.experiment_id}/runs?viewStateShareKey={key}"
                    links.append((suite, json.loads(content)["name"], link))
    except Exception as error:  # database drivers and HTTP clients raise many types
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise UserError(
            f"tracking server {shown_uri(uri)} cannot be read ({reason}); start it, or set {tracking_origin()}."
        ) from error
    return links
