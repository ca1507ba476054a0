"""A batch of particles, drawn by guide and simulator from a seed and the numbers of its particles.

No batch depends on another one, so they may be drawn in any order and in any process. Knows programs and
records; nothing of what becomes of batches.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from torch import Tensor

from arviz_resampler.errors import MismatchError, ProgramError
from arviz_resampler.mapping.streams import BLOCK, Streams, generators_kept
from arviz_resampler.particles.checks import Batch, Piece, Run
from arviz_resampler.particles.gathering import Gathered
from arviz_resampler.particles.guides import Part, derived_seed
from arviz_resampler.programs.columns import CachedSite, Columns, select, to_column
from arviz_resampler.programs.program import Params, untouched_params
from arviz_resampler.programs.runner import Runner
from arviz_resampler.programs.runs import SiteRun

_FEW, _ATTEMPTS = 2, 10  # particles that are tried, and how often, to find some whose run does not fail


class Drawer(NamedTuple):
    """A part of the particles, and what draws it."""

    runner: Runner
    start: int
    num_particles: int
    hyper: Columns

    @property
    def rows(self) -> range:
        """Numbers of the particles."""
        return range(self.start, self.start + self.num_particles)


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
                columns = _replayed(_columns(found, 1))
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
    params : list of Params
        What each part has made.
    simulator : Runner or None
        What extends the particles.
    seed, batch_size
        As of the particles.
    """

    parts: list[Drawer]
    params: list[Params]
    simulator: Runner | None
    seed: int
    batch_size: int | None

    @classmethod
    def at(
        cls, parts: list[Drawer], simulator: Runner | None, *, seed: int, batch_size: int | None, masks: bool
    ) -> Looked:
        """Look at each part once, and at the simulator with the first."""
        params: list[Params] = []
        for part in parts:
            # Each guide has its own parameters, whatever their names; the simulator keeps those of the first.
            with untouched_params() as made:
                extended = None if params else simulator
                look(part, extended, seed, masks=masks, settle=batch_size is not None)
                params.append(made())
        if simulator is not None:
            simulator.program.params = params[0].values
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
            drawn = _replayed(_columns(sites, 1))
            found.append({name: shown(column.value, most) for name, column in drawn.items()})
        return found

    def few(self, *, masks: bool) -> tuple[Run, Batch]:
        """A few particles of which none fails; one, if that cannot be had."""
        n = min(_FEW, self.parts[0].num_particles)
        for attempt in range(2 * _ATTEMPTS if masks else 1):
            seed = derived_seed(self.seed, f"first draws {attempt}")
            try:
                start = self.parts[0].start
                rows = range(start, start + (n if attempt < _ATTEMPTS else 1))
                run, batch = replace(self, seed=seed, batch_size=_FEW).draw(rows)
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

    def batches(self) -> list[range]:
        """Numbers of the particles of each batch."""
        start, end = self.parts[0].rows.start, self.parts[-1].rows.stop
        size = self.batch_size or end - start
        return [range(first, min(first + size, end)) for first in range(start, end, size)]

    def draw(self, rows: range) -> tuple[Run, Batch]:
        """A batch: what each part of the guide draws of it, and what the simulator makes of all."""
        guide, drawn = self._guide(rows)
        if self.simulator is None:
            return guide, drawn
        n, streams = len(rows), Streams(self.seed, rows.start, block_of(self.batch_size))
        with untouched_params(self.params[0]), generators_kept():
            rest = self.simulator.draw(n, streams, _replayed(drawn.columns))
        run = Run(guide.guide, rest.found, _joined(drawn.columns, rest.found, n))
        batch = Batch.of(run, {**drawn.failed, **rest.failed})
        pieces = tuple(piece._replace(singly=(piece.singly[0], rest.singly)) for piece in drawn.pieces)
        of_guide = {name: bad for name, bad in drawn.bad.items() if name not in rest.found}
        return run, replace(batch, pieces=pieces, factors=drawn.factors, bad={**batch.bad, **of_guide})

    def _guide(self, rows: range) -> tuple[Run, Batch]:
        """The run of the first part that draws any of these particles, and all that is drawn of them."""
        gathered, first = Gathered(len(rows), rows.start), None
        for i, part in enumerate(self.parts):
            own = range(max(rows.start, part.rows.start), min(rows.stop, part.rows.stop))
            if not own:
                continue
            hyper = select(part.hyper, slice(own.start - part.start, own.stop - part.start))
            streams = Streams(self.seed, own.start, block_of(self.batch_size))
            with untouched_params(self.params[i]), generators_kept():  # the lock first: one thread draws
                drawn = part.runner.draw(len(own), streams, hyper)
            found = _guides_own(drawn.found, hyper)
            run = Run(found, None, _columns(found, len(own)))
            first = run if first is None else first
            gathered.add(Batch.of(run, drawn.failed, Piece(i, own, (drawn.singly, False))))
        assert first is not None
        return first, gathered.batch()


def shown(value: Tensor, most: int) -> list[list[str]]:
    """The first values of some particles."""
    rows = value.reshape(len(value), -1)[:, :most]
    rows = rows.real if rows.is_complex() else rows
    return [[f"{float(number):.9g}" for number in row] for row in rows.double()]


def _guides_own(found: Mapping[str, SiteRun], hyper: Columns) -> dict[str, SiteRun]:
    """Sites of a guide, without what it was given."""
    return {name: site for name, site in found.items() if name not in hyper}


def _columns(guide: Mapping[str, SiteRun], n: int) -> dict[str, CachedSite]:
    """Sites of the guide, for the simulator to be run on."""
    return {name: replace(to_column(found, n), from_guide=True) for name, found in guide.items()}


def _replayed(columns: Columns) -> dict[str, CachedSite]:
    """Sites that were drawn, for the simulator to be run on."""
    return {name: column for name, column in columns.items() if column.reason != "deterministic"}


def _joined(guide: Columns, simulator: Mapping[str, SiteRun], n: int) -> dict[str, CachedSite]:
    """Sites of guide and simulator over the same particles."""
    columns = dict(guide)
    for name, found in simulator.items():
        computed = name in guide and guide[name].reason == "deterministic"
        if computed and found.kind != "deterministic":
            raise MismatchError(
                f"site {name!r} is deterministic in the guide, but drawn in the simulator, which would "
                f"cut it off from what the guide draws. Write it in both in the same way."
            )
        of_guide = found.replayed and name in columns and columns[name].reason is None
        if of_guide and found.unscorable is not None:  # the weights correct the guide by this density
            raise ProgramError(f"site {name!r} of the simulator: {found.unscorable}, so it has no weights")
        if found.replayed and name in columns:
            columns[name] = replace(columns[name], log_conditional=found.log_density)
        elif found.kind != "factor":
            columns[name] = to_column(found, n)
    return columns
