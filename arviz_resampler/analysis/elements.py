"""The scalars of an array of particles, and their labels. Knows xarray; nothing of weights or programs."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

Floats = NDArray[np.float64]

PARTICLE = "particle"
MOST = 1 << 28  # bytes that are looked at together


class Elements:
    """The scalars of an array of particles, by a label such as ``y[a]``; each is made when asked for.

    Parameters
    ----------
    name : str
        Of the array.
    array : DataArray
        The particles as its first dim.
    """

    def __init__(self, name: str, array: xr.DataArray) -> None:
        dims = [str(dim) for dim in array.dims if dim != PARTICLE]
        axes = [_labels(array, dim) for dim in dims]
        labels = [", ".join(part) for part in itertools.product(*axes)]
        if len(set(labels)) < len(labels):  # commas in labels: the numbers of the places tell them apart
            axes = [list(map(str, range(array.sizes[dim]))) for dim in dims]
            labels = [", ".join(part) for part in itertools.product(*axes)]
        self._array, self._dims = array, dims
        self._column = {f"{name}[{label}]" if dims else name: i for i, label in enumerate(labels)}
        self._some: tuple[int, NDArray[Any]] | None = None  # columns from some number on

    def __iter__(self) -> Iterator[str]:
        return iter(self._column)

    def __contains__(self, label: object) -> bool:
        return label in self._column

    def __getitem__(self, label: str) -> Floats:
        return self._of(self._column[label]).astype(np.float64)

    def together(self) -> NDArray[Any]:
        """All scalars of each particle, shape (N, number of scalars), as they are."""
        return self._array.values.reshape(self._array.sizes[PARTICLE], -1)

    def is_same(self, other: Elements) -> bool:
        """Whether the arrays are one in memory."""
        small = max(self._array.nbytes, other._array.nbytes) <= MOST
        return self is other or (small and self._array.data is other._array.data)

    def _of(self, i: int) -> NDArray[Any]:
        """Values of a column, read with as many of those after it as there is room for."""
        start, columns = self._some or (0, np.empty((0, 0)))
        if not start <= i < start + columns.shape[1]:
            shape = [self._array.sizes[dim] for dim in self._dims]
            *outer, last = np.unravel_index(i, shape) if shape else (0,)
            count = max(1, MOST // max(1, self._array.sizes[PARTICLE] * self._array.dtype.itemsize))
            if len(self._column) <= count:
                start, columns = 0, self._array.values.reshape(-1, len(self._column))
            else:
                index = dict(
                    zip(self._dims, [*map(int, outer), slice(int(last), int(last) + count)], strict=True)
                )
                start, columns = i, self._array.isel(index).values
            self._some = start, columns
        return columns[:, i - start]


def _labels(array: xr.DataArray, dim: str) -> list[str]:
    """Labels along a dim: its coordinate where that tells the places apart, else their numbers."""
    places = [str(i) for i in range(array.sizes[dim])]
    labels = [str(label) for label in array[dim].values] if dim in array.coords else places
    return labels if len(set(labels)) == len(labels) else places


def row_labels(arrays: Iterable[tuple[str, Elements]]) -> dict[tuple[str, str], str]:
    """Labels of rows by array and element: as the element has them, but for those that two would share.

    A scalar ``theta[0]`` beside a vector ``theta`` keeps its label; the element of the vector is
    ``theta[0] (2)``.
    """
    pairs = dict.fromkeys((name, label) for name, elements in arrays for label in elements)
    labels = {(name, label): label for name, label in pairs if name == label}
    taken = set(labels.values())
    for name, label in pairs:
        row, count = label, 1
        while (name, label) not in labels:
            if row not in taken:
                labels[name, label] = row
                taken.add(row)
            count += 1
            row = f"{label} ({count})"
    return labels
