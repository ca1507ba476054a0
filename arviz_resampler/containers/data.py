"""Observed and constant data of the user, in the order of their sites. Knows sites, names and labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from arviz_resampler.containers.alignment import align, as_labels, axes_of, is_xarray
from arviz_resampler.containers.arrays import Array, plain
from arviz_resampler.containers.labels import Labels, named
from arviz_resampler.errors import ArgumentError
from arviz_resampler.sites import Site, name_axes


class Data(NamedTuple):
    """Data of a container, with the names and labels that come with them.

    Attributes
    ----------
    observed, constant : dict of str to ndarray
        Own arrays of the groups ``observed_data`` and ``constant_data``.
    dims : dict of str to sequence of str or None
        Names of axes: those that the user gave, and those of a ``DataArray``.
    coords : dict of str to ndarray
        Own arrays of labels by dim of the container: those that the user gave, and those of a ``DataArray``.
    """

    observed: dict[str, Array]
    constant: dict[str, Array]
    dims: dict[str, Sequence[str | None]]
    coords: dict[str, Array]


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
    names = Labels(sites, {}, {name: given for name, given in dims.items() if name in sites}, {})
    data = Data({}, {}, dict(dims), {names.final_dim(d): as_labels(d, given) for d, given in coords.items()})
    items = [(data.observed, *item) for item in observed.items()]
    items += [(data.constant, *item) for item in constant.items()]
    # Labels of pandas put data in order, but are not shown: most of them number rows.
    labels = dict(data.coords)
    aligned: dict[tuple[int, str], Any] = {}
    for group, name, values in sorted(items, key=lambda item: not is_xarray(item[2])):
        site = sites.get(name)
        shape = np.shape(values) if site is None else site.shape
        own = _dims(name, values, site, shape, data)
        final = dict(zip(own, names.dims.get(name, own), strict=True))
        known = {dim: labels[end] for dim, end in final.items() if end in labels}
        aligned[id(group), name], found = align(name, values, own, shape, known)
        for dim, end in final.items():
            if dim in found:
                labels.setdefault(end, found[dim])
                if is_xarray(values):
                    data.coords.setdefault(end, found[dim])
    for group, name, _ in items:
        values, site = aligned[id(group), name], sites.get(name)
        group[name] = plain(name, values, False) if group is data.constant else _observed(name, values, site)
    for name in data.observed.keys() & data.constant.keys():
        shapes = data.observed[name].shape, data.constant[name].shape
        if shapes[0] != shapes[1]:
            raise ArgumentError(
                f"{name!r} has shape {shapes[0]} in observed, but {shapes[1]} in constant_data; give one "
                f"of them another name"
            )
    return data


def _dims(name: str, values: Any, site: Site | None, shape: tuple[int, ...], data: Data) -> Sequence[str]:
    """Dims of data as the user knows them; takes over those of a ``DataArray`` without a site."""
    if site is None and is_xarray(values):
        data.dims.setdefault(name, [axis.name for axis in axes_of(values)])
    own = name_axes(name, [None] * len(shape)) if site is None else site.dims
    return named(name, data.dims[name], own, shape) if name in data.dims else own


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
