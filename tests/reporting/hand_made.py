"""Analyses for tests that read one sentence or figure: only the tables that it is made of, written by hand."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pandas as pd

from mtlsweep.analysis.suite import SuiteAnalysis
from mtlsweep.testing.simulated_sweep import OBJECTIVES


def hand_made(**tables: Any) -> SuiteAnalysis:
    """Return an analysis with these tables; all others are empty."""
    empty = {field.name: pd.DataFrame() for field in fields(SuiteAnalysis)}
    return SuiteAnalysis(**{**empty, "objectives": OBJECTIVES, **tables})


def drawn(spec: dict[str, Any], column: str) -> pd.DataFrame:
    """Return the data of a panel's layer that has this column."""
    return next(pd.DataFrame(rows) for rows in spec["datasets"].values() if column in rows[0])


def title(spec: dict[str, Any]) -> str:
    """Return the title of a panel; that of a panel with layers is theirs."""
    return next(part["title"] for part in (spec, *spec.get("layer", ())) if "title" in part)


def results(*rows: dict[str, Any]) -> pd.DataFrame:
    """Return the table of results; a row changes what is said of uw with adam."""
    usual = {
        "weighting": "uw", "optimizer": "adam", "lr": 0.001, "seeds": 5, "val_delta_m_mean": 3.0,
        "test_delta_m_mean": 4.0, "test_delta_m_std": 0.5, "test_delta_m_low": 3.4, "test_delta_m_high": 4.6,
        "test_delta_m_left_mean": 2.0, "test_delta_m_right_mean": -1.0, "test_delta_m_mass_mean": 11.0,
    }  # fmt: skip
    return pd.DataFrame([usual | row for row in rows])
