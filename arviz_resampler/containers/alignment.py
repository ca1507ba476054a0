"""Alignment of data by the names and labels of their axes. Knows arrays; nothing of sites."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from arviz_resampler.arguments import as_array
from arviz_resampler.containers.arrays import Array
from arviz_resampler.errors import ArgumentError


class Axis(NamedTuple):
    """An axis as the user's object has it.

    Attributes
    ----------
    name : str, optional
        Its name.
    labels : ndarray, optional
        Its labels, where they are more than a count.
    """

    name: str | None
    labels: Array | None


def as_labels(dim: str, given: Any) -> Array:
    """Labels as an own array that files take: what has no dtype of its own becomes text."""
    if hasattr(given, "detach"):
        return np.array(as_array(dim, given))
    if hasattr(given, "to_numpy"):
        given = given.to_numpy()
    labels = given if isinstance(given, np.ndarray) else np.empty(0)
    if labels.dtype.kind == "O" or not isinstance(given, np.ndarray):
        listed = list(given) if isinstance(given, Iterable) and not isinstance(given, str) else []
        if any(isinstance(label, tuple) for label in listed):  # of a MultiIndex
            return np.array([", ".join(map(str, np.atleast_1d(label))) for label in listed])
        labels = np.array(given)
    return labels.astype(str) if labels.dtype.kind == "O" else labels.copy()


def axes_of(values: Any) -> list[Axis]:
    """Names and labels of the axes of an object of xarray or pandas; none of anything else."""
    if hasattr(values, "dims") and hasattr(values, "indexes"):  # xarray
        return [
            Axis(str(dim), as_labels(str(dim), values.indexes[dim]) if dim in values.indexes else None)
            for dim in values.dims
        ]
    if hasattr(values, "axes") and hasattr(values, "to_numpy"):  # pandas
        return [
            Axis(
                index.name if isinstance(index.name, str) else None,
                None if type(index).__name__ == "RangeIndex" else as_labels(str(index.name), index),
            )
            for index in values.axes
        ]
    return []


def align(name: str, values: Any, dims: Sequence[str], coords: Mapping[str, Array]) -> Array:
    """Values in the order of the dims and labels of a site.

    Parameters
    ----------
    name : str
        Of the data.
    values : array_like
        Aligned by the names and labels that it has; as it is where it has none.
    dims : sequence of str
        Of the site.
    coords : mapping of str to ndarray
        Labels by dim, where there are some.

    Raises
    ------
    ArgumentError
        If its names or labels are not those of the site.

    Examples
    --------
    >>> import xarray as xr
    >>> given = xr.DataArray([[1, 2, 3], [4, 5, 6]], dims=("school", "time"))
    >>> align("y", given, ("time", "school"), {}).tolist()
    [[1, 4], [2, 5], [3, 6]]
    """
    array, axes = as_array(name, values), axes_of(values)
    if len(axes) != len(dims) or array.ndim != len(dims):
        return array
    order = _order(name, axes, dims, coords, strict=hasattr(values, "dims"))
    array, axes = array.transpose(order), [axes[place] for place in order]
    for place, (axis, dim) in enumerate(zip(axes, dims, strict=True)):
        if axis.labels is not None and dim in coords and len(coords[dim]) == len(axis.labels):
            array = array.take(_places(name, dim, axis.labels, coords[dim]), axis=place)
    return array


def _order(
    name: str, axes: Sequence[Axis], dims: Sequence[str], coords: Mapping[str, Array], *, strict: bool
) -> tuple[int, ...]:
    """Which axis goes with each dim: by names, else by labels, else by place.

    ``strict`` refuses names that are no dims of the site.
    """
    names = [axis.name for axis in axes]
    if set(names) == set(dims):
        return tuple(names.index(dim) for dim in dims)
    # Names of pandas may be anything; xarray calls dims without a name dim_0, dim_1, ...
    if set(names) & set(dims) or (strict and any(not re.fullmatch(r"dim_\d+", str(name)) for name in names)):
        raise ArgumentError(
            f"data {name!r} has the dims {tuple(names)}, but its site has {tuple(dims)}: give it those names"
        )
    straight = tuple(range(len(dims)))
    swapped = straight[::-1]
    for order in (straight, swapped):
        if all(_fits(axes[place].labels, coords.get(dim)) for place, dim in zip(order, dims, strict=True)):
            return order
    return straight


def _fits(labels: Array | None, known: Array | None) -> bool:
    return labels is None or known is None or set(labels.tolist()) == set(known.tolist())


def _places(name: str, dim: str, labels: Array, wanted: Array) -> list[int]:
    """Where each label stands in the data."""
    places = {label: place for place, label in enumerate(labels.tolist())}
    if len(places) < len(labels) or places.keys() != set(wanted.tolist()):
        raise ArgumentError(
            f"data {name!r} has other labels along dim {dim!r} than coords: {labels.tolist()}, not "
            f"{wanted.tolist()}. Give it these labels, or pass it as a NumPy array to go by position."
        )
    return [places[label] for label in wanted.tolist()]
