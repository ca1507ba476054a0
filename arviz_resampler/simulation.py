"""How particles are simulated: a probe of the programs, then batches from a seed.

Knows programs and records; nothing of weights, draws or containers.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from tqdm.auto import tqdm

from arviz_resampler.checks import Run, check_factors, check_structure, unpredicted, warn_infinite
from arviz_resampler.errors import (
    ArgumentError,
    DrawWarning,
    MismatchError,
    ProgramError,
    quoted,
    warn,
)
from arviz_resampler.particles import Particles
from arviz_resampler.program import Program, untouched_params
from arviz_resampler.records import (
    Column,
    Found,
    check_event,
    depth_lost,
    differing,
    mixes_particles,
    second,
    to_column,
)


@contextmanager
def _seeded(seed: int, batch: int) -> Iterator[None]:
    """Seed torch, numpy and random from (seed, batch), and put them back afterwards."""
    words = np.random.SeedSequence((seed, batch)).generate_state(4)
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    states = torch.get_rng_state(), np.random.get_state(), random.getstate()
    torch.manual_seed(int(words[0]) << 31 | int(words[1]) >> 1)
    np.random.seed(int(words[2]))
    random.seed(int(words[3]))
    try:
        yield
    finally:
        torch.set_rng_state(states[0])
        np.random.set_state(states[1])
        random.setstate(states[2])
        if cuda:
            torch.cuda.set_rng_state_all(cuda)


def _run(
    guide: Program,
    simulator: Program | None,
    n: int,
    nesting: int,
    predictive: frozenset[str],
    replay: Mapping[str, Column] | None = None,
    alone: Mapping[str, Found] | None = None,
) -> Run:
    """Run both over n particles; the columns of what is computed come later, in :func:`_complete`."""
    replay, alone = replay or {}, alone or {}
    first = guide.draw(n, nesting, replay=replay, predictive=predictive, alone=alone)
    columns = {
        name: replace(to_column(found, n, nesting), from_guide=True)
        for name, found in first.found.items()
        if found.kind != "deterministic"
    }
    if simulator is None:
        return Run(first, None, columns)
    further = simulator.draw(n, nesting, replay={**replay, **columns}, predictive=predictive, alone=alone)
    for name, found in further.found.items():
        computed = name in first.found and first.found[name].kind == "deterministic"
        if computed and found.kind != "deterministic":
            raise MismatchError(
                f"site {name!r} is deterministic in the guide, but drawn in the simulator, which would "
                f"cut it off from what the guide draws. Write it in both in the same way."
            )
        if found.replayed and name in columns:
            columns[name] = replace(columns[name], log_conditional=found.log_density)
        elif found.kind not in ("factor", "deterministic"):
            columns[name] = to_column(found, n, nesting)
    return Run(first, further, columns)


def _complete(run: Run, n: int, nesting: int, probed: Mapping[str, Found]) -> dict[str, Column]:
    """The columns of a run, in the order of the programs, computed values among them."""
    columns = {}
    for name, found in run.found.items():
        if found.kind == "deterministic":
            own = run.simulator is None or name not in run.simulator.found
            column = to_column(found, n, nesting, probed.get(name))
            columns[name] = replace(column, from_guide=own)
        elif name in run.columns:
            if name in probed:
                check_event(found, n, probed[name])
            columns[name] = run.columns[name]
    return columns


def _alone(
    guide: Program, simulator: Program | None, run: Run, n: int, nesting: int, seed: int
) -> dict[str, Found]:
    """The second particle run by itself: its structure, and whether it depends on the others.

    A program that reduces over the particles, as a.mean() without a dim does, is silently wrong.
    """
    replay = second(run.columns)

    def again(number: int) -> Run:
        with _seeded(seed, number):
            return _run(guide, simulator, 1, nesting, frozenset(replay), replay)

    try:
        alone = again(2**32 + 1)
    except MismatchError:
        for found in run.found.values():
            check_event(found, n, None)
        return {}
    except ProgramError as error:
        _pass_on(error)
        return {}
    odd = _differing(run, alone, n, nesting)
    # Randomness that is not Pyro's makes a difference too, but then also between two such runs.
    if odd and not _differing(alone, again(2**32 + 2), 1, nesting):
        name = odd[0]
        role = "simulator" if run.simulator is not None and name in run.simulator.found else "guide"
        raise mixes_particles(name, role)
    return alone.found


def _differing(run: Run, alone: Run, n: int, nesting: int) -> list[str]:
    """Sites where the second particle is not what it is by itself."""
    pairs = [(run.guide.found, alone.guide.found)]
    if run.simulator is not None and alone.simulator is not None:
        pairs.append((run.simulator.found, alone.simulator.found))
    return [name for many, one in pairs for name in differing(many, one, n, nesting)]


def _pass_on(error: ProgramError) -> None:
    """Raise a refusal of ours again; a failure of the program may be due to the probe alone."""
    if error.__cause__ is None:
        raise error


class _Probe(NamedTuple):
    """What one particle shows of the programs."""

    nesting: int
    seen: dict[str, Found]  # at whatever nesting
    found: dict[str, Found]  # at the nesting that it turned out to need; empty where it was not run there
    spent: int  # how many particles it took


def _probe(
    guide: Program,
    simulator: Program | None,
    given: int | None,
    seed: int,
    predictive: frozenset[str],
) -> _Probe:
    """Run over one particle, or two, to learn the structure of the programs."""

    def run(nesting: int, number: int) -> Run:
        with _seeded(seed, number):
            return _run(guide, simulator, 1, nesting, predictive)

    if given is not None:
        try:
            result = run(given, 2**32)
        except ProgramError as error:
            _pass_on(error)
            return _Probe(given, {}, {}, 1)
        if result.needed > given:
            raise ArgumentError(result.needed_text)
        return _Probe(given, result.found, result.found, 1)
    start = 0
    if simulator is not None:
        # The guide is cheap and the simulator may not be: learn what can be learnt without it.
        start = _probe(guide, None, None, seed, predictive).nesting
    try:
        result = run(start, 2**32)
    except ProgramError as error:
        _pass_on(error)
        # The program may want the axes of plates that it has not come to yet.
        deeper = max(error.nesting, start + 1)
        try:
            result = run(deeper, 2**32 + 1)
        except ProgramError as failure:
            _pass_on(failure)
            return _Probe(error.nesting, {}, {}, 2)
        return _Probe(max(result.needed, deeper), result.found, result.found, 2)
    lost = depth_lost(result.found)
    fitting = result.found if result.needed == start else {}
    if lost <= result.needed:
        return _Probe(result.needed, result.found, fitting, 1)
    try:
        again = run(lost, 2**32 + 1)
    except ProgramError as error:
        _pass_on(error)
        return _Probe(result.needed, result.found, {}, 2)
    if all(
        torch.equal(found.value, again.found[name].value)
        for name, found in result.found.items()
        if found.kind == "deterministic" and name in again.found and found.value.dim() > result.needed
    ):
        return _Probe(result.needed, result.found, fitting, 2)
    return _Probe(max(again.needed, lost), again.found, again.found, 2)


@untouched_params()
def simulate(
    guide: Program,
    simulator: Program | None,
    num_particles: int,
    *,
    seed: int,
    nesting: int | None,
    batch_size: int | None,
    predictive: frozenset[str],
    data_names: frozenset[str],
    progressbar: bool,
) -> Particles:
    """Draw particles from a guide and extend them by a simulator, a batch at a time.

    ``data_names`` are those of observed data: predictive sites, or data that no site predicts where
    the programs predict nothing.
    """
    chosen, predictive = predictive, predictive | data_names
    nesting, seen, probed, spent = _probe(guide, simulator, nesting, seed, predictive)
    size = min(batch_size or num_particles, num_particles)
    starts = range(0, num_particles, size)
    columns: dict[str, Column] = {}
    data: dict[str, Tensor] = {}
    observed: set[str] = set()
    factors: set[str] = set()
    bad: dict[str, tuple[int, str]] = {}
    quiet = not progressbar or len(starts) == 1
    for number, start in enumerate(tqdm(starts, desc="Simulating", unit="batch", disable=quiet)):
        n = min(size, num_particles - start)
        with _seeded(seed, number):
            run = _run(guide, simulator, n, nesting, predictive, alone=seen)
        if number == 0 and n > 1 and spent < 2:
            probed = _alone(guide, simulator, run, n, nesting, seed) or probed
        run.columns = _complete(run, n, nesting, probed)
        if number == 0:
            predictive -= unpredicted(run, chosen, data_names)
            check_structure(run, predictive)
            columns = {name: _empty(c, num_particles) for name, c in run.columns.items()}
            factors = {n for n, f in run.guide.found.items() if f.kind == "factor"}
            observed = {name for name, found in run.found.items() if found.kind == "observed"}
            data = {name: found.data.cpu() for name, found in run.found.items() if found.data is not None}
            data = {name: value.reshape(columns[name].site.shape) for name, value in data.items()}
        _store(columns, run.columns, start, n)
        for name, found in run.found.items():
            if found.bad is not None:
                count = bad.get(name, (0, ""))[0] + int(found.bad.sum())
                bad[name] = count, found.bad_text
        del run
    for name, (count, text) in bad.items():
        warn(
            f"site {name!r} of the simulator: {text} for {count} of {num_particles} particles; their "
            f"values are NaN",
            DrawWarning,
        )
    check_factors(columns, factors)
    columns = _with_roles(columns, observed, predictive, simulator is not None)
    warn_infinite(columns, num_particles)
    return Particles(columns, data, nesting, num_particles)


def _empty(column: Column, num_particles: int) -> Column:
    """Room for all particles."""

    def room(tensor: Tensor | None) -> Tensor | None:
        return None if tensor is None else tensor.new_empty((num_particles, *tensor.shape[1:]))

    value = room(column.value) if not _constant(column) else column.value[:1].clone()
    assert value is not None
    value = value.expand(num_particles, *value.shape[1:])
    return replace(
        column, value=value, log_q=room(column.log_q), log_conditional=room(column.log_conditional)
    )


def _constant(column: Column) -> bool:
    """Whether all particles share one value in memory."""
    return len(column.value) > 1 and column.value.stride(0) == 0


def _store(into: dict[str, Column], columns: dict[str, Column], start: int, n: int) -> None:
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
    columns: dict[str, Column],
    observed: set[str],
    predictive: frozenset[str],
    simulator: bool,
) -> dict[str, Column]:
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
