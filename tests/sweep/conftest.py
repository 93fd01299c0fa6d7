"""Shared by the tests of plans, strategies and what surrounds them."""

from __future__ import annotations

import pytest

from mtlsweep.files import content_hash


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """What is hashed for the keys of trials during a test, in its order."""
    values: list[object] = []

    def noting(value: object) -> str:
        values.append(value)
        return content_hash(value)

    monkeypatch.setattr("mtlsweep.trials.trial.content_hash", noting)
    return values
