"""Plots of priors as PNG, drawn by any function, without a figure that appears anywhere.

Knows matplotlib, which is imported where a picture is made; nothing of ArviZ, weights or widgets. `Painter`
is what a widget asks for pictures.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, Protocol
from unittest import mock

import numpy as np
from numpy.typing import NDArray

from arviz_resampler.errors import ArgumentError, from_extra
from arviz_resampler.plots.limits import Ends, Limits, each_union, steady

Pixels = NDArray[np.uint8]

SIZE = (7.0, 4.0)
DPI = 100
_FAINT = 0.45  # what is left of the contrast of a pinned picture
_COMPRESSION = 1  # of PNG: more takes twice the time, for a tenth of the size


class Picture(NamedTuple):
    """The picture of a prior.

    Attributes
    ----------
    png : bytes
    unchanged : bool
        Whether it shows the same draws as the one before.
    """

    png: bytes
    unchanged: bool


class Painter(Protocol):
    """Draws one prior after another, so that they can be compared by eye."""

    def paint(self, prior: Any) -> Picture:
        """The picture of a prior."""

    def pin(self, prior: Any) -> None:
        """Keep a prior in gray behind those that follow."""

    def unpin(self) -> None:
        """Have nothing behind the pictures."""


class Easel:
    """Draws one prior after another, so that they can be compared by eye.

    Axes keep their limits while what is drawn fills them well; a pinned prior stays behind the others in
    gray. Limits that the plot function sets itself are left alone, unless a pinned picture lies behind.

    Parameters
    ----------
    plot : callable
        Takes a prior; draws on the current figure of pyplot, or makes a figure of its own and may return
        that, its axes or a collection of plots.
    """

    def __init__(self, plot: Callable[[Any], Any]) -> None:
        self._plot = plot
        self._limits: Limits = []
        self._pinned: tuple[Any, Limits] | None = None
        self._pixels: Pixels | None = None

    def pin(self, prior: Any) -> None:
        """Keep the picture of a prior behind those that follow."""
        figure = draw(self._plot, prior)
        from matplotlib.legend import Legend
        from matplotlib.text import Text

        for text in figure.findobj(Text):
            text.set_alpha(0)  # there, so that the layout stays, but not twice
        for legend in figure.findobj(Legend):
            legend.set_visible(False)
        self._pinned = figure, _limits(figure)

    def unpin(self) -> None:
        """Have nothing behind the pictures."""
        self._pinned = None

    def paint(self, prior: Any) -> Picture:
        """The picture of a prior; unchanged where each pixel is what it was."""
        before, self._pixels = self._pixels, self._paint(prior)
        return Picture(encode(self._pixels), before is not None and np.array_equal(before, self._pixels))

    def _paint(self, prior: Any) -> Pixels:
        figure = draw(self._plot, prior)
        self._limits = limits = _steady(figure, self._limits)
        if self._pinned is None:
            _set_limits(figure, limits)
            return _pixels(figure)
        behind, own = self._pinned
        if len(own) != len(limits):
            return _pixels(figure)
        wide = each_union(limits, own)
        _set_limits(figure, wide)
        _set_limits(behind, wide)
        front, back = _pixels(figure), _pixels(behind)
        return _over(front, back) if front.shape == back.shape else front


def draw(plot: Callable[[Any], Any], prior: Any) -> Any:
    """The figure that a function draws; pyplot is left as it was, and nothing is shown."""
    with _aside() as (plt, before):
        from matplotlib.figure import Figure

        fresh = plt.figure(figsize=SIZE, dpi=DPI, layout="constrained")
        result = plot(prior)
        first = result.flat[0] if isinstance(result, np.ndarray) and result.size else result
        figure = first if isinstance(first, Figure) else getattr(first, "figure", None)
        if not isinstance(figure, Figure):
            new = [plt.figure(number) for number in plt.get_fignums() if number not in before]
            figure = next((own for own in reversed(new) if own.axes), fresh)
        if not figure.axes:
            raise ArgumentError(
                f"the plot function {getattr(plot, '__name__', plot)!r} drew nothing: draw on the current "
                f"figure of pyplot, or return a figure or axes"
            )
        return figure


@contextmanager
def _aside() -> Iterator[tuple[Any, set[int]]]:
    """Let a function use pyplot without leaving figures behind or showing one."""
    with from_extra("widgets"):
        from matplotlib import pyplot as plt

    before = set(plt.get_fignums())
    current = plt.gcf() if before else None
    try:
        with plt.ioff(), mock.patch.object(plt, "show"):
            yield plt, before
    finally:
        for number in set(plt.get_fignums()) - before:
            plt.close(number)
        if current is not None and plt.fignum_exists(current.number):
            plt.figure(current.number)


def _limits(figure: Any) -> Limits:
    return [(ax.get_xlim(), ax.get_ylim()) for ax in figure.axes]


def _set_limits(figure: Any, limits: Limits) -> None:
    for ax, (x, y) in zip(figure.axes, limits, strict=True):
        ax.set_xlim(x)
        ax.set_ylim(y)


def _steady(figure: Any, before: Limits) -> Limits:
    """Limits for a new picture: those from before, where it fills them well."""
    now = _limits(figure)
    if len(now) != len(before):
        return now
    free = [(ax.get_autoscalex_on(), ax.get_autoscaley_on()) for ax in figure.axes]
    return [
        (_kept(x, own[0], old[0]), _kept(y, own[1], old[1]))
        for own, old, (x, y) in zip(now, before, free, strict=True)
    ]


def _kept(free: bool, now: Ends, before: Ends) -> Ends:
    """Limits that the plot function set itself are left alone."""
    return steady(now, before) if free else now


def _pixels(figure: Any) -> Pixels:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas: Any = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def _over(front: Pixels, back: Pixels) -> Pixels:
    """A picture over another one, of which only gray traces are left."""
    gray = back.mean(axis=-1, keepdims=True) - back[0, 0].mean()
    # By the root, so that faint lines stay visible.
    trace = _FAINT * 255 * np.sign(gray) * np.sqrt(np.abs(gray) / 255)
    pixels: Pixels = np.clip(front + trace, 0, 255).astype(np.uint8)
    return pixels


def encode(pixels: Pixels) -> bytes:
    """Pixels, shape (height, width, 3), as PNG."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="png", compress_level=_COMPRESSION)
    return buffer.getvalue()
