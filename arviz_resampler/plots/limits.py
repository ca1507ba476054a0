"""Limits of axes that hold what is drawn and seldom move. Knows numbers alone."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Ends = tuple[float, float]
Limits = list[tuple[Ends, Ends]]  # of x and y, by axes

_FILLED = 0.5  # axes stay as they are while the picture fills this share of them
_STEPS = 8  # of round numbers, at most, between the ends of what is drawn
_ROUND = (1.0, 1.5, 2.0, 3.0, 5.0, 7.0, 10.0, 15.0)  # times powers of ten
_SAME = 1e-9  # ends that differ by less, relative to their size, are one number


def steady(now: Ends, before: Ends, room: float = 0.0) -> Ends:
    """Limits that hold a new picture and those from before, where it fills them well; else its own.

    An end that moves outward may move farther, by some fraction of the length: it often goes on.
    """
    low, high = union(now, before)
    length = high - low
    if now[0] >= now[1] or before[0] >= before[1] or now[1] - now[0] < _FILLED * length:
        return now
    return low - room * length * (low < before[0]), high + room * length * (high > before[1])


def union(a: Ends, b: Ends) -> Ends:
    """The limits that hold both; an axis may go down."""
    if a[0] > a[1] or b[0] > b[1]:
        return max(a[0], b[0]), min(a[1], b[1])
    return min(a[0], b[0]), max(a[1], b[1])


def each_union(a: Limits, b: Limits) -> Limits:
    """The limits that hold both, for each of several axes."""
    return [(union(m[0], n[0]), union(m[1], n[1])) for m, n in zip(a, b, strict=True)]


def round_ends(*values: ArrayLike, tail: float = 0.0) -> Ends:
    """Round numbers around values, so that values a little farther out move no limit.

    Parameters
    ----------
    *values : array_like
        Those that are not finite are left out. The first may have tails; all others are inside.
    tail : float
        Fraction of the first values that may be outside, at either end.

    Returns
    -------
    tuple of float
    """
    first, *others = (_finite(each) for each in values)
    ends = np.quantile(first, [tail, 1 - tail]) if first.size else first
    low, high = _low_high(ends, *others)
    length = high - low
    if not length > _SAME * max(abs(low), abs(high)):
        half = 0.5 * abs(low) or 0.5
        return low - half, high + half
    step = _round_step(length / _STEPS)
    return step * math.floor(low / step), step * math.ceil(high / step)


def _finite(values: ArrayLike) -> Floats:
    array = np.asarray(values, dtype=float)
    finite: Floats = array[np.isfinite(array)]
    return finite


def _low_high(*parts: Floats) -> Ends:
    """The least and the largest of some numbers; 0 and 1 where there are none."""
    joined = np.concatenate(parts)
    return (float(joined.min()), float(joined.max())) if joined.size else (0.0, 1.0)


def _round_step(least: float) -> float:
    """The smallest round number that is no smaller."""
    power = 10.0 ** math.floor(math.log10(least))
    return float(next(power * factor for factor in _ROUND if power * factor >= least))
