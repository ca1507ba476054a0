"""Alignment of data by the names and labels of their axes. Knows arrays; nothing of sites."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import xarray as xr

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
    size : int
        Its length.
    """

    name: str | None
    labels: Array | None
    size: int


class Aligned(NamedTuple):
    """Values in the order of a site, and the labels that came with them, by dim, in the same order."""

    values: Array
    labels: dict[str, Array]


def as_labels(dim: str, given: Any) -> Array:
    """Labels as an own array that files take: what has no dtype of its own becomes text.

    Raises
    ------
    ArgumentError
        If they have no order, or are no labels at all.
    """
    if hasattr(given, "detach"):
        return np.array(as_array(dim, given))
    if hasattr(given, "to_numpy"):
        given = given.to_numpy()
    if not isinstance(given, np.ndarray):
        if not isinstance(given, Iterable) or isinstance(given, str | bytes | set | frozenset | Mapping):
            raise _no_labels(dim, given)
        given = list(given)
    labels = given if isinstance(given, np.ndarray) else np.empty(0)
    if labels.dtype.kind == "O" or not isinstance(given, np.ndarray):
        if any(isinstance(label, tuple) for label in given):  # of a MultiIndex
            return np.array([", ".join(map(str, np.atleast_1d(label))) for label in given])
        try:
            labels = np.array(given)
        except ValueError:  # lists of several lengths
            raise _no_labels(dim, given) from None
    if labels.dtype.kind == "V":  # records
        raise _no_labels(dim, given)
    if labels.dtype.kind == "f" and labels.dtype.itemsize not in (4, 8):
        return labels.astype(np.float64)
    return labels.astype(object).astype(str) if labels.dtype.kind in "OcT" else labels.copy()


def _no_labels(dim: str, given: Any) -> ArgumentError:
    return ArgumentError(f"coords of dim {dim!r} must be a sequence of labels, got {given!r}")


def axes_of(values: Any) -> list[Axis]:
    """Names and labels of the axes of an object of xarray or pandas; none of anything else."""
    if is_xarray(values):
        return [
            Axis(str(dim), as_labels(str(dim), _index(values, dim)) if dim in values.coords else None, size)
            for dim, size in zip(values.dims, values.shape, strict=True)
        ]
    if hasattr(values, "axes") and hasattr(values, "to_numpy"):  # pandas
        return [
            Axis(
                index.name if isinstance(index.name, str) else None,
                None if _is_count(index) else as_labels(str(index.name), index),
                len(index),
            )
            for index in values.axes
        ]
    return []


def is_xarray(values: Any) -> bool:
    """Whether data is a ``DataArray``, with names of its own."""
    return isinstance(values, xr.DataArray)


def _index(values: Any, dim: Any) -> Any:
    return values.indexes[dim] if dim in values.indexes else values.coords[dim]


def _is_count(index: pd.Index[Any]) -> bool:
    return isinstance(index, pd.RangeIndex) and index.start == 0 and index.step == 1


def align(
    name: str, values: Any, dims: Sequence[str], shape: Sequence[int], coords: Mapping[str, Array]
) -> Aligned:
    """Values in the order of the dims and labels of a site.

    Parameters
    ----------
    name : str
        Of the data.
    values : array_like
        Aligned by the names and labels that it has; as it is where it has none. Axes of size 1 may be
        left out, or be there without a dim.
    dims : sequence of str
        Of the site.
    shape : sequence of int
        Of the site.
    coords : mapping of str to ndarray
        Labels by dim, where there are some.

    Raises
    ------
    ArgumentError
        If its names or labels are not those of the site.

    Examples
    --------
    >>> given = xr.DataArray([[1, 2, 3], [4, 5, 6]], dims=("school", "time"))
    >>> align("y", given, ("time", "school"), (3, 2), {}).values.tolist()
    [[1, 4], [2, 5], [3, 6]]
    """
    array = as_array(name, values)
    axes = [axis for axis in axes_of(values) if axis.size != 1]
    sizes = {dim: size for dim, size in zip(dims, shape, strict=True) if size != 1}
    if not axes or sorted(axis.size for axis in axes) != sorted(sizes.values()):
        return Aligned(array, {})
    known = {
        dim: coords[dim] for dim, size in sizes.items() if dim in coords and coords[dim].shape == (size,)
    }
    order = _order(name, axes, list(sizes), known, strict=is_xarray(values))
    array = array.reshape([axis.size for axis in axes]).transpose(order)
    labels = {}
    for place, (own, dim) in enumerate(zip(order, sizes, strict=True)):
        found = axes[own].labels
        if found is not None and array.shape[place] == sizes[dim]:
            wanted = labels[dim] = known.get(dim, found)
            places = _places(found, wanted)
            if places is None:
                raise ArgumentError(
                    f"data {name!r} has other labels along dim {dim!r} than coords or other data: "
                    f"{found.tolist()}, not {wanted.tolist()}. Give it these labels, or pass it as a NumPy "
                    f"array to go by position."
                )
            array = array.take(places, axis=place)
    return Aligned(array.reshape(shape) if array.shape == tuple(sizes.values()) else array, labels)


def _order(
    name: str, axes: Sequence[Axis], dims: Sequence[str], coords: Mapping[str, Array], *, strict: bool
) -> tuple[int, ...]:
    """Which axis goes with each dim: by names, else by labels, else by place.

    ``strict`` refuses names that are no dims of the site.
    """
    names = [axis.name for axis in axes]
    known = [name for name in names if name in dims]
    # Names of pandas may be anything; xarray calls dims without a name dim_0, dim_1, ...
    others = [name for name in names if name not in dims]
    foreign = [
        name for name in others if name is not None and not (strict and re.fullmatch(r"dim_\d+", name))
    ]
    if len(set(known)) < len(known) or (foreign and (strict or known)):
        raise ArgumentError(
            f"data {name!r} has the dims {tuple(names)}, but its site has {tuple(dims)}: give it those names"
        )

    def fit(order: Sequence[int]) -> int:
        """How many labels are those of their dims, among orders in which names are in place."""
        pairs = [(axes[place], dim) for place, dim in zip(order, dims, strict=True)]
        if any(axis.name in known and axis.name != dim for axis, dim in pairs):
            return -1
        return sum(
            axis.labels is not None and dim in coords and _places(axis.labels, coords[dim]) is not None
            for axis, dim in pairs
        )

    return max(itertools.permutations(range(len(dims))), key=fit)


def _places(labels: Array, wanted: Array) -> Sequence[int] | Array | None:
    """Where each wanted label stands; None where the labels are others."""
    have, want = pd.Index(labels), pd.Index(wanted)
    if have.equals(want):
        return range(len(have))
    if len(have) != len(want) or not (have.is_unique and want.is_unique):
        return None
    places = have.get_indexer(want)
    return None if (places < 0).any() else places
