"""Numbers from weights, each with its Monte Carlo standard error.

Functions of arrays: W are normalized weights and h the values of one quantity, both of shape (N,).
Knows nothing of particles, variants or labels.

Notes
-----
An estimate is a smooth function of weighted means, so its error is that of a sum over particles of its
influence, the first-order effect of one particle: MCSE**2 = sum(influence**2). For a mean the influence
is ``W * (h - mean)`` (A. B. Owen, *Monte Carlo theory, methods and examples*, chapter 9); the others
follow by the delta method.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

Z95 = 1.959963984540054  # half the width of a 95 % interval, in standard errors


class Estimate(NamedTuple):
    """A number and its Monte Carlo standard error."""

    value: float
    mcse: float


class Moments(NamedTuple):
    """Mean and standard deviation."""

    mean: Estimate
    sd: Estimate


def _dot(first: Floats, second: Floats) -> float:
    return float(np.einsum("i,i", first, second))


def _size(influence: Floats) -> float:
    return math.sqrt(_dot(influence, influence))


def moments(weights: Floats, values: Floats) -> Moments:
    """Weighted mean and standard deviation."""
    mean = _dot(weights, values)
    centered = values - mean
    squares = centered**2
    variance = _dot(weights, squares)
    sd = math.sqrt(variance)
    error = _size(weights * (squares - variance)) / (2 * sd) if sd else 0.0
    return Moments(Estimate(mean, _size(weights * centered)), Estimate(sd, error))


def quantiles(weights: Floats, values: Floats, q: Floats) -> list[Estimate]:
    """Weighted quantiles of values that stand in ascending order, their weights in the same order.

    The error is half the width of Woodruff's interval (1952): the error of the share of weight up to the
    quantile, carried over to the axis of the values. Where values repeat, as counts do, it may be zero.
    """
    if not weights.all():
        weights, values = weights[weights > 0], values[weights > 0]
    cumulative = np.cumsum(weights)
    squared = np.cumsum(weights**2)

    def at(share: Floats) -> Floats:
        found: Floats = values[np.searchsorted(cumulative, share * cumulative[-1])]
        return found

    middle = at(q)
    # Of weights up to the quantile, (1 - q)**2 of each square counts, of the others q**2.
    below = squared[np.searchsorted(values, middle, side="right") - 1]
    error = np.sqrt(below * (1 - q) ** 2 + np.maximum(squared[-1] - below, 0.0) * q**2)
    low, high = at(np.maximum(q - error, 0.0)), at(np.minimum(q + error, 1.0))
    return [Estimate(float(m), float(h - w) / 2) for m, w, h in zip(middle, low, high, strict=True)]


class Contrast(NamedTuple):
    """Two means, their difference, and their ratio where both are positive."""

    first: float
    second: float
    difference: Estimate
    ratio: Estimate


def contrast(first: Floats, second: Floats, h_first: Floats, h_second: Floats) -> Contrast:
    """Compare the mean of one quantity under two weightings of the same particles.

    The particles are the same, so most of the error is common to both means and cancels in the
    influence of the difference. The ratio is compared on the log scale.
    """
    means = _dot(first, h_first), _dot(second, h_second)
    influences = first * (h_first - means[0]), second * (h_second - means[1])
    difference = Estimate(means[0] - means[1], _size(influences[0] - influences[1]))
    ratio = Estimate(math.nan, math.nan)
    if min(means) > 0 and min(h_first[first > 0].min(), h_second[second > 0].min()) >= 0:
        value = means[0] / means[1]
        ratio = Estimate(value, value * _size(influences[0] / means[0] - influences[1] / means[1]))
    return Contrast(*means, difference, ratio)


def overlap(first: Floats, second: Floats) -> float:
    """J(p, q), the expected share of stable draws that two weightings have in common.

    ``sum_j 1 / sum_i max(p_i / p_j, q_i / q_j)`` (Moulton and Jiang 2018), in O(N log N): the first of
    the two is larger for the particles whose ratio p / q is at least that of j, so in the order of
    ratios the inner sum is one cumulative sum of p and one of q.
    """
    p, q = (weights[(first > 0) | (second > 0)] for weights in (first, second))
    with np.errstate(divide="ignore"):
        order = np.argsort(np.log(p) - np.log(q))[::-1]
    p, q = p[order], q[order]
    above = np.cumsum(p)
    below = np.append(np.cumsum(q[::-1])[-2::-1], 0.0)
    both = (p > 0) & (q > 0)
    p, q, above, below = p[both], q[both], above[both], below[both]
    with np.errstate(over="ignore"):  # a weight next to nothing shares next to nothing
        return float(np.sum(1 / (above / p + below / q)))


def derivatives(weights: Floats, values: Floats, log_p: Floats) -> tuple[Estimate, Estimate]:
    """Derivatives of mean and standard deviation with respect to log2(alpha), at alpha = 1.

    The derivative of a mean is its covariance with the log density (Kallioinen, Paananen, Buerkner and
    Vehtari 2024), that of the standard deviation the one of ``(h - mean)**2``, over twice itself.
    """
    centered = values - _dot(weights, values)
    score = log_p - _dot(weights, log_p)
    squares = centered**2
    variance = _dot(weights, squares)
    mean_score = _dot(weights, centered * score)
    mean = Estimate(mean_score, _size(weights * (centered * score - mean_score)))
    if not variance:
        return mean, Estimate(0.0, 0.0)
    sd = math.sqrt(variance)
    square_score = _dot(weights, squares * score)
    influence = squares * score - square_score - 2 * mean_score * centered - variance * score
    influence -= square_score / (2 * variance) * (squares - variance)
    spread = Estimate(square_score / (2 * sd), _size(weights * influence) / (2 * sd))
    first, second = (Estimate(math.log(2) * e.value, math.log(2) * e.mcse) for e in (mean, spread))
    return first, second


def cjs_distance(base: Floats, other: Floats, values: Floats) -> float:
    """Cumulative Jensen-Shannon distance between two weightings of values in ascending order.

    As in the R package priorsense: symmetric, in bits, relative to its upper bound, the larger of those
    of the values and of their negatives. The bound grows with the range of the values, so the integral
    is over the range that as many draws would span as the base has effective ones: that of priorsense,
    where all weights are equal.
    """
    p, q = np.cumsum(base)[:-1], np.cumsum(other)[:-1]
    edge = (1 - 1e-9) * _dot(base, base)
    inside = (p >= edge) & (p <= 1 - edge)
    p, q, width = p[inside], np.minimum(q[inside], 1.0), np.diff(values)[inside]
    return max(_cjs(p, q, width), _cjs(1 - p, 1 - q, width))


def _cjs(p: Floats, q: Floats, width: Floats) -> float:
    total = p + q
    bound = _dot(total, width)
    if not bound > 0:
        return 0.0
    # p log(p / m) + q log(q / m) with m halfway, in terms of (q - p) / (q + p): small where p is near q.
    d = np.divide(q - p, total, out=np.zeros_like(p), where=total > 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        parts = (1 - d) * np.log1p(-d), (1 + d) * np.log1p(d)
    both = np.nan_to_num(parts[0]) + np.nan_to_num(parts[1])
    return math.sqrt(max(_dot(both * total, width), 0.0) / (2 * math.log(2)) / bound)
