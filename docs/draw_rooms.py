"""Draw the rooms of the package and the imports between them: `make rooms` writes `docs/rooms*.svg`.

The rows are the layers of an import-linter contract in pyproject.toml, the arrows come from the imports, and what
a room says of itself is the first sentence of its docstring. An import that a longer way already implies is not
drawn but named in its room. The same imports give the same bytes, and a test compares them with the files in `docs/`.
"""

from __future__ import annotations

import ast
import importlib.util
import itertools
import sys
import textwrap
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

import grimp
from scipy.optimize import isotonic_regression

ROOT = Path(__file__).resolve().parents[1]
DRAWINGS = {"rooms.svg": "Rooms: no arrow runs up", "rooms_of_sweep.svg": "Inside the sweep: no arrow runs up"}
"""File in `docs/` and the contract whose layers it shows."""

OPEN_TO_ALL = {"mtlsweep.errors", "mtlsweep.files", "mtlsweep.paths"}
"""Rooms from which all others may import; no arrow to them is drawn."""

CAPTION = (
    "An arrow is an import. Imports that other arrows imply are named in a room behind \u201calso\u201d.",
    "Arrows to errors, files and paths are left out: every room may import them. Drawn from the imports by docs/draw_rooms.py.",
)
ROOM_WIDTH, LINE_WIDTH, GAP, ROW_GAP, MARGIN, LETTERS = 250, 18, 26, 54, 24, 41
STYLE = """
text { font-family: "Helvetica Neue", Helvetica, Arial, "DejaVu Sans", sans-serif; font-size: 11px; fill: #333 }
.name { font-size: 15px; font-weight: bold; fill: #111 }
.also { font-size: 10px; fill: #777 }
rect.room { fill: #fff; stroke: #4c6a92; stroke-width: 1.3 }
rect.row { fill: #eef2f7 }
path { fill: none; stroke: #4c6a92; stroke-width: 1.4 }
"""


@dataclass(frozen=True)
class House:
    """Rooms by layer from the top, the arrows between them, and a sentence for each room.

    Attributes:
        layers: rooms of each row.
        imports: for each room the rooms it imports from, apart from those that are open to all.
        sentences: what each room is for.
    """

    layers: tuple[tuple[str, ...], ...]
    imports: Mapping[str, frozenset[str]]
    sentences: Mapping[str, str]

    def drawn(self, room: str) -> list[str]:
        """Return the rooms to which an arrow from `room` is drawn: those it imports and no other way leads to."""
        direct = self.imports[room]
        implied = set().union(*(self._reached(other) for other in direct))
        return sorted(direct - implied)

    def also(self, room: str) -> list[str]:
        """Return the rooms that `room` imports without an arrow."""
        return sorted(self.imports[room].difference(self.drawn(room)))

    def _reached(self, room: str) -> set[str]:
        return set(self.imports[room]).union(*(self._reached(other) for other in self.imports[room]))


def read_house(contract_name: str) -> House:
    """Return the house whose layers the contract names, with today's imports."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    contract = next(one for one in settings["contracts"] if one["name"] == contract_name)
    (container,) = contract.get("containers", [""])
    layers = [
        tuple(f"{container}.{room.strip()}".lstrip(".") for room in layer.split("|")) for layer in contract["layers"]
    ]
    rooms = [room for layer in layers for room in layer]
    graph = grimp.build_graph(*settings["root_packages"], cache_dir=None)
    inside = {room: {room, *graph.find_descendants(room)} for room in rooms}
    imports = {
        room: frozenset(
            other
            for other in rooms
            if other not in (room, *OPEN_TO_ALL)
            and any(graph.find_modules_directly_imported_by(module) & inside[other] for module in inside[room])
        )
        for room in rooms
    }
    return House(tuple(layers), imports, {room: first_sentence(room) for room in rooms})


def first_sentence(module: str) -> str:
    """Return the first sentence of a module's docstring; the module is not run."""
    spec = importlib.util.find_spec(module)
    source = Path(str(spec and spec.origin)).read_text()
    text = ast.get_docstring(ast.parse(source)) or ""
    return " ".join(text.partition("\n\n")[0].split()).partition(". ")[0].rstrip(".").replace("`", "")


