"""What optimizers are told of each parameter."""

import torch
from torch import nn

from mtlsweep.methods.optimizers import OPTIMIZERS, Group, Parameters
from mtlsweep.params.choice import Choice
from mtlsweep.testing import small_problem


class Backbone(nn.Module):
    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(5, 4)
        self.pos_embed = nn.Parameter(torch.zeros(1, 3, 4))
        self.patches = nn.Conv2d(1, 4, 2)
        self.norm = nn.LayerNorm(4)
        self.attention = nn.MultiheadAttention(4, 2)
        self.temperature = nn.Parameter(torch.ones(1, 1, 4))


def names(parameters, network, *groups):
    names = {parameter: name for name, parameter in network.named_parameters()}
    return [names[parameter] for parameter in parameters.of(*groups)]


def test_matrices_embeddings_and_the_rest_are_told_apart():
    network = nn.ModuleDict({"backbone": Backbone(), "head": nn.Linear(4, 2)})
    parameters = Parameters.in_network(network, network.parameters(), network["head"].parameters())
    assert list(parameters) == list(network.parameters()), "their order is the network's"
    assert names(parameters, network, Group.MATRIX) == [
        "backbone.patches.weight",
        "backbone.attention.in_proj_weight",
        "backbone.attention.out_proj.weight",
    ]
    assert names(parameters, network, Group.EMBEDDING) == ["backbone.pos_embed", "backbone.words.weight"]
    assert names(parameters, network, Group.HEAD) == ["head.weight", "head.bias"]
    rest = names(parameters, network, Group.VECTOR)
    assert "backbone.norm.weight" in rest and "backbone.temperature" in rest and "backbone.patches.bias" in rest


def test_an_optimizer_of_ones_own_is_handed_the_groups(monkeypatch):
    seen = []

    def mine(parameters, learning_rate):
        seen.append(parameters)
        return torch.optim.SGD(parameters, learning_rate)

    monkeypatch.setattr(OPTIMIZERS, "_entries", {**OPTIMIZERS._entries, "mine": mine})
    network = small_problem().network
    OPTIMIZERS.create(Choice(name="mine"), Parameters.in_network(network, network.parameters()), 0.1)
    assert len(seen[0].of(Group.MATRIX)) == 5 and len(seen[0].of(*Group)) == len(list(network.parameters()))
