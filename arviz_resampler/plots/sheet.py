"""A figure whose artists stay while their data change, as PNG. Knows matplotlib and panels.

Axes are drawn when limits change, the legend when its words do, and both are kept as pixels; a new picture
puts curves and lines on top of these.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from arviz_resampler.errors import from_extra
from arviz_resampler.plots.figures import DPI, SIZE, encode
from arviz_resampler.plots.limits import Limits
from arviz_resampler.plots.panels import Layer, Panel

_COLUMNS = 3
_POINTS = {"ticks", "dots"}  # roles; all others are lines
_STYLES: dict[str, dict[str, Any]] = {
    "curves": {"color": "0.4", "lw": 1, "alpha": 0.7},
    "draws": {"color": "C0", "lw": 1, "alpha": 0.35},
    "density": {"color": "C0", "lw": 1.8},
    "outer": {"color": "C0", "lw": 1.5},
    "inner": {"color": "C0", "lw": 5},
    "ticks": {"color": "black", "marker": "|", "ms": 7, "ls": "none", "alpha": 0.3},
    "mean": {"color": "C1", "lw": 2, "ls": "--"},
    "observed": {"color": "black", "lw": 2},
    "dots": {"color": "black", "marker": "o", "ms": 4.5, "ls": "none", "clip_on": False},
    "nothing": {"lw": 0.0},
    "reference": {"color": "0.25", "lw": 1.2, "ls": "--"},
    "target": {"color": "C3", "lw": 1.2, "ls": ":"},
}
_BEHIND = {"color": "0.5", "alpha": 0.45}
_DATA = {"observed", "dots", "nothing"}  # are the same of each prior
_LOWER = -0.3  # in rows
_WIDEST = 110  # characters of a line of the legend
_HANDLE = 8  # characters of the room of its handles
_CYCLE = "tab20"  # of the colors of curves


class Sheet:
    """A figure for some panels, and for others like these in gray behind them.

    Parameters
    ----------
    panels, behind : sequence of Panel
        What is drawn first; ``behind`` may be empty.
    """

    def __init__(self, panels: Sequence[Panel], behind: Sequence[Panel]) -> None:
        with from_extra("widgets"):
            from matplotlib.backends.backend_agg import FigureCanvasAgg
            from matplotlib.figure import Figure

        self.figure: Any = Figure(figsize=SIZE, dpi=DPI, layout="constrained")
        self._canvas: Any = FigureCanvasAgg(self.figure)
        self._axes = _make_axes(self.figure, panels)
        self._artists = [_add(self._axes[i], layer, gray) for i, layer, gray in _layers(panels, behind)]
        lines = [
            line for axes, panel in zip(self._axes, panels, strict=True) for line in _add_lines(axes, panel)
        ]
        self._legend = _add_legend(self.figure, panels)
        self._moving: list[Any] = [*self._artists, *lines]  # drawn each time, the last in front
        for artist in [*self._moving, self._legend]:
            artist.set_animated(True)
        for axes, panel in zip(self._axes, panels, strict=True):
            _label(axes, panel)
        self._ticks: list[Any] = []
        self._words: list[str] = []
        self._bare: Any = None  # pixels of axes with ticks and labels
        self._ground: Any = None  # and with the legend

    def draw(self, panels: Sequence[Panel], behind: Sequence[Panel], limits: Limits) -> bytes:
        """The picture of panels that are made like the first ones, as PNG."""
        for artist, (_, layer, _) in zip(self._artists, _layers(panels, behind), strict=True):
            _set(artist, layer)
        for axes, (x, y) in zip(self._axes, limits, strict=True):
            axes.set_xlim(x)
            axes.set_ylim(y)
        self._draw_ground(panels, limits)
        renderer = self._canvas.get_renderer()
        for artist in self._moving:
            artist.draw(renderer)
        return encode(np.asarray(self._canvas.buffer_rgba())[..., :3])

    def _draw_ground(self, panels: Sequence[Panel], limits: Limits) -> None:
        """Draw axes and legend, or what was kept of them where their numbers and words are the same."""
        ticks = [x if p.values_on == "x" else (x, y) for p, (x, y) in zip(panels, limits, strict=True)]
        words = [label for label, _ in _entries(panels)]
        if (ticks, words) == (self._ticks, self._words):
            self._canvas.restore_region(self._ground)
            return
        for text, word in zip(self._legend.get_texts(), words, strict=True):
            text.set_text(word)
        if ticks == self._ticks:
            self._canvas.restore_region(self._bare)
        else:
            self._draw_axes(all(panel.values_on == "x" for panel in panels))
        self._legend.draw(self._canvas.get_renderer())
        self._ground = self._canvas.copy_from_bbox(self.figure.bbox)
        self._ticks, self._words = ticks, words

    def _draw_axes(self, only_below: bool) -> None:
        """Lay axes out, and draw them; numbers below axes take the same room, whatever they are."""
        self._canvas.draw()
        self._bare = self._canvas.copy_from_bbox(self.figure.bbox)
        if only_below:
            self.figure.set_layout_engine("none")


def form(panels: Sequence[Panel], behind: Sequence[Panel]) -> Any:
    """What panels must have in common to be drawn on one sheet."""
    lines = [[line for line, _ in panel.lines] for panel in panels]
    looks = [(panel.labels, panel.rows, panel.values_on) for panel in panels]
    kinds = [(i, layer.role, gray) for i, layer, gray in _layers(panels, behind)]
    return looks, kinds, lines, len(_entries(panels))


def _layers(panels: Sequence[Panel], behind: Sequence[Panel]) -> Iterator[tuple[int, Layer, bool]]:
    """Each layer with the number of its axes, and whether it is gray; those behind come first."""
    for i, panel in enumerate(behind):
        lower = [0.0, _LOWER if panel.rows else 0.0]  # else rows would hide one another
        for layer in panel.layers:
            if layer.role not in _DATA:
                yield i, layer._replace(xy=layer.xy + lower), True
    for i, panel in enumerate(panels):
        yield from ((i, layer, False) for layer in panel.layers)


def _entries(panels: Sequence[Panel]) -> list[tuple[str, str]]:
    """Labels and roles of the legend: what panels share stands there once."""
    shared = {layer.label: layer.role for panel in panels for layer in panel.layers if layer.label}
    found = list(shared.items())
    for panel in panels:
        name = "" if len(panels) == 1 else f"{panel.labels[panel.values_on == 'y']}: "
        found += [(name + label, line.kind) for line, label in panel.lines]
    return found


def _make_axes(figure: Any, panels: Sequence[Panel]) -> list[Any]:
    columns = 2 if len(panels) == 4 else max(1, min(len(panels), _COLUMNS))
    rows = max(1, -(-len(panels) // columns))
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for unused in grid[len(panels) :]:
        unused.remove()
    return list(grid[: len(panels)])


def _label(axes: Any, panel: Panel) -> None:
    """Labels and ticks; densities have no numbers for their heights."""
    axes.set(xlabel=panel.labels[0], ylabel=panel.labels[1])
    if panel.values_on == "y":
        return
    axes.spines[["left", "top", "right"]].set_visible(False)
    axes.set_yticks(range(len(panel.rows)), panel.rows)
    axes.tick_params(axis="y", length=0)


def _add(axes: Any, layer: Layer, gray: bool) -> Any:
    from matplotlib import colormaps
    from matplotlib.collections import LineCollection

    style = _STYLES[layer.role] | (_BEHIND if gray else {})
    if layer.role in _POINTS:
        return axes.plot([], [], **style)[0]
    if layer.role == "curves" and not gray:
        style |= {"color": [colormaps[_CYCLE](i) for i in range(colormaps[_CYCLE].N)]}
    return axes.add_collection(LineCollection([], **style), autolim=False)


def _add_lines(axes: Any, panel: Panel) -> list[Any]:
    """Lines at values of the variable."""
    add = axes.axvline if panel.values_on == "x" else axes.axhline
    return [add(line.value, **_STYLES[line.kind]) for line, _ in panel.lines]


def _set(artist: Any, layer: Layer) -> None:
    if layer.role in _POINTS:
        artist.set_data(*layer.xy.reshape(-1, 2).T)
    else:
        artist.set_segments(layer.xy)


def _add_legend(figure: Any, panels: Sequence[Panel]) -> Any:
    """One legend for all panels, above them, where it hides nothing."""
    from matplotlib.lines import Line2D

    entries = _entries(panels)
    handles = [Line2D([], [], **_STYLES[role] | {"alpha": None}) for _, role in entries]
    labels = [label for label, _ in entries]
    columns = max(1, min(len(labels), _WIDEST // (max(map(len, labels), default=0) + _HANDLE)))
    where = {"loc": "outside upper center", "ncols": columns}
    return figure.legend(handles, labels, frameon=False, fontsize="small", **where)