Spot = tuple[int, str]
"""A place in a row: its number, and a room or, for an arrow that passes by, `from>to`."""


def lay_out(house: House) -> tuple[dict[Spot, float], list[list[Spot]]]:
    """Return the horizontal middle of every spot, and each arrow as the spots it passes from top to bottom."""
    row_of = {room: row for row, layer in enumerate(house.layers) for room in layer}
    rows: list[list[Spot]] = [[(row, room) for room in layer] for row, layer in enumerate(house.layers)]
    arrows = []
    for start, end in [(room, other) for room in row_of for other in house.drawn(room)]:
        passed = [(row, f"{start}>{end}") for row in range(row_of[start] + 1, row_of[end])]
        for spot in passed:
            rows[spot[0]].append(spot)
        arrows.append([(row_of[start], start), *passed, (row_of[end], end)])
    pieces = [piece for arrow in arrows for piece in itertools.pairwise(arrow)]
    order_rows(rows, pieces)
    return place(rows, pieces), arrows


def order_rows(rows: list[list[Spot]], pieces: Sequence[tuple[Spot, Spot]]) -> None:
    """Order each row so that few arrows cross and they are short, row by row until nothing gets better."""
    best = float("inf")
    while (now := _cost(rows, pieces)) < best:
        best = now
        for number, row in enumerate(rows):
            orders = map(list, itertools.permutations(row))
            rows[number] = min(orders, key=lambda order: _cost([*rows[:number], order, *rows[number + 1 :]], pieces))


def _cost(rows: Sequence[Sequence[Spot]], pieces: Sequence[tuple[Spot, Spot]]) -> float:
    at = {spot: (position + 0.5) / len(row) for row in rows for position, spot in enumerate(row)}
    lines = [(start[0], at[start], at[end]) for start, end in pieces]
    crossings = sum(
        (a - b) * (c - d) < 0 for (row, a, c), (other, b, d) in itertools.combinations(lines, 2) if row == other
    )
    return crossings + sum(abs(start - end) for _, start, end in lines) / 100


def place(rows: Sequence[Sequence[Spot]], pieces: Sequence[tuple[Spot, Spot]]) -> dict[Spot, float]:
    """Return the middle of each spot: near those it is joined to, in order and without overlap."""
    middles: dict[Spot, float] = {}
    offsets: dict[Spot, float] = {}
    for row in rows:
        right = 0.0
        for spot in row:
            offsets[spot] = right + width_of(spot) / 2
            right += width_of(spot) + GAP
        middles.update({spot: offsets[spot] - (right - GAP) / 2 for spot in row})
    joined: dict[Spot, list[Spot]] = {spot: [] for row in rows for spot in row}
    for start, end in pieces:
        joined[start].append(end)
        joined[end].append(start)
    for _ in range(50):
        for row in [*rows, *reversed(rows)]:
            wanted = [
                sum(middles[other] for other in joined[spot]) / len(joined[spot]) if joined[spot] else middles[spot]
                for spot in row
            ]
            free = isotonic_regression([want - offsets[spot] for want, spot in zip(wanted, row, strict=True)]).x
            middles.update({spot: float(shift) + offsets[spot] for shift, spot in zip(free, row, strict=True)})
    joined_middles = [middles[spot] for spot in middles if joined[spot]]
    centre = (min(joined_middles) + max(joined_middles)) / 2
    for row in rows:
        if not any(joined[spot] for spot in row):
            shift = centre - (middles[row[0]] + middles[row[-1]]) / 2
            middles.update({spot: middles[spot] + shift for spot in row})
    return {spot: round(middle, 3) for spot, middle in middles.items()}  # the last bits differ between machines


def width_of(spot: Spot) -> int:
    """Return the width of a room, or of an arrow that passes by."""
    return LINE_WIDTH if ">" in spot[1] else ROOM_WIDTH


