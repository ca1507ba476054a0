"""A model at the cached particles: mapped, or one particle at a time where it cannot be.

Knows programs and what they leave behind; nothing of weights or draws.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Collection
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from arviz_resampler.errors import ProgramError, ProgramWarning, warn
from arviz_resampler.mapping.random_mode import UnmappableError
from arviz_resampler.mapping.streams import Streams, generators_kept, has_drawn, seed_particle
from arviz_resampler.programs.columns import Columns, select
from arviz_resampler.programs.fallback import (
    MAPS,
    catches,
    caught,
    draws_elsewhere,
    other_randomness,
    reason_of,
    say_loose,
    takes_long,
    taking,
    unmappable,
    unsteady,
)
from arviz_resampler.programs.program import Program
from arviz_resampler.programs.runs import Invalid, ScoredRun
from arviz_resampler.programs.score_handler import ScoreHandler
from arviz_resampler.programs.stacking import ScoreStack
from arviz_resampler.progress import bar


class Early(NamedTuple):
    """An early end of a model."""

    sites: frozenset[str]  # once they have all been met
    observed: list[str]  # what it does not come to then


def look(program: Program, columns: Columns) -> None:
    """Run one particle by itself: what a module makes at first use is made outside the map.

    Warn where two runs of it differ.
    """

    def run() -> dict[str, Tensor]:
        handler = ScoreHandler(columns)
        seed_particle(0, "look", 0)
        program.run_one(handler, 0)
        return handler.score.log_p

    with generators_kept(), contextlib.suppress(ProgramError):  # said with the other particles
        odd = unsteady(run(), run)
        if odd:
            warn(f"the density of the model is that of one run: {odd}", ProgramWarning)


def early_end(program: Program, columns: Columns) -> Early | None:
    """Early end of a model, as a map of few particles shows it; None: there is none.

    What depends on a branch cannot be mapped, so it is not overlooked.
    """
    few = select(columns, slice(0, 2))
    handler = ScoreHandler(few)
    try:
        program.run_mapped(handler, min(len(column.value) for column in few.values()), Streams(0))
    except (ProgramError, UnmappableError):  # said with the other particles
        return None
    sites = handler.score.early
    return Early(sites, handler.score.observed) if sites else None


def run_model(
    program: Program,
    columns: Columns,
    n: int,
    vectorize: bool | str,
    *,
    early: Early | None = None,
    check: bool = False,
    lost: Tensor | None = None,
    drawn: Collection[str] = (),
    progressbar: bool = False,
    first: int = 0,
) -> ScoredRun:
    """A model at cached particles, by site; one at a time where it cannot be mapped.

    With ``check``, random numbers of NumPy and Python are noticed too, which takes a while.
    Sites that are ``drawn`` are scored, also if they carry ``obs=``.
    ``lost`` are particles whose simulation failed: where the model fails for them too, they have no density.
    ``first`` is the number of the first particle.
    """
    handler = ScoreHandler(columns, wanted=early.sites if early else (), drawn=drawn)
    reason = ""
    if vectorize is not False:
        error = _map(program, handler, n, check=check)
        if error is None:
            return _ended(_without_failed(handler, lost), early)
        reason = reason_of(error)
        if vectorize is True:
            raise unmappable("model", reason) from error
    with bar(range(n), "Scoring the model", "particle", total=n, quiet=not progressbar) as particles:
        stack = ScoreStack(columns, lost, first)
        seconds = _run_singly(program, handler, particles, stack)
    whole = _ended(stack.whole(), early)
    took = taking(seconds, n)
    text = f"the model runs one particle at a time: {reason}. That takes {took}. {MAPS}." if reason else ""
    return replace(whole, singly=text)


def _map(program: Program, handler: ScoreHandler, n: int, *, check: bool) -> UnmappableError | None:
    """Score all particles at once; return why that cannot be done."""
    before = other_randomness() if check else None
    try:
        program.run_mapped(handler, n, Streams(0))
    except UnmappableError as error:
        return error
    if handler.loose or (before is not None and draws_elsewhere(before, lambda: _map_few(program, handler))):
        say_loose(program)
    if handler.failed is not None and catches(
        program, handler, ScoreHandler(handler.columns, drawn=handler.drawn)
    ):
        return UnmappableError(caught(handler))
    return None


def _map_few(program: Program, handler: ScoreHandler) -> None:
    """A few particles once more."""
    few = select(handler.columns, slice(0, 2))
    again = ScoreHandler(few, drawn=handler.drawn)
    program.run_mapped(again, min(len(column.value) for column in few.values()), Streams(0))


def _run_first(program: Program, handler: ScoreHandler) -> None:
    """The first particle once more, by itself."""
    program.run_one(ScoreHandler(handler.columns, drawn=handler.drawn), 0)


def _run_singly(
    program: Program, handler: ScoreHandler, particles: Collection[int], stack: ScoreStack
) -> float:
    """Score one particle after the other; the seconds that the first took."""
    start = time.perf_counter()
    for i in particles:
        before = None if i else (torch.get_rng_state(), other_randomness())
        failure = None
        try:
            program.run_one(handler, i)
        except ProgramError as error:
            if error.__cause__ is None or not handler.score.log_p:
                raise
            failure = error  # no matter, if it comes after all that counts
        stack.add(handler.score, failure)
        if before is not None:
            if has_drawn(before[0]) or draws_elsewhere(before[1], lambda: _run_first(program, handler)):
                say_loose(program)
            seconds = time.perf_counter() - start
            if takes_long(seconds, len(particles)):
                raise ProgramError(
                    f"the model runs one particle at a time, which takes {taking(seconds, len(particles))}. "
                    f"{MAPS}; or leave out what is no prior."
                )
    return seconds


def _without_failed(handler: ScoreHandler, lost: Tensor | None) -> ScoredRun:
    """The densities of a map; none where linear algebra had failed before the site was met."""
    score, failed = handler.score, handler.failed
    failed = failed if failed is None or lost is None else failed & ~lost.to(failed.device)
    if failed is not None and failed.any():
        note = Invalid(f"linear algebra failed ({handler.failed_at})", int(failed.sum()))
        for name in score.log_p.keys() - set(handler.sound):
            score.log_p[name] = score.log_p[name].masked_fill(failed, torch.nan)
            score.notes.setdefault(name, note)
    return score


def _ended(score: ScoredRun, early: Early | None) -> ScoredRun:
    """Score of a run, with the data that it did not come to."""
    return score if early is None else replace(score, observed=early.observed)
