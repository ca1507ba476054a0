"""Particles of a top-up in a store: their batches, and the density of the mixture that all are drawn from.

A killed top-up leaves the store as it was: what it has written is seen once the root says so.
Knows records and the store; nothing of programs.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch

from arviz_resampler.devices import all_finite
from arviz_resampler.errors import StoreError
from arviz_resampler.particles.joining import some_of
from arviz_resampler.particles.particles import Particles
from arviz_resampler.particles.stored import (
    about,
    added_to,
    as_data,
    as_in,
    notes_of,
    signature,
    tensors,
    to_arrays,
    to_attrs,
)
from arviz_resampler.storage import ArraySpec, Store

_FOLDER = "mixtures"


def append(store: Store, new: Particles, *, masks: bool) -> Store:
    """The store with batches of new particles, which nobody else sees yet."""
    size, first = store.batch_size, store.num_batches
    more = store.with_room(first + new.num_particles // size)
    more.forget(store.surplus())
    (ran,) = new.ran
    common = {"bad": {}, "joint": [], "component": len(added_to(store)) + 1, **signature()}
    for i in range(new.num_particles // size):
        part, number = some_of(new, slice(i * size, (i + 1) * size)), (first + i) * size
        singly = [any(number in each for each in ranges) for ranges in (ran.guide, ran.simulator)]
        # What was simulated elsewhere has values alone.
        arrays, lacks = as_in(store, to_arrays(part.columns, masks=masks))
        notes = {**notes_of(part.columns, part.failures), **common, "parts": [[size, *singly]], **lacks}
        more.write(first + i, arrays, notes)
    return more


def settle(store: Store, particles: Particles, added: Mapping[str, Any]) -> Store:
    """The store once its densities are those of the mixture, which makes the new batches part of it."""
    said = about(store)
    said["added"] = [*added_to(store), dict(added)]
    folder = store.path / _FOLDER
    folder.mkdir(exist_ok=True)
    path = folder / str(len(said["added"]))
    for left in [path, *folder.glob(".*.partial")]:  # of a top-up that was killed
        shutil.rmtree(left, ignore_errors=True)
    log_q = {
        ("log_q", name): column.log_q
        for name, column in particles.columns.items()
        if column.from_guide and column.log_q is not None
    }
    mixture = Store.create(
        path,
        {key: ArraySpec((), "float64", ()) for key in log_q},
        batch_size=store.batch_size,
        num_batches=store.num_batches,
        attrs=to_attrs({"joint": [list(sites) for sites in particles.joint]}),
        data=as_data("params", particles.params),
    )
    for i in range(store.num_batches):
        rows = slice(i * store.batch_size, (i + 1) * store.batch_size)
        mixture.write(i, {key: t[rows].double().contiguous().numpy() for key, t in log_q.items()}, {})
    return store.changed(to_attrs(said))


def with_mixture(
    store: Store, particles: Particles, batches: Sequence[int], *, check: bool = False
) -> Particles:
    """Particles of some batches with the densities that top-ups have left them, if there were any."""
    models = len(added_to(store))
    if not models:
        return particles
    columns = dict(particles.columns)
    try:
        mixture = Store.open(store.path / _FOLDER / str(models))
        (mixture.check if check else mixture.records)(batches)
        for group, name in mixture.arrays:
            log_q = torch.from_numpy(mixture.read((group, name), batches))
            columns[name] = replace(columns[name], log_q=log_q, finite=all_finite(log_q))
        joint, params = about(mixture, ["joint"])["joint"], tensors(mixture, "params")
    except StoreError as error:
        raise StoreError(
            f"{store.path} was topped up, and the densities of its mixture cannot be read, which nothing "
            f"makes again: restore {_FOLDER} from a copy, or begin another store ({error})"
        ) from error
    ran = [*particles.ran[:-models], *(each._replace(params=params) for each in particles.ran[-models:])]
    return replace(particles, columns=columns, joint=tuple(map(tuple, joint)), ran=tuple(ran), params=params)
