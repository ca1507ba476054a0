"""How particles are simulated: a look at one of them, then batches from a seed.

Knows programs and records; nothing of weights, draws or containers.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor
from tqdm.auto import tqdm

from arviz_resampler.errors import MismatchError, ProgramError
from arviz_resampler.mapping.streams import BLOCK, Streams, generators_kept
from arviz_resampler.particles.checks import (
    Run,
    check_factors,
    check_structure,
    unpredicted,
    warn_failed,
    warn_infinite,
)
from arviz_resampler.particles.gathering import Gathered, with_roles
from arviz_resampler.particles.guides import (
    Blocks,
    Evaluate,
    Guide,
    Part,
    Single,
    Sites,
    extended_by,
)
from arviz_resampler.particles.particles import Particles, Ran, chunks, widths
from arviz_resampler.programs.columns import CachedSite, Columns, example, select, to_column
from arviz_resampler.programs.model_runner import run_model
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


def _look(drawer: _Drawer, simulator: Runner | None, seed: int, attempts: int) -> None:
    """Run one particle by itself, which shows what is wrong with the programs and makes their parameters.

    Where runs may fail, another one is tried after a failure.
    """
    hyper = select(drawer.hyper, slice(0, 1))
    for attempt in range(attempts):
        try:
            with generators_kept():
                found = _guides_own(drawer.runner.look(seed, hyper, attempt), hyper)
                if simulator is not None:
                    simulator.look(seed, _columns(found, 1), attempt)
            return
        except ProgramError as error:
            if error.__cause__ is None or attempt + 1 == attempts:
                raise


def _guides_own(found: Mapping[str, SiteRun], hyper: Columns) -> dict[str, SiteRun]:
    """Sites of a guide, without what it was given."""
    return {name: site for name, site in found.items() if name not in hyper}


def _batches(num_particles: int, batch_size: int | None) -> tuple[int, int]:
    """Particles of a batch, so that batches end where blocks of streams do; and of a block."""
    size = min(batch_size or num_particles, num_particles)
    if size == num_particles:
        return size, BLOCK
    if size >= BLOCK:
        return size // BLOCK * BLOCK, BLOCK
    block = 1 << (size.bit_length() - 1)
    return block, block


class _Drawer(NamedTuple):
    """A part of the particles, and what draws it."""

    runner: Runner
    start: int
    num_particles: int
    hyper: Columns


def _drawers(
    parts: Sequence[Part], first: int, end: int, predictive: frozenset[str], options: Mapping[str, Any]
) -> list[_Drawer]:
    """Parts of the particles, one after the other."""
    starts = itertools.accumulate((part.num_particles for part in parts), initial=first)
    return [
        _Drawer(Runner(part.program, end, predictive, **options), start, part.num_particles, part.hyper)
        for part, start in zip(parts, starts, strict=False)
    ]


@plain_tensors()
def simulate(
    guide: Guide,
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
    first: int = 0,
) -> Particles:
    """Draw particles from a guide and extend them by a simulator, a batch at a time.

    ``data_names`` are those of observed data: predictive sites, or data that no site predicts where
    the programs predict nothing. ``first`` is the number of the first particle.
    """
    chosen, predictive = predictive, predictive | data_names
    options: dict[str, Any] = {"vectorize": vectorize, "on_error": on_error, "progressbar": progressbar}
    end = first + num_particles
    drawers = _drawers(guide.parts(num_particles, seed), first, end, predictive, options)
    replayed = None if simulator is None else Runner(simulator, end, predictive, **options)
    gathered = Gathered(num_particles, first)
    size, block = _batches(num_particles, batch_size)
    batches = [(drawer, i) for drawer in drawers for i in range(0, drawer.num_particles, size)]
    quiet = not progressbar or len(batches) == 1
    made: list[dict[str, Tensor]] = []  # parameters, by part
    with tqdm(total=len(batches), desc="Simulating", unit="batch", disable=quiet) as progress:
        for number, drawer in enumerate(drawers):
            # Each guide has its own parameters, whatever their names; the simulator keeps those of the first.
            with untouched_params() as params:
                _look(drawer, replayed, seed, attempts=_ATTEMPTS if on_error == "mask" else 1)
                for i in range(0, drawer.num_particles, size):
                    streams = Streams(seed, drawer.start + i, block)
                    run = _draw(drawer, replayed, streams, min(size, drawer.num_particles - i))
                    if not gathered.columns:
                        predictive -= unpredicted(run, chosen, data_names)
                        check_structure(run, predictive)
                    gathered.add(run, drawer.start + i, number)
                    del run
                    progress.update()
                made.append(params())
            if replayed is not None:
                replayed.program.params = made[0]
    gathered.check()
    check_factors(gathered.columns, gathered.factors)
    columns = with_roles(gathered.columns, gathered.observed, predictive, simulator is not None)
    flags = warn_failed(columns, gathered.failed, num_particles, first)
    warn_infinite(columns, num_particles)
    singly = end if replayed is None else replayed.singly_from
    ran = tuple(
        Ran(drawer.start, drawer.runner.singly_from, singly, own)
        for drawer, own in zip(drawers, made, strict=True)
    )
    joint: tuple[Sites, ...] = ()
    if not isinstance(guide, Single):
        own = {id(drawer.runner.program): params for drawer, params in zip(drawers, made, strict=True)}
        evaluate = evaluator(columns, num_particles, vectorize, own, flags)
        columns, joint = with_blocks(columns, guide.blocks(evaluate, num_particles))
    return Particles(columns, gathered.data, num_particles, flags, ran, joint, made[0], gathered.failed)


def evaluator(
    columns: Columns,
    num_particles: int,
    vectorize: bool | str,
    params: Mapping[int, Mapping[str, Tensor]] | None = None,
    lost: Tensor | None = None,
) -> Evaluate:
    """Log density of a program at all particles, by site of the guide.

    ``params`` are the parameters that programs have made, by the identity of each; ``lost`` are particles
    whose run failed, which need have no density.
    """
    drawn = {name: c for name, c in columns.items() if c.reason != "deterministic"}
    from_guide = [name for name, c in drawn.items() if c.from_guide]
    known = [c.log_q for name, c in drawn.items() if c.from_guide and c.log_q is not None and not c.finite]
    # What underflows, or overflows, as it is drawn has no density to be evaluated.
    undefined = torch.stack([~torch.isfinite(log_q) for log_q in known]).any(0) if known else None
    rows_of = list(chunks(widths(drawn), num_particles))

    @untouched_params()
    def evaluate(program: Program) -> dict[str, Tensor]:
        own = Program(program.fn, program.role, (params or {}).get(id(program), program.params))
        parts = []
        for rows in rows_of:
            few = select(drawn, rows)
            parts.append(run_model(own, few, rows.stop - rows.start, vectorize, drawn=from_guide).log_p)
        found = {name: torch.cat([part[name] for part in parts]) for name in from_guide if name in parts[0]}
        nowhere = torch.stack([log_p == -torch.inf for log_p in found.values()]).any(0)
        nowhere = nowhere if undefined is None else nowhere | undefined
        for name, log_p in found.items():
            bad = torch.isnan(log_p)
            # What is outside the support of one site need have no density at another.
            found[name] = torch.where(bad & nowhere, -torch.inf, log_p) if bad.any() else log_p
            bad &= ~nowhere if lost is None else ~(nowhere | lost)
            if bad.any():
                of = program.role if " " in program.role else f"the {program.role}"
                raise ProgramError(
                    f"the density of {of} is NaN at site {name!r} for {int(bad.sum())} of "
                    f"{num_particles} particles, {example(columns[name].value, bad)}"
                )
        return found

    return evaluate


def with_blocks(
    columns: Mapping[str, CachedSite], blocks: Blocks
) -> tuple[dict[str, CachedSite], tuple[Sites, ...]]:
    """Columns with the densities of a mixture: that of a block is at the first of its sites."""
    changed, joint = dict(columns), []
    for sites, log_q in blocks.items():
        name, *others = sites
        # Data at which guides differ have a density that models change, as in a block of several sites.
        if others or (columns[name].site.role == "predictive" and _differs(columns[name], log_q)):
            joint.append(sites)
        finite = bool(torch.isfinite(log_q).all())
        changed[name] = replace(columns[name], log_q=log_q, finite=finite)
        for other in others:
            changed[other] = replace(columns[other], log_q=log_q.new_zeros(()).expand_as(log_q), finite=True)
    return changed, tuple(joint)


def _differs(column: CachedSite, log_q: Tensor) -> bool:
    return column.log_q is not None and not torch.equal(column.log_q.double(), log_q)


def _draw(drawer: _Drawer, simulator: Runner | None, streams: Streams, n: int) -> Run:
    """A batch of particles: what the guide draws, and what the simulator makes of it."""
    i = streams.first - drawer.start
    hyper = select(drawer.hyper, slice(i, i + n))
    with generators_kept():
        first = drawer.runner.draw(n, streams, hyper)
        found = _guides_own(first.found, hyper)
        rest = None if simulator is None else simulator.draw(n, streams, _columns(found, n))
    failed = {**first.failed, **({} if rest is None else rest.failed)}
    return replace(_joined(found, None if rest is None else rest.found, n), failed=failed)


@plain_tensors()
@untouched_params()
def simulate_one(
    guide: Guide, simulator: Program | None, particles: Particles, *, seed: int, particle: int
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
    number = max(i for i, ran in enumerate(particles.ran) if ran.start <= particle)
    ran, part = particles.ran[number], guide.parts(n, seed)[number]
    simulator = extended_by(guide, simulator, particle)
    hyper = {
        name: replace(column, value=column.value[particle - ran.start].expand(n))
        for name, column in part.hyper.items()
    }
    with generators_kept():
        for program, singly in ((part.program, ran.guide), (simulator, ran.simulator)):
            if program is None:
                continue
            together, first = particle < singly, program is part.program
            replay = (by_guide if first else drawn) if together else ({} if first else by_guide)
            replay = {**replay, **hyper} if first else replay
            fresh = Program(program.fn, program.role, ran.params if first else particles.params)
            runner = Runner(fresh, n, predictive, **options)
            runner.first(seed, select(replay, slice(particle, particle + 1)))
            again = runner.again(seed, particle, replay)
            values |= {name: value for name, value in again.items() if name not in hyper}
            if together and not failed:  # random numbers outside sites are not repeated
                values |= {
                    name: columns[name].value[particle].clone()
                    for name in values
                    if columns[name].reason == "deterministic"
                }
    return values
