"""`docs/rooms*.svg` show today's imports; `make rooms` draws them anew."""

from __future__ import annotations

import dataclasses
import importlib.util
import pkgutil
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

import mtlsweep

ROOT = Path(__file__).parents[2]
SPEC = importlib.util.spec_from_file_location("draw_rooms", ROOT / "docs/draw_rooms.py")
assert SPEC is not None and SPEC.loader is not None
draw_rooms = importlib.util.module_from_spec(SPEC)
sys.modules["draw_rooms"] = draw_rooms
SPEC.loader.exec_module(draw_rooms)

FILES = sorted(draw_rooms.DRAWINGS)


@pytest.fixture(scope="module")
def house() -> Any:
    return draw_rooms.read_house(draw_rooms.DRAWINGS["rooms.svg"])


@pytest.mark.parametrize("file", FILES)
def test_the_committed_drawing_is_that_of_todays_imports(file: str) -> None:
    drawing = draw_rooms.draw(draw_rooms.read_house(draw_rooms.DRAWINGS[file]))
    assert (ROOT / "docs" / file).read_text() == drawing, "the imports or layers have changed: run `make rooms`"


def test_every_room_of_the_package_is_drawn(house: Any) -> None:
    rooms = {f"mtlsweep.{module.name}" for module in pkgutil.iter_modules(mtlsweep.__path__)}
    assert {room for layer in (*house.layers, house.base) for room in layer} == {"stages", *rooms}


def test_arrows_and_named_imports_together_are_all_imports(house: Any) -> None:
    for room, imports in house.imports.items():
        assert {*house.drawn(room), *house.also(room)} == imports


def test_one_more_import_changes_the_drawing(house: Any) -> None:
    imports = {**house.imports, "mtlsweep.methods": house.imports["mtlsweep.methods"] | {"mtlsweep.trials"}}
    assert draw_rooms.draw(dataclasses.replace(house, imports=imports)) != draw_rooms.draw(house)


def test_rooms_do_not_overlap_and_stay_inside(house: Any) -> None:
    drawing = ElementTree.fromstring(draw_rooms.draw(house))
    boxes = [
        tuple(float(box.attrib[side]) for side in ("x", "y", "width", "height"))
        for box in drawing.iter("{http://www.w3.org/2000/svg}rect")
        if box.attrib.get("class") == "room"
    ]
    assert len(boxes) == len(house.imports)
    for x, y, width, height in boxes:
        assert 0 < x < x + width < float(drawing.attrib["width"]) and 0 < y < y + height < float(
            drawing.attrib["height"]
        )
        others = [box for box in boxes if box != (x, y, width, height)]
        assert all(x + width <= a or a + c <= x or y + height <= b or b + d <= y for a, b, c, d in others)
