"""How a fit is found: several starts on the cache, then the best of them with as many particles as it needs.

Knows problems and searches; nothing of how an answer is shown.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from arviz_resampler.errors import ArgumentError, ResamplerError, WeightError, WeightWarning, warn
from arviz_resampler.fitting.problem import Evaluation, Problem
from arviz_resampler.fitting.search import Entry, Search
from arviz_resampler.tuning.ranges import Number
from arviz_resampler.weights.normalize import Floats
from arviz_resampler.weights.verdict import FEW

_MOST = 100  # combinations of whole numbers
_TRIED = 8  # positions that are looked at for each start
_LOST = 0.9  # of the effective particles, the most failures that a top-up makes up for
_ROOM = 1.2  # times the effective sample size that is asked for, so that small steps need no other top-up
_DISTINCT = 0.1  # of a range, between optima that are two
_RESCALED = 0.1  # relative change of a unit from which targets are weighed anew
_ROUNDS = 3


@dataclass(frozen=True, eq=False)
class Optimum:
    """Where a search has ended.

    Attributes
    ----------
    at : Evaluation
        The position.
    problem : Problem
        The misfit, at the whole numbers of the position.
    starts : tuple of int
        Numbers of the searches that end there.
    evaluations : int
        How often the first of them looked at a position.
    """

    at: Evaluation
    problem: Problem
    starts: tuple[int, ...]
    evaluations: int


@dataclass
class Solver:
    """The search for hyper-parameters.

    Parameters
    ----------
    problem : Problem
        The misfit.
    ess : float
        Effective sample size that the answer is to have.
    num_starts : int
        How many searches.
    simulator : callable, optional
        What extends new particles.
    at_most : int, optional
        How many may be added.
    grows : bool
        Whether any may.
    """

    problem: Problem
    ess: float
    num_starts: int
    simulator: Any
    at_most: int | None
    grows: bool
    entries: list[Entry] = field(default_factory=list)
    num_added: int = 0
    num_evaluations: int = 0

    @property
    def floor(self) -> float:
        """Effective sample size below which the cache alone is not believed."""
        return min(FEW, self.ess)

    @property
    def may_grow(self) -> bool:
        """Whether particles may still be added."""
        return self.grows and (self.at_most is None or self.num_added < self.at_most)

    def solve(self) -> tuple[Optimum, list[Optimum]]:
        """The best optimum, and all that were found on the cache, the best first."""
        problems = _by_whole_numbers(self.problem)
        found = [one for problem in problems if (one := self._from_start(problem)) is not None]
        if not found:
            call = self.problem.family.call(self.problem.family.start)
            raise WeightError(
                f"the particles reach no position that the fit could start from: at {call} fewer than "
                f"{self.floor:g} of them are effective, not counting those whose runs failed. Take a family "
                f"guide over these ranges, or simulate more particles there by top_up"
            )
        best = min(found, key=lambda one: one.at.loss)
        if best.problem.free:
            others = self._positions(best.problem, self.num_starts - 1)
            found += [self._search(best.problem, other) for other in others]
        optima = _distinct([one for one in found if one.at.tells] or found)
        refined = self._refined(optima[0])
        optima[0] = replace(optima[0], evaluations=refined.evaluations)
        self.num_evaluations = sum(problem.count for problem in problems)
        return refined, optima

    # ---------------------------------------------------------------- starts

    def _from_start(self, problem: Problem) -> Optimum | None:
        """Where the search from the start of the family ends, or from another position that is reached."""
        problem.scales = self.problem.scales
        shares = problem.shares({**problem.family.start, **problem.fixed})
        now = self._at(problem, shares, WeightError)
        if now is not None and now.ess < self.floor and self._top_up(problem, now):
            now = problem.at(shares)
        starts = self._positions(problem, 1) if now is None or now.ess < self.floor else [now]
        self.problem.scales = problem.scales
        return self._search(problem, starts[0]) if starts else None

    def _positions(self, problem: Problem, count: int) -> list[Evaluation]:
        """Positions that the particles reach, spread evenly over the ranges; first where all targets tell."""
        found: list[Evaluation] = []
        if not count or not problem.free:
            return found
        from scipy.stats import qmc  # which takes longer to import than all else here

        points = qmc.Sobol(len(problem.free), seed=3).random(1 << (_TRIED * count - 1).bit_length())
        for shares in points[: _TRIED * count]:
            now = self._at(problem, shares, ResamplerError)
            if now is not None and now.ess >= self.floor:
                found.append(now)
            if sum(one.tells for one in found) == count:
                break
        return sorted(found, key=lambda one: not one.tells)[:count]

    def _at(self, problem: Problem, shares: Floats, failing: type[ResamplerError]) -> Evaluation | None:
        """The misfit at a position; None where it fails in some way, which is noted."""
        try:
            return problem.at(shares)
        except failing as error:
            self.entries.append(Entry.failed(problem, self._next, shares, error))
            return None

    @property
    def _next(self) -> int:
        """Number of the next search."""
        return 1 + max((entry.start for entry in self.entries), default=-1)

    # ---------------------------------------------------------------- searches

    def _search(self, problem: Problem, start: Evaluation) -> Optimum:
        """Where a search on the cache alone ends."""
        before, number = problem.count - 1, self._next
        search = Search(problem, number, self.floor)
        found = search.run(start)
        self.entries += search.entries
        return Optimum(found, problem, (number,), problem.count - before)

    def _refined(self, best: Optimum) -> Optimum:
        """The same with the effective sample size that is wanted, targets weighed as they are there."""
        problem, now = best.problem, best.at
        before = problem.count
        for _ in range(_ROUNDS):
            if now.ess < self.ess and self._top_up(problem, now):
                now = problem.at(now.shares)
            floor = min(self.ess if self.may_grow else self.floor, now.ess)
            search = Search(problem, best.starts[0], floor, lambda at: self._top_up(problem, at))
            now = search.run(now)
            self.entries += search.entries[1:]
            if not self._rescaled(problem, now):
                break
            now = problem.at(now.shares)
        if now.ess < self.ess:
            limit = "" if self.at_most is None else f", of which at_most={self.at_most} were allowed"
            warn(
                f"the fit has an effective sample size of {now.ess:.3g}, not the {self.ess:g} wanted: it may "
                f"lean towards where particles are. More particles are needed there{limit}.",
                WeightWarning,
            )
        return replace(best, at=now, evaluations=best.evaluations + problem.count - before)

    @staticmethod
    def _rescaled(problem: Problem, now: Evaluation) -> bool:
        """Take the units of the targets at a position; whether this changes what the best position is."""
        scored = problem.source.pipeline.score(problem.family.model(now.hyper))
        new, old = problem.equations(scored).scales(now.weights.normalized), problem.scales
        assert old is not None
        if len(new) <= len(problem.free) or (np.abs(new / old - 1) <= _RESCALED).all():
            return False
        problem.scales = new
        return True

    def _top_up(self, problem: Problem, at: Evaluation) -> bool:
        """Simulate particles at a position, if that may be; whether there are more now."""
        if not self.may_grow:
            return False
        left = None if self.at_most is None else self.at_most - self.num_added
        model = problem.family.model(at.hyper)
        wanted = _ROOM * self.ess / max(at.ess / at.weights.ess, 1 - _LOST)
        try:
            done = problem.source.top_up(model, wanted, at_most=left, simulator=self.simulator)
        except ResamplerError as error:
            warn(f"no particles could be added at a position of the fit: {error}", WeightWarning)
            self.grows = False
            return False
        self.num_added += done.num_added
        return done.num_added > 0


def _by_whole_numbers(problem: Problem) -> list[Problem]:
    """A problem for each combination of the hyper-parameters that are whole numbers, the start first."""
    ranges, start = problem.family.ranges, problem.family.start
    whole = {n: range(int(r.low), int(r.high) + 1) for n, r in ranges.items() if r.integer}
    count = math.prod(len(values) for values in whole.values())
    if count > _MOST:
        raise ArgumentError(
            f"hyper-parameters that are whole numbers have {count} combinations in these ranges, of which "
            f"each is tried: narrow them to {_MOST}"
        )
    found: list[Mapping[str, Number]] = [
        dict(zip(whole, values, strict=True)) for values in itertools.product(*whole.values())
    ]
    found.sort(key=lambda fixed: sum(abs(fixed[name] - start[name]) for name in fixed))
    return [problem.with_fixed(fixed) for fixed in found]


def _distinct(optima: Sequence[Optimum]) -> list[Optimum]:
    """Optima that are apart, the best first, with the searches that end at each."""
    found: list[Optimum] = []
    for one in sorted(optima, key=lambda one: one.at.loss):
        for i, known in enumerate(found):
            if one.problem is known.problem and _are_close(one.at.shares, known.at.shares):
                found[i] = replace(known, starts=known.starts + one.starts)
                break
        else:
            found.append(one)
    return found


def _are_close(first: Floats, second: Floats) -> bool:
    return bool((np.abs(first - second) <= _DISTINCT).all())
