"""Quantiles as experts give them, and the linear pool of several. Knows targets and numbers."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from arviz_resampler.analysis.quantities import Statistic
from arviz_resampler.arguments import as_positive
from arviz_resampler.errors import ArgumentError
from arviz_resampler.fitting.targets import Targets, quantile

Floats = NDArray[np.float64]


def quantiles(
    statistic: Statistic, values: Mapping[float, float], *, tolerance: float | None = None
) -> Targets:
    """Several quantiles of a statistic, as an expert gives them.

    Parameters
    ----------
    statistic : callable
        Function of the particle dataset.
    values : mapping of float to float
        Where each quantile is, by its probability: ``{0.05: 2.0, 0.5: 8.0, 0.95: 30.0}``.
    tolerance : float, optional
        How far each may be off, as a standard deviation.

    Returns
    -------
    Targets

    Raises
    ------
    ArgumentError
        If a probability is not between 0 and 1, or the quantiles are not in ascending order.

    Examples
    --------
    >>> list(quantiles(lambda ds: ds.y, {0.05: 2.0, 0.5: 8.0, 0.95: 30.0}))
    ['0.05', '0.5', '0.95']
    """
    found = [quantile(statistic, prob, value, tolerance=tolerance) for prob, value in _items(values)]
    _check_order(values)
    names = _unique([f"{target.prob:g}" for target in found], [repr(target.prob) for target in found])
    return Targets(dict(zip(names, found, strict=True)))


def pooled(
    statistic: Statistic,
    experts: Mapping[str, Mapping[float, float]] | Sequence[Mapping[float, float]],
    *,
    weights: Sequence[float] | None = None,
    tolerance: float | None = None,
) -> Targets:
    """Quantiles of a linear pool of experts: the mixture of what each of them expects.

    Parameters
    ----------
    statistic : callable
        Function of the particle dataset.
    experts : sequence or mapping of mappings of float to float
        The quantiles of each, as of :func:`quantiles`: two or more.
    weights : sequence of float, optional
        How much each counts; all the same if absent.
    tolerance : float, optional
        How far each quantile may be off, as a standard deviation.

    Returns
    -------
    Targets
        A quantile of the pool at each value that an expert has named.

    Raises
    ------
    ArgumentError
        If there is no expert, one has fewer than two quantiles or has them out of order, or there are not as
        many weights as experts.

    Notes
    -----
    The distribution function of the pool is the weighted mean of those of the experts (M. Stone, *The opinion
    pool*, 1961). That of an expert is known at the quantiles; between and beyond these it is taken for linear
    on the scale of normal quantiles, which is exact where the expert thinks of a normal distribution.

    Examples
    --------
    >>> pool = pooled(lambda ds: ds.y, [{0.1: 0.0, 0.9: 10.0}, {0.1: 5.0, 0.9: 25.0}])
    >>> [f"{each.prob:.2f} at {each.value:g}" for each in pool.values()]
    ['0.06 at 0', '0.30 at 5', '0.58 at 10', '0.95 at 25']
    """
    each = list(experts.values()) if isinstance(experts, Mapping) else list(experts)
    if not each or not all(isinstance(one, Mapping) for one in each):
        raise ArgumentError(f"experts must be the quantiles of one expert or more, got {experts!r}")
    for values in each:
        quantiles(statistic, values)
        if len(values) < 2:
            raise ArgumentError(f"an expert needs two quantiles or more, got {dict(values)!r}")
    shares = _shares(weights, len(each))
    levels: dict[float, float] = {}
    for value in sorted({float(v) for values in each for v in values.values()}):
        levels[value] = float(sum(w * _fraction(one, value) for w, one in zip(shares, each, strict=True)))
    names = _unique(
        [f"{prob:.3g} at {value:g}" for value, prob in levels.items()],
        [f"{prob!r} at {value!r}" for value, prob in levels.items()],
    )
    found = [quantile(statistic, prob, value, tolerance=tolerance) for value, prob in levels.items()]
    return Targets(dict(zip(names, found, strict=True)))


def _unique(short: list[str], exact: list[str]) -> list[str]:
    """Short names, but exact ones where two would be the same."""
    count = Counter(short)
    return [one if count[one] == 1 else other for one, other in zip(short, exact, strict=True)]


def _items(values: Any) -> list[tuple[float, float]]:
    if not isinstance(values, Mapping) or not values:
        raise ArgumentError(
            f"quantiles must be values by their probabilities, as {{0.05: 2.0, 0.5: 8.0}}, got {values!r}"
        )
    return list(values.items())


def _check_order(values: Mapping[float, float]) -> None:
    """Refuse quantiles that do not rise with their probabilities."""
    ordered = sorted(values.items())
    for (low, here), (high, there) in itertools.pairwise(ordered):
        if not here < there:
            raise ArgumentError(
                f"quantiles must rise with their probabilities, got {here:g} at {low:g} and {there:g} at "
                f"{high:g}"
            )


def _shares(weights: Sequence[float] | None, count: int) -> Floats:
    """Weights of experts that sum to one."""
    if weights is None:
        return np.full(count, 1 / count)
    if len(weights) != count:
        raise ArgumentError(f"there are {count} experts, but {len(weights)} weights")
    checked = np.array([as_positive("a weight of an expert", weight) for weight in weights])
    shares: Floats = checked / checked.sum()
    return shares


def _fraction(values: Mapping[float, float], at: float) -> float:
    """An expert's distribution function, linear on the scale of normal quantiles."""
    ordered = sorted(values.items())
    x = np.array([value for _, value in ordered], dtype=float)
    z = ndtri([prob for prob, _ in ordered])
    i = int(np.clip(np.searchsorted(x, at) - 1, 0, len(x) - 2))
    return float(ndtr(z[i] + (z[i + 1] - z[i]) * (at - x[i]) / (x[i + 1] - x[i])))
