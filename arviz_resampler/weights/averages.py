"""Weighted means and quantiles of values by particle, and whether to believe their errors. Knows arrays."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from arviz_resampler.arguments import as_array
from arviz_resampler.devices import together
from arviz_resampler.errors import WeightError, WeightWarning, warn
from arviz_resampler.weights.chains import Chains
from arviz_resampler.weights.normalize import Floats, dot, of_particles
from arviz_resampler.weights.verdict import Judgement

RELIABLE = 30.0  # effective particles of an error that can be believed
MORE_OF_GUIDE = "Widen the guide where they are, or draw more guide samples."
MORE_OF_POSTERIOR = "Draw more from the posterior, or fit the model under this prior."
MOST = 1 << 28  # bytes of values that are looked at together
_PART = 1 << 24  # bytes that are read together: few enough that the next part gets the memory of the last
_SQUARED = 1e70  # the fourth power of what is between this and its inverse is a float
_ROWS = 64  # particles whose values stay in the cache of a processor while they are looked at


def particle_values(values: ArrayLike, weights: Floats) -> Floats:
    """Values by particle, zero where a particle without weight has none that is finite."""
    if not weights.any():
        raise WeightError("no particle has positive weight, so there is nothing to average: see advice")
    array = of_particles("values", values, len(weights)).astype(np.float64, copy=False)
    without = weights == 0
    if without.any() and not np.isfinite(array[without]).all():
        array = array.copy()
        array[without] = 0.0
    return array


def standard_error(influence: Floats, chains: Chains | None = None) -> tuple[float, float]:
    """Standard error by the influence of each particle, and the effective particles that tell it.

    Particles of chains depend on each other, so that they tell less than their number.
    """
    top = float(np.abs(influence).max())
    if not top:
        return 0.0, 0.0
    efficiency = 1.0 if chains is None else chains.efficiency(influence)
    squares = (influence / top) ** 2
    total = float(squares.sum())
    return top * math.sqrt(total / efficiency), efficiency * total**2 / dot(squares, squares)


def mean(weights: Floats, values: Floats, chains: Chains | None = None) -> tuple[float, float, float]:
    """Weighted mean, its standard error, and the effective particles of this, of values of shape (N,).

    Values that are all equal where there is weight have an exact mean, unless they are all 0 or all 1: what
    they count was never hit, or never missed, and how often it would be is not known.
    """
    seen = values if weights.all() else values[weights > 0]
    if seen.min() == seen.max():
        constant = float(seen[0])
        known = constant not in {0.0, 1.0}
        return constant, 0.0 if known else math.nan, float(len(seen)) if known else 0.0
    found = dot(weights, values)
    if not math.isfinite(found):
        return found, math.nan, 0.0
    mcse, n_effective = standard_error(weights * (values - found), chains)
    return found, mcse or math.nan, n_effective


def means(weights: Floats, values: ArrayLike, chains: Chains | None = None) -> tuple[Floats, Floats, Floats]:
    """Weighted means, their standard errors and effective particles, of values of shape (N, ...)."""
    by_rows = not hasattr(values, "iloc")  # a slice of pandas may go by labels
    if getattr(values, "nbytes", 0) > MOST and by_rows and weights.any() and chains is None:
        return _means_by_parts(weights, values)
    array = particle_values(values, weights)
    columns = np.reshape(array, (len(array), -1)).T
    found = np.array([mean(weights, column, chains) for column in columns]).reshape(*array.shape[1:], 3)
    return found[..., 0], found[..., 1], found[..., 2]


def means_on_device(weights: Tensor, values: Tensor) -> tuple[Floats, Floats, Floats]:
    """The same for values on the device of the weights: only the results come to the host."""
    shape, some = values.shape[1:], (weights > 0).unsqueeze(1)
    array = values.reshape(len(values), -1).double()
    first = array[(weights > 0).to(torch.uint8).argmax()]
    seen = torch.where(some, array, first)  # what has no weight may be infinite
    low, high = seen.amin(0), seen.amax(0)
    mean = torch.where(low == high, low, weights @ seen)
    influence = weights.unsqueeze(1) * (seen - mean)
    top = influence.abs().amax(0)
    squares = (influence / top).square()
    total, fourths = squares.sum(0), squares.square().sum(0)
    known = (low != 0) & (low != 1)  # else what they count was never hit, or never missed
    mcse = torch.where(low == high, torch.where(known, 0.0, torch.nan), top * total.sqrt())
    n_effective = torch.where(low == high, known * some.sum(), total.square() / fourths)
    found = together(mean, mcse, n_effective.double().nan_to_num_(0.0))
    mean_, mcse_, n_effective_ = (np.reshape(part, tuple(shape)) for part in found)
    return mean_, mcse_, n_effective_


@np.errstate(invalid="ignore", divide="ignore", over="ignore")
def _means_by_parts(weights: Floats, values: Any) -> tuple[Floats, Floats, Floats]:
    """The same for values that are read some particles at a time: once, or twice where powers need a scale.

    The distances are from a particle of the largest weight, so that no sum is much larger than what is left
    of it: values that are all equal have a distance of exactly zero.
    """
    n, shape = len(weights), tuple(np.shape(values)[1:])
    of_particles("values", np.broadcast_to(as_array("values", values[:1]), (len(values), *shape)), n)
    heaviest, top = int(weights.argmax()), float(weights.max())
    center = as_array("values", values[heaviest : heaviest + 1]).astype(np.float64).reshape(-1)
    origin, scale = np.where(np.isfinite(center), center, 0.0), np.ones(max(1, math.prod(shape)))
    powers = np.power(weights / top, [[0], [1], [2], [3], [4]])
    sums, largest = _sums_by_parts(powers, values, origin, None)
    extreme = np.isfinite(largest) & (largest > 0) & ~((largest > 1 / _SQUARED) & (largest < _SQUARED))
    if extreme.any():
        scale = np.where(extreme, largest, 1.0)
        sums, _ = _sums_by_parts(powers, values, origin, scale)
    first, first_1, first_3, second, second_2, third_1, fourth = sums
    shift, total = top * first, powers.sum(1)
    squares = second - 2 * shift * first_1 + shift**2 * total[2]
    fourths = fourth - 4 * shift * third_1 + 6 * shift**2 * second_2 - 4 * shift**3 * first_3
    fourths += shift**4 * total[4]
    constant = largest == 0
    known = constant & (center != 0) & (center != 1)
    mcse = np.where(constant, np.where(known, 0.0, math.nan), top * scale * np.sqrt(squares.clip(min=0)))
    n_effective = np.where(constant, known * float(np.count_nonzero(weights)), squares**2 / fourths)
    n_effective[np.isnan(n_effective)] = 0.0
    mean, error, effective = (a.reshape(shape) for a in (origin + scale * shift, mcse, n_effective))
    return mean, error, effective


def _sums_by_parts(
    powers: Floats, values: Any, origin: Floats, scale: Floats | None
) -> tuple[Floats, Floats]:
    """Sums of powers of u (x - origin) / scale, times powers of u, and the largest of them before scaling.

    The first powers times u to 0, 1 and 3; the squares to 0 and 2; the third to 1; the fourth to 0.
    """
    sums, largest = np.zeros((7, len(origin))), np.zeros(len(origin))
    length = max(1, len(powers[0]) * _PART // max(1, values.nbytes))
    for start in range(0, len(powers[0]), length):
        w = powers[1, start : start + length]
        if w.any():
            without = not w.all()
            array = as_array("values", values[start : start + length]).reshape(len(w), -1)
            for i in range(0, len(w), _ROWS):
                part = array[i : i + _ROWS] - origin
                u = powers[:, start + i : start + i + len(part)]
                if without:
                    part[u[1] == 0] = 0.0
                part *= u[1][:, None]
                np.maximum(largest, np.maximum(part.max(0), -part.min(0)), out=largest)
                if scale is not None:
                    part /= scale
                square = part * part
                sums[:3] += u[[0, 1, 3]] @ part
                sums[3:5] += u[[0, 2]] @ square
                part *= square
                sums[5] += u[1] @ part
                square *= square
                sums[6] += u[0] @ square
    return sums, largest


def quantiles(
    weights: Floats, values: ArrayLike, q: Floats, chains: Chains | None = None
) -> tuple[Floats, Floats]:
    """Weighted quantiles of values of shape (N, ...), and the effective particles of their errors."""
    array = particle_values(values, weights)
    # NumPy may take a value without weight for the quantile of q = 0.
    some = slice(None) if weights.all() else weights > 0
    found = np.quantile(array[some], q, axis=0, weights=weights[some], method="inverted_cdf")
    columns, rows = np.reshape(array, (len(array), -1)).T, np.reshape(found, (q.size, -1))
    n_effective = [
        standard_error(weights * ((column <= value) - share), chains)[1]
        for share, row in zip(q.flat, rows, strict=True)
        for column, value in zip(columns, row, strict=True)
    ]
    return found, np.reshape(n_effective, np.shape(found))


def warn_few(what: str, n_effective: Floats, judgement: Judgement, chains: Chains | None) -> None:
    """Say how many numbers are not reliable, if any."""
    remedy = MORE_OF_GUIDE if chains is None else MORE_OF_POSTERIOR
    few = int(np.count_nonzero(n_effective < RELIABLE))
    if judgement.verdict == "unreliable":
        warn(f"weights are unreliable, and {what} with them: {judgement.advice}", WeightWarning)
    elif few:
        least = np.nanmin(n_effective)
        warn(
            f"{few} of {np.size(n_effective)} {what} are not reliable: the error of the worst is estimated "
            f"from {least:.2g} effective particles, and needs {RELIABLE:.0f}. {remedy}",
            WeightWarning,
        )
