"""The files of `cluster/`, read as text and as YAML, for the tests that hold them to schemas and rules."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
CLUSTER = ROOT / "cluster"
FILES = sorted(path for path in CLUSTER.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
RECIPES = [path for path in FILES if path.parent.name != "rehearsal"]
SCRIPTS = [path for path in FILES if path.suffix in (".sh", ".sbatch")]
YAML = [path for path in FILES if path.suffix in (".yaml", ".yml")]


def name_of(path: Path) -> str:
    return str(path.relative_to(CLUSTER))


def documents(path: Path) -> list[dict[str, Any]]:
    return [document for document in yaml.safe_load_all(path.read_text()) if document]


def mappings(value: Any) -> Iterator[dict[str, Any]]:
    """Yield every mapping inside `value`, itself included."""
    if isinstance(value, dict):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from mappings(inner)


def pod_specs(value: Any) -> list[dict[str, Any]]:
    return [one for one in mappings(value) if "containers" in one]
