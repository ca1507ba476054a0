"""Targets: what a statistic of the prior predictive is expected to be.

A statistic is a function of the particle dataset that keeps the dim ``particle``, as of
:meth:`.Resampler.compare`; all of its elements are taken together where it has further dims. Knows numbers;
nothing of particles or weights.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from numbers import Real
from typing import Any

from arviz_resampler.analysis.quantities import Statistic
from arviz_resampler.arguments import as_mapping, as_positive, as_probability
from arviz_resampler.errors import ArgumentError


@dataclass(frozen=True)
class Target:
    """What a statistic is expected to be.

    Made by :func:`probability`, :func:`quantile`, :func:`mean`, :func:`sd` and :func:`between`.

    Attributes
    ----------
    kind : {"probability", "quantile", "mean", "sd", "between"}
        Which number of the statistic.
    statistic : callable
        Function of the particle dataset.
    value : float
        What the number is to be.
    prob : float, optional
        Of a quantile.
    limits : tuple of float, optional
        Of an interval.
    tolerance : float, optional
        How far it may be off, as a standard deviation, in the unit of the value.
    """

    kind: str
    statistic: Statistic = field(repr=False)
    value: float
    prob: float | None = None
    limits: tuple[float, float] | None = None
    tolerance: float | None = None

    @property
    def words(self) -> str:
        """The number in words, as "quantile 0.5"."""
        if self.limits is not None:
            return f"probability of {self.limits[0]:g} to {self.limits[1]:g}"
        return self.kind if self.prob is None else f"{self.kind} {self.prob:.3g}"


@dataclass(frozen=True)
class Targets(Mapping[str, Target]):
    """Several targets of one statistic, by label; made by :func:`quantiles` and :func:`pooled`."""

    by_label: Mapping[str, Target]

    def __getitem__(self, label: str) -> Target:
        return self.by_label[label]

    def __iter__(self) -> Iterator[str]:
        return iter(self.by_label)

    def __len__(self) -> int:
        return len(self.by_label)


def probability(statistic: Statistic, value: float, *, tolerance: float | None = None) -> Target:
    """A probability of an event.

    Parameters
    ----------
    statistic : callable
        Function of the particle dataset that is True where the event happens, as ``lambda ds: ds.y > 50``.
    value : float
        How probable it is, between 0 and 1.
    tolerance : float, optional
        How far it may be off, as a standard deviation.

    Returns
    -------
    Target

    Raises
    ------
    ArgumentError
        If the probability is not between 0 and 1, or the tolerance is not positive.

    Examples
    --------
    >>> probability(lambda ds: ds.y > 50, 0.05).words
    'probability'
    """
    return _target("probability", statistic, as_probability("value", value), tolerance)


def quantile(statistic: Statistic, prob: float, value: float, *, tolerance: float | None = None) -> Target:
    """A quantile of a statistic.

    Parameters
    ----------
    statistic : callable
        Function of the particle dataset.
    prob : float
        Which quantile: 0.5 is the median.
    value : float
        Where it is.
    tolerance : float, optional
        How far it may be off, as a standard deviation.

    Returns
    -------
    Target

    Raises
    ------
    ArgumentError
        If ``prob`` is not between 0 and 1, the value is no finite number, or the tolerance is not positive.

    Notes
    -----
    The equation is that of the fraction below the value, values that are equal to it counting half.

    Examples
    --------
    >>> quantile(lambda ds: ds.y.std("school"), 0.5, 12.0).words
    'quantile 0.5'
    """
    found = _target("quantile", statistic, _number("value", value), tolerance)
    return replace(found, prob=as_probability("prob", prob))


def mean(statistic: Statistic, value: float, *, tolerance: float | None = None) -> Target:
    """A mean of a statistic.

    Parameters
    ----------
    statistic : callable
        Function of the particle dataset.
    value : float
        The mean.
    tolerance : float, optional
        How far it may be off, as a standard deviation.

    Returns
    -------
    Target

    Raises
    ------
    ArgumentError
        If the value is no finite number, or the tolerance is not positive.

    Examples
    --------
    >>> mean(lambda ds: ds.y.mean("school"), 8.0).value
    8.0
    """
    return _target("mean", statistic, _number("value", value), tolerance)


def sd(statistic: Statistic, value: float, *, tolerance: float | None = None) -> Target:
    """A standard deviation of a statistic.

    Parameters
    ----------
    statistic : callable
        Function of the particle dataset.
    value : float
        The standard deviation.
    tolerance : float, optional
        How far it may be off, as a standard deviation.

    Returns
    -------
    Target

    Raises
    ------
    ArgumentError
        If the value or the tolerance is not positive.

    Examples
    --------
    >>> sd(lambda ds: ds.y, 20.0).words
    'sd'
    """
    return _target("sd", statistic, as_positive("value", value), tolerance)


def between(
    statistic: Statistic, prob: float, low: float, high: float, *, tolerance: float | None = None
) -> Target:
    """A probability of an interval.

    Parameters
    ----------
    statistic : callable
        Function of the particle dataset.
    prob : float
        How probable the interval is. What is below and above it is not told: two quantiles tell that.
    low, high : float
        Its ends, which belong to it.
    tolerance : float, optional
        How far the probability may be off, as a standard deviation.

    Returns
    -------
    Target

    Raises
    ------
    ArgumentError
        If ``prob`` is not between 0 and 1, or the ends are no numbers in ascending order.

    Examples
    --------
    >>> between(lambda ds: ds.y, 0.9, -30.0, 50.0).words
    'probability of -30 to 50'
    """
    limits = _number("low", low), _number("high", high)
    if not limits[0] < limits[1]:
        raise ArgumentError(f"an interval goes from low to high, got low={low!r} and high={high!r}")
    found = _target("between", statistic, as_probability("prob", prob), tolerance)
    return replace(found, limits=limits)


def _target(kind: str, statistic: Any, value: float, tolerance: Any) -> Target:
    if not callable(statistic):
        raise ArgumentError(
            f"a statistic must be a function of the particle dataset, as lambda ds: ds.y, got {statistic!r}"
        )
    kept = None if tolerance is None else as_positive("tolerance", tolerance)
    return Target(kind, statistic, value, tolerance=kept)


def _number(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(value):
        raise ArgumentError(f"{name} must be a finite number, got {value!r}")
    return float(value)


def as_targets(given: Any) -> dict[str, Target]:
    """Targets by name, from what a user gave; those of several quantiles one by one.

    A tuple of a statistic and a number is a probability where the statistic is an event, else a mean: its
    kind is "value" until the statistic is known.
    """
    found: dict[str, Target] = {}
    for name, target in as_mapping("targets", given).items():
        if isinstance(target, Targets):
            found |= {f"{name}[{label}]": each for label, each in target.items()}
        else:
            found[name] = target if isinstance(target, Target) else _from_tuple(name, target)
    _check_order(found)
    if not found:
        raise ArgumentError('a target is needed, as in {"P(y > 50)": (lambda ds: ds.y > 50, 0.05)}')
    return found


def _check_order(targets: Mapping[str, Target]) -> None:
    """Refuse quantiles of one statistic that do not rise with their probabilities."""
    known: dict[int, list[tuple[float, float, str]]] = {}
    for name, target in targets.items():
        if target.prob is not None:
            known.setdefault(id(target.statistic), []).append((target.prob, target.value, name))
    for each in known.values():
        for (low, here, first), (high, there, second) in itertools.pairwise(sorted(each)):
            if here > there or (here == there) != (low == high):
                raise ArgumentError(
                    f"quantiles must rise with their probabilities, got {here:g} at {low:g} for {first!r} "
                    f"and {there:g} at {high:g} for {second!r}"
                )


def _from_tuple(name: str, given: Any) -> Target:
    if not isinstance(given, tuple) or len(given) not in (2, 3) or not callable(given[0]):
        raise ArgumentError(
            f"target {name!r} must be a statistic with its value, as (lambda ds: ds.y > 50, 0.05), or made "
            f"by probability, quantile, quantiles, mean, sd, between or pooled; got {given!r}"
        )
    statistic, value, *tolerance = given
    return _target("value", statistic, _number(f"the value of target {name!r}", value), *tolerance or [None])
