"""Message passing over the atoms of a molecule, as in the multi-task studies on QM9."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from mtlsweep.suites.inputs import InputShape
from mtlsweep.suites.networks.multitask import NETWORKS, MultiTaskNetwork, require_kind
from mtlsweep.suites.tasks import Task

KINDS = 5
"""Atoms are numbered from 1 to this; 0 is padding."""

Width = Annotated[int, Field(ge=1)]


@NETWORKS.register("mpnn")
class MPNN(MultiTaskNetwork):
    """The network of Gilmer et al. (2017) in the form of Navon et al. (Nash-MTL, 2022); a head is one linear layer.

    Every two atoms of a molecule exchange messages; an edge has their distance only, where the official code
    has the bond's order, too. Takes `atoms` [N, A], `positions` [N, A, 3] and `hydrogens` [N, A], padded with atoms 0.

    Options:
        width: features of an atom, and of the representation.
        edge_width: hidden units of the layer that turns a distance into a matrix.
        steps: rounds of messages.
        readout_steps: steps of the readout over the set of atoms.
    """

    inputs = ("atoms", "positions", "hydrogens")

    def __init__(
        self,
        tasks: Sequence[Task],
        atoms: InputShape,
        positions: InputShape,
        hydrogens: InputShape,
        *,
        width: Width = 64,
        edge_width: Width = 128,
        steps: Width = 3,
        readout_steps: Width = 3,
    ) -> None:
        require_kind("mpnn", tasks, dense=False)
        backbone = Molecules(width, edge_width, steps, readout_steps)
        super().__init__(backbone, {task.name: nn.Linear(width, task.outputs) for task in tasks})


class Molecules(nn.Module):
    """Atoms, positions and hydrogens of N molecules -> a representation [N, width]."""

    def __init__(self, width: int, edge_width: int, steps: int, readout_steps: int) -> None:
        super().__init__()
        self._steps = steps
        self.embedding = nn.Linear(KINDS + 1, width)
        self.messages = Messages(width, edge_width)
        self.update = nn.GRUCell(width, width)
        self.readout = Set2Set(width, readout_steps)
        self.output = nn.Linear(2 * width, width)

    def forward(self, atoms: Tensor, positions: Tensor, hydrogens: Tensor) -> Tensor:
        present = atoms > 0
        kinds = atoms.unsqueeze(2) == torch.arange(1, KINDS + 1, device=atoms.device)
        state = self.embedding(torch.cat([kinds, hydrogens.unsqueeze(2)], dim=2).to(positions.dtype)).relu()
        edges = self.messages.edges(positions, present)
        for _ in range(self._steps):
            message = self.messages(state, edges).relu()
            state = self.update(message.flatten(0, 1), state.flatten(0, 1)).view_as(state)
        shared: Tensor = self.output(self.readout(state, present)).relu()
        return shared


class Messages(nn.Module):
    """The mean over an atom's neighbours of a matrix, given by the distance, times the neighbour's state.

    Equal to an edge-conditioned convolution whose matrix is linear in `edge_width` hidden units, with a root weight
    and a bias. The states are summed for each hidden unit before the matrices are applied: there is a product
    for each atom and not for each pair.
    """

    def __init__(self, width: int, edge_width: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(1, edge_width)
        self.matrices = nn.Linear((edge_width + 1) * width, width, bias=False)
        self.root = nn.Linear(width, width)
        bound = 1 / math.sqrt(edge_width)  # as of a layer from the hidden units to a matrix
        nn.init.uniform_(self.matrices.weight, -bound, bound)

    def edges(self, positions: Tensor, present: Tensor) -> Tensor:
        """Return the share of each neighbour's state in each hidden unit and in the bias, [N, A, edge_width + 1, A]."""
        distances = torch.cdist(positions, positions, compute_mode="donot_use_mm_for_euclid_dist")
        itself = torch.eye(present.shape[1], dtype=torch.bool, device=present.device)
        pairs = present.unsqueeze(2) & present.unsqueeze(1) & ~itself
        shares = (pairs / pairs.sum(dim=2, keepdim=True).clamp(min=1)).unsqueeze(2)
        hidden = torch.addcmul(self.hidden.bias[:, None], self.hidden.weight, distances.unsqueeze(2)).relu()
        return torch.cat([hidden * shares, shares], dim=2)

    def forward(self, state: Tensor, edges: Tensor) -> Tensor:
        """Return the message to each atom [N, A, width], given the atoms' states [N, A, width]."""
        sums = edges.flatten(1, 2) @ state
        message: Tensor = self.matrices(sums.view(*state.shape[:2], -1)) + self.root(state)
        return message


class Set2Set(nn.Module):
    """Vinyals et al. (2016): a query asks the set several times; states [N, A, width] -> [N, 2 width]."""

    def __init__(self, width: int, steps: int) -> None:
        super().__init__()
        self._steps = steps
        self.query = nn.LSTMCell(2 * width, width)

    def forward(self, state: Tensor, present: Tensor) -> Tensor:
        rows, _, width = state.shape
        asked = state.new_zeros(rows, 2 * width)
        memory = state.new_zeros(rows, width), state.new_zeros(rows, width)
        for _ in range(self._steps):
            memory = self.query(asked, memory)
            query = memory[0]
            fits = torch.einsum("nad,nd->na", state, query).masked_fill(~present, -torch.inf)
            asked = torch.cat([query, torch.einsum("na,nad->nd", fits.softmax(dim=1), state)], dim=1)
        return asked
