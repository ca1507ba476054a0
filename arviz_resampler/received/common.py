"""What simulations and posteriors from elsewhere have in common: settings, and a pipeline of them.

Knows containers, particles and pipelines; nothing of densities.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch

from arviz_resampler.containers import Draws
from arviz_resampler.draws.chooser import global_seed
from arviz_resampler.errors import ArgumentError, quoted
from arviz_resampler.particles import given
from arviz_resampler.particles.checks import warn_failed
from arviz_resampler.particles.extending import extend
from arviz_resampler.particles.given import Placed
from arviz_resampler.particles.guides import Blocks
from arviz_resampler.particles.log_q import with_blocks
from arviz_resampler.particles.particles import Particles
from arviz_resampler.particles.top_up import Cache
from arviz_resampler.pipeline import Pipeline
from arviz_resampler.programs.program import Program

_AS_STORED = " Where they are stored transformed or centered, write the program in the same way"


@dataclass(frozen=True)
class Settings:
    """How programs are run on particles from elsewhere, and what is told of the container.

    Attributes
    ----------
    seed : int or None
        That was given.
    vectorize, on_error, progressbar
        How programs are run.
    partial : bool
        Whether models may leave out latents.
    observed, constant, coords, dims : mapping
        Data, labels and names of axes.
    """

    seed: int | None
    vectorize: bool | str
    on_error: str
    progressbar: bool
    partial: bool
    observed: Mapping[str, Any]
    constant: Mapping[str, Any]
    coords: Mapping[str, Any]
    dims: Mapping[str, Sequence[str | None]]


class Received(NamedTuple):
    """Particles from elsewhere: the pipeline, and what they can be added to by, or why they cannot."""

    pipeline: Pipeline
    cache: Cache | None
    why_not: str


def options_of(settings: Settings, seed: int) -> dict[str, Any]:
    """How programs are run, as a cache of particles keeps it."""
    return {
        "seed": seed,
        "batch_size": None,
        "vectorize": settings.vectorize,
        "on_error": settings.on_error,
        "progressbar": settings.progressbar,
        "workers": None,
    }


def as_the_program_has(
    latents: Mapping[str, Any], found: Draws, names: list[str] | None, whose: str
) -> dict[str, Placed]:
    """Latents in the axes and dtypes that a program has."""
    if names is not None and (odd := set(names) ^ latents.keys()):
        raise ArgumentError(
            f"latents= names {quoted(names)}, but {whose} draws {quoted(latents)}: {quoted(odd)} is in one "
            f"of them only"
        )
    given.check_names(list(latents), list(found.variables), whose, _AS_STORED)
    return {name: given.latent(column, *found.variables[name], whose) for name, column in latents.items()}


def pipeline_of(
    found: Draws,
    placed: Mapping[str, Placed],
    blocks: Blocks,
    settings: Settings,
    *,
    simulator: Any = None,
    **of_particles: Any,
) -> Pipeline:
    """The pipeline of particles with all that comes along with them."""
    seed = global_seed() if settings.seed is None else settings.seed
    n, rest = found.num_draws, _carried(found, placed)
    columns, joint = with_blocks({name: one.column for name, one in placed.items()}, blocks)
    columns |= {name: one.column for name, one in rest.items()}
    failed = given.failed_in(columns, n)
    lost = [] if failed is None else failed.nonzero()[:, 0].tolist()
    failures: dict[int, str] = dict.fromkeys(lost, "NaN in the simulations")
    warn_failed(failures, n, found.ids)
    data: dict[str, Any] = {}
    if simulator is not None:
        options = options_of(settings, seed)
        run = {name: options[name] for name in ("vectorize", "on_error", "progressbar")}
        new = extend(Program(simulator, "simulator"), columns, n, seed=seed, **run)
        columns, data, failed, failures = (
            {**columns, **new.columns},
            dict(new.data),
            new.failed,
            dict(new.failures),
        )
    log_likelihood = None if found.log_likelihood is None else torch.from_numpy(found.log_likelihood)
    particles = Particles(
        columns,
        data,
        n,
        failed,
        joint=joint,
        failures=failures,
        ids=found.ids,
        log_likelihood=log_likelihood,
        **of_particles,
    )
    told = _told(found, {**placed, **rest})
    return Pipeline(
        particles,
        seed=seed,
        seeded=settings.seed is not None,
        partial=settings.partial,
        vectorize=settings.vectorize,
        progressbar=settings.progressbar,
        observed={**found.observed, **settings.observed},
        constant={**found.constant, **settings.constant},
        coords={**told.coords, **settings.coords},
        dims={**told.dims, **settings.dims},
    )


def _carried(found: Draws, placed: Mapping[str, Placed]) -> dict[str, Placed]:
    """Predictions and computed values: in a container by their group, elsewhere all that is no latent."""
    rest = {name: one for name, one in found.variables.items() if name not in placed}
    role: Any = "deterministic" if found.grouped else "predictive"
    carried = {name: given.carried(name, role, *one) for name, one in rest.items()}
    return carried | {name: given.carried(name, "predictive", *one) for name, one in found.predictive.items()}


class _Told(NamedTuple):
    """Names and labels of axes that came with the draws."""

    dims: dict[str, list[str | None]]
    coords: dict[str, Any]


def _told(found: Draws, placed: Mapping[str, Placed]) -> _Told:
    dims: dict[str, list[str | None]] = {}
    coords: dict[str, Any] = {}
    for name, one in placed.items():
        own = one.column.site.dims
        if len(one.dims) != len(own):
            continue
        named = [
            site_dim if dim.startswith(f"{name}_dim_") else dim
            for dim, site_dim in zip(one.dims, own, strict=True)
        ]
        if tuple(named) != own:
            dims[name] = list(named)
        coords |= {
            new: found.coords[dim] for dim, new in zip(one.dims, named, strict=True) if dim in found.coords
        }
    return _Told(dims, coords)
