"""The chunks of one array: a file a batch, which is the batch's array as it lies in memory, or compressed.

Knows NumPy and files; nothing of records.
"""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from arviz_resampler.errors import ArgumentError, StoreError, describe
from arviz_resampler.storage.compressed import compress, decompress
from arviz_resampler.storage.files import fill, opened, read, reason
from arviz_resampler.storage.layout import ArraySpec, Key, named
from arviz_resampler.storage.records import record_name

Array = NDArray[Any]

# A row costs a system call and a page of memory, so where these are all of the chunk, it is read at once.
_PAGE = 4096


@dataclass(frozen=True)
class Chunks:
    """The chunks of one array.

    Attributes
    ----------
    root : Path
        The store.
    key : tuple of str
        Group and name of the site.
    node : str
        Folder of the array, below the store.
    spec : ArraySpec
        What a row of it is.
    batch_size : int
        Number of rows in a chunk.
    """

    root: Path
    key: Key
    node: str
    spec: ArraySpec
    batch_size: int

    @property
    def shape(self) -> tuple[int, ...]:
        """Of a chunk."""
        return self.batch_size, *self.spec.shape

    @cached_property
    def width(self) -> int:
        """Bytes of a row."""
        return math.prod(self.spec.shape) * self.spec.little.itemsize

    @cached_property
    def size(self) -> int | None:
        """Bytes of a file, None where they depend on the values."""
        return None if self.spec.shared and self.width else self.batch_size * self.width

    def name(self, batch: int) -> str:
        """File of a batch, below the store."""
        return f"{self.node}/c/{batch}{self._rest}"

    @cached_property
    def _rest(self) -> str:
        return "/0" * len(self.spec.shape)

    def content(self, batch: int, array: Array) -> Any:
        """What the file of a batch has to hold, as bytes or as an array of them."""
        if array.shape != self.shape or array.dtype.newbyteorder("<") != self.spec.little:
            raise StoreError(
                f"{self.root}: batch {batch}, {named(self.key)}: found {describe(array)}, but every batch of "
                f"this store has shape {self.shape} and dtype {self.spec.dtype}"
            )
        array = np.ascontiguousarray(array, dtype=self.spec.little)
        if self.spec.shared and self.width:
            return compress(array)
        return array.reshape(-1).view(np.uint8)

    def stored(self, batch: int) -> bytes:
        """What the file of a batch holds."""
        with self._telling(batch):
            return read(self.root, self.name(batch)) if self.width else b""

    def check_size(self, batch: int, prefix: str) -> None:
        """Refuse a file that is missing or of a wrong size; ``prefix`` is the store's path as a string."""
        if not self.width:
            return
        try:
            size = os.lstat(prefix + self.name(batch)).st_size
        except OSError as error:
            raise self.damaged(batch, reason(error)) from error
        if self.size not in (None, size):
            raise self.damaged(batch, f"the file has {size} bytes, not {self.size}")

    @contextlib.contextmanager
    def _telling(self, batch: int) -> Iterator[None]:
        """Have errors say which chunk they are about."""
        try:
            yield
        except OSError as error:
            raise self.damaged(batch, reason(error)) from error
        except ValueError as error:
            raise self.damaged(batch, str(error)) from error

    def damaged(self, batch: int, why: str) -> StoreError:
        """The error that a chunk cannot be used."""
        return StoreError(
            f"{self.root}: batch {batch}, {named(self.key)}: {self.name(batch)}: {why}. Delete "
            f"{record_name(batch)} there: the same call then simulates the batch again"
        )

    def whole(self, batches: Sequence[int], rows: range | None = None) -> Array:
        """Some batches, one after the other; of all their rows, those of a range."""
        size = self.batch_size
        rows = range(len(batches) * size) if rows is None else rows
        out = np.empty((len(rows), *self.spec.shape), self.spec.little)
        for i, batch in enumerate(batches):
            first, last = max(rows.start, i * size), min(rows.stop, (i + 1) * size)
            if first < last:
                self._read(batch, out[first - rows.start : last - rows.start], first - i * size)
        return out

    def rows(self, index: NDArray[np.int64]) -> Array:
        """Some rows, in this order; they are numbers from 0 on."""
        out = np.empty((len(index), *self.spec.shape), self.spec.little)
        if not out.size:
            return out
        batches, within = np.divmod(index, self.batch_size)
        order = np.argsort(batches, kind="stable")
        starts = np.flatnonzero(np.diff(batches[order])) + 1
        for places in np.split(order, starts):
            self._some(int(batches[places[0]]), within[places], places, out)
        return out

    def _some(self, batch: int, within: NDArray[np.int64], places: NDArray[np.intp], out: Array) -> None:
        """Rows of one batch, put where they belong."""
        if self.size is None or len(within) * max(self.width, _PAGE) >= self.size:
            chunk = np.empty(self.shape, self.spec.little)
            self._read(batch, chunk)
            out[places] = chunk[within]
            return
        view, width = _bytes(out), self.width
        with self._telling(batch), opened(self.root, self.name(batch), size=self.size) as (descriptor, _):
            for row, place in zip(within.tolist(), places.tolist(), strict=True):
                fill(descriptor, view[place * width : (place + 1) * width], row * width)

    def _read(self, batch: int, into: Array, first: int = 0) -> None:
        """Rows of one batch, from the first on."""
        if not self.width:
            return
        with self._telling(batch):
            if self.size is None:
                chunk = decompress(read(self.root, self.name(batch)), self.shape, self.spec.little)
                into[...] = chunk[first : first + len(into)]
                return
            with opened(self.root, self.name(batch), size=self.size) as (descriptor, _):
                fill(descriptor, _bytes(into), first * self.width)


def as_index(index: Any, length: int) -> NDArray[np.int64]:
    """Numbers of rows as integers."""
    array = np.asarray(index)
    if array.ndim != 1 or (array.dtype.kind not in "iu" and array.size):
        raise ArgumentError(f"rows must be given by their numbers in one dimension, got {describe(index)}")
    if array.size and (array.min() < 0 or array.max() >= length):
        raise ArgumentError(
            f"rows must be numbers from 0 to {length - 1}, got {array.min()} to {array.max()}"
        )
    return array.astype(np.int64)


def _bytes(array: Array) -> memoryview:
    """The memory of a contiguous array."""
    return array.reshape(-1).view(np.uint8).data
