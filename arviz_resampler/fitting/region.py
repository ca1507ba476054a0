"""Hyper-parameters whose misfit is within its noise: a grid of one or two, profiles of more.

Knows evaluations and positions; nothing of programs or targets.

Notes
-----
A standard error is that of a line through the fit. Where targets leave a direction open, positions that are
far off do as well, along a curve. With residuals r and derivatives J at the fit, ``P = J J+``, ``M = 1 - P``,
``d = r(h) - r(fit)`` and the covariance V of the residuals at a position h, its squared distance is
``(P d)' (P V P')+ (P d) + (M d)' (M V M')+ (M d)``: to first order that of the sandwich ``J+ V J+'``, which
is the covariance of the fit. The region is where it is below the quantile 0.95 of chi-squared: of as many
degrees of freedom as there are hyper-parameters for a grid, of one for a profile.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import chdtri

from arviz_resampler.errors import ResamplerError
from arviz_resampler.fitting.problem import Evaluation, Problem
from arviz_resampler.fitting.search import covariance, standard_errors
from arviz_resampler.markup import page
from arviz_resampler.printed import html_table
from arviz_resampler.tuning.ranges import in_columns
from arviz_resampler.weights.normalize import Floats

Flags = NDArray[np.bool_]

PROB = 0.95
_GRIDS = 2  # hyper-parameters up to which a region has a grid
_COARSE, _FINE = 9, 15  # points of an axis of a grid
_WIDENINGS = 6
_NEAR = 3.0  # standard errors of the first window
_LEAST = 0.01  # of a range, that a window has on either side
_WALK = 14  # positions of a profile on either side
_FAR = 0.25  # of a range, that a hyper-parameter goes at a time
_FINEST = 1e-4  # of a range, between which nothing is looked for
_TINY = 1e-300
_CORRECTIONS = 3  # steps of the other hyper-parameters at each


@dataclass(frozen=True)
class Region:
    """Values of hyper-parameters whose misfit is within its noise.

    Attributes
    ----------
    table : DataFrame
        A row for each hyper-parameter that is no whole number: ``low``, ``high``, and what ends the region on
        either side: the "misfit", the "range", or that too few "particles" reach further.
    grid : DataFrame
        Positions with their squared ``distance``, and whether they are ``inside``: of one or two
        hyper-parameters; empty for more, whose ``table`` is that of profiles.
    around : DataFrame
        As ``table``, of the part of the region that is connected with the fit.
    """

    table: pd.DataFrame
    grid: pd.DataFrame
    around: pd.DataFrame

    def __repr__(self) -> str:
        return str(self.table.to_string(float_format="{:.4g}".format))

    def _repr_html_(self) -> str:
        return page("Region", html_table(self.table))


class Ruler:
    """How far residuals are from those of a fit, in units of their noise.

    Parameters
    ----------
    fit : Evaluation
        The fit.
    """

    def __init__(self, fit: Evaluation) -> None:
        self._residual = fit.residual
        jacobian = fit.jacobian[:, (fit.shares > 0) & (fit.shares < 1)]  # what is at an end mends nothing
        onto = jacobian @ np.linalg.pinv(jacobian, rcond=1e-6)
        rest = np.eye(len(onto)) - onto
        self._parts = onto, rest
        self.misfit = float(fit.residual @ rest @ _inverse(rest @ fit.noise @ rest) @ rest @ fit.residual)
        self.freedom = len(onto) - round(float(np.trace(onto)))

    def _metric(self, at: Evaluation) -> Floats:
        """What squared distances of a position are measured by."""
        onto, rest = (part @ _inverse(part @ at.noise @ part) @ part for part in self._parts)
        return onto + rest

    def distance(self, other: Evaluation) -> float:
        """Squared distance of another position."""
        off = other.residual - self._residual
        return max(float(off @ self._metric(other) @ off), 0.0)

    def correction(self, other: Evaluation, free: Sequence[int]) -> Floats:
        """Step of some hyper-parameters that brings another position closest to the fit."""
        jacobian, off = other.jacobian[:, free], other.residual - self._residual
        metric = self._metric(other)
        normal = jacobian.T @ metric @ jacobian
        ridge = 1e-6 * np.diag(np.diag(normal)) + 1e-12 * np.eye(len(free))
        return np.linalg.solve(normal + ridge, -jacobian.T @ metric @ off).astype(np.float64)


def _inverse(matrix: Floats) -> Floats:
    """Pseudo-inverse of a covariance; what is known without noise counts as the least that is known."""
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    top = max(float(values.max(initial=0.0)), _TINY)
    kept = values > 1e-10 * top
    found: Floats = vectors[:, kept] / values[kept] @ vectors[:, kept].T
    return found


def region(problem: Problem, fit: Evaluation, others: Sequence[Evaluation], floor: float) -> Region:
    """The region of a fit.

    Parameters
    ----------
    problem : Problem
        The misfit.
    fit : Evaluation
        The fit.
    others : sequence of Evaluation
        Other optima of the same misfit.
    floor : float
        Effective sample size below which nothing is known of a position.
    """
    d = len(problem.free)
    limit = float(chdtri(d if d <= _GRIDS else 1, 1 - PROB)) if d else 0.0
    reach = _Reach(problem, Ruler(fit), min(floor, fit.ess), limit)
    rows = [_profile(reach, fit, axis) for axis in range(d)]
    around = _table(problem.free, rows)
    if not 0 < d <= _GRIDS:
        return Region(around, pd.DataFrame(), around)
    more, grid = _grid(reach, fit, others)
    united = [_united(*both) for both in zip(rows, more, strict=True)]
    return Region(_table(problem.free, united), grid, around)


@dataclass(frozen=True)
class _Reach:
    problem: Problem
    ruler: Ruler
    floor: float
    limit: float  # of squared distances

    def at(self, shares: Floats) -> Evaluation | None:
        """The misfit at a position; None where too few particles know it."""
        try:
            found = self.problem.at(shares)
        except ResamplerError:
            return None
        return found if found.ess >= self.floor else None

    def value(self, axis: int, share: float) -> float:
        """Hyper-parameter at a share of its range."""
        shares = np.zeros(len(self.problem.free))
        shares[axis] = share
        return float(self.problem.hyper(shares)[self.problem.free[axis]])


def _table(names: Sequence[str], rows: Sequence[Sequence[object]]) -> pd.DataFrame:
    index = pd.Index(names, name="hyper")
    return pd.DataFrame(rows, index=index, columns=["low", "high", "low_end", "high_end"])


# ---------------------------------------------------------------- grids


def _grid(
    reach: _Reach, fit: Evaluation, others: Sequence[Evaluation]
) -> tuple[list[list[object]], pd.DataFrame]:
    """All positions of a window that is widened until it holds the region, and the limits of those inside."""
    names, d = reach.problem.free, len(reach.problem.free)
    error = _NEAR * standard_errors(covariance(fit))
    centers = np.stack([fit.shares, *(other.shares for other in others)])
    low = np.clip(centers.min(0) - np.maximum(error, _LEAST), 0, 1)
    high = np.clip(centers.max(0) + np.maximum(error, _LEAST), 0, 1)
    for _ in range(_WIDENINGS):
        axes = [np.linspace(a, b, _COARSE) for a, b in zip(low, high, strict=True)]
        inside = _inside(reach, axes)[0]
        width, moved = high - low, False
        for axis in range(d):
            ends = np.any(inside, axis=tuple(i for i in range(d) if i != axis))
            if ends[0] and low[axis] > 0:
                low[axis], moved = max(low[axis] - width[axis] / 2, 0.0), True
            if ends[-1] and high[axis] < 1:
                high[axis], moved = min(high[axis] + width[axis] / 2, 1.0), True
        if not moved:
            break
    axes = [_with(np.linspace(a, b, _FINE), known) for a, b, known in zip(low, high, centers.T, strict=True)]
    inside, distance = _inside(reach, axes)
    rows = [_ends(reach, axis, axes, inside, distance) for axis in range(d)]
    found = {"distance": distance.ravel(), "inside": inside.ravel()}
    points = np.array(list(itertools.product(*axes))).T
    each = {names[axis]: [reach.value(axis, u) for u in points[axis]] for axis in range(d)}
    return rows, pd.DataFrame({**in_columns(each, found), **found})


def _with(points: Floats, known: Floats) -> Floats:
    """Points of an axis, the nearest of which are optima themselves: those are in the region."""
    for u in known[::-1]:
        points[int(np.argmin(np.abs(points - u)))] = u
    return points


def _inside(reach: _Reach, axes: Sequence[Floats]) -> tuple[Flags, Floats]:
    """Whether positions of a grid are in the region, and how far off they are: NaN where nobody knows."""
    found = [reach.at(np.array(point)) for point in itertools.product(*axes)]
    each = [math.nan if one is None else reach.ruler.distance(one) for one in found]
    distance: Floats = np.reshape(np.array(each), [len(axis) for axis in axes])
    return distance <= reach.limit, distance


def _ends(reach: _Reach, axis: int, axes: Sequence[Floats], inside: Flags, distance: Floats) -> list[object]:
    """From where to where a region goes along an axis, and what ends it there."""
    rest = tuple(i for i in range(len(axes)) if i != axis)
    where = np.flatnonzero(inside.any(axis=rest))
    points, values, ends = axes[axis], [], []
    for place, beyond in ((where[0], where[0] - 1), (where[-1], where[-1] + 1)):
        values.append(reach.value(axis, float(points[place])))
        unknown = 0 <= beyond < len(points) and np.isnan(np.take(distance, beyond, axis)).any()
        at_end = points[place] <= 0 or points[place] >= 1
        ends.append("range" if at_end else "particles" if unknown else "misfit")
    return [*values, *ends]


def _united(profile: Sequence[object], grid: Sequence[object]) -> list[object]:
    """The limits of both: a profile finds what is thinner than a grid, a grid what stands apart."""
    low = min((profile[0], profile[2]), (grid[0], grid[2]))
    high = max((profile[1], profile[3]), (grid[1], grid[3]))
    return [low[0], high[0], low[1], high[1]]


# ---------------------------------------------------------------- profiles


def _profile(reach: _Reach, fit: Evaluation, axis: int) -> list[object]:
    """From where to where a hyper-parameter may be, the others giving way, and what ends it there."""
    low, high = (_walk(reach, fit, axis, sign) for sign in (-1.0, 1.0))
    return [reach.value(axis, low[0]), reach.value(axis, high[0]), low[1], high[1]]


def _walk(reach: _Reach, fit: Evaluation, axis: int, sign: float) -> tuple[float, str]:
    """The share at which a profile ends on one side."""
    limit = math.sqrt(reach.limit)
    start, spread = float(fit.shares[axis]), covariance(fit)
    edge, error = (1.0 if sign > 0 else 0.0), math.sqrt(spread[axis, axis])
    step = min(limit * error, _FAR)
    told = 0 < error < _FAR
    line = spread[:, axis] / spread[axis, axis] if told else np.zeros(len(spread))  # how others give way
    line[axis] = 1.0
    here, known, shares, end = 0.0, 0.0, fit.shares, "misfit"  # how far the walk has come, and what is there
    for _ in range(_WALK):
        there = min(here + step, abs(edge - start))
        found = _closest(reach, np.clip(shares + sign * (there - here) * line, 0, 1), axis)
        if found is None:
            step, end = (there - here) / 2, "particles"
            continue
        distance = math.sqrt(found[0])
        if distance > 2 * limit and there - here > _FINEST:
            step, end = (there - here) / 2, "misfit"
            continue
        if distance >= limit:
            between = (limit - known) / (distance - known) if distance > known else 1.0
            return start + sign * (here + between * (there - here)), "misfit"
        if there >= abs(edge - start):
            return edge, "range"
        here, known, shares, step = there, distance, found[1], 1.5 * step
    return start + sign * here, end


def _closest(reach: _Reach, shares: Floats, axis: int) -> tuple[float, Floats] | None:
    """The least distance at a value of one hyper-parameter, and where; None where few particles know it."""
    free = [i for i in range(len(shares)) if i != axis]
    best: tuple[float, Floats] | None = None
    for _ in range(_CORRECTIONS):
        found = reach.at(shares)
        if found is None:
            return best
        distance = reach.ruler.distance(found)
        if best is None or distance < best[0]:
            best = distance, shares
        if best[0] <= reach.limit:
            return best
        step = np.clip(reach.ruler.correction(found, free), -_FAR, _FAR)
        shares = shares.copy()
        shares[free] = np.clip(shares[free] + step, 0, 1)
    return best
