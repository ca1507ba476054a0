"""Results of simulations that were run elsewhere, checked to be those that were wanted. Knows arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from arviz_resampler.arguments import as_array, as_mapping
from arviz_resampler.containers.alignment import as_labels
from arviz_resampler.containers.arrays import Array
from arviz_resampler.containers.labels import Labels
from arviz_resampler.containers.matching import Rows, native, order_of
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
        What came of it, under these names; in any order, where labels say of which particles it is.
    names : sequence of str
        The sites that it must have.

    Raises
    ------
    ArgumentError
        If one is missing, of another shape, or of other particles.
    """
    given: Any = results if isinstance(results, xr.Dataset) else as_mapping("results", results)
    if isinstance(given, xr.Dataset):
        given = _as_wanted(wanted, "the results", given)
    else:
        given = {name: _as_wanted(wanted, repr(name), value) for name, value in given.items()}
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
        found[name] = np.array(native(labels.names[name], array))
    return found


def _as_wanted(wanted: xr.Dataset, whose: str, values: Any) -> Any:
    """Results in the order of the particles that were wanted, where they say of which they are."""
    by_default = False
    if isinstance(values, xr.Dataset | xr.DataArray):
        index = values.indexes.get(_PARTICLE)
    else:
        index = values.index if isinstance(values, pd.Series) else None
        by_default = isinstance(index, pd.RangeIndex)
    count = wanted.sizes[_PARTICLE]
    if index is None or len(index) != count:
        return values
    ours, theirs = (pd.Index(as_labels(_PARTICLE, one)) for one in (wanted.indexes[_PARTICLE], index))
    rows = Rows((1, count), (None, theirs), by_default=by_default)
    order = order_of(Rows((1, count), (None, ours)), rows, ("what was wanted", whose))
    if order is None:
        return values
    return values.iloc[order] if isinstance(values, pd.Series) else values.isel({_PARTICLE: order})


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
