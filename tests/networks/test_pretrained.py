"""Weights from a file of the user's: what is taken from it, and one sentence for each way in which it does not fit."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from mtlsweep.errors import UserError
from mtlsweep.suites.networks.pretrained import load_pretrained


def backbone() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))


def other_weights() -> dict[str, Tensor]:
    return {name: torch.rand_like(t) if t.is_floating_point() else t + 7 for name, t in backbone().state_dict().items()}


def save(state: object, path: Path) -> Path:
    if path.suffix == ".safetensors":
        assert isinstance(state, dict)
        save_file(state, path)
    else:
        torch.save(state, path)
    return path


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("wrapper", ["", "module.", "module.backbone."])
@pytest.mark.parametrize("prefix", ["", "features."])
def test_every_tensor_comes_from_the_file_whatever_is_before_its_name(
    tmp_path: Path, suffix: str, wrapper: str, prefix: str
) -> None:
    weights, network = other_weights(), backbone()
    named = {f"{wrapper}{prefix}{name}": tensor for name, tensor in weights.items()}
    path = save({**named, "fc.weight": torch.zeros(3)}, tmp_path / f"weights{suffix}")
    load_pretrained(network, path, prefix)
    assert all(torch.equal(tensor, weights[name]) for name, tensor in network.state_dict().items())


def test_a_state_dict_inside_of_a_checkpoint_and_one_without_counts_of_batches_are_taken(tmp_path: Path) -> None:
    weights, network = other_weights(), backbone()
    del weights["1.num_batches_tracked"]
    load_pretrained(network, save({"state_dict": weights, "epoch": 7}, tmp_path / "old.pth"))
    state = network.state_dict()
    assert (
        all(torch.equal(state[name], tensor) for name, tensor in weights.items())
        and state["1.num_batches_tracked"] == 0
    )


def test_a_file_that_does_not_fit_is_refused_with_the_tensor_that_shows_it(tmp_path: Path) -> None:
    weights = other_weights()
    lacking = save({name: tensor for name, tensor in weights.items() if name != "0.bias"}, tmp_path / "lacking.pth")
    shaped = save({**weights, "0.weight": torch.zeros(2, 9)}, tmp_path / "shaped.pth")
    listed = save([1, 2], tmp_path / "listed.pth")
    mixed = save({"epoch": 7}, tmp_path / "mixed.pth")
    damaged = tmp_path / "damaged.pth"
    damaged.write_bytes(lacking.read_bytes()[:300])
    for path, sentence in {
        tmp_path / "absent.pth": r"absent\.pth are missing: give the path of a local state dict\.",
        lacking: r"lacking\.pth have no `0\.bias`: they are of another architecture\.",
        shaped: r"shaped\.pth: `0\.weight` is \(2, 9\), the network needs \(2, 3\)\.",
        listed: r"listed\.pth hold a list; expected a state dict of tensors\.",
        mixed: r"mixed\.pth hold a dict; expected a state dict of tensors\.",
        damaged: r"damaged\.pth cannot be read: ",
    }.items():
        with pytest.raises(UserError, match=rf"^pretrained weights .*{sentence}"):
            load_pretrained(backbone(), path)


def test_a_file_that_would_run_code_is_not_read(tmp_path: Path) -> None:
    class Harm:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(tmp_path / "harm"),)

    path = save({"weight": Harm()}, tmp_path / "harmful.pth")
    with pytest.raises(UserError, match=r"harmful\.pth cannot be read"):
        load_pretrained(backbone(), path)
    assert not (tmp_path / "harm").exists()
