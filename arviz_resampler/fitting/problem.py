"""How far a family misses targets at hyper-parameters, on a cache, with derivatives and errors.

Knows families, the pipeline and equations; nothing of how hyper-parameters are looked for.

Positions are shares of the ranges of those hyper-parameters that are no whole numbers, by ratios where a
range is positive. Residuals are those of the equations, each in a unit of its own.
"""

from __future__ import annotations

import copy
import functools
import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from arviz_resampler.errors import ResamplerError, ResamplerWarning, WeightError
from arviz_resampler.fitting.equations import Equations
from arviz_resampler.fitting.marks import lines_of
from arviz_resampler.fitting.targets import Target
from arviz_resampler.fitting.unmoved import Seen
from arviz_resampler.particles.reach import TopUp
from arviz_resampler.pipeline import Model, Pipeline
from arviz_resampler.plots.lines import Line
from arviz_resampler.programs.program import plain_tensors
from arviz_resampler.scoring.gradients import Scores, scores
from arviz_resampler.scoring.scored import ScoredModel
from arviz_resampler.tuning.family import Family
from arviz_resampler.tuning.laboratory import hyper_columns, number_at, share_of, slope_at
from arviz_resampler.tuning.ranges import Number
from arviz_resampler.weights.normalize import Floats
from arviz_resampler.weights.weights import Weights

STEP = 0.01  # of difference quotients, in shares of a range
_SHOWN = 4096  # particles on which the limits of events are found
_COMPARED = 256  # particles at which gradients are compared with differences


class Source(Protocol):
    """Particles, as far as a fit needs them."""

    pipeline: Pipeline

    def top_up(self, model: Model, ess: float, *, at_most: int | None, simulator: Any) -> TopUp:
        """Simulate more particles."""

    def fresh(self, model: Model, num_samples: int, *, simulator: Any) -> xr.Dataset:
        """New draws of a model."""


@dataclass(frozen=True, eq=False)
class Evaluation:
    """A family at one position.

    Attributes
    ----------
    shares : ndarray
        The position, shape (d,).
    hyper : mapping of str to number
        All hyper-parameters.
    residual : ndarray
        How far the equations are off, in units, shape (K,).
    monte_carlo : ndarray
        Covariance of the residuals by Monte Carlo error, shape (K, K).
    tolerated : ndarray
        Variance of the residuals that is tolerated, shape (K,).
    influence : ndarray
        Of each particle on each residual, times its weight, shape (N, K).
    weights : Weights
        Of the particles.
    ess : float
        Effective sample size: of the particles that have a value of each target, where some runs failed.
    tells : bool
        Whether each target has a slope there.
    """

    shares: Floats
    hyper: Mapping[str, Number]
    residual: Floats
    monte_carlo: Floats
    tolerated: Floats
    influence: Floats
    weights: Weights
    ess: float
    tells: bool
    derive: Callable[[Evaluation], Floats]

    @property
    def loss(self) -> float:
        """Sum of the squares of the residuals."""
        return float(self.residual @ self.residual)

    @property
    def noise(self) -> Floats:
        """Covariance of the residuals that says nothing against a position, shape (K, K)."""
        return self.monte_carlo + np.diag(self.tolerated)

    @cached_property
    def jacobian(self) -> Floats:
        """Derivatives of the residuals by shares, shape (K, d)."""
        return self.derive(self)


class _Known(NamedTuple):
    """Targets on the particles of a pipeline, with what a model has computed there."""

    pipeline: Pipeline
    computed: Mapping[str, Tensor]
    equations: Equations


