"""What an optimizer knows of each parameter: its group."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum

from torch import Tensor, nn
from torch.nn import Parameter

_CONVOLUTIONS = (nn.modules.conv._ConvNd,)
_EMBEDDINGS = (nn.Embedding, nn.EmbeddingBag)


class Group(StrEnum):
    """The groups of parameters that optimizers may treat differently."""

    MATRIX = "shared matrices"
    EMBEDDING = "embeddings"
    VECTOR = "norms and biases"
    HEAD = "heads"


class Parameters(Sequence[Tensor]):
    """Parameters in a fixed order, each in one group; to an optimizer that needs no groups, a list of tensors.

    Args:
        grouped: (parameter, its group) in order.
    """

    def __init__(self, grouped: Iterable[tuple[Tensor, Group]]) -> None:
        self._grouped = tuple(grouped)

    def __len__(self) -> int:
        return len(self._grouped)

    def __getitem__(self, index: int) -> Tensor:  # type: ignore[override]  # no slices
        return self._grouped[index][0]

    def __iter__(self) -> Iterator[Tensor]:
        return (parameter for parameter, _ in self._grouped)

    def of(self, *groups: Group) -> list[Tensor]:
        """Return the parameters of `groups`, in order."""
        return [parameter for parameter, group in self._grouped if group in groups]

    @classmethod
    def by_shape(cls, parameters: Iterable[Tensor]) -> Parameters:
        """Return parameters of which nothing else is known: two dimensions are a matrix."""
        return cls((each, Group.MATRIX if each.ndim == 2 else Group.VECTOR) for each in parameters)

    @classmethod
    def in_network(
        cls, network: nn.Module, parameters: Iterable[Parameter], heads: Iterable[Parameter] = ()
    ) -> Parameters:
        """Return `parameters` with the groups that they have in `network`.

        Shared matrices are tensors of two dimensions and the kernels of convolutions. Tables of embeddings, and
        parameters called `...embed...` (positions, say), are embeddings. Everything in `heads` is a head.
        """
        groups: dict[Parameter, Group] = {}
        for module in network.modules():
            for name, parameter in module.named_parameters(recurse=False):
                groups.setdefault(parameter, _group_in(module, name, parameter))
        groups |= dict.fromkeys(heads, Group.HEAD)
        return cls((each, groups[each]) for each in parameters)


def _group_in(module: nn.Module, name: str, parameter: Parameter) -> Group:
    if isinstance(module, _EMBEDDINGS) or "embed" in name:
        return Group.EMBEDDING
    if parameter.ndim == 2 or (isinstance(module, _CONVOLUTIONS) and parameter.ndim > 2):
        return Group.MATRIX
    return Group.VECTOR
