"""Observed and constant data of the user, in the order of their sites. Knows sites, names and labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from arviz_resampler.containers.alignment import align, as_labels, axes_of
from arviz_resampler.containers.arrays import Array, plain
from arviz_resampler.containers.labels import named
from arviz_resampler.errors import ArgumentError
from arviz_resampler.sites import Site


class Data(NamedTuple):
    """Data of a container, with the names and labels that come with them.

    Attributes
    ----------
    observed, constant : dict of str to ndarray
        Own arrays of the groups ``observed_data`` and ``constant_data``.
    dims : dict of str to sequence of str or None
        Names of axes: those that the user gave, and those of a ``DataArray``.
    coords : dict of str to array_like
        Labels: those that the user gave, and those of a ``DataArray``.
    """

    observed: dict[str, Array]
    constant: dict[str, Array]
    dims: dict[str, Sequence[str | None]]
    coords: dict[str, Any]


def read_data(
    observed: Mapping[str, Any],
    constant: Mapping[str, Any],
    sites: Mapping[str, Site],
    dims: Mapping[str, Sequence[str | None]],
    coords: Mapping[str, Any],
) -> Data:
    """Data as own arrays, aligned by the names and labels that they have.

    Parameters
    ----------
    observed, constant : mapping of str to array_like
        Data by name.
    sites : mapping of str to Site
        The sites.
    dims, coords : mapping
        Names of axes and labels, as the user gave them.

    Raises
    ------
    ArgumentError
        If data have another shape than their site, or other names or labels.
    """
    data = Data({}, {}, dict(dims), dict(coords))
    for name, values in observed.items():
        data.observed[name] = _observed(name, _aligned(name, values, sites.get(name), data), sites.get(name))
    for name, values in constant.items():
        data.constant[name] = plain(name, _aligned(name, values, sites.get(name), data), False)
    for name in data.observed.keys() & data.constant.keys():
        shapes = data.observed[name].shape, data.constant[name].shape
        if shapes[0] != shapes[1]:
            raise ArgumentError(
                f"{name!r} has shape {shapes[0]} in observed, but {shapes[1]} in constant_data; give one "
                f"of them another name"
            )
    return data


def _aligned(name: str, values: Any, site: Site | None, data: Data) -> Any:
    """Values in the order of their site; takes over names and labels that the user has not given."""
    axes = axes_of(values)
    if not axes or not hasattr(values, "dims"):
        found = None if site is None else _dims(name, site, data)
        labels = {dim: as_labels(dim, data.coords[dim]) for dim in found or () if dim in data.coords}
        return values if found is None or not axes else align(name, values, found, labels)
    if site is None:
        data.dims.setdefault(name, [axis.name for axis in axes])
    known = _dims(name, site, data) if site is not None else [str(dim) for dim in data.dims[name]]
    for dim, own in axes:
        if dim in known and own is not None:
            data.coords.setdefault(str(dim), own)
    coords = {dim: as_labels(dim, data.coords[dim]) for dim in known if dim in data.coords}
    return align(name, values, known, coords)


def _dims(name: str, site: Site, data: Data) -> Sequence[str]:
    return named(name, data.dims[name], site.dims, site.shape) if name in data.dims else site.dims


def _observed(name: str, values: Any, site: Site | None) -> Array:
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
