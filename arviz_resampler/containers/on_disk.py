"""Arrays of particles that stay on disk until somebody looks at them. Knows xarray's lazy arrays alone."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from xarray.backends import BackendArray
from xarray.core import indexing

_MOST = 1 << 28  # bytes of rows that are read at a time, of which columns are kept


def lazy(rows: Any) -> Any:
    """Values by particle as a variable of xarray holds them: some rows are read when they are used."""
    return indexing.LazilyIndexedArray(_OnDisk(rows))


class _OnDisk(BackendArray):
    """Rows for xarray."""

    def __init__(self, rows: Any) -> None:
        self._rows = rows
        self.shape = tuple(rows.shape)
        name = str(rows.dtype).removeprefix("torch.")
        self.dtype = np.dtype("float32" if name == "bfloat16" else name)

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        return indexing.explicit_indexing_adapter(key, self.shape, indexing.IndexingSupport.OUTER, self._read)

    def _read(self, key: tuple[Any, ...]) -> NDArray[Any]:
        """Some rows, and of each some columns: ints, slices and arrays of numbers by axis."""
        first, *others = key
        if isinstance(first, int | np.integer):
            found: NDArray[Any] = _columns(self._some([int(first)]), others)[0]
            return found
        numbers = range(self.shape[0])[first] if isinstance(first, slice) else first.tolist()
        step = max(1, _MOST // max(1, self.dtype.itemsize * math.prod(self.shape[1:])))
        starts = range(0, max(1, len(numbers)), step)
        parts = [_columns(self._some(numbers[i : i + step]), others) for i in starts]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _some(self, numbers: range | list[int]) -> NDArray[Any]:
        """Whole rows, in one go where they follow each other."""
        if isinstance(numbers, range) and numbers.step == 1:
            values = self._rows[numbers.start : numbers.stop]
        else:
            values = self._rows[list(numbers)]
        values = values.float() if str(values.dtype) == "torch.bfloat16" else values
        return np.asarray(values)


def _columns(rows: NDArray[Any], others: list[Any]) -> NDArray[Any]:
    """Some columns of rows, axis by axis."""
    for axis in reversed(range(len(others))):
        rows = rows[(*[slice(None)] * (axis + 1), others[axis])]
    return rows
