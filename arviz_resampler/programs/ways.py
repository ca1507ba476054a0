"""What the two ways of a program have in common: what it says of one that cannot be mapped; models.

Knows programs and what they leave behind; nothing of batches, weights or draws.
"""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from tqdm.auto import tqdm

from arviz_resampler.errors import ProgramError, ProgramWarning, source_line, warn
from arviz_resampler.mapping.random_mode import UnmappableError
from arviz_resampler.mapping.streams import Streams, generators_kept, seed_particle
from arviz_resampler.programs.handler import Handler
from arviz_resampler.programs.program import Program
from arviz_resampler.programs.runs import Column, Found, Invalid, Score, rows
from arviz_resampler.programs.score_handler import Scoring

LONGEST = 600.0  # seconds that a call may take one particle after the other
MAPS = (
    "Use tensor functions, torch.where for a branch; wrap NumPy, compiled code or a solver that takes many "
    "particles at once in arviz_resampler.batched"
)


Columns = Mapping[str, Column]


def catches(program: Program, mapped: Handler, again: Handler) -> bool:
    """Whether a program sees to linear algebra that fails: a particle by itself does not fail."""
    if mapped.failed is None:
        return False
    try:
        program.run_one(again, int(mapped.failed.nonzero()[0]))
    except ProgramError:
        return False
    return True


def caught(mapped: Handler) -> str:
    """Why a program that catches errors of linear algebra is not mapped."""
    return f"linear algebra fails for some particles ({mapped.failed_at}), which the program catches"


def unmappable(role: str, reason: str) -> ProgramError:
    """The error where nothing but a map is allowed."""
    return ProgramError(
        f"the {role} cannot be mapped over particles: {reason}. vectorize=True allows nothing else. {MAPS}."
    )


def values_of(columns: Columns, i: int) -> str:
    """Latents of a particle, as they are shown in messages."""
    shown = [
        f"{name} = {_shown(column.value[i if len(column.value) > 1 else 0])}"
        for name, column in columns.items()
        if column.site.role == "latent" and column.reason != "deterministic"
    ]
    return ", ".join(shown[:8])


def _shown(value: Tensor) -> str:
    numbers = [f"{v:.6g}" for v in value.flatten()[:3].tolist()]
    more = ", …" if value.numel() > 3 else ""
    return f"[{', '.join(numbers)}{more}]" if value.dim() else numbers[0]


def reason_of(error: UnmappableError) -> str:
    """Why a program cannot be mapped, with the line that was in the way."""
    cause = error if error.__cause__ is None else error.__cause__
    where = source_line(cause, outside=("pyro", "torch"))
    return f"{error} ({where})" if where else str(error)


def taking(seconds: float, n: int) -> str:
    """What runs of one particle at a time take."""
    return f"{duration(seconds)} a particle, {duration(seconds * n)} for {n}"


def duration(seconds: float) -> str:
    """A time in three digits."""
    for unit, size in (("µs", 1e-6), ("ms", 1e-3), ("s", 1.0), ("min", 60.0)):
        if (seconds < 1000 * size and unit != "s") or (unit == "s" and seconds < 120):
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 3600:.3g} h"


def other_randomness() -> tuple[Any, Any]:
    """The state of generators that know nothing of particles."""
    return random.getstate(), np.random.get_state()


def same_state(first: tuple[Any, Any], second: tuple[Any, Any]) -> bool:
    """Whether no random number was drawn between two states."""
    return bool(
        first[0] == second[0] and first[1][2:] == second[1][2:] and np.array_equal(first[1][1], second[1][1])
    )


def unsteady(first: Mapping[str, Tensor], run: Callable[[], Mapping[str, Tensor]]) -> str:
    """What differs between runs of one particle from one seed; empty: nothing."""
    for _ in range(2):  # what is made at first use may have taken random numbers
        before, first = first, run()
        odd = differs(before, first)
        if not odd:
            return ""
    return (
        f"two runs of one particle from the same seed differ at site {odd!r}, so the program keeps a "
        f"state, or draws from a generator of its own"
    )


