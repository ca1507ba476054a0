"""A batch of particles, drawn by guide and simulator from a seed and the numbers of its particles.

No batch depends on another one, so they may be drawn in any order and in any process. Knows programs and
records; nothing of how batches are put together.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from torch import Tensor

from arviz_resampler.errors import MismatchError, ProgramError
from arviz_resampler.mapping.streams import BLOCK, Streams, generators_kept
from arviz_resampler.particles.checks import Batch, Run
from arviz_resampler.particles.guides import Part, derived_seed
from arviz_resampler.programs.columns import CachedSite, Columns, select, to_column
from arviz_resampler.programs.program import untouched_params
from arviz_resampler.programs.runner import Runner
from arviz_resampler.programs.runs import SiteRun

_FEW, _ATTEMPTS = 2, 10  # particles that are tried, and how often, to find some whose run does not fail


class Drawer(NamedTuple):
    """A part of the particles, and what draws it."""

    runner: Runner
    start: int
    num_particles: int
    hyper: Columns

    def batches(self, size: int) -> Iterator[tuple[int, int]]:
        """Number of the first particle of each batch, and how many it has."""
        end = self.start + self.num_particles
        return ((first, min(size, end - first)) for first in range(self.start, end, size))


def drawers(
    parts: Sequence[Part], first: int, total: int, predictive: frozenset[str], options: Mapping[str, Any]
) -> list[Drawer]:
    """Parts of the particles, one after the other, of so many in all."""
    starts = itertools.accumulate((part.num_particles for part in parts), initial=first)
    return [
        Drawer(Runner(part.program, total, predictive, **options), start, part.num_particles, part.hyper)
        for part, start in zip(parts, starts, strict=False)
    ]


def block_of(batch_size: int | None) -> int:
    """How many particles share a stream."""
    return BLOCK if batch_size is None else min(batch_size, BLOCK)


def look(drawer: Drawer, simulator: Runner | None, seed: int, *, masks: bool, settle: bool) -> None:
    """Run one particle by itself, which shows what is wrong with the programs and makes their parameters.

    Where runs may fail, another one is tried after a failure. With ``settle``, all batches are mapped or none
    is.
    """
    hyper = select(drawer.hyper, slice(0, 1))
    for attempt in range(_ATTEMPTS if masks else 1):
        try:
            with generators_kept():
                found = _guides_own(drawer.runner.look(seed, hyper, attempt), hyper)
                columns = _columns(found, 1)
                if simulator is not None:
                    simulator.look(seed, columns, attempt)
                if settle:
                    drawer.runner.settle(seed, hyper)
                    if simulator is not None:
                        simulator.settle(seed, columns)
            return
        except ProgramError as error:
            if error.__cause__ is None or attempt + 1 == _ATTEMPTS or not masks:
                raise


@dataclass(frozen=True)
class Looked:
    """Guide and simulator that were looked at: what draws any batch, whatever was drawn before.

    Attributes
    ----------
    parts : list of Drawer
        Who draws which particles.
    params : list of dict
        Parameters that each part has made.
    simulator : Runner or None
        What extends the particles.
    seed, batch_size
        As of the particles.
    """

    parts: list[Drawer]
    params: list[dict[str, Tensor]]
    simulator: Runner | None
    seed: int
    batch_size: int | None

    @classmethod
    def at(
        cls, parts: list[Drawer], simulator: Runner | None, *, seed: int, batch_size: int | None, masks: bool
    ) -> Looked:
        """Look at each part once."""
        params = []
        for part in parts:
            # Each guide has its own parameters, whatever their names; the simulator keeps those of the first.
            with untouched_params() as made:
                look(part, simulator, seed, masks=masks, settle=batch_size is not None)
                params.append(made())
            if simulator is not None:
                simulator.program.params = params[0]
        return cls(parts, params, simulator, seed, batch_size)

    def at_parts(self, parts: list[Drawer], *, masks: bool) -> Looked:
        """The same for other particles; programs that were not looked at yet are, without the simulator."""
        known = {
            part.runner.program: (part.runner, made)
            for part, made in zip(self.parts, self.params, strict=True)
        }
        found, params = [], []
        for part in parts:
            if part.runner.program not in known:
                with untouched_params() as made:
                    look(part, None, self.seed, masks=masks, settle=True)
                    known[part.runner.program] = part.runner, made()
            runner, own = known[part.runner.program]
            found.append(part._replace(runner=runner))
            params.append(own)
        return replace(self, parts=found, params=params)

    def programs(self) -> dict[str, Any]:
        """The programs, by the words for them in messages."""
        programs = {
            f"guide {i}" if i else "guide": part.runner.program.fn for i, part in enumerate(self.parts)
        }
        return programs | ({} if self.simulator is None else {"simulator": self.simulator.program.fn})

    def first_draws(self, most: int) -> list[dict[str, list[list[str]]]]:
        """The first values that each part of a guide draws at its sites, where there are several."""
        found: list[dict[str, list[list[str]]]] = []
        for part, params in zip(self.parts, self.params, strict=True) if len(self.parts) > 1 else ():
            seed, hyper = derived_seed(self.seed, "first draws"), select(part.hyper, slice(0, 1))
            with untouched_params(params), generators_kept():
                sites = _guides_own(part.runner.draw(1, Streams(seed, part.start, 1), hyper).found, hyper)
            found.append({name: shown(column.value, most) for name, column in _columns(sites, 1).items()})
        return found

    def few(self, *, masks: bool) -> tuple[Run, Batch]:
        """A few particles of which none fails; one, if that cannot be had."""
        n = min(_FEW, self.parts[0].num_particles)
        for attempt in range(2 * _ATTEMPTS if masks else 1):
            seed = derived_seed(self.seed, f"first draws {attempt}")
            try:
                run, batch = replace(self, seed=seed, batch_size=_FEW).draw(
                    0, self.parts[0].start, n if attempt < _ATTEMPTS else 1
                )
            except ProgramError:
                if not masks:
                    raise
                continue
            if not batch.failed:
                return run, batch
        raise ProgramError(
            f"{2 * _ATTEMPTS} tries of a few particles failed, which is all of them. Run the programs with "
            f"on_error='raise', which shows why."
        )

    def batches(self) -> list[tuple[int, int, int]]:
        """Each batch: the part that draws it, its first particle, and how many it has."""
        return [
            (i, start, n)
            for i, part in enumerate(self.parts)
            for start, n in part.batches(self.batch_size or part.num_particles)
        ]

    def draw(self, i: int, start: int, n: int) -> tuple[Run, Batch]:
        """A batch: what the guide draws, and what the simulator makes of it."""
        part, simulator = self.parts[i], self.simulator
        rows = slice(start - part.start, start - part.start + n)
        hyper, streams = select(part.hyper, rows), Streams(self.seed, start, block_of(self.batch_size))
        with untouched_params(self.params[i]), generators_kept():  # the lock first: one thread draws
            first = part.runner.draw(n, streams, hyper)
            found = _guides_own(first.found, hyper)
            rest = None if simulator is None else simulator.draw(n, streams, _columns(found, n))
        run = _joined(found, None if rest is None else rest.found, n)
        failed = {**first.failed, **({} if rest is None else rest.failed)}
        return run, Batch.of(run, failed, (first.singly, rest is not None and rest.singly))


def shown(value: Tensor, most: int) -> list[list[str]]:
    """The first values of some particles."""
    rows = value.reshape(len(value), -1)[:, :most]
    rows = rows.real if rows.is_complex() else rows
    return [[f"{float(number):.9g}" for number in row] for row in rows.double()]


def _guides_own(found: Mapping[str, SiteRun], hyper: Columns) -> dict[str, SiteRun]:
    """Sites of a guide, without what it was given."""
    return {name: site for name, site in found.items() if name not in hyper}


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
