"""Arithmetic on log ratios: sums over sites, normalized weights, effective sample size. Knows arrays."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class Normalized(NamedTuple):
    """Weights that sum to one, and what they were before.

    Attributes
    ----------
    weights : ndarray
        Shape (N,), read-only; all zero where no particle has weight.
    total : float
        Sum of the ratios over the largest one.
    top : float
        Log of the largest ratio.
    ess : float
        Kish's effective sample size.
    """

    weights: Floats
    total: float
    top: float
    ess: float


def normalize(log_ratio: Floats, top: float | None = None, out: Floats | None = None) -> Normalized:
    """Normalize ratios, given their logs, the largest of these where it is known, and room for weights."""
    top = float(log_ratio.max()) if top is None else top
    if top == -math.inf:
        return Normalized(frozen(np.zeros(len(log_ratio))), 0.0, top, 0.0)
    weights = np.subtract(log_ratio, top, out=out)
    np.exp(weights, out=weights)
    total = float(weights.sum())
    ess = total**2 / _sum_of_squares(weights)
    weights *= 1 / total  # three times as fast as a division
    return Normalized(frozen(weights), total, top, ess)


def kish_ess(log_ratio: Floats) -> float:
    """Kish's effective sample size, 0 where no particle has weight."""
    return normalize(log_ratio).ess


def log_mean(log_ratio: Floats) -> float:
    """Log of the mean ratio."""
    top = log_ratio.max()
    return float(top + np.log(np.exp(log_ratio - top).mean())) if top > -np.inf else -math.inf


def add(parts: Iterable[Floats]) -> Floats:
    """Sum of arrays of one shape, in their order; one array is its own sum."""
    first, *others = parts
    total = first.copy() if others else first
    for part in others:
        total += part
    return total


def frozen(array: Floats) -> Floats:
    """A read-only view."""
    array = array.view()
    array.flags.writeable = False
    return array


def _sum_of_squares(values: Floats) -> float:
    # Not values @ values: threads of NumPy and those of torch wait for each other, for milliseconds.
    shared = torch.from_numpy(values)
    return float(shared.dot(shared))
