"""From targets to a fit: solved, checked by a fresh simulation, and what is to be said of it.

Knows solvers, regions and tables.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from arviz_resampler.errors import ArgumentError, ProgramWarning, quoted, warn
from arviz_resampler.fitting import words
from arviz_resampler.fitting.equations import Equations, Reached
from arviz_resampler.fitting.fit import About, Fit, open_directions
from arviz_resampler.fitting.listing import history_table, optima_table, reached_table, short
from arviz_resampler.fitting.problem import Evaluation, Problem, Source
from arviz_resampler.fitting.region import Ruler
from arviz_resampler.fitting.search import covariance, standard_errors
from arviz_resampler.fitting.solve import Optimum, Solver
from arviz_resampler.fitting.targets import as_targets
from arviz_resampler.frozen import FrozenMapping
from arviz_resampler.pipeline import Model
from arviz_resampler.tuning.family import Family
from arviz_resampler.tuning.laboratory import slope_at
from arviz_resampler.tuning.ranges import Number
from arviz_resampler.weights.weights import Weights

_EDGE = 1e-6  # of a range, from its end
_FINE = 0.01  # of a range


def fit(
    source: Source,
    make_model: Callable[..., Model],
    targets: Any,
    ranges: Mapping[str, Any],
    *,
    ess: float,
    starts: int,
    simulator: Any,
    at_most: int | None,
    may_grow: bool,
) -> Fit:
    """Hyper-parameters at which a family meets targets.

    The arguments are those of :meth:`.Resampler.fit`; ``may_grow`` says whether particles can be simulated.
    """
    family = Family.checked(make_model, ranges)
    if source.pipeline.chains is not None:
        raise ArgumentError(
            "these particles are draws of a posterior: targets of a prior are met on particles of a guide"
        )
    solver = Solver(Problem(source, family, as_targets(targets)), ess, starts, simulator, at_most, may_grow)
    return _answer(solver, *solver.solve())


def _answer(solver: Solver, best: Optimum, optima: Sequence[Optimum]) -> Fit:
    """The fit that a search has found, checked by a fresh simulation."""
    problem = best.problem
    errors = np.minimum(standard_errors(covariance(best.at)), 1.0) * problem.slopes(best.at.hyper)
    mcse = dict.fromkeys(problem.family.ranges, math.nan)
    mcse |= dict(zip(problem.free, errors.tolist(), strict=True))
    hyper = {name: _rounded(problem, name, best.at.hyper[name], error) for name, error in mcse.items()}
    at = problem.at(problem.shares(hyper))
    ruler = Ruler(at)
    table = reached_table(problem, at, _fresh(solver, problem, hyper) if solver.grows else None)
    equal = [one for one in optima[1:] if _is_equal(one.at, at)]
    notes = [
        "" if len(open_directions(at)) else _of_optima(equal),
        *_unmoved(problem, list(table.index)),
        *_at_ends(problem, best.at),
        words.contradiction(ruler.misfit, ruler.freedom, list(table.index), at.residual),
        _of_weights(at.weights),
    ]
    about = About(problem, at, [one.at for one in equal if one.problem is problem], solver.floor)
    return Fit(
        FrozenMapping(hyper),
        FrozenMapping(mcse),
        table,
        ruler.misfit,
        ruler.freedom,
        words.p_value(ruler.misfit, ruler.freedom),
        tuple(note for note in notes if note),
        optima_table(optima),
        history_table(solver.entries),
        at.weights,
        solver.num_evaluations,
        solver.num_added,
        about,
    )


# ---------------------------------------------------------------- notes


def _is_equal(other: Evaluation, at: Evaluation) -> bool:
    """Whether another optimum misses the targets no more than this one, but for noise.

    The mean and the standard deviation of a sum of squares of normals with covariance V are the trace of V
    and the root of twice that of V squared.
    """
    noise = math.sqrt(2 * float(np.trace(other.noise @ other.noise)))
    return other.loss <= at.loss + float(np.trace(other.noise)) + 2 * noise


def _of_optima(equal: Sequence[Optimum]) -> str:
    """What is said of other optima."""
    calls = [one.problem.family.call(short(one.at.hyper)) for one in equal]
    return f"the targets are met as well at {'; '.join(calls)}" if calls else ""


def _unmoved(problem: Problem, names: Sequence[str]) -> list[str]:
    """What is said of targets that no hyper-parameter moves.

    Raises
    ------
    ArgumentError
        If there are no others.
    """
    unmoved = problem.seen.unmoved
    if unmoved.all():
        raise ArgumentError(
            f"no target depends on any of these hyper-parameters: {quoted(names)} stayed the same, but for "
            f"noise, wherever the fit looked"
        )
    return [
        f"target {name!r} depends on no hyper-parameter: it stayed the same wherever the fit looked"
        for name, stays in zip(names, unmoved, strict=True)
        if stays
    ]


def _at_ends(problem: Problem, at: Evaluation) -> list[str]:
    """What is said of hyper-parameters at an end of their ranges, beyond which less would be missed."""
    outwards = np.where(at.shares < 0.5, 1.0, -1.0) * (at.jacobian.T @ at.residual)
    return [
        f"{name} is at the end of its range, which may exclude the answer: widen it"
        for name, share, slope in zip(problem.free, at.shares, outwards, strict=True)
        if min(share, 1 - share) <= _EDGE and slope > 0
    ]


def _of_weights(weights: Weights) -> str:
    """What is said of unreliable weights."""
    verdict, advice = weights.judge(1)
    return f"weights are {verdict}: {advice}" if verdict == "unreliable" else ""


def _fresh(solver: Solver, problem: Problem, hyper: Mapping[str, Number]) -> list[Reached] | None:
    """What a fresh simulation reaches; None where there is none."""
    count = max(int(solver.ess), 2)
    try:
        drawn = problem.source.fresh(problem.family.model(hyper), count, simulator=solver.simulator)
        equations = Equations(drawn, problem.targets, quiet=True, check=False)
        return equations.reached(np.full(count, 1 / count))
    except Exception as error:  # whatever it is, the fit is found
        what = f"{type(error).__name__}: {error}"
        warn(f"the fit could not be checked by a fresh simulation: {what}", ProgramWarning)
        return None


def _rounded(problem: Problem, name: str, value: Number, error: float) -> Number:
    """A hyper-parameter to a hundredth of its error, or of a hundredth of its range where that is less."""
    range_ = problem.family.ranges[name]
    if range_.integer:
        return value
    known = min(error, _FINE * slope_at(range_, value))
    if known > 0:
        value = round(value, 2 - math.floor(math.log10(known)))
    return min(max(value, range_.low), range_.high)
