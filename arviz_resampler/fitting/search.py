"""Levenberg-Marquardt within the reach of the particles.

Knows evaluations; nothing of programs or targets.

Notes
-----
K. Levenberg (1944), D. Marquardt (1963): the step solves ``(J'J + damping * I) step = -J'r``. Steps are
in shares of the ranges, and as long as a radius at most, which is halved where particles do not reach.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from arviz_resampler.errors import ResamplerError
from arviz_resampler.fitting.problem import Evaluation, Problem
from arviz_resampler.tuning.ranges import Number
from arviz_resampler.weights.normalize import Floats

_STEPS = 30
_TRIES = 8  # of one step
_RADIUS = 0.25  # of a step, in shares
_DAMPING, _UNDAMPED = 1e-2, 1e-8
_PROMISING = 4.0  # times the loss, up to which a position is worth new particles
_SMALL = 0.03  # standard errors of residuals; a step that changes them by less changes nothing that is known
PART = 0.2  # component of a direction below which a hyper-parameter has no part in it
_FLAT = 1e-9  # of the largest singular value, below which a direction has no derivative


class Entry(NamedTuple):
    """A line of the history."""

    start: int
    hyper: Mapping[str, Number]
    loss: float
    ess: float
    num_particles: int
    action: str

    @classmethod
    def of(cls, problem: Problem, start: int, at: Evaluation, action: str) -> Entry:
        """A position that was looked at."""
        return cls(start, at.hyper, at.loss, at.ess, _num_particles(problem), action)

    @classmethod
    def failed(cls, problem: Problem, start: int, shares: Floats, error: Exception) -> Entry:
        """A position at which the family fails."""
        action = f"failed: {type(error).__name__}: {error}"
        return cls(start, problem.hyper(shares), math.nan, 0.0, _num_particles(problem), action)


def _num_particles(problem: Problem) -> int:
    return problem.source.pipeline.particles.num_particles


@dataclass
class Search:
    """The way from one start.

    Parameters
    ----------
    problem : Problem
        What is to be solved.
    start : int
        Number of the start.
    floor : float
        Effective sample size that a position needs.
    top_up : callable, optional
        Simulates particles at a position, and says whether it did.
    """

    problem: Problem
    start: int
    floor: float
    top_up: Callable[[Evaluation], bool] | None = None
    entries: list[Entry] = field(default_factory=list)
    radius: float = _RADIUS
    damping: float = _DAMPING

    def run(self, now: Evaluation) -> Evaluation:
        """The position where no step is left that would change what is known."""
        self._note(now, "start")
        for _ in range(_STEPS):
            if self._is_there(now):
                break
            now, moved = self._step(now)
            if not moved:
                break
        return now

    def _step(self, now: Evaluation) -> tuple[Evaluation, bool]:
        """The next position, and whether it is another one."""
        for _ in range(_TRIES):
            step = _damped_step(now, self.damping)
            step *= min(1.0, self.radius / max(float(np.abs(step).max()), 1e-300))
            new = self._at(np.clip(now.shares + step, 0.0, 1.0))
            if new is not None and self._is_out_of_reach(new) and self._grows(now, new):
                now, new = self.problem.at(now.shares), self._at(new.shares)
            if new is None or self._is_out_of_reach(new):
                self.radius = float(np.abs(step).max()) / 2
                if new is not None:
                    self._note(new, "halved: too few effective particles")
            elif new.loss < now.loss:
                self.damping, self.radius = max(self.damping / 8, 1e-8), min(2 * self.radius, _RADIUS)
                self._note(new, "step")
                return new, True
            else:
                self.damping *= 4
        return now, False

    def _at(self, shares: Floats) -> Evaluation | None:
        """The misfit at a position; None where the family fails there."""
        try:
            return self.problem.at(shares)
        except ResamplerError as error:
            self.entries.append(Entry.failed(self.problem, self.start, shares, error))
            return None

    def _is_out_of_reach(self, new: Evaluation) -> bool:
        return new.ess < self.floor

    def _grows(self, now: Evaluation, new: Evaluation) -> bool:
        """Whether there are more particles now, at a position that is worth them."""
        if self.top_up is None or new.loss > _PROMISING * now.loss or not self.top_up(new):
            return False
        self._note(new, "topped up")
        return True

    def _is_there(self, now: Evaluation) -> bool:
        """Whether the next step would change residuals by little beside their noise."""
        change = now.jacobian @ _damped_step(now, _UNDAMPED)
        return bool((np.abs(change) <= _SMALL * np.sqrt(np.diag(now.monte_carlo))).all())

    def _note(self, at: Evaluation, action: str) -> None:
        self.entries.append(Entry.of(self.problem, self.start, at, action))


def _damped_step(now: Evaluation, damping: float) -> Floats:
    """A damped step; what stands at an end of its range and would leave it stays."""
    free = np.ones(len(now.shares), bool)
    for _ in range(len(free)):
        step = np.zeros(len(free))
        if not free.any():
            return step
        jacobian = now.jacobian[:, free]
        normal = jacobian.T @ jacobian
        # Shares have one scale, so what is hardly told stays where it is.
        ridge = damping * max(float(np.diag(normal).max()), 1e-300)
        step[free] = -np.linalg.solve(normal + ridge * np.eye(len(normal)), jacobian.T @ now.residual)
        leaving = free & (((now.shares <= 0) & (step < 0)) | ((now.shares >= 1) & (step > 0)))
        if not leaving.any():
            return step
        free &= ~leaving
    return np.zeros(len(free))


def covariance(now: Evaluation) -> Floats:
    """Covariance of the shares, from that of the residuals; a whole range where there is no derivative."""
    if not len(now.shares):
        return np.zeros((0, 0))
    left, values, right = np.linalg.svd(now.jacobian, full_matrices=False)
    known = values > _FLAT * max(float(values.max()), 1e-300)
    inverse = right[known].T / values[known] @ left[:, known].T
    found: Floats = inverse @ now.monte_carlo @ inverse.T
    lost = np.eye(len(now.shares)) - right[known].T @ right[known]
    taking = np.diag(lost) >= PART**2
    found += np.where(np.outer(taking, taking), lost, 0.0)
    return found


def standard_errors(covariance: Floats) -> Floats:
    """Roots of the diagonal."""
    found: Floats = np.sqrt(np.diag(covariance))
    return found
