"""What a network is given: the input columns of prepared data, by name, and the shape of a row of each."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from mtlsweep.errors import UserError

IMAGE = "image"
"""Name of the input column whose rows are images; it is a dataset's only input unless it says otherwise."""


@dataclass(frozen=True)
class Feature:
    """One number of the rows of a table.

    Attributes:
        name: of the table's column.
        categories: how many categories it counts, from 0 on; 0 if it is a quantity.
    """

    name: str
    categories: int = 0


class InputShape(tuple[int, ...]):
    """The shape of one row of an input column, such as (3, 64, 96).

    Attributes:
        features: what the numbers of a row are, where the dataset says so (rows of a table).
    """

    features: tuple[Feature, ...]

    def __new__(cls, sizes: Iterable[int], features: Sequence[Feature] = ()) -> InputShape:
        shape = super().__new__(cls, sizes)
        shape.features = tuple(features)
        return shape


def length_of(column: str) -> str:
    """Return the name of the column that holds how much of each row of a padded column is filled."""
    return f"{column}_length"


def check_taken(network: str, taken: Sequence[str], inputs: Collection[str]) -> None:
    """Check that data has the inputs that a network takes.

    Raises:
        UserError: one is missing.
    """
    missing = [name for name in taken if name not in inputs]
    if missing:
        raise UserError(
            f"network `{network}` takes {_listed(taken)}, but the data has no {_listed(missing)}; its inputs are "
            f"{_listed(sorted(inputs))}: choose a network that takes these, or one of your own."
        )


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(f"`{name}`" for name in names[:-1]), f"`{names[-1]}`"]))
