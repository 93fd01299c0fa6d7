"""What the column of a task must hold, so that `prepare` can refuse what training would fail on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Target:
    """The form and the values of a task's targets, as a batch holds them (times their scale, if any).

    Attributes:
        layout: the dimensions after the rows: `()`, `("H", "W")` or `(3, "H", "W")`; H and W are those of the image.
        classes: number of classes if targets are class indices, stored as integers without a scale.
        low: the lowest value allowed (of a depth 0, which marks an invalid pixel).
        mark: the value that says "no label", allowed beside the others.
    """

    layout: tuple[int | str, ...] = ()
    classes: int | None = None
    low: float = -np.inf
    mark: int | None = None

    def wrong(self, values: np.ndarray) -> np.ndarray:
        """Return which values of a column are not allowed, of the same shape."""
        wrong = np.logical_not(np.isfinite(values)) | (values < (0 if self.classes else self.low))
        if self.classes is not None:
            wrong |= values >= self.classes
        return wrong if self.mark is None else wrong & (values != self.mark)

    @property
    def allowed(self) -> str:
        """The allowed values in words."""
        if self.classes is not None:
            words = f"whole numbers from 0 to {self.classes - 1}"
        else:
            words = "finite numbers" if self.low == -np.inf else f"finite numbers from {self.low:g}"
        return words if self.mark is None else f"{words}, and {self.mark} for no label"
