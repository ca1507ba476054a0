"""What simulations and posteriors from elsewhere have in common: settings, and a pipeline of them.

Knows containers, particles and pipelines; nothing of densities.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from arviz_resampler.containers import Draws, check_order
from arviz_resampler.draws.chooser import global_seed
from arviz_resampler.errors import ArgumentError, DrawWarning, quoted, warn
from arviz_resampler.particles import given
from arviz_resampler.particles.checks import warn_failed
from arviz_resampler.particles.extending import Simulated, extend
from arviz_resampler.particles.given import Placed
from arviz_resampler.particles.guides import Blocks
from arviz_resampler.particles.log_q import with_blocks
from arviz_resampler.particles.particles import Particles
from arviz_resampler.particles.top_up import Cache
from arviz_resampler.pipeline import Pipeline
from arviz_resampler.programs.columns import CachedSite
from arviz_resampler.programs.program import Program

_AS_STORED = " Where they are stored transformed or centered, write the program in the same way"

_REPEATED = 0.01  # share of draws that repeat others, from which it is said

Floats = NDArray[np.float64]


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


def sums_of(found: Draws, latents: Iterable[str]) -> Floats:
    """A number for each draw, which is another one for other values of its latents that are no counts."""
    arrays = [found.variables[name].values for name in latents]
    floats = [array.reshape(len(array), -1) for array in arrays if array.dtype.kind == "f"]
    if not floats:
        return np.arange(float(found.num_draws))
    flat = np.concatenate(floats, axis=1, dtype=np.float64)
    # With weights that have nothing in common.
    sums: Floats = flat @ np.sqrt(np.arange(2.0, 2 + flat.shape[1]))
    return sums


def warn_repeated(repeats: int, num_draws: int) -> None:
    """Say that draws repeat others, as those of a resampled container do."""
    if repeats > _REPEATED * num_draws:
        warn(
            f"{repeats} of {num_draws} draws repeat others, as draws that were resampled do: errors count "
            f"them as independent, and are too small",
            DrawWarning,
        )


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
    if simulator is None:
        added = _simulated_elsewhere({name: one.column for name, one in rest.items()}, found)
    else:
        options = {name: getattr(settings, name) for name in ("vectorize", "on_error", "progressbar")}
        added = extend(Program(simulator, "simulator"), columns, n, seed=seed, **options)
        rest = {name: one for name, one in rest.items() if name not in added.columns}
    particles = Particles(
        {**columns, **{name: one.column for name, one in rest.items()}, **added.columns},
        added.data,
        n,
        added.failed,
        joint=joint,
        failures=added.failures,
        ids=found.ids,
        log_likelihood=_log_likelihood(found),
        **of_particles,
    )
    dims, coords = _told(found, {**placed, **rest})
    check_order(settings.coords, coords)
    return Pipeline(
        particles,
        seed=seed,
        seeded=settings.seed is not None,
        partial=settings.partial,
        vectorize=settings.vectorize,
        progressbar=settings.progressbar,
        observed={**found.observed, **settings.observed},
        constant={**found.constant, **settings.constant},
        coords={**coords, **settings.coords},
        dims={**dims, **settings.dims},
    )


def _simulated_elsewhere(columns: dict[str, CachedSite], found: Draws) -> Simulated:
    """What came with the latents, and which of it failed."""
    failed = given.failed_in(columns, found.num_draws)
    lost = [] if failed is None else failed.nonzero()[:, 0].tolist()
    failures = dict.fromkeys(lost, "NaN in the simulations")
    warn_failed(failures, found.num_draws, found.ids)
    return Simulated(columns, {}, failed, failures)


def _log_likelihood(found: Draws) -> torch.Tensor | None:
    if found.log_likelihood is None:
        return None
    bad = np.isnan(found.log_likelihood)
    if bad.any():
        raise ArgumentError(
            f"the log likelihood is NaN for {int(bad.sum())} of {found.num_draws} draws, the first of which "
            f"is draw {int(bad.argmax())}: leave missing observations out of the group 'log_likelihood'"
        )
    return torch.from_numpy(found.log_likelihood)


def _carried(found: Draws, placed: Mapping[str, Placed]) -> dict[str, Placed]:
    """Predictions and computed values: in a container by their group, elsewhere all that is no latent."""
    rest = {name: one for name, one in found.variables.items() if name not in placed}
    role: Any = "deterministic" if found.grouped else "predictive"
    carried = {name: given.carried(name, role, *one) for name, one in rest.items()}
    for name, one in found.predictive.items():
        if name not in placed:
            carried[name] = given.carried(name, "predictive", *one)
        elif not np.array_equal(one.values, found.variables[name].values):
            raise ArgumentError(
                f"latent {name!r} is among the predictions, too, with other values: leave it out of them"
            )
    return carried


def _told(found: Draws, placed: Mapping[str, Placed]) -> tuple[dict[str, list[str | None]], dict[str, Any]]:
    """Names of axes by site, and labels by dim, that came with the draws."""
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
    return dims, coords
