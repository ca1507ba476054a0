"""The shape of the upper tail of a set of ratios: Pareto k-hat.

Knows arrays; nothing of weights or sites. ArviZ has such a fit, but its generations disagree on the
sign of the argument and on ties, and sort all ratios where the tail alone is needed.
"""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import numpy as np
from torch import Tensor

from arviz_resampler.devices import to_host
from arviz_resampler.weights.normalize import Floats

_MANY = 20  # largest ratios that are equal, from which the largest is a bound
_NARROW = 2.0  # of the largest ratio over the cutoff: what lies between has no weight of its own
_ROUNDING = 1e-6  # of log densities in float32, relative
_TIED = 1e-9  # of the largest ratio: what is not above the cutoff by more is tied with it


class ParetoFit(NamedTuple):
    """Shape of the upper tail of the weights.

    Attributes
    ----------
    k : float
        Pareto k-hat, NaN where there is none.
    tail : int
        How many ratios it is fitted to.
    threshold : float
        Below which it is good.
    reason : str
        Why there is none, or nothing.
    cutoff, scale : float
        Where the tail begins, and the scale of the distribution, in units of the ratios.
    """

    k: float
    tail: int
    threshold: float
    reason: str
    cutoff: float = math.nan
    scale: float = math.nan


def _largest(ratios: Tensor, count: int) -> Floats:
    """The largest ratios in ascending order, on the host, without sorting the rest."""
    if not ratios.is_cpu:
        return np.sort(to_host(ratios.topk(count).values))
    values: Floats = ratios.numpy()
    # Particles are in no order, so a stride shows where the largest begin; a miss is noticed.
    stride = min(max(count // 15, 4), 256)
    share = count / stride
    rank = int(share + 4 * math.sqrt(share)) + 1
    some = values[::stride].copy()
    if rank < len(some) // 4:
        some.partition(len(some) - rank)
        candidates: Floats = values[values >= some[len(some) - rank]]
        if len(candidates) >= count:
            candidates.sort()
            return candidates[len(candidates) - count :]
    return np.sort(np.partition(values, len(values) - count)[len(values) - count :])


def fit_pareto(ratios: Tensor) -> ParetoFit:
    """Fit a generalized Pareto distribution to the largest ratios.

    Parameters
    ----------
    ratios : Tensor
        Non-negative ratios on any scale, shape (N,), float64.

    Returns
    -------
    ParetoFit
        k-hat is NaN, with a reason, where there is no tail to fit.

    Notes
    -----
    The tail is the ``floor(3 * sqrt(N))`` largest ratios, or ``floor(N / 5)`` where that is less; those that
    are tied with the next one are left out. Where the twenty largest are tied they are at a bound, as ratios
    to a mixture that has the model for a part, and there is none; nor is there where k-hat is large although
    the largest is less than twice the cutoff, as where a mixture has two bounds.
    The fit is that of Zhang and Stephens, *A new and efficient estimation method for the
    generalized Pareto distribution*, Technometrics 51(3), 2009, with the weak prior and the
    threshold ``min(1 - 1 / log10(N), 0.7)`` of Vehtari et al. (2024).
    """
    n = len(ratios)
    tail = min(n // 5, int(3 * math.sqrt(n)))
    threshold = min(1 - 1 / math.log10(n), 0.7) if n > 1 else 0.0
    if tail < 5:
        return ParetoFit(math.nan, tail, threshold, f"{n} particles are too few for a tail")
    top = _largest(ratios, tail + 1)
    excess = top[1:] - top[0]
    # Ratios of counts and choices are tied: those at the cutoff are not above it.
    excess = excess[excess > top[-1] * _TIED]
    tail = len(excess)
    # As many as that have come to the bound that a mixture has: there is nothing beyond it.
    bounded = len(top) > _MANY and top[-_MANY] >= top[-1] * (1 - _ROUNDING)
    if not tail or bounded or excess[-1] <= excess[0] * (1 + 1e-9):
        return ParetoFit(math.nan, tail, threshold, "the largest weights are equal")
    if tail < 5:
        return ParetoFit(math.nan, tail, threshold, "most of the largest weights are equal")
    largest = float(excess[-1])
    excess /= largest  # k has no scale
    quarter = max(excess[int(tail / 4 + 0.5) - 1], 1e-12)
    b = 1 + _grid(tail) / (3 * quarter)
    # Logs of products: a log takes longer than eight multiplications, which leave 1e-30 to 1e110 at most.
    # Not log1p, which is ten times slower and says no more of a mean.
    eights = np.zeros((8, -(-tail // 8)))
    eights.ravel()[:tail] = excess
    k = np.log(np.multiply.reduce(1 - np.multiply.outer(b, eights), axis=1)).sum(1) / tail
    profile = tail * (np.log(-b / k) - k - 1)
    weight = np.exp(profile - profile.max())
    best = float((weight * b).sum() / weight.sum())
    shape = float(np.log(1 - best * excess).sum()) / tail
    k_hat = (tail * shape + 5) / (tail + 10)
    if k_hat > threshold and top[-1] < _NARROW * top[0]:
        return ParetoFit(math.nan, tail, threshold, "the largest weights differ by less than a factor of two")
    return ParetoFit(k_hat, tail, threshold, "", float(top[0]), -shape / best * largest)


def unfit_to_smooth(fit: ParetoFit, ess: float) -> str:
    """Why weights with this tail are not to be smoothed, or nothing."""
    if fit.reason:
        return fit.reason
    if fit.k < 0.5:
        return f"Pareto k-hat {fit.k:.2f} is below 0.5, where smoothing gains nothing"
    if fit.k >= 1:
        return f"Pareto k-hat {fit.k:.2f} is 1 or more, where smoothing makes errors larger"
    if ess <= fit.tail:
        return (
            f"the effective sample size {ess:.3g} is not above the {fit.tail} weights of the tail: k-hat is "
            f"noise there, and smoothing makes errors larger"
        )
    return ""


def smooth(ratios: Floats, fit: ParetoFit) -> Floats:
    """Ratios whose tail is that of the fitted distribution, normalized.

    As Vehtari et al. (2024): the i-th of M ratios becomes the quantile at ``(i - 1/2) / M``, but not more
    than the largest ratio was.
    """
    largest = ratios.max()
    where = np.flatnonzero(ratios - fit.cutoff > largest * _TIED)
    where = where[np.argsort(ratios[where], kind="stable")]
    p = (np.arange(len(where)) + 0.5) / len(where)
    smoothed = ratios.copy()
    smoothed[where] = np.minimum(fit.cutoff + fit.scale * np.expm1(-fit.k * np.log1p(-p)) / fit.k, largest)
    smoothed /= smoothed.sum()
    return smoothed


@functools.lru_cache(maxsize=8)
def _grid(tail: int) -> Floats:
    """Points of the prior that Zhang and Stephens integrate over, less what depends on the ratios."""
    count = 30 + int(math.sqrt(tail))
    return 1 - np.sqrt(count / (np.arange(count) + 0.5))
