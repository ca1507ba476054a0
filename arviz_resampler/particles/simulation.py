"""How particles are simulated: a look at one of them, then batches from a seed.

Knows programs and records; nothing of weights, draws or containers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from tqdm.auto import tqdm

from arviz_resampler.errors import DrawWarning, MismatchError, ProgramError, quoted, warn
from arviz_resampler.mapping.streams import BLOCK, Streams, generators_kept
from arviz_resampler.particles.checks import (
    Run,
    check_factors,
    check_structure,
    unpredicted,
    warn_failed,
    warn_infinite,
)
from arviz_resampler.particles.particles import Particles
from arviz_resampler.programs.columns import CachedSite, select, to_column
from arviz_resampler.programs.program import Program, plain_tensors, untouched_params
from arviz_resampler.programs.runner import Runner
from arviz_resampler.programs.runs import SiteRun

_ATTEMPTS = 10  # to find a particle whose run does not fail


def _columns(guide: Mapping[str, SiteRun], n: int) -> dict[str, CachedSite]:
    """Sites that the guide draws, for the simulator to be run on."""
    return {
        name: replace(to_column(found, n), from_guide=True)
        for name, found in guide.items()
        if found.kind != "deterministic"
    }


def _joined(guide: dict[str, SiteRun], simulator: dict[str, SiteRun] | None, n: int) -> Run:
    """Guide and simulator over the same particles."""
    columns = _columns(guide, n)
    for name, found in (simulator or {}).items():
        computed = name in guide and guide[name].kind == "deterministic"
        if computed and found.kind != "deterministic":
            raise MismatchError(
                f"site {name!r} is deterministic in the guide, but drawn in the simulator, which would "
                f"cut it off from what the guide draws. Write it in both in the same way."
            )
        if found.replayed and name in columns:
            columns[name] = replace(columns[name], log_conditional=found.log_density)
        elif found.kind not in ("factor", "deterministic"):
            columns[name] = to_column(found, n)
    whole = {}
    for name, found in {**guide, **(simulator or {})}.items():
        if found.kind == "deterministic":
            from_guide = simulator is None or name not in simulator
            whole[name] = replace(to_column(found, n), from_guide=from_guide)
        elif name in columns:
            whole[name] = columns[name]
    return Run(guide, simulator, whole)


def _look(runners: Sequence[Runner], seed: int, attempts: int) -> None:
    """Run one particle by itself, which shows what is wrong with the programs and makes their parameters.

    Where runs may fail, another one is tried after a failure.
    """
    for attempt in range(attempts):
        replay: dict[str, CachedSite] = {}
        try:
            with generators_kept():
                for runner in runners:
                    replay = _columns(runner.look(seed, replay, attempt), 1)
            return
        except ProgramError as error:
            if error.__cause__ is None or attempt + 1 == attempts:
                raise


def _batches(num_particles: int, batch_size: int | None) -> tuple[int, int]:
    """Particles of a batch, so that batches end where blocks of streams do; and of a block."""
    size = min(batch_size or num_particles, num_particles)
    if size == num_particles:
        return size, BLOCK
    if size >= BLOCK:
        return size // BLOCK * BLOCK, BLOCK
    block = 1 << (size.bit_length() - 1)
    return block, block


@plain_tensors()
def simulate(
    guide: Program,
    simulator: Program | None,
    num_particles: int,
    *,
    seed: int,
    batch_size: int | None,
    predictive: frozenset[str],
    data_names: frozenset[str],
    vectorize: bool | str,
    on_error: str,
    progressbar: bool,
) -> Particles:
    """Draw particles from a guide and extend them by a simulator, a batch at a time.

    ``data_names`` are those of observed data: predictive sites, or data that no site predicts where
    the programs predict nothing.
    """
    chosen, predictive = predictive, predictive | data_names
    options: dict[str, Any] = {"vectorize": vectorize, "on_error": on_error, "progressbar": progressbar}
    programs = [program for program in (guide, simulator) if program is not None]
    runners = [Runner(program, num_particles, predictive, **options) for program in programs]
    gathered = _Gathered(num_particles)
    size, block = _batches(num_particles, batch_size)
    starts = range(0, num_particles, size)
    quiet = not progressbar or len(starts) == 1
    with untouched_params() as params:
        _look(runners, seed, attempts=_ATTEMPTS if on_error == "mask" else 1)
        for start in tqdm(starts, desc="Simulating", unit="batch", disable=quiet):
            run = _draw(runners, Streams(seed, start, block), min(size, num_particles - start))
            if not start:
                predictive -= unpredicted(run, chosen, data_names)
                check_structure(run, predictive)
            gathered.add(run, start)
            del run
        made = params()
    gathered.check()
    check_factors(gathered.columns, gathered.factors)
    columns = _with_roles(gathered.columns, gathered.observed, predictive, simulator is not None)
    flags = warn_failed(columns, gathered.failed, num_particles)
    warn_infinite(columns, num_particles)
    singly = tuple(runner.singly_from for runner in runners)
    return Particles(columns, gathered.data, num_particles, flags, singly, made)


def _draw(runners: Sequence[Runner], streams: Streams, n: int) -> Run:
    """A batch of particles: what the guide draws, and what the simulator makes of it."""
    with generators_kept():
        first = runners[0].draw(n, streams, {})
        rest = [runner.draw(n, streams, _columns(first.found, n)) for runner in runners[1:]]
    failed = {i: what for part in (first, *rest) for i, what in part.failed.items()}
    return replace(_joined(first.found, rest[0].found if rest else None, n), failed=failed)


class _Gathered:
    """Batches put together."""

    def __init__(self, num_particles: int) -> None:
        self.columns: dict[str, CachedSite] = {}
        self.data: dict[str, Tensor] = {}
        self.observed: set[str] = set()
        self.factors: set[str] = set()
        self.failed: dict[int, str] = {}
        self._bad: dict[str, tuple[int, str]] = {}
        self._num_particles = num_particles

    def add(self, run: Run, start: int) -> None:
        """Take the particles of a batch, from the given one on."""
        n = len(next(iter(run.columns.values())).value)
        if n == self._num_particles:
            self.columns = run.columns
        elif not start:
            self.columns = {name: _empty(c, self._num_particles) for name, c in run.columns.items()}
        if not start:
            self.factors = {name for name, found in run.guide.items() if found.kind == "factor"}
            self.observed = {name for name, found in run.found.items() if found.kind == "observed"}
            data = {name: found.data for name, found in run.found.items() if found.data is not None}
            self.data = {n: value.cpu().reshape(run.columns[n].site.shape) for n, value in data.items()}
        if n < self._num_particles:
            _store(self.columns, run.columns, start, n)
        self.failed |= {start + i: what for i, what in run.failed.items()}
        for name, found in run.found.items():
            if found.bad is not None and found.bad.any():
                count, _ = self._bad.get(name, (0, ""))
                self._bad[name] = count + int(found.bad.sum()), found.bad_text

    def check(self) -> None:
        """Say where values are missing because of invalid parameters or draws."""
        for name, (count, text) in self._bad.items():
            if count == self._num_particles:
                raise ProgramError(f"site {name!r} has no valid value in any particle: {text}")
            warn(
                f"site {name!r}: {text} for {count} of {self._num_particles} particles; their values are NaN",
                DrawWarning,
            )


def _empty(column: CachedSite, num_particles: int) -> CachedSite:
    """Room for all particles."""

    def room(tensor: Tensor | None) -> Tensor | None:
        return None if tensor is None else tensor.new_empty((num_particles, *tensor.shape[1:]))

    value = room(column.value) if not _constant(column) else column.value[:1].clone()
    assert value is not None
    value = value.expand(num_particles, *value.shape[1:])
    return replace(
        column, value=value, log_q=room(column.log_q), log_conditional=room(column.log_conditional)
    )


def _constant(column: CachedSite) -> bool:
    """Whether all particles share one value in memory."""
    return len(column.value) > 1 and column.value.stride(0) == 0


def _store(into: dict[str, CachedSite], columns: dict[str, CachedSite], start: int, n: int) -> None:
    if into.keys() != columns.keys():
        odd = into.keys() ^ columns.keys()
        raise ProgramError(
            f"site {quoted(odd)} is in some batches and not in others: every particle "
            f"must have the same sites"
        )
    for name, column in columns.items():
        if column.site != into[name].site:
            raise ProgramError(
                f"site {name!r} has shape {column.site.shape} and dtype {column.site.dtype} in one "
                f"batch, {into[name].site.shape} and {into[name].site.dtype} in another: every particle "
                f"must have the same"
            )
        kept = into[name]
        same = _constant(kept) and torch.equal(kept.value[0], column.value[0])
        if _constant(kept) and not (same and (n == 1 or _constant(column))):
            kept = into[name] = replace(kept, value=kept.value.contiguous())
        pairs = [(kept.log_q, column.log_q), (kept.log_conditional, column.log_conditional)]
        if not _constant(kept):
            pairs.append((kept.value, column.value))
        for here, new in pairs:
            if here is not None and new is not None:
                here[start : start + n] = new


def _with_roles(
    columns: dict[str, CachedSite],
    observed: set[str],
    predictive: frozenset[str],
    simulator: bool,
) -> dict[str, CachedSite]:
    """Settle what each site is for, now that all of them are known."""
    chosen = observed | predictive
    if not chosen and simulator:
        chosen = {
            name
            for name, c in columns.items()
            if not c.from_guide and c.site.role == "latent" and c.reason != "deterministic"
        }
    auxiliary = any(c.site.role == "auxiliary" and c.from_guide for c in columns.values())
    settled = {}
    for name, column in columns.items():
        role = "predictive" if name in chosen else column.site.role
        transform = column.point_mass and auxiliary and column.from_guide
        settled[name] = replace(
            column,
            site=replace(column.site, role=role),
            finite=column.log_q is None or bool(torch.isfinite(column.log_q).all()),
            transform=transform,
            point_mass=column.point_mass and not transform,
        )
    return settled


@plain_tensors()
@untouched_params()
def simulate_one(
    guide: Program, simulator: Program | None, particles: Particles, *, seed: int, particle: int
) -> dict[str, Tensor]:
    """One particle again, by itself, from its own stream.

    What was drawn for all particles at once keeps its values.
    """
    predictive = frozenset(n for n, c in particles.columns.items() if c.site.role == "predictive")
    options: dict[str, Any] = {"vectorize": False, "on_error": "mask", "progressbar": False}
    failed = particles.failed is not None and bool(particles.failed[particle])
    # Of what the simulator of a failed particle has drawn, predictive sites are no more.
    lost = predictive if failed else frozenset()
    columns = particles.columns
    drawn = {n: c for n, c in columns.items() if c.reason != "deterministic" and n not in lost}
    by_guide = {n: c for n, c in columns.items() if c.reason != "deterministic" and c.from_guide}
    values: dict[str, Tensor] = {}
    n = particles.num_particles
    with generators_kept():
        for program, singly in zip((guide, simulator), (*particles.singly, n, n), strict=False):
            if program is None:
                continue
            together, first = particle < singly, program.role == "guide"
            replay = (by_guide if first else drawn) if together else ({} if first else by_guide)
            fresh = Program(program.fn, program.role, particles.params)
            runner = Runner(fresh, n, predictive, **options)
            runner.first(seed, select(replay, slice(particle, particle + 1)))
            values |= runner.again(seed, particle, replay)
            if together and not failed:  # random numbers outside sites are not repeated
                values |= {
                    name: columns[name].value[particle].clone()
                    for name in values
                    if columns[name].reason == "deterministic"
                }
    return values
