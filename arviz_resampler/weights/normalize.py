"""Arithmetic on log ratios: sums over sites, normalized weights, effective sample size. Knows arrays."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from arviz_resampler.arguments import as_array, as_mapping
from arviz_resampler.errors import ArgumentError, WeightError

Floats = NDArray[np.float64]
T = TypeVar("T", bound=np.generic)


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


def checked(log_ratio_by_site: Mapping[str, ArrayLike]) -> dict[str, Floats]:
    """Log ratios by site as read-only arrays of one length, without NaN and +infinity."""
    sites = {
        name: frozen(np.array(as_array(name, values), np.float64))
        for name, values in as_mapping("log_ratio_by_site", log_ratio_by_site).items()
    }
    shapes = {array.shape for array in sites.values()}
    if len(shapes) != 1 or any(len(shape) != 1 or shape[0] == 0 for shape in shapes):
        raise ArgumentError(
            f"log ratios must be one-dimensional and of one length, got shapes {sorted(shapes)}"
        )
    for name, array in sites.items():
        if not array.max() < np.inf:  # NaN too
            raise WeightError(f"the log ratio of site {name!r} holds NaN or +infinity")
    return sites


def dot(first: Floats, second: Floats) -> float:
    """Sum of products, whose order does not depend on how many threads there are."""
    return float(np.einsum("i,i", first, second))


def normalize(log_ratio: Floats, top: float | None = None, out: Floats | None = None) -> Normalized:
    """Normalize ratios, given their logs, the largest of these where it is known, and room for weights."""
    top = float(log_ratio.max()) if top is None else top
    if top == math.inf:
        raise WeightError("the sum of the log ratios over sites is +infinity, beyond the range of float64")
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
    with np.errstate(over="ignore"):
        for part in others:
            total += part
    return total


def sums_without(parts: Mapping[str, Floats]) -> Iterator[tuple[str, Floats]]:
    """Sum of all arrays but one, for each of two or more: from sums over those before and those after it.

    A difference from the sum of all would not do where a part is -inf.
    """
    names = list(parts)
    after = [parts[names[-1]]]
    for name in names[-2:0:-1]:
        after.append(after[-1] + parts[name])
    before = None
    for name in names:
        later = after.pop() if after else None
        if before is None or later is None:
            others = later if before is None else before
            assert others is not None
        else:
            others = before + later
        yield name, others
        before = parts[name] if before is None else before + parts[name]


def of_particles(name: str, values: ArrayLike, num_particles: int) -> NDArray[Any]:
    """Values as an array, checked to be one for each particle."""
    array = as_array(name, values)
    if array.shape[:1] != (num_particles,):
        raise ArgumentError(
            f"{name} must have the {num_particles} particles as the first axis, got shape {array.shape}"
        )
    return array


def frozen(array: NDArray[T]) -> NDArray[T]:
    """A read-only view."""
    array = array.view()
    array.flags.writeable = False
    return array


def _sum_of_squares(values: Floats) -> float:
    # Not values @ values: threads of NumPy and those of torch wait for each other, for milliseconds.
    shared = torch.from_numpy(values)
    return float(shared.dot(shared))
