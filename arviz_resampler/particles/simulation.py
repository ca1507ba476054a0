"""How particles are simulated: a look at one of them, then batches from a seed.

Knows programs and records; nothing of weights, draws or containers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from tqdm.auto import tqdm

from arviz_resampler.errors import ProgramError
from arviz_resampler.mapping.streams import Streams, generators_kept
from arviz_resampler.particles.batches import block_of, draw, drawers, look
from arviz_resampler.particles.checks import (
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
    Single,
    Sites,
    extended_by,
)
from arviz_resampler.particles.particles import Particles, Ran, chunks, widths
from arviz_resampler.programs.columns import CachedSite, Columns, example, select
from arviz_resampler.programs.model_runner import run_model
from arviz_resampler.programs.program import Program, plain_tensors, untouched_params
from arviz_resampler.programs.runner import Runner


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
    parts = drawers(guide.parts(num_particles, seed), first, end, predictive, options)
    replayed = None if simulator is None else Runner(simulator, end, predictive, **options)
    gathered = Gathered(num_particles, first)
    size = min(batch_size or num_particles, num_particles)
    total = sum(-(-part.num_particles // size) for part in parts)
    made: list[Ran] = []
    with tqdm(
        total=total, desc="Simulating", unit="batch", disable=not progressbar or total == 1
    ) as progress:
        for number, drawer in enumerate(parts):
            # Each guide has its own parameters, whatever their names; the simulator keeps those of the first.
            with untouched_params() as params:
                look(drawer, replayed, seed, masks=on_error == "mask", settle=batch_size is not None)
                singly: list[tuple[range, tuple[bool, bool]]] = []
                for start, n in drawer.batches(size):
                    run, batch = draw(drawer, replayed, Streams(seed, start, block_of(batch_size)), n)
                    if not gathered.columns:
                        predictive -= unpredicted(run, chosen, data_names)
                        check_structure(run, predictive)
                    gathered.add(batch, start, number)
                    singly.append((range(start, start + n), batch.singly))
                    del run, batch
                    progress.update()
                made.append(Ran.of(drawer.start, singly, params()))
            if replayed is not None:
                replayed.program.params = made[0].params
    gathered.check()
    check_factors(gathered.columns, gathered.factors)
    columns = with_roles(gathered.columns, gathered.observed, predictive, simulator is not None)
    flags = warn_failed(columns, gathered.failed, num_particles, first)
    warn_infinite(columns, num_particles)
    joint: tuple[Sites, ...] = ()
    if not isinstance(guide, Single):
        own = {id(part.runner.program): ran.params for part, ran in zip(parts, made, strict=True)}
        evaluate = evaluator(columns, num_particles, vectorize, own, flags)
        columns, joint = with_blocks(columns, guide.blocks(evaluate, num_particles))
    ran, params_of_all = tuple(made), made[0].params
    return Particles(columns, gathered.data, num_particles, flags, ran, joint, params_of_all, gathered.failed)


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
            together, first = not any(particle in some for some in singly), program is part.program
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
