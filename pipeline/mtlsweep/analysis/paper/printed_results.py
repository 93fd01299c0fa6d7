"""The paper's own figures, to compare with ours where a suite is one of the paper's.

Source: Elich et al., arXiv 2311.04698; see `paper_tables/README.md`.
"""

from __future__ import annotations

from importlib.resources import files

import pandas as pd

_TABLES = files("mtlsweep.analysis.paper") / "tables"
PAPER_SUITES = ("cityscapes-segnet", "cityscapes-deeplabv3plus", "nyuv2-segnet", "nyuv2-deeplabv3plus")
_SAME = {"cityscapes-deeplabv3": "cityscapes-deeplabv3plus", "nyuv2-deeplabv3": "nyuv2-deeplabv3plus"}


# What the paper calls DeepLabV3+ is trained by the network `deeplabv3` (see `mtlsweep.suites.networks.deeplab`).
HIGHER_IS_BETTER = ("semseg_miou", "semseg_pixacc", "normal_within_11", "normal_within_22", "normal_within_30")
LOWER_IS_BETTER = ("normal_mean", "normal_median")
"""Angles, by the names of the paper's tables; the directions of all other metrics are known by name."""


def paper_results(suite: str) -> pd.DataFrame | None:
    """Return the paper's results of `suite` (weighting, optimizer, lr, metrics, delta_m, delta_m_std), or None."""
    name = _SAME.get(suite, suite)
    return _read(name.replace("-", "_")) if name in PAPER_SUITES else None


def paper_pareto_counts(suite: str) -> pd.DataFrame:
    """Return the paper's Pareto counts of `suite` (optimizer, pareto_full, other, pareto_wrt); empty if it has none."""
    counts = _read("pareto_counts")
    return counts[counts["suite"] == _SAME.get(suite, suite)].drop(columns="suite").reset_index(drop=True)


def _read(name: str) -> pd.DataFrame:
    with (_TABLES / f"{name}.csv").open() as file:
        return pd.read_csv(file)
