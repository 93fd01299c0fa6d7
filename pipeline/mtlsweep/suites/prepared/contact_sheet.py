"""A picture of some rows, so that a person can check a dataset by eye."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from mtlsweep.suites.datasets.dataset import Columns
from mtlsweep.suites.inputs import IMAGE

SHORTEST_SIDE = 96
LINE_HEIGHT = 12
MARGIN = 4
ACROSS = 1200
VOID = 255

DARKEST = 50
"""Grey of a depth close to 0, so that it does not look invalid."""


# Colours that are easy to tell apart (Kelly's list), class 0 first.
_PALETTE = (
    0xF3C300,
    0x875692,
    0xF38400,
    0xA1CAF1,
    0xBE0032,
    0xC2B280,
    0x848482,
    0x008856,
    0xE68FAC,
    0x0067A5,
    0xF99379,
    0x604E97,
    0xF6A600,
    0xB3446C,
    0xDCD300,
    0x882D17,
    0x8DB600,
    0x654522,
    0xE25822,
    0x2B3D26,
)


def contact_sheet(columns: Columns) -> Image.Image:
    """Draw each row as its image, its dense targets beside it, and its other targets in words."""
    cells = [_cell({name: column[row] for name, column in columns.items()}) for row in range(len(columns[IMAGE]))]
    width, height = cells[0].width + MARGIN, max(cell.height for cell in cells) + MARGIN
    across = max(1, min(len(cells), ACROSS // width))
    sheet = Image.new("RGB", (across * width + MARGIN, -(-len(cells) // across) * height + MARGIN), "white")
    for number, cell in enumerate(cells):
        sheet.paste(cell, (MARGIN + number % across * width, MARGIN + number // across * height))
    return sheet


def _cell(row: Columns) -> Image.Image:
    pictures = [_enlarge(_image(row[IMAGE]))]
    pictures += [_enlarge(_dense(target)) for name, target in row.items() if name != IMAGE and target.ndim >= 2]
    words = [f"{name} {_number(target)}" for name, target in row.items() if target.ndim == 0]
    if len(words) > 6:  # many attributes: name those that are present
        words = [name for name, target in row.items() if target.ndim == 0 and target][:8]
    width = sum(picture.width for picture in pictures)
    cell = Image.new("RGB", (width, pictures[0].height + LINE_HEIGHT * len(words)), "white")
    left = 0
    for picture in pictures:
        cell.paste(picture, (left, 0))
        left += picture.width
    draw = ImageDraw.Draw(cell)
    for line, word in enumerate(words):
        draw.text((0, pictures[0].height + line * LINE_HEIGHT), word, fill="black")
    return cell


def _image(image: np.ndarray) -> np.ndarray:
    """Return three channels of bytes; of two channels the first is shown, other types are stretched from black to white."""
    channels = np.repeat(image[:1], 3, axis=0) if len(image) < 3 else image[:3]
    if channels.dtype == np.uint8:
        return channels
    values = channels.astype(np.float64)
    low, high = values.min(), values.max()
    stretched: np.ndarray = ((values - low) * (255 / max(high - low, 1e-9))).astype(np.uint8)
    return stretched


def _dense(target: np.ndarray) -> np.ndarray:
    """Colour classes by palette, normals as (n + 1) / 2, depth from dark grey to white; void and invalid are black."""
    if target.dtype == np.uint8:
        colours = np.zeros((256, 3), np.uint8)
        for index, colour in enumerate(_PALETTE):
            colours[index] = tuple(colour.to_bytes(3, "big"))
        colours[VOID] = 0
        return colours[target].transpose(2, 0, 1)
    values = target.astype(np.float32)
    if values.ndim == 3:
        shown: np.ndarray = ((values + 1) * 127.5).astype(np.uint8)
        return np.where(np.abs(values).sum(axis=0) > 0, shown, np.uint8(0))
    grey = (DARKEST + values / max(float(values.max()), 1e-9) * (255 - DARKEST)).astype(np.uint8) * (values > 0)
    return np.repeat(grey[None], 3, axis=0)


def _enlarge(picture: np.ndarray) -> Image.Image:
    image = Image.fromarray(np.ascontiguousarray(picture.transpose(1, 2, 0)))
    factor = max(1, SHORTEST_SIDE // min(image.size))
    return image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)


def _number(value: np.ndarray) -> str:
    return f"{value:.2f}" if np.issubdtype(value.dtype, np.floating) else str(value)
