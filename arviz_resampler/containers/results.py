"""Results of simulations that were run elsewhere, checked to be those that were wanted. Knows arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from arviz_resampler.arguments import as_array, as_mapping
from arviz_resampler.containers.arrays import Array
from arviz_resampler.containers.labels import Labels
from arviz_resampler.errors import ArgumentError, quoted

_PARTICLE = "particle"


def read_results(labels: Labels, wanted: xr.Dataset, results: Any, names: Sequence[str]) -> dict[str, Array]:
    """Arrays of sites, particles first.

    Parameters
    ----------
    labels : Labels
        Names of the sites in a container.
    wanted : Dataset
        What was to be simulated.
    results : Dataset or mapping of str to array_like
        What came of it, under these names.
    names : sequence of str
        The sites that it must have.

    Raises
    ------
    ArgumentError
        If one is missing, of another shape, or of other particles.
    """
    given: Any = results if isinstance(results, xr.Dataset) else as_mapping("results", results)
    numbers = given.coords.get(_PARTICLE) if isinstance(given, xr.Dataset) else None
    if numbers is not None and not np.array_equal(numbers, wanted[_PARTICLE]):
        raise ArgumentError(
            "the results are of other particles than those that were wanted, by their coords of 'particle'"
        )
    for name in map(str, wanted.data_vars):
        if name in given and not np.array_equal(as_array(name, given[name]), wanted[name].values):
            raise ArgumentError(f"the results have other values of {name!r} than those that were wanted")
    missing = [labels.names[name] for name in names if labels.names[name] not in given]
    if missing:
        raise ArgumentError(f"the results lack {quoted(missing)}, which the simulator adds")
    found = {}
    for name in names:
        value = given[labels.names[name]]
        if isinstance(value, xr.DataArray):
            value = _in_order(labels, name, value)
        array = as_array(labels.names[name], value)
        shape = (wanted.sizes[_PARTICLE], *(labels.sizes[dim] for dim in labels.dims[name]))
        if array.shape != shape:
            raise ArgumentError(
                f"the results have {labels.names[name]!r} of shape {array.shape}, which must be {shape}, "
                f"particles first"
            )
        found[name] = np.array(array)
    return found


def _in_order(labels: Labels, name: str, value: xr.DataArray) -> xr.DataArray:
    """Results with the dims of a site, in its order, and its labels, in their order."""
    dims = (_PARTICLE, *labels.dims[name])
    if set(value.dims) != set(dims):
        raise ArgumentError(
            f"the results have {labels.names[name]!r} with dims {value.dims}, which must be {dims}"
        )
    for dim in dims[1:]:
        wanted = labels.coords.get(dim)
        if wanted is None or dim not in value.coords:
            continue
        if set(value[dim].values.tolist()) != set(wanted.tolist()):
            raise ArgumentError(
                f"the results have {labels.names[name]!r} with other labels of {dim!r} than the particles: "
                f"{quoted(map(str, value[dim].values))} instead of {quoted(map(str, wanted))}"
            )
        value = value.sel({dim: wanted})
    return value.transpose(*dims)
