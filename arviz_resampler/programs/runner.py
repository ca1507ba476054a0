"""A guide or simulator, mapped over many particles, or run one particle at a time where it cannot be.

Knows programs and what they leave behind; nothing of batches, weights or draws.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from arviz_resampler.errors import ProgramError, ProgramWarning, warn
from arviz_resampler.mapping.random_mode import UnmappableError
from arviz_resampler.mapping.streams import Streams, seed_particle
from arviz_resampler.programs import fallback
from arviz_resampler.programs.columns import CachedSite, Columns, select, to_column, values_of
from arviz_resampler.programs.program import Program
from arviz_resampler.programs.runs import SiteRun, merge_masked
from arviz_resampler.programs.sample_handler import SampleHandler
from arviz_resampler.programs.stacking import SampleStack
from arviz_resampler.progress import bar

_TRIED = 5  # particles of a try-out, and how often one is tried
_ALIKE = 64  # particles with the same draws: that none of them drops another number than the others is rare


def beside(vectorize: bool | str, simulator: Program | None) -> bool | str:
    """Whether to map guide and models, where the simulator is what runs one particle at a time."""
    return "auto" if vectorize is False and simulator is not None else vectorize


class SampledRun(NamedTuple):
    """A batch of particles: their sites, and those whose run failed."""

    found: dict[str, SiteRun]
    failed: dict[int, str]  # particles whose run raised, and what
    singly: bool = False  # whether each particle was drawn from a stream of its own


class Runner:
    """A guide or simulator, and the way it runs.

    Parameters
    ----------
    program : Program
        What runs.
    num_particles : int
        How many it will run over in all, for what is said of time.
    predictive : frozenset of str
        Sites that are simulated whatever they are in the guide.
    vectorize : bool or "auto"
        Whether to map it: True refuses what cannot be mapped, False never maps.
    on_error : {"raise", "mask"}
        What becomes of a particle whose run raises.
    progressbar : bool
        Whether to show progress over particles that run one at a time.
    """

    def __init__(
        self,
        program: Program,
        num_particles: int,
        predictive: frozenset[str],
        *,
        vectorize: bool | str,
        on_error: str,
        progressbar: bool,
    ) -> None:
        self.program = program
        self.singly = vectorize is False
        self._num_particles = num_particles
        self._predictive = predictive
        self._vectorize = vectorize
        self._masks = on_error == "mask"
        self._progressbar = progressbar
        self._reason = ""
        self._lean = True
        self._said_loose = False
        self._seen: dict[str, SiteRun] | None = None  # by a look
        self._said = False
        self._states: list[tuple[Any, Any]] = []  # of generators after the first particles

    def look(self, seed: int, replay: Columns, attempt: int) -> dict[str, SiteRun]:
        """The sites of one particle by itself; asks whether a further run of it finds the same."""
        found = self.first(seed, replay, attempt)
        if not self.singly:
            odd = fallback.unsteady(_values(found), lambda: _values(self._first(seed, replay, attempt)))
            if odd:
                self._give_up(UnmappableError(odd))
                self.singly = True
        if self.program.role == "guide":  # other random numbers at the same values change no density
            again = self._first(seed, replay, attempt, _drawn(found, 1))
            self._check_loose(fallback.differs(_densities(found), _densities(again)) != "")
        self._seen = merge_masked(found)
        return self._seen

    def settle(self, seed: int, replay: Columns) -> None:
        """Run one particle at a time in all batches if a few particles cannot be mapped."""
        error = None if self.singly else self._unmappable(seed, replay)
        if error is not None:
            self._give_up(error)
            self.singly = True

    def first(self, seed: int, replay: Columns, attempt: int = 0) -> dict[str, SiteRun]:
        """Sites of one particle by itself; settles whether the program has to compute densities."""
        for self._lean in (True, False):
            found = self._first(seed, replay, attempt)
            # An auxiliary site is drawn with a density that its transform carries: then it is asked for.
            if all(site.kind == "factor" or not site.auxiliary for site in found.values()):
                break
        return found

    def _first(
        self, seed: int, replay: Columns, attempt: int, given: Columns | None = None
    ) -> dict[str, SiteRun]:
        handler = self._handler(replay, Streams(seed), given)
        seed_particle(seed, f"first {self.program.role}{' again' if given else ''}", attempt)
        self.program.run_one(handler, 0)
        return handler.found

    def _handler(
        self, replay: Columns, streams: Streams, given: Columns | None = None, *, later: bool = False
    ) -> SampleHandler:
        role, lean = self.program.role, self._lean
        return SampleHandler(role, replay, self._predictive, streams, given=given, lean=lean, later=later)

    def draw(self, n: int, streams: Streams, replay: Columns) -> SampledRun:
        """Sites of a batch of particles; they depend on no other batch."""
        if self.singly:
            return self._one_by_one(n, streams, replay)
        handler = self._handler(replay, streams)
        try:
            self._map(handler, n)
        except UnmappableError as error:
            # What was read as a number is so whatever was drawn; another failure may be a matter of values.
            if error.__cause__ is None or self._unmappable(streams.seed, replay):
                self._give_up(error)
                return self._one_by_one(n, streams, replay)
            if handler.loose:
                raise ProgramError(
                    f"the {self.program.role} fails for some particles ({fallback.reason_of(error)}), and "
                    f"draws random numbers outside its sites, which cannot be kept. Draw them with "
                    f"pyro.sample, or pass vectorize=False."
                ) from error
            # What was drawn stays: to draw again would favor draws that do not fail.
            self._reason = fallback.reason_of(error)
            return self._one_by_one(n, streams, replay, _drawn(handler.found, n))
        found = merge_masked(handler.found)
        failed = {}
        if handler.failed is not None:
            sound = {name: handler.found[name] for name in handler.sound if name in handler.found}
            again = self._handler(replay, streams, _drawn(sound, n))
            if fallback.catches(self.program, handler, again):
                self._give_up(UnmappableError(fallback.caught(handler)))
                return self._one_by_one(n, streams, replay, again.given)
            where = f"linear algebra failed ({handler.failed_at})"
            failed = {int(i): where for i in handler.failed.nonzero()[:, 0]}
            for site in found.values():  # parameters that come of it are said already
                site.bad = None if site.bad is None else site.bad & ~handler.failed
            self._fail(failed, streams, {**replay, **_drawn(found, n)})
        return SampledRun(found, failed)

    def _map(self, handler: SampleHandler, n: int) -> None:
        seed_particle(handler.streams.seed, self.program.role, handler.streams.first)
        before = fallback.other_randomness()
        self.program.run_mapped(handler, n, handler.streams)
        if fallback.draws_elsewhere(before, lambda: self._map_few(handler)):
            self._check_loose(True)
            raise UnmappableError("random numbers of NumPy or Python would be the same for all particles")
        self._check_loose(handler.loose)
        if handler.unseen and self._shares_numbers(handler, n):
            raise UnmappableError("random numbers of another thread would be the same for all particles")

    def _shares_numbers(self, handler: SampleHandler, n: int) -> bool:
        """Whether particles with the same draws show no random numbers of their own, as of dropout."""
        drawn = {**handler.replay, **_drawn(handler.found, n)}
        one = select(drawn, torch.zeros(_ALIKE, dtype=torch.long))
        replay, given = (
            {name: one[name] for name in of} for of in (handler.replay, one.keys() - handler.replay)
        )
        again = self._handler(replay, Streams(0), given)
        self.program.run_mapped(again, _ALIKE, Streams(0))
        shown = [site.value for site in again.found.values() if site.kind == "deterministic"]
        shown += _densities(again.found).values()
        return again.unseen and all(torch.equal(rows, rows[:1].expand_as(rows)) for rows in shown)

    def _map_few(self, handler: SampleHandler) -> None:
        """A few particles of a map once more."""
        few = select({**handler.replay, **handler.given}, slice(0, _TRIED))
        n = min([_TRIED, *(len(column.value) for column in few.values())])
        replay, given = ({name: few[name] for name in of} for of in (handler.replay, handler.given))
        self.program.run_mapped(self._handler(replay, Streams(0), given), n, Streams(0))

    def _check_loose(self, loose: bool) -> None:
        """Say once that a guide draws random numbers that no site holds."""
        if loose and self.program.role == "guide" and not self._said_loose:
            fallback.say_loose(self.program)
            self._said_loose = True

    def _unmappable(self, seed: int, replay: Columns) -> UnmappableError | None:
        """What is in the way of a map of a few particles, if they are none of those that fail."""
        few = select(replay, slice(0, _TRIED))
        n = min([_TRIED, *(len(column.value) for column in few.values())])
        found = None
        for attempt in range(_TRIED):
            try:
                self._map(self._handler(few, Streams(seed ^ (attempt + 1), 0, 1)), n)
            except UnmappableError as error:
                found = error
            else:
                return None
        return found

    def _give_up(self, error: UnmappableError) -> None:
        """Remember why particles run one at a time, for what is said of it."""
        self._reason = fallback.reason_of(error)
        if self._vectorize is True:
            raise fallback.unmappable(self.program.role, self._reason) from error

    def again(self, seed: int, particle: int, replay: Columns) -> dict[str, Tensor]:
        """One particle by itself, from its own stream: the values of its sites."""
        handler = self._handler(replay, Streams(seed))
        seed_particle(seed, self.program.role, particle)
        self.program.run_one(handler, particle)
        found = merge_masked(handler.found)
        drawn = {name: to_column(site, 1) for name, site in found.items() if site.kind != "factor"}
        return {name: column.value[0].clone() for name, column in drawn.items()}  # the cache keeps its own

    # ---------------------------------------------------------------- one particle at a time

    def _one_by_one(
        self, n: int, streams: Streams, replay: Columns, given: Columns | None = None
    ) -> SampledRun:
        handler = self._handler(replay, streams, given, later=True)
        stack = SampleStack(self.program.role, streams.first, self._seen)
        start = time.perf_counter()
        for i in self._progress(range(n)):
            seed, failure = seed_particle(streams.seed, self.program.role, streams.first + i), None
            try:
                self.program.run_one(handler, i)
            except ProgramError as error:
                if error.__cause__ is None:
                    raise
                failure = str(error)
                self._fail({i: failure}, streams, {**replay, **_drawn(handler.found, 1)})
            else:
                _check_seed(self.program.role, seed, self._states)
            stack.add(merge_masked(handler.found), failure)
            if i == 0:
                self._say(time.perf_counter() - start)
        return SampledRun(stack.whole(), stack.failed, given is None)

    def _progress(self, particles: range) -> Iterator[int]:
        quiet = not self._progressbar or len(particles) < self._num_particles
        yield from bar(
            particles, f"Running the {self.program.role}", "particle", total=len(particles), quiet=quiet
        )

    def _say(self, seconds: float) -> None:
        """Say once that particles run one at a time, and what that takes."""
        if not self._said and self._reason:
            warn(
                f"the {self.program.role} runs one particle at a time: {self._reason}. That takes "
                f"{fallback.taking(seconds, self._num_particles)}. {fallback.MAPS}.",
                ProgramWarning,
            )
        elif not self._said and fallback.takes_long(seconds, self._num_particles):
            warn(
                f"the {self.program.role} takes {fallback.taking(seconds, self._num_particles)}",
                ProgramWarning,
            )
        self._said = True

    def _fail(self, failed: Mapping[int, str], streams: Streams, drawn: Columns) -> None:
        """Raise for a particle whose run failed, unless such particles are kept."""
        if self._masks:
            return
        i, what = next(iter(failed.items()))
        number, values = streams.first + i, values_of(drawn, i)
        raise ProgramError(
            f"particle {number} failed, at {values}: {what}. Keep the others with on_error='mask'; "
            f"simulate_one({number}) then repeats this one."
        )


def _drawn(found: Mapping[str, SiteRun], n: int) -> dict[str, CachedSite]:
    return {name: to_column(site, n) for name, site in found.items() if site.kind in ("latent", "observed")}


def _densities(found: Mapping[str, SiteRun]) -> dict[str, Tensor]:
    return {name: site.log_density for name, site in found.items() if site.log_density is not None}


def _values(found: Mapping[str, SiteRun]) -> dict[str, Tensor]:
    return {name: site.value for name, site in found.items()}


def _check_seed(role: str, seed: int, states: list[tuple[Any, Any]]) -> None:
    """Refuse a program that seeds itself: all its particles would have the same random numbers."""
    repeats = torch.default_generator.initial_seed() != seed
    if len(states) < 2:
        states.append(fallback.other_randomness())
        if len(states) == 2:
            repeats = repeats or fallback.same_seed(*states)
    if repeats:
        raise ProgramError(
            f"the {role} sets a seed of its own, so that every particle would get the same random numbers. "
            f"Remove it, and pass random_seed= to the Resampler."
        )
