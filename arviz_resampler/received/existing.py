"""Simulations that exist, as particles: what their latents were drawn from.

Knows containers, guides and particles; nothing of models.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from arviz_resampler import containers
from arviz_resampler.arguments import as_array, as_mapping, as_names
from arviz_resampler.containers import Draws
from arviz_resampler.errors import ArgumentError, ProgramError, WeightWarning, quoted, suggestion, warn
from arviz_resampler.particles import given
from arviz_resampler.particles.given import Described, Placed, as_dtype
from arviz_resampler.particles.guides import Blocks, Guide, Single, as_guide
from arviz_resampler.particles.neighbors import MOST_DIMENSIONS, bias_text, log_density
from arviz_resampler.particles.particles import Ran
from arviz_resampler.particles.top_up import Cache
from arviz_resampler.pipeline import Pipeline
from arviz_resampler.programs.columns import CachedSite
from arviz_resampler.programs.program import Program, uniform
from arviz_resampler.received.common import (
    Received,
    Settings,
    as_the_program_has,
    options_of,
    pipeline_of,
    sums_of,
    warn_repeated,
)
from arviz_resampler.received.keeping import kept
from arviz_resampler.storage import Store

_NOT_MORE = (
    "these particles were simulated elsewhere, and their density is known at these draws alone: to add "
    "more, say what they were drawn from, by guide= or box="
)


def from_simulations(
    draws: Any,
    settings: Settings,
    *,
    latents: Any,
    guide: Any,
    box: Any,
    log_q: Any,
    density: Any,
    allow_biased: bool,
    path: str | None,
) -> Received:
    """Particles of simulations that exist, in a store if there is a path."""
    found = containers.read_draws(draws, containers.OF_PRIOR)
    names = None if latents is None else as_names("latents", latents)
    _check_one_density(found, guide=guide, box=box, log_q=log_q, density=density)
    described: Guide | None = None
    if guide is not None:
        described = as_guide(guide)
        placed = _as_the_guide_has(described, found, names)
    elif box is not None:
        limits = as_mapping("box", box)
        given.check_names(list(limits), list(found.variables), "the box")
        placed = _as_they_are(found, list(limits) if names is None else names)
        described = _box(limits, placed)
    else:
        placed = _as_they_are(found, _named(found, names, log_q))
    columns = {name: one.column for name, one in placed.items()}
    if described is not None:
        _refuse_without_constant(described, columns, found.num_draws, settings, _word(guide))
        blocks = given.density_of_program(
            described, columns, found.num_draws, settings.vectorize, _word(guide)
        )
    elif density is not None:
        blocks = _neighbors(columns, allow_biased=allow_biased)
    else:
        blocks = given.density_of_arrays(_given_log_q(found, list(placed), log_q), found.num_draws)
    sums = sums_of(found, placed)
    warn_repeated(len(sums) - len(np.unique(sums)), len(sums))
    pipeline = pipeline_of(found, placed, blocks, settings, normalized=density is None)
    store = None
    if path is not None:
        store, particles = kept(path, pipeline, seeded=settings.seed is not None)
        pipeline = pipeline.with_particles(particles)
    if described is None:
        return Received(pipeline, None, _NOT_MORE)
    options = options_of(settings, pipeline.seed)
    if store is not None:  # whole numbers have room for NaN there
        options["on_error"] = "mask"
    return _with_cache(pipeline, Described(described), options, store)


def _with_cache(pipeline: Pipeline, guide: Guide, options: dict[str, Any], store: Store | None) -> Received:
    """What the particles can be added to by: the density of their latents is known everywhere."""
    parts = guide.parts(pipeline.particles.num_particles, pipeline.seed)
    ran = tuple(Ran(0, (), (), {}) for _ in parts)
    pipeline = pipeline.with_particles(replace(pipeline.particles, ran=ran))
    return Received(pipeline, Cache(guide, None, pipeline.particles, options, store), "")


def _refuse_without_constant(
    guide: Guide, columns: Mapping[str, CachedSite], num_draws: int, settings: Settings, whose: str
) -> None:
    odd = given.without_constant(guide, columns, num_draws, settings.vectorize)
    if odd:
        raise ProgramError(
            f"{whose} has {quoted(odd)} under poutine.scale or poutine.mask, which nothing is drawn "
            f"from: pass the program without it"
        )


def _word(guide: Any) -> str:
    return "the box" if guide is None else "the guide"


def _check_one_density(found: Draws, **ways: Any) -> None:
    """Refuse draws of which nothing says what they were drawn from, or two things do."""
    told = [name for name, value in ways.items() if value is not None]
    if len(told) > 1:
        raise ArgumentError(f"{' and '.join(f'{n}=' for n in told)} are given, but draws have one density")
    if not told and not found.log_prior:
        raise ArgumentError(
            "nothing says what the draws were drawn from: pass guide=, the Pyro program that they come from, "
            "box=, the limits of a uniform or space-filling design, log_q=, their log density, or "
            'density="neighbors", to estimate it from the draws'
        )
    if ways["density"] not in (None, "neighbors"):
        raise ArgumentError(f'density must be "neighbors" or None, got {ways["density"]!r}')


def _named(found: Draws, names: list[str] | None, log_q: Any) -> list[str]:
    """Which variables are latents, where no program and no box says it."""
    if names is None and isinstance(log_q, Mapping):
        names = [str(name) for name in log_q]
    if names is None and log_q is None and found.log_prior:
        names = list(found.log_prior)
    if names is None and found.predictive:
        names = list(found.variables)
    if names is None:
        raise ArgumentError(
            f"it is not known which of {quoted(found.variables)} are latents: name them by latents="
        )
    return names


def _as_they_are(found: Draws, names: Sequence[str]) -> dict[str, Placed]:
    given.check_names(names, list(found.variables), "latents=")
    return {name: given.free_latent(name, *found.variables[name]) for name in names}


def _as_the_guide_has(guide: Guide, found: Draws, names: list[str] | None) -> dict[str, Placed]:
    structure = given.drawn_by(guide, found.num_draws)
    return as_the_program_has(given.latents_of(structure, "the guide"), found, names, "the guide")


def _box(limits: Mapping[str, Any], placed: Mapping[str, Placed]) -> Guide:
    """The uniform density of a box."""
    ends = {}
    if odd := placed.keys() ^ limits.keys():
        raise ArgumentError(
            f"the box has limits of {quoted(limits)}, but latents= names {quoted(placed)}: {quoted(odd)} is "
            f"in one of them only"
        )
    for name, pair in limits.items():
        column = placed[name].column
        if column.site.discrete:
            raise ArgumentError(
                f"latent {name!r} holds whole numbers, for which a box has no density: pass guide= or log_q="
            )
        try:
            low, high = (torch.from_numpy(as_array(name, end)).double() for end in pair)
            low, high = (end.expand(column.site.shape).contiguous() for end in (low, high))
        except (TypeError, ValueError, RuntimeError):
            low = high = torch.zeros((), device="cpu")
        if not bool((low < high).all() and torch.isfinite(high - low).all()):
            raise ArgumentError(
                f"the box must have a pair of limits for {name!r}, finite numbers or arrays of shape "
                f"{column.site.shape}, the lower first; got {pair!r}"
            )
        both = as_dtype(f"the box of {name!r}", torch.stack([low, high]), column.value.dtype)
        ends[name] = both[0], both[1]
    return Single(Program(uniform(ends), "box"))


def _given_log_q(found: Draws, names: Sequence[str], log_q: Any) -> dict[tuple[str, ...], Any]:
    """Log densities by block: of each latent, or of all together."""
    if log_q is None:
        _check_known(names, list(found.log_prior), "group 'log_prior'")
        return {(name,): found.log_prior[name] for name in names}
    if isinstance(log_q, Mapping):
        _check_known(names, list(log_q), "log_q=")
        return {(name,): containers.by_draw(log_q[name], found, f"log_q= of {name!r}") for name in names}
    return {tuple(names): containers.by_draw(log_q, found, "log_q=")}


def _check_known(names: Sequence[str], known: Sequence[str], where: str) -> None:
    """Refuse latents that have no density."""
    if missing := [name for name in names if name not in known]:
        raise ArgumentError(
            f"{where} has no log density of {quoted(missing)}; it has {quoted(known)}."
            f"{suggestion(missing[0], known)}"
        )


def _neighbors(columns: Mapping[str, Any], *, allow_biased: bool) -> Blocks:
    """The density of the draws from the draws themselves."""
    if discrete := [name for name, column in columns.items() if column.site.discrete]:
        raise ArgumentError(
            f"latent {quoted(discrete)} holds whole numbers, which have no density from neighbors: pass "
            f"guide= or log_q="
        )
    flat = [column.value.reshape(len(column.value), -1).double() for column in columns.values()]
    draws = torch.cat(flat, 1).numpy()
    dimensions = draws.shape[1]
    if dimensions > MOST_DIMENSIONS and not allow_biased:
        raise ArgumentError(
            f"the latents have {dimensions} dimensions, and a density from neighbors is biased above "
            f"{MOST_DIMENSIONS}: in a test, standard deviations were {bias_text(dimensions)}. Say what the "
            f"draws were drawn from, or insist by allow_biased=True"
        )
    blocks: Blocks = {tuple(columns): torch.from_numpy(log_density(draws))}
    warn(
        f"the density of the draws is estimated from their neighbors, with an error that no reported error "
        f"includes: in a test, standard deviations were {bias_text(dimensions)}",
        WeightWarning,
    )
    return blocks
