"""The public names and their types; see `__init__.py`, which imports them late."""

from mtlsweep.errors import UserError as UserError
from mtlsweep.project.project import Project as Project
from mtlsweep.suites.datasets.torch_data import from_torch as from_torch
from mtlsweep.suites.networks.modules import from_module as from_module
