"""Runs of one particle each, put together as one run of many.

Knows what runs leave behind; nothing of programs.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from arviz_resampler.densities.density import total
from arviz_resampler.densities.together import Asked, log_prob_of_each
from arviz_resampler.errors import ProgramError
from arviz_resampler.programs.columns import Columns, values_of
from arviz_resampler.programs.runs import Invalid, ScoredRun, SiteRun


def stack_samples(
    role: str,
    runs: Sequence[dict[str, SiteRun]],
    failed: Mapping[int, str],
    first: int,
    like: dict[str, SiteRun] | None = None,
) -> dict[str, SiteRun]:
    """One record for each site of all runs; where all have failed, of the sites of another run."""
    # The first that went as it should says what dtypes there are.
    good = [i for i in range(len(runs)) if i not in failed]
    whole = next((i for i in good if all(site.bad is None for site in runs[i].values())), None)
    whole = good[0] if whole is None and good else whole
    if whole is None:
        if like is None:
            raise ProgramError(f"every particle failed: {failed[0]}")
        return {
            name: _one_site(role, found, [r.get(name) for r in runs], failed, first)
            for name, found in like.items()
        }
    stacked = {}
    for i, run in enumerate(runs):
        odd = runs[whole].keys() ^ run.keys()
        if odd and i not in failed:
            name = next(iter(odd))
            has, lacks = (whole, i) if name in runs[whole] else (i, whole)
            raise ProgramError(
                f"site {name!r} of the {role} is in particle {first + has} and not in particle "
                f"{first + lacks}: every particle must have the same sites"
            )
    for name, found in runs[whole].items():
        each = [run.get(name) for run in runs]
        stacked[name] = _one_site(role, found, each, failed, first)
    return stacked


def _one_site(
    role: str, found: SiteRun, each: Sequence[SiteRun | None], failed: Mapping[int, str], first: int
) -> SiteRun:
    kept = [site for i, site in enumerate(each) if site is not None and i not in failed]
    for i, site in enumerate(each):
        if (
            site is not None
            and i not in failed
            and site.bad is None
            and ((site.value.shape, site.value.dtype) != (found.value.shape, found.value.dtype))
        ):
            raise ProgramError(
                f"site {found.name!r} of the {role} has shape {tuple(site.value.shape[1:])} and dtype "
                f"{site.value.dtype} in particle {first + i}, {tuple(found.value.shape[1:])} and "
                f"{found.value.dtype} in another: every particle must have the same"
            )

    missing = torch.full_like(found.value, torch.nan if found.value.is_floating_point() else 0)
    # A particle that failed keeps what it had drawn by then.
    values = [
        missing if site is None or site.value.shape != missing.shape else site.value.to(missing.dtype)
        for site in each
    ]
    data = found.data
    if data is not None and not all(
        s.data is data or (s.data is not None and _equal(s.data, data)) for s in kept
    ):
        data = None
    invalid = [site for site in each if site is not None and site.bad is not None]
    bad = torch.cat([torch.zeros(1, dtype=torch.bool) if s is None or s.bad is None else s.bad for s in each])
    return replace(
        found,
        value=torch.cat(values),
        data=data,
        support=found.support if all(site.support == found.support for site in kept) else None,
        bad=bad if invalid else None,
        bad_text=invalid[0].bad_text if invalid else "",
        log_density=_log_density(found, each),
        asked=None,
    )


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


def stack_scores(
    scores: Sequence[ScoredRun], columns: Columns, failed: Mapping[int, ProgramError], lost: Tensor | None
) -> ScoredRun:
    """One record of the scores of all runs; NaN where a run did not come to a site.

    ``lost`` are particles that may fail: their simulation did.
    """
    first = next((score for i, score in enumerate(scores) if i not in failed), scores[0])
    if len(failed) == len(scores):
        raise ProgramError(f"every particle failed: {failed[0]}") from failed[0]
    for i, other in enumerate(scores):
        odd = first.log_p.keys() ^ other.log_p.keys()
        if odd and i in failed and (lost is None or not lost[i]):
            raise ProgramError(f"particle {i}, at {values_of(columns, i)}: {failed[i]}") from failed[i]
        if odd and i not in failed:
            raise ProgramError(
                f"site {next(iter(odd))!r} of the model is in one of particles 0 and {i} and not in the "
                f"other: every particle must have the same sites"
            )
    notes: dict[str, Invalid] = {}
    for score in scores:
        notes |= {name: note.plus(notes.get(name)) for name, note in score.notes.items()}
    return ScoredRun(
        log_p={
            name: torch.cat([s.log_p.get(name, torch.full_like(log_p, torch.nan)) for s in scores])
            for name, log_p in first.log_p.items()
        },
        observed=first.observed,
        deterministic={
            name: replace(found, value=torch.cat([_computed(s, found) for s in scores]))
            for name, found in first.deterministic.items()
        },
        notes=notes,
        unnormalized=set().union(*(s.unnormalized for s in scores)),
        kinds=first.kinds,
    )


def _computed(score: ScoredRun, found: SiteRun) -> Tensor:
    """A computed value of one particle; NaN where the run did not come to it."""
    computed = score.deterministic.get(found.name)
    if computed is not None:
        return computed.value
    dtype = found.value.dtype if found.value.is_floating_point() else torch.float64  # whole numbers have none
    return torch.full_like(found.value, torch.nan, dtype=dtype)


def _equal(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors are equal, and missing at the same places."""
    return one.shape == other.shape and bool(((one == other) | ((one != one) & (other != other))).all())
