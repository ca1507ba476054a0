"""Runs of one particle each, put together as one run of many.

Knows what runs leave behind; nothing of programs.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from arviz_resampler.densities.density import total
from arviz_resampler.densities.kinds import Kind, unlike
from arviz_resampler.densities.together import Asked, log_prob_of_each
from arviz_resampler.errors import ProgramError
from arviz_resampler.programs.alike import Found, Values, check_sites, check_values
from arviz_resampler.programs.axes import describe_axes
from arviz_resampler.programs.columns import Columns, values_of
from arviz_resampler.programs.runs import Invalid, ScoredRun, SiteRun

_TOGETHER = 64  # runs that stay by themselves: a run is many objects, which Python's collector looks through


class SampleStack:
    """Runs of one particle each, put together as they come.

    Parameters
    ----------
    role : str
        The word for the program in messages.
    first : int
        Number of the first particle.
    like : dict of str to SiteRun, optional
        The sites that there are where every run fails.

    Attributes
    ----------
    failed : dict of int to str
        Which runs failed, and why.
    """

    def __init__(self, role: str, first: int, like: dict[str, SiteRun] | None = None) -> None:
        self.failed: dict[int, str] = {}
        self._role, self._first, self._like = role, first, like
        # The first run that went as it should says what sites and dtypes there are.
        self._example: dict[str, SiteRun] | None = None
        self._number, self._sound = 0, False
        self._runs: list[dict[str, SiteRun]] = []
        self._parts: list[dict[str, SiteRun]] = []
        self._start = 0  # number of the first of the runs that are still by themselves

    def add(self, run: dict[str, SiteRun], failure: str | None = None) -> None:
        """Take the run of the next particle, and why it failed if it did.

        Raises
        ------
        ProgramError
            If its sites are others than those of the runs before.
        """
        i = self._start + len(self._runs)
        self._runs.append(run)
        if failure is None:
            self._meet(run, i)
        else:
            self.failed[i] = failure
        if self._sound and len(self._runs) == _TOGETHER:
            self._fold()

    def whole(self) -> dict[str, SiteRun]:
        """One record for each site of all runs; no density where a run had none.

        Raises
        ------
        ProgramError
            If shapes or dtypes differ, or if every run failed and nothing says what sites there are.
        """
        self._fold()
        first = self._parts[0]
        if len(self._parts) == 1:
            return first
        return {name: _joined(found, [part[name] for part in self._parts]) for name, found in first.items()}

    def _meet(self, run: dict[str, SiteRun], i: int) -> None:
        """Compare a run that did not fail with those before."""
        if self._example is not None:
            where = f"particle {self._first + i}", f"particle {self._first + self._number}"
            check_sites(f"the {self._role}", run, self._example, where)
        if not self._sound:
            sound = all(site.bad is None for site in run.values())
            if sound or self._example is None:
                self._example, self._number, self._sound = run, i, sound

    def _fold(self) -> None:
        """Make arrays of the runs that are still by themselves."""
        like = self._like if self._example is None else self._example
        if like is None:
            raise ProgramError(f"every particle failed: {self.failed[0]}")
        if self._runs:
            part = {name: self._one_site(name, found) for name, found in like.items()}
            self._parts.append(part)
            self._start, self._runs = self._start + len(self._runs), []

    def _one_site(self, name: str, found: SiteRun) -> SiteRun:
        """One record of a site of the runs that are still by themselves."""
        each = [run.get(name) for run in self._runs]
        kept, like = [], Values.of(found)
        for i, site in enumerate(each, self._start):
            if site is None or i in self.failed:
                continue
            kept.append(site)
            if (site.kind, site.auxiliary, site.axes) != (found.kind, found.auxiliary, found.axes):
                raise ProgramError(
                    f"site {name!r} of the {self._role} is {_described(site)} in particle {self._first + i}, "
                    f"{_described(found)} in another: every particle must have the same"
                )
            if site.bad is None:
                where = f"particle {self._first + i}"
                check_values(f"the {self._role}", name, Values.of(site), like, where)
        missing = torch.full_like(found.value, torch.nan if found.value.is_floating_point() else 0)
        # A particle that failed keeps what it had drawn by then.
        values = [
            missing if site is None or site.value.shape != missing.shape else site.value.to(missing.dtype)
            for site in each
        ]
        invalid = [site for site in each if site is not None and site.bad is not None]
        good = torch.zeros(1, dtype=torch.bool)
        found = _of_all(found, kept)
        return replace(
            found,
            value=torch.cat(values),
            bad=torch.cat([good if s is None or s.bad is None else s.bad for s in each]) if invalid else None,
            bad_text=invalid[0].bad_text if invalid else "",
            log_density=None if found.unscorable else _log_density(found, each),
            asked=None,
        )


def _joined(found: SiteRun, parts: Sequence[SiteRun]) -> SiteRun:
    """One record of a site whose particles are in several, one after the other."""
    found = _of_all(found, parts)
    densities = [None if found.unscorable else part.log_density for part in parts]
    return replace(
        found,
        value=torch.cat([part.value for part in parts]),
        bad=_end_to_end(parts, [part.bad for part in parts], False),
        bad_text=next((part.bad_text for part in parts if part.bad_text), ""),
        log_density=_end_to_end(parts, densities, torch.nan),
    )


def _end_to_end(parts: Sequence[SiteRun], rows: Sequence[Tensor | None], filler: float) -> Tensor | None:
    """Rows of all parts, a filler where a part has none; None: no part has any."""
    known = [some for some in rows if some is not None]
    if not known:
        return None
    dtype = functools.reduce(torch.promote_types, [some.dtype for some in known])
    return torch.cat(
        [
            known[0].new_full((len(part.value),), filler, dtype=dtype) if some is None else some.to(dtype)
            for part, some in zip(parts, rows, strict=True)
        ]
    )


def _of_all(found: SiteRun, sites: Sequence[SiteRun]) -> SiteRun:
    """A site with what is true of all that are given, whichever comes first."""
    data, sites = found.data, sites or [found]
    if data is not None and not all(
        site.data is data or (site.data is not None and _equal(site.data, data)) for site in sites
    ):
        data = None
    kinds = dict.fromkeys(site.kind_of for site in sites)
    return replace(
        found,
        data=data,
        support=found.support if all(site.support == found.support for site in sites) else None,
        masked=any(site.masked for site in sites),
        kind_of=functools.reduce(Kind.and_others, kinds),
        unscorable=next((site.unscorable for site in sites if site.unscorable), unlike(kinds)),
    )


def _described(site: SiteRun) -> str:
    """Kind and axes of a site, as they are shown in messages."""
    kind = f"auxiliary {site.kind}" if site.auxiliary else site.kind
    return f"{kind} over {describe_axes([name for name, _ in site.axes], [size for _, size in site.axes])}"


def _log_density(found: SiteRun, each: Sequence[SiteRun | None]) -> Tensor | None:
    """Log density of each particle, those of one kind of distribution asked together; NaN: not drawn."""
    scored = [(i, s.log_density) for i, s in enumerate(each) if s is not None and s.log_density is not None]
    asked: dict[Any, list[tuple[int, Asked, Tensor]]] = {}
    for i, site in enumerate(each):
        if site is not None and site.asked is not None:
            asked.setdefault(site.asked.key, []).append((i, site.asked, site.value))
    parts = []
    if scored:
        rows, log_densities = zip(*scored, strict=True)
        parts.append((rows, torch.cat(log_densities)))
    for of_a_kind in asked.values():
        rows, fns, values = zip(*of_a_kind, strict=True)
        parts.append((rows, total(log_prob_of_each(fns, torch.cat(values)))))
    if not parts:  # as where all failed, and another batch says what there would be
        known = found.log_density
        return None if known is None else torch.full_like(known, torch.nan).expand(len(each))
    dtype = functools.reduce(torch.promote_types, [part.dtype for _, part in parts])
    whole = torch.full((len(each),), torch.nan, dtype=dtype, device=parts[0][1].device)
    for rows, part in parts:
        whole[torch.tensor(rows, device=whole.device)] = part.to(dtype)
    return whole


class ScoreStack:
    """Scores of one particle each, put together as they come; NaN where a run did not come to a site.

    Parameters
    ----------
    columns : mapping of str to CachedSite
        The particles.
    lost : Tensor, optional
        Those whose score may fail, as their simulation did.
    first : int
        Number of the first particle.
    """

    def __init__(self, columns: Columns, lost: Tensor | None, first: int = 0) -> None:
        self._columns, self._lost, self._first = columns, lost, first
        self._example: ScoredRun | None = None  # the first that did not fail, its sites and its number
        self._found, self._number = Found((), {}), 0
        self._failed: dict[int, ProgramError] = {}  # until there is one
        self._runs: list[ScoredRun] = []
        self._parts: list[ScoredRun] = []
        self._start = 0  # number of the first of the runs that are still by themselves

    def add(self, score: ScoredRun, failure: ProgramError | None = None) -> None:
        """Take the score of the next particle, and why its run failed if it did.

        Raises
        ------
        ProgramError
            If its sites, or the shapes of computed ones, are others than those of the runs before, or a
            failure left some out.
        """
        i = self._start + len(self._runs)
        self._runs.append(score)
        if self._example is not None:
            self._check(i, score, failure)
        elif failure is not None:
            self._failed[i] = failure
        else:
            self._example, self._found, self._number = score, Found.of(score), i
            for number, why in self._failed.items():
                self._check(number, self._runs[number], why)
            self._failed = {}
        if self._example is not None and len(self._runs) >= _TOGETHER:
            self._parts.append(_stacked(self._example, self._runs))
            self._start, self._runs = i + 1, []

    def whole(self) -> ScoredRun:
        """One record of all scores.

        Raises
        ------
        ProgramError
            If every run failed.
        """
        if self._example is None:
            raise ProgramError(f"every particle failed: {self._failed[0]}") from self._failed[0]
        return _stacked(self._example, [*self._parts, *self._runs])

    def _check(self, i: int, score: ScoredRun, failure: ProgramError | None) -> None:
        if failure is None:
            where = f"particle {self._first + i}", f"particle {self._first + self._number}"
            Found.of(score).check(self._found, where)
        elif set(self._found.scored) != score.log_p.keys() and (self._lost is None or not self._lost[i]):
            raise ProgramError(
                f"particle {self._first + i}, at {values_of(self._columns, i)}: {failure}"
            ) from failure


def _stacked(like: ScoredRun, scores: Sequence[ScoredRun]) -> ScoredRun:
    """One record of several, particles one after the other."""
    notes: dict[str, Invalid] = {}
    for score in scores:
        notes |= {name: note.plus(notes.get(name)) for name, note in score.notes.items()}
    return ScoredRun(
        log_p={
            name: torch.cat([s.log_p.get(name, torch.full_like(log_p, torch.nan)) for s in scores])
            for name, log_p in like.log_p.items()
        },
        observed=like.observed,
        deterministic={
            name: replace(found, value=torch.cat([_computed(s, found) for s in scores]))
            for name, found in like.deterministic.items()
        },
        notes=notes,
        unnormalized=set().union(*(s.unnormalized for s in scores)),
        kinds=like.kinds,
    )


def _computed(score: ScoredRun, found: SiteRun) -> Tensor:
    """A computed value of one particle; NaN where the run failed before it, or has it in another shape."""
    computed = score.deterministic.get(found.name)
    if computed is not None and computed.value.shape[1:] == found.value.shape[1:]:
        return computed.value
    dtype = found.value.dtype if found.value.is_floating_point() else torch.float64  # whole numbers have none
    return torch.full_like(found.value, torch.nan, dtype=dtype)


def _equal(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors are equal, and missing at the same places."""
    return one.shape == other.shape and bool(((one == other) | ((one != one) & (other != other))).all())
