"""How particles are simulated: a look at one of them, then batches from a seed.

Knows programs and records; nothing of weights, draws or containers.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

from torch import Tensor

from arviz_resampler.errors import ProgramError
from arviz_resampler.mapping.streams import generators_kept
from arviz_resampler.particles.checks import (
    Batch,
    Run,
    check_densities,
    check_factors,
    check_structure,
    mark_failed,
    unpredicted,
    warn_failed,
    warn_infinite,
)
from arviz_resampler.particles.gathering import Gathered, warn_bad, with_roles
from arviz_resampler.particles.guides import Guide, Single, Sites, extended_by
from arviz_resampler.particles.log_q import evaluator, with_blocks
from arviz_resampler.particles.looking import Looked, drawers
from arviz_resampler.particles.particles import Particles, Ran
from arviz_resampler.programs.columns import CachedSite, select
from arviz_resampler.programs.program import Program, plain_tensors, untouched_params
from arviz_resampler.programs.runner import Runner, beside
from arviz_resampler.progress import shown
from arviz_resampler.workers import Workers, run_batches


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
    workers: Workers | None = None,
    first: int = 0,
) -> Particles:
    """Draw particles from a guide and extend them by a simulator, a batch at a time.

    ``data_names`` are those of observed data: predictive sites, or data that no site predicts where
    the programs predict nothing. ``first`` is the number of the first particle.
    """
    options: dict[str, Any] = {"vectorize": vectorize, "on_error": on_error, "progressbar": progressbar}
    names = predictive | data_names
    mapped = beside(vectorize, simulator)
    n = num_particles
    parts = drawers(guide.parts(n, seed), first, n, names, {**options, "vectorize": mapped})
    replayed = None if simulator is None else Runner(simulator, n, names, **options)
    looked = Looked.at(parts, replayed, seed=seed, batch_size=batch_size, masks=on_error == "mask")
    batches, gathered = looked.batches(), Gathered(num_particles, first)
    if workers is not None:
        predictive = structured(looked.few(masks=on_error == "mask")[0], predictive, data_names)
    drawn = _drawn(looked, batches, workers)
    for run, batch in shown(drawn, "Simulating", total=len(batches), quiet=not progressbar):
        if run is not None and not gathered.columns:
            predictive = structured(run, predictive, data_names)
        gathered.add(batch)
        del run, batch
    if len(gathered.failed) == num_particles:
        raise ProgramError(f"every particle failed: {gathered.failed[0]}")
    warn_bad(gathered.bad, num_particles)
    columns, failed, joint = finished(gathered, guide, looked, predictive, mapped)
    warn_failed(gathered.failed, num_particles, start=first)
    warn_infinite(columns, num_particles)
    ran = tuple(
        Ran.of(part.start, gathered.singly[i], looked.params[i].values) for i, part in enumerate(looked.parts)
    )
    return Particles(
        columns, gathered.data, num_particles, failed, ran, joint, looked.params[0].values, gathered.failed
    )


def structured(run: Run, predictive: frozenset[str], data_names: frozenset[str]) -> frozenset[str]:
    """Check the sites of a first run; those that are predictive."""
    found = (predictive | data_names) - unpredicted(run, predictive, data_names)
    check_structure(run, found)
    return found


def _drawn(
    looked: Looked, batches: list[range], workers: Workers | None
) -> Iterator[tuple[Run | None, Batch]]:
    """Batches, as they come."""
    if workers is None:
        yield from map(looked.draw, batches)
        return
    # Plain bytes, since torch would hand memory over that ends with the worker.
    task = partial(_as_bytes, looked, batches)
    for _, found in run_batches(workers, task, range(len(batches)), parts=looked.programs()):
        yield None, pickle.loads(found)


def _as_bytes(looked: Looked, batches: list[range], number: int) -> bytes:
    with plain_tensors():
        return pickle.dumps(looked.draw(batches[number])[1])


class Finished(NamedTuple):
    """Particles whose batches are all there: their sites, those that failed, and blocks of a mixture."""

    columns: dict[str, CachedSite]
    failed: Tensor | None
    joint: tuple[Sites, ...]


def finished(
    gathered: Gathered, guide: Guide, looked: Looked, predictive: frozenset[str], vectorize: bool | str
) -> Finished:
    """What there is to do once all particles of a guide are drawn."""
    n = gathered.num_particles
    check_factors(gathered.columns, gathered.factors)
    check_densities(gathered.columns, gathered.observed)
    columns = with_roles(gathered.columns, gathered.observed, predictive, looked.simulator is not None)
    failed = mark_failed(columns, gathered.failed, n)
    if isinstance(guide, Single):
        return Finished(columns, failed, ())
    made = zip(looked.parts, looked.params, strict=True)
    own = {id(part.runner.program): params.values for part, params in made}
    evaluate = evaluator(columns, n, vectorize, own, failed)
    columns, joint = with_blocks(columns, guide.blocks(evaluate, n))
    return Finished(columns, failed, joint)


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
