"""Tables of a fit. Knows problems and searches; nothing of how they are printed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from arviz_resampler.fitting.equations import Reached
from arviz_resampler.fitting.problem import Evaluation, Problem
from arviz_resampler.fitting.search import Entry
from arviz_resampler.fitting.solve import Optimum
from arviz_resampler.printed import with_error
from arviz_resampler.tuning.ranges import Number, in_columns


def reached_table(problem: Problem, at: Evaluation, fresh: Sequence[Reached] | None) -> pd.DataFrame:
    """Targets, what is reached, and what a fresh simulation reaches."""
    scored = problem.source.pipeline.score(problem.family.model(at.hyper))
    equations = problem.equations(scored)
    reached = equations.reached(at.weights.normalized)
    nothing = [Reached(math.nan, math.nan)] * len(reached)
    rows = [
        [equation.target.words, equation.target.value, *here, *there, equation.target.tolerance]
        for equation, here, there in zip(equations.all, reached, fresh or nothing, strict=True)
    ]
    columns = ["target", "wished", "reached", "mcse", "fresh", "mcse_fresh", "tolerance"]
    found = pd.DataFrame(rows, index=pd.Index([e.name for e in equations.all], name="name"), columns=columns)
    return found.astype({"tolerance": float})


def with_errors(table: pd.DataFrame) -> pd.DataFrame:
    """The table with errors beside their numbers."""
    shown = table[["target"]].assign(wished=[f"{value:.4g}" for value in table.wished])
    for name, error in (("reached", "mcse"), ("fresh", "mcse_fresh")):
        if table[name].notna().any():
            shown[name] = [with_error(*pair) for pair in zip(table[name], table[error], strict=True)]
    return shown.rename_axis(None)


def optima_table(optima: Sequence[Optimum]) -> pd.DataFrame:
    """Where searches ended."""
    rows = []
    for optimum in optima:
        rest = {
            "loss": optimum.at.loss,
            "ess": optimum.at.ess,
            "starts": len(optimum.starts),
            "evaluations": optimum.evaluations,
        }
        rows.append({**in_columns(optimum.at.hyper, rest), **rest})
    return pd.DataFrame(rows)


def history_table(entries: Sequence[Entry]) -> pd.DataFrame:
    """Positions of searches, one after the other."""
    return pd.DataFrame([_line(**entry._asdict()) for entry in entries])


def _line(start: int, hyper: Mapping[str, Number], **rest: Any) -> dict[str, Any]:
    return {"start": start, **in_columns(hyper, ["start", *rest]), **rest}


def short(hyper: Mapping[str, Number]) -> dict[str, Number]:
    """Hyper-parameters in three digits."""
    return {
        name: float(f"{value:.3g}") if isinstance(value, float) else value for name, value in hyper.items()
    }