def draw(house: House) -> str:
    """Return the drawing as SVG."""
    middles, arrows = lay_out(house)
    left = min(middle - width_of(spot) / 2 for spot, middle in middles.items()) - MARGIN
    width = max(middle + width_of(spot) / 2 for spot, middle in middles.items()) + MARGIN - left
    at = {spot: middle - left for spot, middle in middles.items()}
    lines = {room: _lines(house, room) for layer in house.layers for room in layer}
    heights = [36 + 14 * max(len(lines[room]) for room in layer) for layer in house.layers]
    tops = [MARGIN + sum(heights[:row]) + ROW_GAP * row for row in range(len(heights))]
    height = tops[-1] + heights[-1] + MARGIN + 34
    shapes = [_band(12, top - 8, width - 24, tall + 16) for top, tall in zip(tops, heights, strict=True)]
    for arrow in arrows:
        shapes.append(_arrow([(at[spot], tops[spot[0]], tops[spot[0]] + heights[spot[0]]) for spot in arrow]))
    for row, layer in enumerate(house.layers):
        shapes += [_room(at[row, room], tops[row], heights[row], room, lines[room]) for room in layer]
    shapes += [
        f'<text class="also" x="{MARGIN}" y="{height - 26 + 14 * number:.0f}">{line}</text>'
        for number, line in enumerate(CAPTION)
    ]
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" height="{height:.0f}">'
    tip = '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto"><path d="M0,0 L8,4 L0,8 z" style="fill:#4c6a92;stroke:none"/></marker></defs>'
    return "\n".join(
        [head, f"<style>{STYLE}</style>", tip, '<rect width="100%" height="100%" fill="#fff"/>', *shapes, "</svg>", ""]
    )


def _lines(house: House, room: str) -> list[tuple[str, str]]:
    """Return the lines of text in a room with their class."""
    also = house.also(room)
    words = [("", line) for line in textwrap.wrap(house.sentences[room], LETTERS)]
    return words + [("also", line) for line in textwrap.wrap(f"also {', '.join(map(short, also))}" if also else "", 46)]


def short(room: str) -> str:
    """Return a room's own name."""
    return room.rpartition(".")[2]


def _band(x: float, y: float, width: float, height: float) -> str:
    return f'<rect class="row" x="{x:.0f}" y="{y:.0f}" width="{width:.0f}" height="{height:.0f}" rx="8"/>'


def _room(middle: float, y: float, height: float, room: str, lines: Sequence[tuple[str, str]]) -> str:
    texts = [f'<text class="name" x="{middle:.0f}" y="{y + 21:.0f}" text-anchor="middle">{short(room)}</text>']
    for number, (kind, line) in enumerate(lines):
        texts.append(
            f'<text class="{kind}" x="{middle:.0f}" y="{y + 38 + 14 * number:.0f}" text-anchor="middle">{escape(line)}</text>'
        )
    box = f'<rect class="room" x="{middle - ROOM_WIDTH / 2:.0f}" y="{y:.0f}" width="{ROOM_WIDTH}" height="{height:.0f}" rx="6"/>'
    return "\n".join([box, *texts])


def _arrow(stops: Sequence[tuple[float, float, float]]) -> str:
    """Draw an arrow through its stops (middle, top, bottom), from the lower edge of the first to the upper edge of the last."""
    (x, _, y), *rest = stops
    path = f"M{x:.0f},{y:.0f}"
    for number, (to, top, bottom) in enumerate(rest):
        end = top if number < len(rest) - 1 else top - 1
        bend = (end - y) / 2
        path += f" C{x:.0f},{y + bend:.0f} {to:.0f},{end - bend:.0f} {to:.0f},{end:.0f}"
        if number < len(rest) - 1:
            path += f" L{to:.0f},{bottom:.0f}"
        x, y = to, bottom
    return f'<path d="{path}" marker-end="url(#tip)"/>'


def main() -> None:
    """Write every drawing."""
    sys.path[:0] = [str(ROOT), str(ROOT / "pipeline")]
    for name, contract in DRAWINGS.items():
        (ROOT / "docs" / name).write_text(draw(read_house(contract)))


if __name__ == "__main__":
    main()
