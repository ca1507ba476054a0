"""What a store says beside its particles, and a store that is opened again.

Knows stores and pipelines; nothing of programs or of how stores are filled.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from arviz_resampler.errors import StoreError, StoreWarning, warn
from arviz_resampler.particles.appending import with_mixture
from arviz_resampler.particles.checks import warn_failed, warn_infinite
from arviz_resampler.particles.gathering import warn_bad
from arviz_resampler.particles.particles import Particles
from arviz_resampler.particles.stored import about, as_data, read_particles
from arviz_resampler.pipeline import Pipeline
from arviz_resampler.storage import Store

_NAMED = 5  # batches that are missing, in a message


def settings_of(pipeline: Pipeline, *, seeded: bool) -> dict[str, Any]:
    """What a pipeline is told beside its particles."""
    return {
        "seeded": seeded,
        "partial": bool(pipeline.partial),
        "vectorize": pipeline.vectorize,
        "dims": {name: list(dims) for name, dims in pipeline.dims.items()},
        "coords": {dim: ids_to_json(labels) for dim, labels in pipeline.coords.items()},
    }


def ids_to_json(labels: NDArray[Any]) -> dict[str, Any]:
    """Labels of a dim, or of particles, each as a text or a whole number that JSON keeps as it is."""
    as_numbers = labels.view(np.int64) if labels.dtype.kind in "mM" else labels
    listed = list(map(repr, labels.tolist())) if labels.dtype.kind == "f" else as_numbers.tolist()
    listed = [label.decode("latin-1") if isinstance(label, bytes) else label for label in listed]
    return {"dtype": labels.dtype.str, "labels": listed}


def _labels_of(kept: Mapping[str, Any]) -> NDArray[Any]:
    dtype, labels = np.dtype(kept["dtype"]), kept["labels"]
    if dtype.kind == "S":
        labels = [label.encode("latin-1") for label in labels]
    return np.array(labels, np.int64).view(dtype) if dtype.kind in "mM" else np.array(labels).astype(dtype)


def data_of(particles: Particles, pipeline: Pipeline) -> dict[Any, Any]:
    """Arrays that have no particles: parameters, and data."""
    return {
        **as_data("params", particles.params),
        **as_data("data", particles.data),
        **as_data("observed_data", pipeline.observed),
        **as_data("constant_data", pipeline.constant),
    }


def read(store: Store, batches: list[int], *, check: bool = False) -> Particles:
    """The particles of some batches; says what is not as it should be with them."""
    records = (store.check if check else store.records)(batches)
    particles = with_mixture(store, read_particles(store, batches, records), batches, check=check)
    bad: dict[str, tuple[int, str]] = {}
    for record in records.values():
        for name, (count, text) in record["bad"].items():
            bad[name] = bad.get(name, (0, ""))[0] + count, text
    warn_bad(bad, particles.num_particles)
    warn_infinite(dict(particles.columns), particles.num_particles)
    particles = _from_elsewhere(particles, about(store))
    warn_failed(particles.failures, particles.num_particles, particles.ids)
    return particles


def _from_elsewhere(particles: Particles, said: Mapping[str, Any]) -> Particles:
    """Particles with what a store says of those that were not drawn here."""
    ids = None if said.get("ids") is None else _labels_of(said["ids"])
    if ids is not None:
        first = replace(particles, ids=ids, num_particles=len(ids))
        ids = np.concatenate([ids, first.new_ids(particles.num_particles - len(ids))])
    return replace(particles, normalized=said.get("normalized", True), ids=ids)


def opened(path: str | os.PathLike[str], *, incomplete: bool, check: bool, progressbar: bool) -> Pipeline:
    """The pipeline of a store, without any program."""
    store = Store.open(path)
    batches, missing = store.done(), store.missing()
    if missing and not (incomplete and batches):
        more = ", …" if len(missing) > _NAMED else ""
        raise StoreError(
            f"{store.path} lacks {len(missing)} of {store.num_batches} batches "
            f"({', '.join(map(str, missing[:_NAMED]))}{more}): go on with the call that began it, or take "
            f"what is there with incomplete=True"
        )
    if missing:
        warn(
            f"{store.path} lacks {len(missing)} of {store.num_batches} batches, and is used without them. If "
            f"they are missing because of a time limit, they may be those of slow parameters: then the "
            f"others are no sample of the guide.",
            StoreWarning,
        )
    said = about(store)
    settings = said["settings"]
    return Pipeline(
        read(store, batches, check=check),
        seed=said["random_seed"],
        seeded=settings["seeded"],
        partial=settings["partial"],
        vectorize=settings["vectorize"],
        progressbar=progressbar,
        observed={name: array for name, (_, array) in store.data("observed_data").items()},
        constant={name: array for name, (_, array) in store.data("constant_data").items()},
        coords={dim: _labels_of(kept) for dim, kept in settings["coords"].items()},
        dims=settings["dims"],
    )
