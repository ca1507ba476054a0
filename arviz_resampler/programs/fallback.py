"""Programs that cannot be mapped: how that shows, and what is said of it.

Knows programs and what they leave behind; nothing of batches, weights or draws.
"""

from __future__ import annotations

import contextlib
import random
import sys
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from arviz_resampler.errors import ProgramError, ProgramWarning, source_line, warn
from arviz_resampler.mapping.random_mode import UnmappableError
from arviz_resampler.programs.handler import SiteHandler
from arviz_resampler.programs.program import Program

LONGEST = 600.0  # seconds that a call may take one particle after the other
MAPS = (
    "Use tensor functions, torch.where for a branch; wrap NumPy, compiled code or a solver that takes many "
    "particles at once in arviz_resampler.batched"
)


def catches(program: Program, mapped: SiteHandler, again: SiteHandler) -> bool:
    """Whether a program sees to linear algebra that fails: a particle by itself does not fail."""
    if mapped.failed is None:
        return False
    try:
        program.run_one(again, int(mapped.failed.nonzero()[0]))
    except ProgramError:
        return False
    return True


def caught(mapped: SiteHandler) -> str:
    """Reason not to map a program that catches errors of linear algebra."""
    return f"linear algebra fails for some particles ({mapped.failed_at}), which the program catches"


def unmappable(role: str, reason: str) -> ProgramError:
    """The error where nothing but a map is allowed."""
    return ProgramError(
        f"the {role} cannot be mapped over particles: {reason}. vectorize=True allows nothing else. {MAPS}."
    )


def reason_of(error: UnmappableError) -> str:
    """Reason why a program cannot be mapped, with the line that was in the way."""
    cause = error if error.__cause__ is None else error.__cause__
    where = source_line(cause, outside=("pyro", "torch"))
    return f"{error} ({where})" if where else str(error)


def takes_long(seconds: float, n: int) -> bool:
    """Whether runs of one particle at a time take more time than is spent without a word."""
    return seconds * n > LONGEST


def taking(seconds: float, n: int) -> str:
    """Time that runs of one particle at a time take."""
    return f"{duration(seconds)} a particle, {duration(seconds * n)} for {n}"


def duration(seconds: float) -> str:
    """A time in three digits."""
    for unit, size, end in (("µs", 1e-6, 1e-3), ("ms", 1e-3, 1.0), ("s", 1.0, 120.0), ("min", 60.0, 6e4)):
        if seconds < end:
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


def draws_elsewhere(before: tuple[Any, Any], run: Callable[[], object]) -> bool:
    """Whether a program has drawn from NumPy's or Python's generator since a state; ``run`` runs it again.

    Other threads draw from Python's, as those of dask do: then the program is watched.
    """
    after = other_randomness()
    numpys = (before[0], after[1])
    return not same_state(numpys, before) or (not same_state(after, before) and _draws_in_python(run))


def _draws_in_python(run: Callable[[], object]) -> bool:
    """Whether a run calls Python's generator, whatever else it does or raises."""
    generator, used = random.random.__self__, []  # type: ignore[attr-defined]

    def watch(_frame: object, event: str, called: object) -> None:
        if event == "c_call" and getattr(called, "__self__", None) is generator:
            used.append(called)

    before = sys.getprofile()
    sys.setprofile(watch)
    try:
        with contextlib.suppress(Exception):
            run()
    finally:
        sys.setprofile(before)
    return bool(used)


def same_seed(first: tuple[Any, Any], second: tuple[Any, Any]) -> bool:
    """Whether one of the generators had the same seed in two states, wherever it has come to since."""
    return bool(first[0][1][:-1] == second[0][1][:-1] or np.array_equal(first[1][1], second[1][1]))


def unsteady(first: Mapping[str, Tensor], run: Callable[[], Mapping[str, Tensor]]) -> str:
    """Difference between runs of one particle from one seed; empty: there is none."""
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