def _equal(first: Mapping[str, Tensor], second: Mapping[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def _ends(share: float) -> list[float]:
    """Where a difference quotient at a share is taken: a step up and a step down, within the range."""
    return [min(max(share + step, 0.0), 1.0) for step in (STEP, -STEP)]


def _with(shares: Floats, axis: int, share: float) -> Floats:
    """A position with another share of one hyper-parameter."""
    moved = shares.copy()
    moved[axis] = share
    return moved


class Problem:
    """The misfit of a family as a function of its hyper-parameters, those that are whole numbers being fixed.

    Parameters
    ----------
    source : Source
        The particles; there may be more of them later.
    family : Family
        The priors.
    targets : mapping of str to Target
        What is wished, by name.
    """

    def __init__(self, source: Source, family: Family, targets: Mapping[str, Target]) -> None:
        self.source, self.family, self.targets = source, family, targets
        self.free = [name for name, range_ in family.ranges.items() if not range_.integer]
        self.fixed: Mapping[str, Number] = {n: v for n, v in family.start.items() if n not in self.free}
        self.count = 0  # evaluations
        self.scales: Floats | None = None
        self.seen = Seen()
        self._gradients: bool | None = None  # whether they are right; None: not tried yet
        self._known: _Known | None = None

    def with_fixed(self, fixed: Mapping[str, Number]) -> Problem:
        """The same at other whole numbers."""
        other = copy.copy(self)
        other.fixed, other.count = fixed, 0
        return other

    # ---------------------------------------------------------------- positions

    def hyper(self, shares: Floats) -> dict[str, Number]:
        """All hyper-parameters at a position."""
        ranges = self.family.ranges
        each = zip(self.free, shares, strict=True)
        own = {name: float(f"{number_at(ranges[name], float(u)):.12g}") for name, u in each}
        return {name: own[name] if name in own else self.fixed[name] for name in ranges}

    def shares(self, hyper: Mapping[str, Number]) -> Floats:
        """The position of hyper-parameters."""
        return np.array([share_of(self.family.ranges[name], hyper[name]) for name in self.free])

    def slopes(self, hyper: Mapping[str, Number]) -> Floats:
        """Derivatives of hyper-parameters by their shares."""
        return np.array([slope_at(self.family.ranges[name], hyper[name]) for name in self.free])

    # ---------------------------------------------------------------- evaluations

    def at(self, shares: Floats) -> Evaluation:
        """The misfit at a position.

        Raises
        ------
        ResamplerError
            If the family cannot be made or weighed there.
        """
        self.count += 1
        hyper = self.hyper(shares)
        scored = self._scored(hyper)
        equations = self.equations(scored)  # first: what is wrong with targets is so at every position
        if not scored.weights.ess:
            raise WeightError(f"no particle is in the support of {self.family.call(hyper)}")
        weights = scored.weights.normalized
        value, influence = equations.sides(weights)
        if self.scales is None:
            self.scales = equations.scales(weights)
        off, slope = equations.off(value)
        influence *= slope / self.scales
        influence *= weights[:, None]
        tolerated = [float(equation.target.tolerance is not None) for equation in equations.all]
        found = Evaluation(
            shares,
            hyper,
            off / self.scales,
            influence.T @ influence,
            np.array(tolerated),
            influence,
            scored.weights,
            min([scored.weights.ess, *equations.effective(weights)]),
            not equations.silent(value).any(),
            self._jacobian,
        )
        self.seen.add(found.shares, found.residual, np.sqrt(np.diag(found.monte_carlo)))
        return found

    def equations(self, scored: ScoredModel) -> Equations:
        """The targets on the particles that there are now; anew where a model computes other values."""
        pipeline, known = self.source.pipeline, self._known
        computed = {name: column.value for name, column in scored.computed.items()}
        if known is not None and known.pipeline is pipeline and _equal(computed, known.computed):
            return known.equations
        made = Equations(
            pipeline.dataset(scored),
            self.targets,
            quiet=known is not None,
            before=known.equations if known is not None and not computed else None,
        )
        self._known = _Known(pipeline, computed, made)
        return made

    def lines(self, at: Evaluation) -> dict[str, list[Line]]:
        """Where targets lie on the axes of variables."""
        pipeline = self.source.pipeline
        dataset = pipeline.dataset(pipeline.score(self.family.model(at.hyper)))
        return lines_of(dataset.isel(particle=slice(_SHOWN)), self.targets)

    # ---------------------------------------------------------------- derivatives

    def _jacobian(self, now: Evaluation) -> Floats:
        """Derivatives of the residuals: by one backward pass, or by differences where that is not right."""
        found = None if self._gradients is False else self._by_gradients(now)
        return self._by_differences(now) if found is None else found

    @plain_tensors()
    def _by_gradients(self, now: Evaluation) -> Floats | None:
        if self._gradients is None:
            mapped = self.source.pipeline.vectorize is not False
            self._gradients = bool(self.free) and mapped and self._agrees(now)
        weights = now.weights.normalized
        found = self._scores(now.hyper, slice(0, len(weights))) if self._gradients else None
        if found is None:
            return None
        each = found.by_hyper.numpy()
        each[weights == 0] = 0.0
        if not np.isfinite(each).all():
            return None
        each = each * self.slopes(now.hyper)
        each -= weights @ each
        jacobian: Floats = now.influence.T @ each
        self.seen.add_slopes(jacobian, np.sqrt((now.influence**2).T @ each**2))
        return jacobian

    def _scores(self, hyper: Mapping[str, Number], rows: slice) -> Scores | None:
        particles = self.source.pipeline.particles
        n = len(range(*rows.indices(particles.num_particles)))
        columns = hyper_columns({name: np.full(n, hyper[name]) for name in self.free})
        return scores(particles, functools.partial(self.family.make_model, **self.fixed), columns, rows)

    def _agrees(self, now: Evaluation) -> bool:
        """Whether some particles have the derivatives that difference quotients have, and no moving support.

        Not so where a family computes with detached tensors, means something else by tensors than by
        numbers, or computes what a statistic reads.
        """
        if self._computes(now):
            return False
        rows = slice(0, min(_COMPARED, self.source.pipeline.particles.num_particles))
        slopes = torch.from_numpy(self.slopes(now.hyper))
        here = self._scores(now.hyper, rows)
        if here is None:
            return False
        inside = torch.isfinite(here.log_p)
        for axis, u in enumerate(now.shares):
            ends = _ends(float(u))
            moved = []
            for end in ends:
                found = self._scores(self.hyper(_with(now.shares, axis, end)), rows)
                if found is None or not torch.equal(torch.isfinite(found.log_p), inside):
                    return False
                moved.append(found.log_p[inside])
            quotient = (moved[0] - moved[1]) / (ends[0] - ends[1])
            score = (here.by_hyper[:, axis] * slopes[axis])[inside]
            if not torch.allclose(score, quotient, rtol=0.05, atol=0.05):
                return False
        return self._same_by_numbers(now, here.log_p, rows)

    def _computes(self, now: Evaluation) -> bool:
        """Whether hyper-parameters move values that models compute, and not the weights alone."""
        moved = np.where(now.shares < 0.5, now.shares + STEP, now.shares - STEP)
        found = [
            {name: column.value for name, column in self._scored(hyper).computed.items()}
            for hyper in (now.hyper, self.hyper(moved))
        ]
        return not _equal(*found)

    def _scored(self, hyper: Mapping[str, Number]) -> ScoredModel:
        with warnings.catch_warnings(action="ignore", category=ResamplerWarning):
            return self.source.pipeline.score(self.family.model(hyper))

    def _same_by_numbers(self, now: Evaluation, log_p: torch.Tensor, rows: slice) -> bool:
        """Whether tensors make the model that numbers make."""
        scored = self._scored(now.hyper)
        each = [values[rows].double() for values in scored.scored.values()]
        return torch.allclose(torch.stack(each).sum(0), log_p, rtol=1e-4, atol=1e-3)

    def _by_differences(self, now: Evaluation) -> Floats:
        columns = []
        for axis, u in enumerate(now.shares):
            ends = _ends(float(u))
            found = []
            for i, end in enumerate(ends):
                try:
                    found.append(self.at(_with(now.shares, axis, end)).residual)
                except ResamplerError:  # the family fails there: a quotient of one side
                    found.append(now.residual)
                    ends[i] = float(u)
            columns.append((found[0] - found[1]) / (ends[0] - ends[1] or math.inf))
        return np.stack(columns, axis=1) if columns else np.zeros((len(now.residual), 0))
