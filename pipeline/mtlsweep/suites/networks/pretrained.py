"""Backbone weights from a file that the user has on disk; nothing is ever downloaded."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from mtlsweep.errors import UserError

WRAPPERS = ("module.", "backbone.")
"""Prefixes that data parallelism and segmentation networks put before a backbone's names."""


def load_pretrained(backbone: nn.Module, path: Path, prefix: str = "") -> None:
    """Load a state dict with torchvision's names (.pth, .pt, .safetensors) into `backbone`.

    Args:
        backbone: every one of its tensors is read from the file; other tensors in the file are ignored.
        path: the file.
        prefix: the text before the names of `backbone`'s tensors in the file, such as `features.`.

    Raises:
        UserError: the file is missing or unreadable, or a tensor is missing or of another shape.
    """
    found = {_without_wrappers(name): tensor for name, tensor in _read(path).items()}
    wanted = backbone.state_dict()
    chosen = {}
    for name, tensor in wanted.items():
        other = found.get(prefix + name)
        if other is None and name.endswith("num_batches_tracked"):  # files of old versions have none
            other = tensor
        if other is None:
            raise UserError(f"pretrained weights {path} have no `{prefix}{name}`: they are of another architecture.")
        if other.shape != tensor.shape:
            raise UserError(
                f"pretrained weights {path}: `{prefix}{name}` is {tuple(other.shape)}, the network needs {tuple(tensor.shape)}."
            )
        chosen[name] = other
    backbone.load_state_dict(chosen)


def _read(path: Path) -> Mapping[str, Tensor]:
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise UserError(f"pretrained weights {path} are missing: give the path of a local state dict.") from error
    except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError) as error:
        raise UserError(f"pretrained weights {path} cannot be read: {' '.join(str(error).split())[:200]}.") from error
    content = content.get("state_dict", content) if isinstance(content, Mapping) else content
    if not isinstance(content, Mapping) or not all(isinstance(value, Tensor) for value in content.values()):
        raise UserError(f"pretrained weights {path} hold a {type(content).__name__}; expected a state dict of tensors.")
    return content


def _without_wrappers(name: str) -> str:
    for wrapper in WRAPPERS:
        name = name.removeprefix(wrapper)
    return name
