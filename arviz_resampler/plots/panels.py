"""From the draws of one variable to what a panel of a picture shows, as arrays.

Knows arrays and their labels; nothing of matplotlib or containers.

=====================  ============================================================
`density_panel`        one number: the density of all draws
`intervals_panel`      few numbers: the draws of each, and intervals
`densities_panel`      many numbers: the density of each draw
`curves_panel`         numbers along an axis: each draw as a curve
=====================  ============================================================
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from arviz_resampler.plots.densities import bars, densities
from arviz_resampler.plots.limits import Ends, round_ends
from arviz_resampler.plots.lines import Line, Lines, labeled_lines

SHOWN = 50  # draws
_TAIL = 0.005  # of the values at either end may lie outside of the picture
_MARGIN = 0.03
_PEAKS = 0.8  # fraction of the draws whose density stays inside of the picture
_ROOM = 1.1  # above the highest density
_BELOW = -0.04  # where the least part of the axis is, in parts of the highest
_LONGEST = 16  # characters of a label
_INTERVALS = {"outer": (0.05, 0.95), "inner": (0.25, 0.75)}

Array = NDArray[Any]


class Layer(NamedTuple):
    """Lines or points of one look.

    Attributes
    ----------
    role : str
        What they are, which says how they look.
    xy : ndarray, shape (lines, points, 2)
    label : str
        In the legend; empty for none.
    """

    role: str
    xy: Array
    label: str = ""


@dataclass(frozen=True)
class Panel:
    """What one panel shows.

    Attributes
    ----------
    labels : tuple of str
        Of x and y.
    layers : tuple of Layer
        From back to front.
    limits : tuple
        Ends of x and of y that hold what is shown.
    shown : ndarray
        The draws that are shown, the draws first.
    rows : tuple of str
        Labels of y, which then counts rows from 0 upward.
    lines : tuple of (Line, str)
        Values with a line each, and what the legend says of them.
    values_on : {"x", "y"}
        The axis of the variable's values.
    """

    labels: tuple[str, str]
    layers: tuple[Layer, ...]
    limits: tuple[Ends, Ends]
    shown: Array
    rows: tuple[str, ...] = ()
    lines: tuple[tuple[Line, str], ...] = ()
    values_on: str = "x"


@dataclass(frozen=True)
class Variable:
    """A variable with its draws, its data and the lines at its values.

    Attributes
    ----------
    name : str
    draws : DataArray
        One chain, then draws, then any axes.
    observed : DataArray, optional
    given_lines : sequence of Lines
        By variable, of which those of this one count.
    """

    name: str
    draws: xr.DataArray
    observed: xr.DataArray | None = None
    given_lines: Sequence[Lines] = ()

    @property
    def samples(self) -> Array:
        """Draws with their values in one axis, shape (draws, values)."""
        values = self.draws.values[0]
        return np.asarray(values.reshape(len(values), -1), dtype=float)

    @property
    def data(self) -> Array:
        """The observed values, in one axis; empty where there are none."""
        given = np.empty(0) if self.observed is None else self.observed.values
        return np.asarray(given, dtype=float).ravel()

    @property
    def lines(self) -> tuple[tuple[Line, str], ...]:
        """The lines at its values, and what is above them."""
        return labeled_lines(self.given_lines, self.name, self.draws.values)

    @property
    def discrete(self) -> bool:
        """Whether its values are integers."""
        return self.draws.dtype.kind in "iub"


def density_panel(variable: Variable) -> Panel:
    """The density of a variable of one number, and its intervals."""
    samples, lines = variable.samples, variable.lines
    ends = _ends(variable, samples)
    curve = _curves(variable, samples.reshape(1, -1), _inside(ends, samples))
    top = _ROOM * curve[..., 1].max() or 1.0
    at_zero = np.zeros_like(samples[:1])
    label = f"density of {len(samples):,} draws"
    layers = [Layer("density", curve, label), *_intervals(samples, at_zero[0])]
    layers += _dots(variable.data, np.zeros_like(variable.data))
    layers += _not_finite(samples)
    limits = ends, (_BELOW * top, top)
    return Panel((variable.name, ""), tuple(layers), limits, samples, lines=lines)


def densities_panel(variable: Variable) -> Panel:
    """The density of each of some draws, their mean, and that of the data."""
    samples, lines = variable.samples, variable.lines
    shown = samples[:SHOWN]
    ends = _ends(variable, shown)
    span = _inside(ends, shown.ravel(), variable.data)
    curves = _curves(variable, shown, span)
    mean = curves.mean(axis=0, keepdims=True)
    layers = [Layer("draws", curves, _count(samples)), Layer("mean", mean, "mean of these")]
    heights = [np.quantile(curves[..., 1].max(axis=1), _PEAKS)]
    if variable.data.size:
        data = _curves(variable, variable.data[None], span)
        layers.append(Layer("observed", data, "observed"))
        heights.append(data[..., 1].max())
    layers += _not_finite(samples)
    top = _ROOM * max(heights) or 1.0
    return Panel((variable.name, ""), tuple(layers), (ends, (_BELOW * top, top)), shown, lines=lines)


def intervals_panel(variable: Variable) -> Panel:
    """A row for each of a few numbers: some draws, intervals of all of them, and the data."""
    samples, lines = variable.samples, variable.lines
    shown, size = samples[:SHOWN], samples.shape[1]
    heights = np.arange(size, dtype=float)[::-1]  # the first on top
    ends = _ends(variable, samples)
    points = np.stack([shown, np.broadcast_to(heights, shown.shape)], axis=-1)
    layers = [*_intervals(samples, heights), Layer("ticks", points, _count(samples))]
    layers += _dots(variable.data, heights)
    layers += _not_finite(samples)
    dims = variable.draws.dims[2:]
    labels = variable.name, ", ".join(map(str, dims))
    rows = tuple(_element_labels(variable.draws, dims))[::-1]
    return Panel(labels, tuple(layers), (ends, (-0.7, size - 0.4)), shown, rows, lines)


def curves_panel(variable: Variable) -> Panel:
    """Draws as curves over the axis of a variable, and the data as points."""
    samples, lines = variable.samples, variable.lines
    shown = np.where(np.isfinite(samples[:SHOWN]), samples[:SHOWN], np.nan)
    dim = str(variable.draws.dims[-1])
    labels = variable.draws[dim].values
    x = labels.astype(float) if labels.dtype.kind in "iuf" else np.arange(float(len(labels)))
    curves = np.stack([np.broadcast_to(x, shown.shape), shown], axis=-1)
    layers = [Layer("curves", curves, _count(samples))]
    layers += _dots(x[: variable.data.size], variable.data)
    layers += _not_finite(samples)
    across = _around(x)
    up = _ends(variable, shown, tail=0.0)
    return Panel((dim, variable.name), tuple(layers), (across, up), shown, (), lines, "y")


def _curves(variable: Variable, samples: Array, ends: Ends) -> Array:
    """Densities of samples, or bars where these are integers, shape (k, m, 2)."""
    x, heights = (bars if variable.discrete else densities)(samples, ends)
    return np.stack([np.broadcast_to(x, heights.shape), heights], axis=-1)


def _inside(ends: Ends, *samples: Array) -> Ends:
    """The part of an axis where samples are: a density does not go beyond its support."""
    values = np.concatenate([each[np.isfinite(each)] for each in samples])
    low, high = np.clip((values.min(), values.max()) if values.size else ends, *ends)
    return (float(low), float(high)) if low < high else ends


def _intervals(samples: Array, heights: Array) -> list[Layer]:
    """Intervals of the values of each column, at a height each."""
    layers = []
    for role, parts in _INTERVALS.items():
        ends = np.array([_quantiles(column, parts) for column in samples.T])
        xy = np.stack([ends, np.repeat(heights[:, None], 2, axis=1)], axis=-1)
        layers.append(Layer(role, xy, f"{parts[1] - parts[0]:.0%} of the draws"))
    return layers


def _quantiles(values: Array, parts: tuple[float, float]) -> Array:
    finite = values[np.isfinite(values)]
    return np.quantile(finite, parts) if finite.size else np.full(2, np.nan)


def _dots(x: Array, y: Array) -> list[Layer]:
    """Data as points; nothing without data."""
    return [Layer("dots", np.stack([x, y], axis=-1)[None], "observed")] if x.size else []


def _not_finite(samples: Array) -> list[Layer]:
    """A word in the legend where draws are not finite."""
    share = 1 - np.isfinite(samples).mean()
    return [Layer("nothing", np.zeros((0, 2, 2)), f"{share:.1%} of the values not finite")] if share else []


def _count(samples: Array) -> str:
    total = len(samples)
    return f"{min(SHOWN, total):,} of {total:,} draws"


def _ends(variable: Variable, samples: Array, tail: float = _TAIL) -> Ends:
    """Ends of an axis with these samples, the data, the lines, and whole bars of integers."""
    low, high = round_ends(samples, variable.data, [line.value for line, _ in variable.lines], tail=tail)
    return (math.floor(low) - 0.5, math.ceil(high) + 0.5) if variable.discrete else (low, high)


def _around(x: Array) -> Ends:
    """The ends of an axis with a little room."""
    low, high = float(x.min()), float(x.max())
    room = _MARGIN * (high - low) or 0.5
    return low - room, high + room


def _element_labels(draws: xr.DataArray, dims: Sequence[Any]) -> list[str]:
    """The labels of each element of a draw."""
    each = itertools.product(*(draws[dim].values for dim in dims))
    names = [", ".join(map(str, labels)) for labels in each]
    return [name if len(name) <= _LONGEST else name[: _LONGEST - 1] + "…" for name in names]