def differs(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> str:
    """The first site at which two runs of one particle differ; empty: there is none."""
    odd = (name for name, value in one.items() if name not in other or _differ(value, other[name]))
    return next(odd, "")


def _differ(one: Tensor, other: Tensor) -> bool:
    """Whether two values differ by more than the order of a sum."""
    if one.shape != other.shape or one.dtype != other.dtype:
        return True
    wide = torch.promote_types(one.dtype, torch.float64)
    return not torch.allclose(one.to(wide), other.to(wide), rtol=1e-4, atol=1e-6, equal_nan=True)


def say_loose(program: Program) -> None:
    """Warn of random numbers that no site holds."""
    warn(
        f"the {program.role} draws random numbers outside its sites: the density of a site that depends on "
        f"them is that of other numbers. Draw them with pyro.sample.",
        ProgramWarning,
    )


# ---------------------------------------------------------------- models


def _computed(score: Score, found: Found) -> Tensor:
    """A computed value of one particle; NaN where the run did not come to it."""
    own = score.deterministic.get(found.name)
    if own is not None:
        return own.value
    dtype = found.value.dtype if found.value.is_floating_point() else torch.float64  # whole numbers have none
    return torch.full_like(found.value, torch.nan, dtype=dtype)


class Early(NamedTuple):
    """Where a model may end."""

    sites: frozenset[str]  # once they have all been met
    observed: list[str]  # what it does not come to then


def look(program: Program, columns: Columns) -> None:
    """Run one particle by itself: what a module makes at first use is made outside the map.

    Warn where two runs of it differ.
    """

    def run() -> dict[str, Tensor]:
        handler = Scoring(columns)
        seed_particle(0, "look", 0)
        program.run_one(handler, 0)
        return handler.score.log_p

    with generators_kept(), contextlib.suppress(ProgramError):  # said with the other particles
        odd = unsteady(run(), run)
        if odd:
            warn(f"the density of the model is that of one run: {odd}", ProgramWarning)


def early_end(program: Program, columns: Columns) -> Early | None:
    """Where a model may end, as a map of few particles shows it; None: not before its own end.

    What depends on a branch cannot be mapped, so it is not overlooked.
    """
    few = rows(columns, slice(0, 2))
    handler = Scoring(few)
    try:
        program.run_mapped(handler, min(len(column.value) for column in few.values()), Streams(0))
    except (ProgramError, UnmappableError):  # said with the other particles
        return None
    sites = handler.score.early
    return Early(sites, handler.score.observed) if sites else None


def score(
    program: Program,
    columns: Columns,
    n: int,
    vectorize: bool | str,
    *,
    early: Early | None = None,
    check: bool = False,
    lost: Tensor | None = None,
    progressbar: bool = False,
) -> Score:
    """A model at cached particles, by site; one at a time where it cannot be mapped.

    With ``check``, random numbers of NumPy and Python are noticed too, which takes a while.
    ``lost`` are particles whose simulation failed: where the model fails for them too, they have no density.
    """
    handler = Scoring(columns, wanted=early.sites if early else ())
    reason = ""
    before = other_randomness() if check else None
    if vectorize is not False:
        try:
            program.run_mapped(handler, n, Streams(0))
        except UnmappableError as error:
            if vectorize is True:
                raise unmappable("model", reason_of(error)) from error
            reason = reason_of(error)
        else:
            if handler.loose or (before is not None and not same_state(other_randomness(), before)):
                say_loose(program)
            if handler.failed is None or not catches(program, handler, Scoring(columns)):
                return _ended(_without_failed(handler, lost), early)
            reason = caught(handler)
            if vectorize is True:
                raise unmappable("model", reason)
    scores: list[Score] = []
    failed: dict[int, ProgramError] = {}
    start = time.perf_counter()
    for i in tqdm(range(n), desc="Scoring the model", unit="particle", disable=not progressbar):
        try:
            program.run_one(handler, i)
        except ProgramError as error:
            if error.__cause__ is None or not handler.score.log_p:
                raise
            failed[i] = error  # no matter, if it comes after all that counts
        scores.append(handler.score)
        if i == 0:
            took = taking(time.perf_counter() - start, n)
            if (time.perf_counter() - start) * n > LONGEST:
                raise ProgramError(
                    f"the model runs one particle at a time, which takes {took}. {MAPS}; or leave out "
                    f"what is no prior."
                )
    whole = _ended(_stacked_scores(scores, columns, failed, lost), early)
    text = f"the model runs one particle at a time: {reason}. That takes {took}. {MAPS}." if reason else ""
    return replace(whole, singly=text)


def _without_failed(handler: Scoring, lost: Tensor | None) -> Score:
    """The densities of a map; none where linear algebra had failed before the site was met."""
    score, failed = handler.score, handler.failed
    failed = failed if failed is None or lost is None else failed & ~lost
    if failed is not None and failed.any():
        note = Invalid(f"linear algebra failed ({handler.failed_at})", int(failed.sum()))
        for name in score.log_p.keys() - set(handler.sound):
            score.log_p[name] = score.log_p[name].masked_fill(failed, torch.nan)
            score.notes.setdefault(name, note)
    return score


def _ended(score: Score, early: Early | None) -> Score:
    """What a run found, with what it did not come to."""
    return score if early is None else replace(score, observed=early.observed)


def _stacked_scores(
    scores: Sequence[Score], columns: Columns, failed: Mapping[int, ProgramError], lost: Tensor | None
) -> Score:
    first = next((score for i, score in enumerate(scores) if i not in failed), scores[0])
    if len(failed) == len(scores):
        raise ProgramError(f"every particle failed: {failed[0]}") from failed[0]
    for i, other in enumerate(scores):
        odd = first.log_p.keys() ^ other.log_p.keys()
        if odd and i in failed and (lost is None or not lost[i]):
            raise ProgramError(f"particle {i}, at {values_of(columns, i)}: {failed[i]}") from failed[i]
        if odd and i not in failed:
            raise ProgramError(
                f"site {next(iter(odd))!r} of the model is in one of particles 0 and {i} and not in the "
                f"other: every particle must have the same sites"
            )
    notes: dict[str, Invalid] = {}
    for score in scores:
        notes |= {name: note.plus(notes.get(name)) for name, note in score.notes.items()}
    return Score(
        log_p={
            name: torch.cat([s.log_p.get(name, torch.full_like(log_p, torch.nan)) for s in scores])
            for name, log_p in first.log_p.items()
        },
        observed=first.observed,
        deterministic={
            name: replace(found, value=torch.cat([_computed(s, found) for s in scores]))
            for name, found in first.deterministic.items()
        },
        notes=notes,
        densities_normalized=all(s.densities_normalized for s in scores),
        kinds=first.kinds,
    )
