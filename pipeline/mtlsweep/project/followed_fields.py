"""The fields of params.yaml that dvc.yaml follows: DVC looks for them only when their stage begins, after the training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from mtlsweep.errors import UserError
from mtlsweep.files import read_text
from mtlsweep.params.params import PARAMS_FILE
from mtlsweep.params.yaml_file import parse_yaml
from mtlsweep.record.outputs import DVC_FILE


def check_followed_fields(suite: str, root: Path = Path()) -> None:
    """Check that params.yaml has every field of its own that a stage of a suite follows.

    Args:
        suite: name of the suite.
        root: the project's root, with a params.yaml that is valid. Without DVC nothing is checked.

    Raises:
        UserError: a field is missing; the message shows what to write.
    """
    if not (root / DVC_FILE).exists():
        return
    raw = parse_yaml(read_text(root / PARAMS_FILE))
    missing: dict[str, Any] = {}
    for field in _followed(yaml.safe_load(read_text(root / DVC_FILE)), suite):
        names = field.split(".")
        if not _has(raw, names):
            place = missing
            for name in names:
                place = place.setdefault(name, {})
    if missing:
        raise UserError(
            f"{PARAMS_FILE} lacks fields that {DVC_FILE} follows, and DVC would stop for them after the training: add "
            f"`{_shown(missing)[1:-1]}` to it; `{{}}` is an empty section."
        )


def _followed(pipeline: Mapping[str, Any], suite: str) -> Iterator[str]:
    for stage in pipeline["stages"].values():
        if stage.get("foreach", "${active}") != "${active}":  # a stage of the user's own, for other things than suites
            continue
        body = stage.get("do", stage)
        for field in body.get("params", ()):
            if isinstance(field, str):  # else fields of another file
                yield field.replace("${item}", suite)


def _has(content: Any, names: list[str]) -> bool:
    for name in names:
        if not isinstance(content, Mapping) or name not in content:
            return False
        content = content[name]
    return True


def _shown(content: Mapping[str, Any]) -> str:
    return "{" + ", ".join(f"{name}: {_shown(inner)}" for name, inner in content.items()) + "}"
