"""Particles put behind others: values, densities and flags of all of them. Knows records and the store."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from arviz_resampler.devices import all_finite
from arviz_resampler.errors import MismatchError
from arviz_resampler.particles.disk import StoredArray, StoredTensor
from arviz_resampler.particles.particles import Particles
from arviz_resampler.programs.columns import CachedSite, Columns
from arviz_resampler.sites import Site
from arviz_resampler.storage import Store


def joined(name: str, old: CachedSite, new: Columns, store: Store | None) -> CachedSite:
    """A site of all particles."""
    if name not in new:
        raise MismatchError(f"site {name!r} of the particles is not among what model and simulator draw")
    other = new[name]

    def both(first: Tensor | None, second: Tensor | None) -> Tensor | None:
        return None if first is None or second is None else torch.cat([first, second])

    # Whole numbers have no NaN, so where runs failed they are none; torch widens what is put beside them.
    if isinstance(old.value, StoredTensor) and store is not None:
        dtype = torch.promote_types(old.value.dtype, other.value.dtype)
        value: Tensor = StoredTensor.of(StoredArray(store, ("values", name), range(store.num_batches)), dtype)
    else:
        value = torch.cat([old.value, other.value])
    return replace(
        old,
        value=value,
        site=replace(old.site, dtype=str(value.dtype).removeprefix("torch.")),
        log_q=both(old.log_q, other.log_q),
        log_conditional=both(old.log_conditional, other.log_conditional),
        support=old.support if old.support == other.support else None,
        finite=old.finite and other.finite,
        reason=old.reason or other.reason,
    )


def some_of(particles: Particles, rows: slice) -> Particles:
    """Particles that follow each other, with all that is known of them."""
    start, stop, _ = rows.indices(particles.num_particles)
    columns = {}
    for name, column in particles.columns.items():
        log_q, log_conditional = (t if t is None else t[rows] for t in (column.log_q, column.log_conditional))
        finite = log_q is None or all_finite(log_q)
        columns[name] = replace(
            column, value=column.value[rows], log_q=log_q, log_conditional=log_conditional, finite=finite
        )
    return replace(
        particles,
        columns=columns,
        num_particles=stop - start,
        failed=None if particles.failed is None else particles.failed[rows],
        ids=None if particles.ids is None else particles.ids[rows],
        failures={i - start: what for i, what in particles.failures.items() if start <= i < stop},
    )


def flags_of(old: Particles, new: Particles) -> Tensor | None:
    """Which particles failed."""
    if old.failed is None and new.failed is None:
        return None
    parts = [
        p.failed if p.failed is not None else torch.zeros(p.num_particles, dtype=torch.bool, device="cpu")
        for p in (old, new)
    ]
    return torch.cat(parts)


def check_axes(name: str, old: Site, new: Site) -> None:
    """Refuse new values whose axes are others, or in another order."""
    moved = any(dim in old.dims and old.dims.index(dim) != place for place, dim in enumerate(new.dims))
    if new.discrete != old.discrete:
        kinds = ("discrete", "continuous") if new.discrete else ("continuous", "discrete")
        raise MismatchError(
            f"site {name!r} is {kinds[0]} in what is to be added, but {kinds[1]} in the particles"
        )
    if new.shape != old.shape or moved:
        found, wanted = (f"{site.dims} of sizes {site.shape}" for site in (new, old))
        raise MismatchError(
            f"site {name!r} has dims {found} in what is to be added, but {wanted} in the particles: write it "
            f"with the same plates in the same order"
        )
