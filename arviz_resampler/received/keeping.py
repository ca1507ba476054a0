"""Particles from elsewhere, written into a store.

Knows particles, pipelines and stores; nothing of densities.
"""

from __future__ import annotations

import datetime
import os
from typing import Any

from arviz_resampler.errors import StoreError
from arviz_resampler.opening import data_of, ids_to_json, read, settings_of
from arviz_resampler.particles.joining import some_of
from arviz_resampler.particles.particles import Particles
from arviz_resampler.particles.stored import (
    notes_of,
    signature,
    specs_of,
    to_arrays,
    to_attrs,
    to_json,
    versions,
)
from arviz_resampler.pipeline import Pipeline
from arviz_resampler.storage import Store

_LARGEST = 1000  # particles of a batch: a top-up takes whole ones
_LEAST = 100  # below which one batch has all of them


def kept(path: str | os.PathLike[str], pipeline: Pipeline, *, seeded: bool) -> tuple[Store, Particles]:
    """A new store with the particles of a pipeline, and the particles as it has them.

    Raises
    ------
    StoreError
        If there is a store already, or it cannot be written.
    """
    if Store.is_store(path):
        raise StoreError(
            f"{path} is a store already: open it by Resampler.open, or pass another path for these particles"
        )
    particles, n = pipeline.particles, pipeline.particles.num_particles
    size = batch_size(n)
    store = Store.create(
        path,
        specs_of(particles.columns, masks=True),
        batch_size=size,
        num_batches=n // size,
        attrs=to_attrs(_about(pipeline, size, seeded=seeded)),
        data=data_of(particles, pipeline),
    )
    with store.lock():
        for batch in range(n // size):
            part = some_of(particles, slice(batch * size, (batch + 1) * size))
            notes: dict[str, Any] = {
                **notes_of(part.columns, part.failures),
                "bad": {},
                "parts": [[size, False, False]],
                "joint": [list(sites) for sites in particles.joint],
                "component": 0,
                "seconds": 0.0,
                **signature(),
            }
            store.write(batch, to_arrays(part.columns, masks=True), notes)
    return store, read(store, list(range(store.num_batches)))


def batch_size(num_particles: int) -> int:
    """How many particles a batch has: as many as leave no rest, up to a thousand.

    Examples
    --------
    >>> batch_size(50_000), batch_size(4096), batch_size(10_007)
    (1000, 512, 10007)
    """
    sizes = (size for size in range(min(num_particles, _LARGEST), 0, -1) if num_particles % size == 0)
    size = next(sizes)
    return size if size >= _LEAST else num_particles


def _about(pipeline: Pipeline, size: int, *, seeded: bool) -> dict[str, Any]:
    particles = pipeline.particles
    return {
        "random_seed": pipeline.seed,
        "vectorize": pipeline.vectorize,
        "mixture": False,
        "components": [size],
        "sites": to_json(particles.columns),
        "joint": [list(sites) for sites in particles.joint],
        "first_draws": {},
        "parts": [],
        "versions": dict(versions()),
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "source": {},
        "settings": settings_of(pipeline, seeded=seeded),
        "normalized": particles.normalized,
        "ids": None if particles.ids is None else ids_to_json(particles.ids),
    }
