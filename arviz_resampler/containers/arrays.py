"""Arrays of a container: copies of draws and data, views of particles. Knows sites; nothing of names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from arviz_resampler.errors import ArgumentError
from arviz_resampler.sites import Site

Array = NDArray[Any]


def plain(name: str, values: Any, discrete: bool) -> Array:
    """An own copy in a dtype that every plot takes: int64 for discrete sites, else float64."""
    if isinstance(values, np.ma.MaskedArray):
        values = np.ma.filled(values.astype(np.float64), np.nan)
    elif hasattr(values, "detach"):  # a tensor, perhaps of bfloat16, which numpy does not know
        values = values.detach().cpu()
        values = values.double() if values.is_floating_point() else values
    array = np.asarray(values)
    if array.dtype.kind not in "biuf":
        raise ArgumentError(
            f"{name!r} has dtype {array.dtype}, which ArviZ cannot show: turn it into real numbers, or "
            f"labels into coords"
        )
    whole = array.dtype.kind != "f"
    if discrete and not whole:
        whole = bool((np.abs(array) < 2.0**63).all() and (array == np.floor(array)).all())
    return np.array(array, dtype=np.int64 if whole else np.float64, order="C")


def view(values: Any) -> Array:
    """A tensor as a read-only array that shares its memory, where NumPy has its dtype."""
    values = values.detach().cpu()
    if str(values.dtype) == "torch.bfloat16":
        values = values.float()
    array: Array = values.numpy().view()
    array.flags.writeable = False
    return array


def as_observed(name: str, values: Any, site: Site | None) -> Array:
    """Observed data as an array in the shape of its site."""
    if site is None:
        return plain(name, values, False)
    array = plain(name, values, site.discrete)
    if [size for size in array.shape if size != 1] != [size for size in site.shape if size != 1]:
        raise ArgumentError(
            f"observed data {name!r} has shape {array.shape}, but site {name!r} has shape {site.shape} "
            f"with axes {site.dims}"
        )
    return array.reshape(site.shape).astype(array.dtype if site.discrete else np.float64)


def data_groups(
    observed: Mapping[str, Any], constant: Mapping[str, Any], sites: Mapping[str, Site]
) -> tuple[dict[str, Array], dict[str, Array]]:
    """Observed and constant data as own arrays."""
    seen = {name: as_observed(name, values, sites.get(name)) for name, values in observed.items()}
    fixed = {name: plain(name, values, False) for name, values in constant.items()}
    for name in seen.keys() & fixed.keys():
        shapes = seen[name].shape, fixed[name].shape
        if shapes[0] != shapes[1]:
            raise ArgumentError(
                f"{name!r} has shape {shapes[0]} in observed, but {shapes[1]} in constant_data; give one "
                f"of them another name"
            )
    return seen, fixed
