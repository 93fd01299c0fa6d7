"""What the page says about the toy problem: iterations per setting, and where trajectories go."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Iterator
from pathlib import Path

import altair as alt
import numpy as np
import pandas as pd
from PIL import Image, ImageDraw

from mtlsweep.record.tables.parquet import read_table
from mtlsweep.report.figures.figure import Figure, spans
from mtlsweep.report.sections import Section, read_csv
from mtlsweep.report.tables.table import Cell, Column, Table, names

MINIMUM = (0.0, -8.3551)
LEVELS = 16
_FIRE = alt.Scale(domain=[0, 1], range=["#c00000", "#ffcf00"])
_HEIGHT, _ROW_HEIGHT = 230, 92
_PANEL, _GAP = 132, 4  # pixels of the picture of all settings
SETTING = ["optimizer", "weighting", "lr"]


def read(directory: Path) -> Section:
    """Return the study's section, from the tables under `directory`.

    Raises:
        UserError: a file of the study is missing or damaged.
    """
    iterations = read_csv(directory / "iterations.csv").astype({"iterations": "Int64"})
    return toy_section(
        iterations, read_table(directory / "trajectories.parquet"), read_table(directory / "surface.parquet")
    )


def toy_section(iterations: pd.DataFrame, trajectories: pd.DataFrame, surface: pd.DataFrame) -> Section:
    """Return the section of the experiment `toy`.

    Args:
        iterations: optimizer, weighting, lr, iterations (missing where a start does not arrive).
        trajectories: optimizer, weighting, lr, start, iteration, x1, x2.
        surface: x1, x2, mean_loss on a grid.
    """
    drawn, limit = with_progress(trajectories), float(surface["x1"].max())
    contours = _contours(surface)
    figures = (_one_rate(drawn, contours, limit), _all_settings(drawn, contours, limit))
    return Section("toy", "Toy problem", tuple(toy_sentences(iterations)), (iterations_table(iterations),), figures)


def toy_sentences(iterations: pd.DataFrame) -> Iterator[str]:
    """Say how often each method arrives, and which is fastest."""
    for optimizer, own in iterations.groupby("optimizer", sort=True):
        counts = own.groupby("weighting", sort=False)["iterations"].agg(["count", "size"])
        words = ", ".join(f"{name} at {row['count']} of {row['size']}" for name, row in counts.iterrows())
        yield f"Learning rates at which every start reaches the global minimum with {optimizer}: {words}."
    arrived = iterations.dropna()
    if arrived.empty:
        yield "No setting reaches the global minimum from every start."
        return
    best = arrived.loc[arrived["iterations"].astype(int).idxmin()]
    yield (
        f"Fastest is {best['weighting']} with {best['optimizer']} at learning rate {best['lr']:g}: "
        f"{int(best['iterations'])} iterations from the slowest of three starts."
    )


def iterations_table(iterations: pd.DataFrame) -> Table:
    """Return a row per method, a column per learning rate."""
    wide = iterations.pivot(index=["optimizer", "weighting"], columns="lr", values="iterations")
    wide = wide[sorted(wide.columns, reverse=True)]
    labels = wide.index.to_frame(index=False)
    columns = [*names(labels, "optimizer", "weighting")]
    for rate in wide.columns:
        cells = [Cell("–", sort=math.inf) if pd.isna(n) else Cell(str(int(n)), sort=float(n)) for n in wide[rate]]
        columns.append(Column(f"lr {rate:g}", tuple(cells)))
    caption = (
        "Iterations until the slowest of three starts reaches the global minimum (mean loss -15 or less); a dash where not all "
        "arrive. In float32: trajectories that wander for thousands of steps are chaotic, and other hardware may round them elsewhere."
    )
    return Table("iterations", caption, tuple(columns), iterations)


def with_progress(trajectories: pd.DataFrame) -> pd.DataFrame:
    """Append how far along each point is, from 0 at the start to 1 at the end, on a logarithmic scale of iterations."""
    last = trajectories.groupby([*SETTING, "start"])["iteration"].transform("max")
    progress = np.log1p(trajectories["iteration"]) / np.log1p(last.clip(lower=1))
    rounded = {"x1": trajectories["x1"].round(2), "x2": trajectories["x2"].round(2), "progress": progress.round(3)}
    return trajectories.assign(**rounded)


def _contours(surface: pd.DataFrame) -> Image.Image:
    """Return the mean loss as filled contours, as a picture: thousands of small rectangles would slow the page down."""
    side = math.isqrt(len(surface))
    loss = surface["mean_loss"].to_numpy().reshape(side, side)[::-1]
    level = np.digitize(loss, np.quantile(loss, np.linspace(0, 1, LEVELS + 1)[1:-1]))
    line = np.zeros_like(level, dtype=bool)
    line[1:] |= level[1:] != level[:-1]
    line[:, 1:] |= level[:, 1:] != level[:, :-1]
    shade = np.empty((side, side, 4), np.uint8)
    shade[..., :3] = (70, 110, 160)
    shade[..., 3] = np.where(line, 150, 12 + 6 * (LEVELS - level))
    return Image.fromarray(shade)


def _picture(image: Image.Image, colours: int) -> alt.Data:
    buffer = io.BytesIO()
    image.quantize(colours).save(buffer, "PNG", optimize=True)
    return alt.Data(values=[{"picture": f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"}])


def _spread(picture: alt.Data) -> alt.Chart:
    """Return `picture` over the whole panel."""
    chart = alt.Chart(picture).mark_image(aspect=False)
    return chart.encode(url="picture:N", x=alt.value(0), x2=alt.value("width"), y=alt.value(0), y2=alt.value("height"))


def _x(limit: float) -> alt.X:
    scale = alt.Scale(domain=[-limit, limit], nice=False)
    return alt.X("x1:Q", title=None, scale=scale, axis=alt.Axis(grid=False, tickCount=3))


def _y(limit: float) -> alt.Y:
    scale = alt.Scale(domain=[-limit, limit], nice=False)
    return alt.Y("x2:Q", title=None, scale=scale, axis=alt.Axis(grid=False, tickCount=3))


def _trajectories(points: pd.DataFrame, limit: float) -> alt.LayerChart:
    base = alt.Chart(points).encode(x=_x(limit), y=_y(limit), detail="start:N")
    line = base.mark_line(clip=True, strokeWidth=0.7, opacity=0.6, color="#c00000").encode(order="iteration:Q")
    dots = base.mark_circle(clip=True, size=12, opacity=1).encode(
        color=alt.Color("progress:Q", scale=_FIRE, legend=None), tooltip=["iteration", "x1", "x2"]
    )
    return line + dots


def _minimum(limit: float) -> alt.Chart:
    place = alt.Data(values=[{"x1": MINIMUM[0], "x2": MINIMUM[1]}])
    chart = alt.Chart(place).mark_point(shape="cross", size=45, filled=True, color="#111111")
    return chart.encode(x=_x(limit), y=_y(limit))


def _one_rate(drawn: pd.DataFrame, contours: Image.Image, limit: float) -> Figure:
    """Draw the trajectories at the learning rate nearest to 1, a panel per method."""
    rate = min(drawn["lr"].unique(), key=lambda lr: abs(math.log10(lr)))
    ground = _spread(
        _picture(contours.resize((2 * contours.width, 2 * contours.height), Image.Resampling.BILINEAR), 64)
    )
    shown = drawn[drawn["lr"] == rate].assign(method=drawn["weighting"] + " with " + drawn["optimizer"])
    panels = []
    for (optimizer, weighting), own in shown.groupby(["optimizer", "weighting"], sort=False):
        trajectories = _trajectories(own[["start", "iteration", "x1", "x2", "progress"]], limit)
        chart = alt.layer(ground, trajectories, _minimum(limit))
        panels.append(chart.properties(height=_HEIGHT, title=f"{weighting}, {optimizer}"))
    caption = (
        f"Three trajectories on the contours of the mean loss at learning rate {rate:g}, from red at the start to yellow at the end; "
        "the cross is the global minimum."
    )
    ends = shown.sort_values("iteration").groupby(["method", "start"]).tail(1)
    seen = f"Iterations drawn until the end of a trajectory: {spans(ends, 'method', 'iteration', '.0f')}."
    return Figure("trajectories", caption, tuple(panels), seen=seen)


def _all_settings(drawn: pd.DataFrame, contours: Image.Image, limit: float) -> Figure:
    """Draw every setting in one picture, a row per method and a column per learning rate."""
    rates = sorted(drawn["lr"].unique(), reverse=True)
    methods = list(dict.fromkeys(drawn["weighting"] + ", " + drawn["optimizer"]))
    panel = contours.resize((_PANEL, _PANEL), Image.Resampling.BILINEAR)
    sheet = Image.new("RGBA", (len(rates) * (_PANEL + _GAP), len(methods) * (_PANEL + _GAP)), (0, 0, 0, 0))
    for (optimizer, weighting, rate), own in drawn.groupby(SETTING, sort=False):
        picture = Image.alpha_composite(Image.new("RGBA", panel.size, (255, 255, 255, 255)), panel)
        pen = ImageDraw.Draw(picture)
        for _, track in own.groupby("start"):
            _draw_track(pen, track, limit)
        column, row = rates.index(rate), methods.index(f"{weighting}, {optimizer}")
        sheet.paste(picture, (column * (_PANEL + _GAP), row * (_PANEL + _GAP)))
    places = pd.DataFrame({"method": methods, "lr": [f"{rate:g}" for rate in rates[:1]] * len(methods)})
    x_scale = alt.Scale(type="band", domain=[f"{rate:g}" for rate in rates], padding=0)
    axes = (
        alt.Chart(places)
        .mark_point(opacity=0)
        .encode(
            x=alt.X(
                "lr:N", title="learning rate", scale=x_scale, axis=alt.Axis(labelAngle=-45, domain=False, ticks=False)
            ),
            y=alt.Y(
                "method:N",
                title=None,
                scale=alt.Scale(type="band", domain=methods, padding=0),
                axis=alt.Axis(domain=False, ticks=False),
            ),
        )
    )
    chart = alt.layer(_spread(_picture(sheet, 128)), axes).properties(height=_ROW_HEIGHT * len(methods))
    seen = f"Trajectories of {', '.join(methods)}, each at learning rates {', '.join(f'{rate:g}' for rate in rates)}; the table has their iterations."
    return Figure("all_trajectories", "The same for every method and learning rate.", (chart,), seen=seen)


def _draw_track(pen: ImageDraw.ImageDraw, track: pd.DataFrame, limit: float) -> None:
    inside = np.nan_to_num(track[["x1", "x2"]].to_numpy(), nan=1e3).clip(-1e3, 1e3)
    places = [((x1 / limit + 1) * _PANEL / 2, (1 - x2 / limit) * _PANEL / 2) for x1, x2 in inside]
    pen.line(places, fill=(192, 0, 0, 110), width=1)
    for (x, y), progress in zip(places, track["progress"], strict=True):
        pen.ellipse((x - 1.6, y - 1.6, x + 1.6, y + 1.6), fill=(192 + int(63 * progress), int(207 * progress), 0, 255))
