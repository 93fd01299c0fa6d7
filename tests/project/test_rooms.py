"""`docs/rooms*.svg` show today's imports; `make rooms` draws them anew."""

from __future__ import annotations

import dataclasses
import pkgutil
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree

import pytest

import mtlsweep.sweep
from docs import draw_rooms

ROOT = Path(__file__).parents[2]
FILES = sorted(draw_rooms.DRAWINGS)


@pytest.fixture(scope="module")
def house() -> draw_rooms.House:
    return draw_rooms.read_house(draw_rooms.DRAWINGS["rooms.svg"])


@pytest.fixture(scope="module", params=FILES)
def any_house(request: pytest.FixtureRequest) -> draw_rooms.House:
    return draw_rooms.read_house(draw_rooms.DRAWINGS[request.param])


@pytest.mark.slow
@pytest.mark.parametrize("file", FILES)
def test_the_committed_drawing_is_that_of_todays_imports(file: str) -> None:
    drawing = draw_rooms.draw(draw_rooms.read_house(draw_rooms.DRAWINGS[file]))
    assert (ROOT / "docs" / file).read_text() == drawing, "the imports or layers have changed: run `make rooms`"


@pytest.mark.parametrize(
    ("file", "package", "others"), [("rooms.svg", mtlsweep, {"stages"}), ("rooms_of_sweep.svg", mtlsweep.sweep, set())]
)
def test_every_room_of_the_package_is_drawn(file: str, package: ModuleType, others: set[str]) -> None:
    modules = {module.name for module in pkgutil.iter_modules(package.__path__)} - {"__main__"}  # starts the room `cli`
    rooms = {f"{package.__name__}.{name}" for name in modules}
    house = draw_rooms.read_house(draw_rooms.DRAWINGS[file])
    assert {room for layer in house.layers for room in layer} == rooms | others


def test_arrows_and_named_imports_together_are_all_imports(any_house: draw_rooms.House) -> None:
    for room, imports in any_house.imports.items():
        assert {*any_house.drawn(room), *any_house.also(room)} == imports


@pytest.mark.slow
def test_one_more_import_changes_the_drawing(house: draw_rooms.House) -> None:
    imports = {**house.imports, "mtlsweep.methods": house.imports["mtlsweep.methods"] | {"mtlsweep.trials"}}
    assert draw_rooms.draw(dataclasses.replace(house, imports=imports)) != draw_rooms.draw(house)


@pytest.mark.slow
def test_rooms_do_not_overlap_and_stay_inside(any_house: draw_rooms.House) -> None:
    drawing = ElementTree.fromstring(draw_rooms.draw(any_house))
    boxes = [
        tuple(float(box.attrib[side]) for side in ("x", "y", "width", "height"))
        for box in drawing.iter("{http://www.w3.org/2000/svg}rect")
        if box.attrib.get("class") == "room"
    ]
    assert len(boxes) == len(any_house.imports)
    for x, y, width, height in boxes:
        assert 0 < x < x + width < float(drawing.attrib["width"]) and 0 < y < y + height < float(
            drawing.attrib["height"]
        )
        others = [box for box in boxes if box != (x, y, width, height)]
        assert all(x + width <= a or a + c <= x or y + height <= b or b + d <= y for a, b, c, d in others)
