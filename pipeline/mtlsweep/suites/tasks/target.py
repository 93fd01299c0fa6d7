"""What the column of a task must hold, so that `prepare` can refuse what training would fail on."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

VOID = 255
"""The class index that says "no label": of a pixel, or of a whole row."""


@dataclass(frozen=True)
class Target:
    """The form and the values of a task's targets, as a batch holds them (times their scale, if any).

    Attributes:
        layout: the dimensions after the rows: `()`, `("H", "W")` or `(3, "H", "W")`; H and W are those of the image.
        classes: number of classes if targets are class indices, stored as integers without a scale.
        low: the lowest value allowed (of a depth 0, which marks an invalid pixel).
        mark: the value that says "no label", allowed beside the others; NaN counts as equal to NaN. A row of nothing
            else has no label.
    """

    layout: tuple[int | str, ...] = ()
    classes: int | None = None
    low: float = -np.inf
    mark: float | None = None

    def wrong(self, values: np.ndarray) -> np.ndarray:
        """Return which values of a column are not allowed, of the same shape."""
        wrong = np.logical_not(np.isfinite(values)) | (values < (0 if self.classes else self.low))
        if self.classes is not None:
            wrong |= values >= self.classes
        return wrong if self.mark is None else wrong & np.logical_not(self._marked(values))

    def labelled(self, values: np.ndarray) -> np.ndarray:
        """Return which rows [N] of a column [N, ...] have a label."""
        if self.mark is None:
            return np.ones(len(values), bool)
        labelled: np.ndarray = np.logical_not(self._marked(values)).reshape(len(values), -1).any(axis=1)
        return labelled

    def _marked(self, values: np.ndarray) -> np.ndarray:
        return np.isnan(values) if self.mark != self.mark else values == self.mark

    @property
    def allowed(self) -> str:
        """The allowed values in words."""
        if self.classes is not None:
            words = f"whole numbers from 0 to {self.classes - 1}"
        else:
            words = "finite numbers" if self.low == -np.inf else f"finite numbers from {self.low:g}"
        among_them = self.classes is None and self.mark is not None and math.isfinite(self.mark)
        return words if self.mark is None or among_them else f"{words}, and {self.mark:g} for no label"
