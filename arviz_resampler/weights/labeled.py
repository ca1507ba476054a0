"""Values with labels, as the weights have their particles. Knows arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from arviz_resampler.errors import ArgumentError

_PARTICLE = "particle"


def in_order(values: Any, ids: Sequence[int] | NDArray[Any] | None, num_particles: int) -> Any:
    """Values of xarray or pandas with particles first, in the order of the weights.

    Parameters
    ----------
    values : array_like
        Others than a DataArray with the dim ``particle``, Series and DataFrame are given back.
    ids : sequence, optional
        Labels of the particles; if absent labels count only where they number the particles.
    num_particles : int
        N.

    Raises
    ------
    ArgumentError
        If the dim ``particle`` has labels that are not those of the particles.
    """
    of_xarray = _PARTICLE in getattr(values, "dims", ()) and hasattr(values, "indexes")
    index: Any
    if of_xarray:
        values = values.transpose(_PARTICLE, ...)
        index = values.indexes.get(_PARTICLE)
    else:
        index = values.index if hasattr(values, "iloc") else None
        by_default = type(index).__name__ == "RangeIndex" and (index.start, index.step) == (0, 1)
        index = None if by_default else index
    if index is None or index.nlevels > 1 or len(index) != num_particles:
        return values
    places = np.arange(num_particles)
    order = np.full(num_particles, -1)
    if index.is_unique:
        order = index.get_indexer(range(num_particles) if ids is None else ids)
    if np.array_equal(order, places):
        return values
    if (order >= 0).all():
        return values.isel({_PARTICLE: order}) if of_xarray else values.iloc[order]
    if of_xarray and ids is not None:
        raise ArgumentError(
            "values have the dim 'particle' with coords that are not those of the particles: keep the "
            "coords, or leave them out, as by .drop_vars('particle')"
        )
    return values
