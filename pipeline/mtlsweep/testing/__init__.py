"""Checks for every weighting, also for a user's own.

    from mtlsweep.testing import check_weighting

    def test_mine():
        check_weighting("my_package.my_module:MyWeighting")

The problems are small enough for a unit test; a failed check is an `AssertionError` with a sentence.
"""

from __future__ import annotations

from mtlsweep.testing.conformance import CHECKS, check_weighting
from mtlsweep.testing.small_problems import SmallProblem, matrices, small_problem

__all__ = ["CHECKS", "SmallProblem", "check_weighting", "matrices", "small_problem"]
