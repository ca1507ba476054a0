"""How far apart two weightings of the same particles are. Knows arrays."""

from __future__ import annotations

import math

import numpy as np

from arviz_resampler.weights.normalize import Floats, dot


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


def cjs_distance(base: Floats, other: Floats, values: Floats) -> float:
    """Cumulative Jensen-Shannon distance between two weightings of values in ascending order.

    As in the R package priorsense: symmetric, in bits, relative to its upper bound, the larger of those
    of the values and of their negatives. The bound grows with the range of the values, so the integral
    is over the range that as many draws would span as the base has effective ones: that of priorsense,
    where all weights are equal.
    """
    p, q = np.cumsum(base)[:-1], np.cumsum(other)[:-1]
    edge = (1 - 1e-9) * dot(base, base)
    inside = (p >= edge) & (p <= 1 - edge)
    p, q, width = p[inside], np.minimum(q[inside], 1.0), np.diff(values)[inside]
    return max(_cjs(p, q, width), _cjs(1 - p, 1 - q, width))


def _cjs(p: Floats, q: Floats, width: Floats) -> float:
    total = p + q
    bound = dot(total, width)
    if not bound > 0:
        return 0.0
    # p log(p / m) + q log(q / m) with m halfway, in terms of (q - p) / (q + p): small where p is near q.
    d = np.divide(q - p, total, out=np.zeros_like(p), where=total > 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        parts = (1 - d) * np.log1p(-d), (1 + d) * np.log1p(d)
    both = np.nan_to_num(parts[0]) + np.nan_to_num(parts[1])
    return math.sqrt(max(dot(both * total, width), 0.0) / (2 * math.log(2)) / bound)
