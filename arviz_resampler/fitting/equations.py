"""Targets on particles: what each reaches under some weights, and how each particle moves it.

Functions of weights W of shape (N,), normalized. Knows xarray through statistics; nothing of programs.

Notes
-----
A target is an equation ``f(W) = wished`` whose left side is a smooth function of weighted means, with the
influence ``i`` of each particle: its Monte Carlo variance is ``sum((W * i)**2)``, its derivative with respect
to a hyper-parameter ``sum(W * i * s)``, s being that of the log density. A quantile is the equation of the
fraction below its value, which is linear in the weights.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.special import ndtri

from arviz_resampler.analysis import estimates
from arviz_resampler.analysis.elements import Elements
from arviz_resampler.analysis.quantities import evaluate
from arviz_resampler.errors import ArgumentError, DrawWarning, WeightError, warn
from arviz_resampler.fitting.targets import Target
from arviz_resampler.weights.averages import standard_error
from arviz_resampler.weights.normalize import Floats, dot

_LEAST = 1e-15  # fraction that is told from 0
_REPEATED = 16  # particles whose statistics are asked for again


class Sides(NamedTuple):
    """Left sides of the equations.

    Attributes
    ----------
    value : ndarray
        Shape (K,).
    influence : ndarray
        Shape (N, K); its weighted mean is zero.
    """

    value: Floats
    influence: Floats


class Reached(NamedTuple):
    """A number that a target is about, in its own unit, with its Monte Carlo error."""

    value: float
    mcse: float


@dataclass(frozen=True)
class Equation:
    """A target on particles.

    Attributes
    ----------
    name : str
        Of the target.
    target : Target
        What is wished.
    values : ndarray
        All scalars of the statistic by particle, shape (N, E), float64; 0 where a particle has none.
    sound : ndarray of bool or None
        Which particles have them, of an event that some leave open; None where all do.
    """

    name: str
    target: Target
    values: Floats
    sound: NDArray[np.bool_] | None

    @property
    def wished(self) -> float:
        """What the left side is to be."""
        target = self.target
        return target.value if target.prob is None else target.prob

    @property
    def is_fraction(self) -> bool:
        """Whether the left side is between 0 and 1."""
        return self.target.kind in ("probability", "between", "quantile")

    def column(self) -> Floats:
        """What is averaged over particles, shape (N,): the mean of the scalars of each."""
        target, values = self.target, self.values
        if target.limits is not None:
            values = ((values >= target.limits[0]) & (values <= target.limits[1])).astype(float)
        elif target.prob is not None:
            values = ((values < target.value).astype(float) + (values <= target.value)) / 2
        found: Floats = values[:, 0] if values.shape[1] == 1 else values.mean(axis=1)
        return found

    def check(self, column: Floats) -> None:
        """Refuse what no particle can reach."""
        seen = column if self.sound is None else column[self.sound]
        if not len(seen):
            raise ArgumentError(f"no particle has a value of target {self.name!r}: all of their runs failed")
        low, high = float(seen.min()), float(seen.max())
        outside = not low < self.wished < high
        if self.target.kind == "sd" or not outside:
            return
        target = self.target
        values = self.values if self.sound is None else self.values[self.sound]
        span = f"the statistic goes from {values.min():.4g} to {values.max():.4g}"
        if target.kind == "probability":
            what = "no particle shows the event" if high == 0 else "every particle shows the event"
            what = what if low == high else f"by particle its fraction goes from {low:.3g} to {high:.3g}"
        elif self.is_fraction:
            what = span
        else:
            what = f"by particle {span}"
        raise ArgumentError(
            f"target {self.name!r} is out of reach of the particles: {what}, and the {target.words} is to be "
            f"{target.value:.4g}. Widen the guide until particles lie on both sides, or top it up there."
        )

    def scale(self, weights: Floats) -> float:
        """Unit in which the equation is missed."""
        target = self.target
        if target.prob is not None and target.tolerance is not None:
            near = np.abs(self.values - target.value) < target.tolerance
            return float(weights @ near.mean(axis=1)) / 2 or math.sqrt(self.wished * (1 - self.wished))
        if target.tolerance is not None:
            return target.tolerance
        if self.is_fraction:
            return math.sqrt(self.wished * (1 - self.wished))
        return self._spread(weights)

    def _spread(self, weights: Floats) -> float:
        """Standard deviation of the statistic; of that of a standard deviation, as if it were normal."""
        if self.target.kind == "sd":
            return self.target.value / math.sqrt(2)
        center = float(weights @ self.values.mean(axis=1))
        return math.sqrt(float(weights @ ((self.values - center) ** 2).mean(axis=1))) or 1.0

    def reached(self, weights: Floats, side: float, influence: Floats) -> Reached:
        """The number that the target is about."""
        if self.target.prob is None:
            return Reached(side, standard_error(weights * influence)[0])
        values, count = self.values, self.values.shape[1]
        order = np.argsort(values, axis=None)
        sorted_values, sorted_weights = values.ravel()[order], np.repeat(weights / count, count)[order]
        q = np.array([self.target.prob])
        found = estimates.quantiles(sorted_weights, sorted_values, q)[0]
        if count == 1:
            return Reached(found.value, found.mcse)
        # Scalars of one particle depend on each other: the error of the fraction is that of particles.
        below = (values <= found.value).mean(axis=1) - q
        error = standard_error(weights * below)[0]
        cumulative = np.cumsum(sorted_weights)
        ends = np.searchsorted(cumulative, np.clip(q + np.array([-error, error]), 0, 1) * cumulative[-1])
        low, high = sorted_values[np.minimum(ends, len(sorted_values) - 1)]
        return Reached(found.value, float(high - low) / 2)


class Equations:
    """All targets on particles.

    Parameters
    ----------
    dataset : Dataset
        The particles.
    targets : mapping of str to Target
        By name.
    quiet : bool
        Whether it has been said which particles have no values.
    check : bool
        Whether targets must be in reach of the particles.
    before : Equations, optional
        The targets on the first of the particles, before others were added.

    Raises
    ------
    ArgumentError
        If a statistic cannot be used, or a target is out of reach of the particles.
    """

    def __init__(
        self,
        dataset: xr.Dataset,
        targets: Mapping[str, Target],
        *,
        quiet: bool = False,
        check: bool = True,
        before: Equations | None = None,
    ) -> None:
        known = None if before is None else _continued(dataset, targets, before.all)
        self.all: tuple[Equation, ...] = tuple(_equations(dataset, targets)) if known is None else known
        columns = [equation.column() for equation in self.all]
        for equation, column in zip(self.all, columns, strict=True):
            if check:
                equation.check(column)
            if not quiet and equation.sound is not None:
                warn(
                    f"{int((~equation.sound).sum())} of {len(column)} particles have no value of target "
                    f"{equation.name!r}, as their runs failed: the target is taken to be about the others",
                    DrawWarning,
                )
        self._columns = np.stack(columns, axis=1)
        self._squares = {
            k: (equation.values**2).mean(axis=1)
            for k, equation in enumerate(self.all)
            if equation.target.kind == "sd"
        }
        self.wished = np.array([equation.wished for equation in self.all])
        self._fractions = np.array([equation.is_fraction for equation in self.all])

    def sides(self, weights: Floats) -> Sides:
        """Left sides under some weights.

        Raises
        ------
        WeightError
            If no particle with weight has a value of a target.
        """
        value = weights @ self._columns
        influence = self._columns - value
        for k, equation in enumerate(self.all):
            if equation.sound is not None:
                mass = float(weights @ equation.sound)
                if not mass:
                    raise WeightError(
                        f"no particle with weight has a value of target {equation.name!r}: their runs failed"
                    )
                value[k] /= mass
                influence[:, k] = equation.sound * (self._columns[:, k] - value[k]) / mass
        for k, squares in self._squares.items():
            value[k], influence[:, k] = self._sd(weights, k, squares, value[k])
        return Sides(value, influence)

    def effective(self, weights: Floats) -> list[float]:
        """Effective particles that have a value, of each target that some have none of."""
        own = [weights[equation.sound] for equation in self.all if equation.sound is not None]
        return [float(w.sum()) ** 2 / dot(w, w) for w in own]

    def _sd(self, weights: Floats, k: int, squares: Floats, mean: float) -> tuple[float, Floats]:
        deviations = squares - 2 * mean * self._columns[:, k] + mean**2
        variance = float(weights @ deviations)
        sd = math.sqrt(max(variance, 0.0))
        return sd, (deviations - variance) / (2 * sd or math.inf)

    def off(self, value: Floats) -> tuple[Floats, Floats]:
        """How far left sides are off, and by how much more than these that grows.

        Fractions are compared on the scale of normal quantiles, in units of fractions at the one that is
        wished: there they go on to differ where fractions are all but 0 or 1, of which particles of little
        weight tell.
        """
        off, slope = value - self.wished, np.ones(len(value))
        k = self._fractions
        z, wished = ndtri(np.clip(value[k], _LEAST, 1 - _LEAST)), ndtri(self.wished[k])
        density = np.exp(-(wished**2) / 2) / math.sqrt(2 * math.pi)
        off[k], slope[k] = density * (z - wished), np.exp((z**2 - wished**2) / 2)
        return off, slope

    def silent(self, value: Floats) -> NDArray[np.bool_]:
        """Fractions that are 0 or 1, as far as the particles tell: no direction changes them."""
        found: NDArray[np.bool_] = self._fractions & ((value < _LEAST) | (value > 1 - _LEAST))
        return found

    def scales(self, weights: Floats) -> Floats:
        """Units in which the equations are missed."""
        return np.array([equation.scale(weights) for equation in self.all])

    def reached(self, weights: Floats) -> list[Reached]:
        """The numbers that the targets are about."""
        value, influence = self.sides(weights)
        return [
            equation.reached(weights, float(value[k]), influence[:, k]) for k, equation in enumerate(self.all)
        ]


def _continued(
    dataset: xr.Dataset, targets: Mapping[str, Target], before: Sequence[Equation]
) -> tuple[Equation, ...] | None:
    """The same targets with more particles; None where a statistic takes particles together, or runs failed.

    Statistics are asked for the new particles and a few of the others, which must have what they had.
    """
    n = len(before[0].values)
    few = min(n, _REPEATED)
    if any(equation.sound is not None for equation in before):
        return None
    made = _equations(dataset.isel(particle=slice(n - few, None)), targets)
    for old, new in zip(before, made, strict=True):
        if new.sound is not None or not np.array_equal(new.values[:few], old.values[n - few :]):
            return None
    return tuple(
        replace(old, values=np.concatenate([old.values, new.values[few:]]))
        for old, new in zip(before, made, strict=True)
    )


def _equations(dataset: xr.Dataset, targets: Mapping[str, Target]) -> list[Equation]:
    """Targets with the values of their statistics, each of which is computed once."""
    names: dict[int, str] = {}
    for name, target in targets.items():
        taken = name in dataset.variables
        names.setdefault(id(target.statistic), f"target {name}" if taken else name)
    functions = {names[id(target.statistic)]: target.statistic for target in targets.values()}
    with warnings.catch_warnings(action="ignore", category=DrawWarning):
        known = evaluate(dataset, [], functions)
    return [_equation(name, target, known[names[id(target.statistic)]]) for name, target in targets.items()]


def _equation(name: str, target: Target, elements: Elements) -> Equation:
    found = elements.together()
    values = found.astype(np.float64)
    bad = np.asarray(np.isnan(values).any(axis=1))
    event = found.dtype.kind == "b" or bool(bad.any())  # other statistics may have no NaN
    if target.kind == "value":
        target = replace(target, kind="probability" if event else "mean")
    if target.kind == "probability":
        if not event:
            raise ArgumentError(
                f"target {name!r} is a probability, but its statistic is no event: it has dtype "
                f"{found.dtype}. Compare it with something, as in ds.y > 50"
            )
        if not 0 < target.value < 1:
            raise ArgumentError(
                f"target {name!r} is the probability of an event, which is between 0 and 1, got "
                f"{target.value:g}"
            )
    elif event and target.kind != "mean":
        raise ArgumentError(
            f"target {name!r} is a {target.words}, but its statistic is an event: give its probability"
        )
    return Equation(name, target, np.where(bad[:, None], 0.0, values), ~bad if bad.any() else None)
