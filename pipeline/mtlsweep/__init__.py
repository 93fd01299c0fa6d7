"""mtlsweep: which optimizer, which task weighting, which learning rate, and what each costs the other tasks.

For notebooks and scripts: `Project` runs what `dvc repro` runs, `from_torch` makes a dataset of `torch.utils.data`
datasets, `from_module` a network of a `torch.nn.Module`. Their types are in `__init__.pyi`.
"""

from __future__ import annotations

import importlib
from typing import Any

_HOMES = {
    "Project": "mtlsweep.project.project",
    "UserError": "mtlsweep.errors",
    "from_module": "mtlsweep.suites.networks.modules",
    "from_torch": "mtlsweep.suites.datasets.torch_data",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: the command line must start without torch."""
    if name not in _HOMES:
        raise AttributeError(f"module `mtlsweep` has no attribute `{name}`")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
