"""Message passing: the sums equal a loop over edges, and a molecule is no more than its atoms and their distances."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from mtlsweep.suites.networks.mpnn import KINDS, Messages, Molecules, Set2Set

Inputs = tuple[Tensor, Tensor, Tensor]


@pytest.fixture
def inputs() -> Inputs:
    """Three molecules of 1, 4 and 6 atoms, padded to 6."""
    generator = torch.Generator().manual_seed(0)
    present = torch.arange(6) < torch.tensor([1, 4, 6])[:, None]
    atoms = torch.randint(1, KINDS + 1, (3, 6), generator=generator) * present
    positions = torch.randn(3, 6, 3, generator=generator, dtype=torch.float64) * present[..., None]
    return atoms, positions, torch.randint(0, 4, (3, 6), generator=generator) * present


@pytest.fixture
def network() -> Molecules:
    torch.manual_seed(0)
    return Molecules(width=5, edge_width=4, steps=2, readout_steps=3).double()


def test_messages_are_the_mean_over_neighbours_of_a_matrix_times_their_state(inputs: Inputs) -> None:
    torch.manual_seed(1)
    layer, width = Messages(5, 4).double(), 5
    atoms, positions, _ = inputs
    state = torch.randn(3, 6, width, dtype=torch.float64)
    found = layer(state, layer.edges(positions, atoms > 0))
    matrices = layer.matrices.weight.view(width, 5, width)  # [out, hidden unit or bias, in]
    for row in range(3):
        count = int((atoms[row] > 0).sum())
        for atom in range(count):
            expected = layer.root(state[row, atom])
            for other in range(count):
                if other != atom:
                    distance = (positions[row, atom] - positions[row, other]).norm()
                    hidden = torch.cat([layer.hidden(distance[None]).relu(), torch.ones(1, dtype=torch.float64)])
                    matrix = torch.einsum("ohi,h->oi", matrices, hidden)
                    expected = expected + matrix @ state[row, other] / (count - 1)
            torch.testing.assert_close(found[row, atom], expected)


def test_padding_changes_nothing(network: Molecules, inputs: Inputs) -> None:
    longer = tuple(torch.cat([column, torch.zeros_like(column[:, :2])], dim=1) for column in inputs)
    torch.testing.assert_close(network(*longer), network(*inputs))
    alone = network(*(column[:1, :1] for column in inputs))
    torch.testing.assert_close(alone, network(*inputs)[:1])


def test_the_order_of_atoms_and_the_place_of_a_molecule_change_nothing(network: Molecules, inputs: Inputs) -> None:
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    rotation, _ = torch.linalg.qr(torch.randn(3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(2)))
    atoms, positions, hydrogens = (column[:, order] for column in inputs)
    torch.testing.assert_close(network(atoms, positions @ rotation + 7.0, hydrogens), network(*inputs))


def test_elements_distances_and_hydrogens_count(network: Molecules, inputs: Inputs) -> None:
    atoms, positions, hydrogens = inputs
    plain = network(*inputs)[2]
    other = atoms.clone()
    other[2, 0] = other[2, 0] % KINDS + 1
    for changed in (
        (other, positions, hydrogens),
        (atoms, 1.1 * positions, hydrogens),
        (atoms, positions, hydrogens + 1),
    ):
        assert not torch.allclose(network(*changed)[2], plain)


def test_the_readout_sees_a_set_without_its_padding() -> None:
    torch.manual_seed(3)
    readout, state = Set2Set(4, 3), torch.randn(2, 5, 4)
    present = torch.tensor([[True] * 3 + [False] * 2] * 2)
    short = readout(state[:, :3], present[:, :3])
    torch.testing.assert_close(readout(state, present), short)
    torch.testing.assert_close(readout(state[:, [2, 0, 1]], present[:, :3]), short)
