"""A directory of arrays that is written in batches, by one process or many, and that survives kills.

Knows NumPy and files; nothing of programs or of what arrays are for.
"""

from __future__ import annotations

import contextlib
import os
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from arviz_resampler.errors import ArgumentError, StoreError, quoted
from arviz_resampler.storage import creation, locks, records
from arviz_resampler.storage.chunks import Array, Chunks, as_index
from arviz_resampler.storage.compressed import decompress
from arviz_resampler.storage.files import WORKSHOP, put, read, reason, remove_unfinished, to_json
from arviz_resampler.storage.layout import ArraySpec, Key, Layout, check, metadata, named

_RECORD = ("batch", "rows", "crc32")


@dataclass(frozen=True)
class Store:
    """A directory of arrays in batches; plain xarray opens it, too.

    A batch is there if its record is: that is written when all of the batch is on the disk, so a process
    may be killed at any moment, and the batch that it was writing is missing.

    Attributes
    ----------
    path : Path
        Of the directory.
    layout : Layout
        What is in it, and how it lies there.
    """

    path: Path
    layout: Layout

    @classmethod
    def create(
        cls,
        path: str | os.PathLike[str],
        arrays: Mapping[Key, ArraySpec],
        *,
        batch_size: int,
        num_batches: int,
        attrs: Mapping[str, Any],
        data: Mapping[Key, tuple[tuple[str, ...], Array]] | None = None,
    ) -> Store:
        """A new store without batches, or the one that another process has made meanwhile.

        Parameters
        ----------
        path : path_like
            Where nothing is, or an empty directory.
        arrays : mapping
            What each batch will have, by group and name of the site.
        batch_size, num_batches : int
            Number of particles in a batch, and of batches.
        attrs : mapping
            Anything that JSON takes. Where there is a store already, compare its attributes with these.
        data : mapping, optional
            Dims and values of arrays without particles, by group and name of the site.

        Raises
        ------
        StoreError
            If there is something else, if nothing can be written there, or if an array cannot be stored.
        """
        path, data = Path(path).absolute(), data or {}
        specs = {key: ArraySpec(a.shape, a.dtype.name, tuple(dims)) for key, (dims, a) in data.items()}
        layout = Layout(dict(arrays), specs, batch_size, num_batches, dict(attrs))
        check(layout, str(path))
        creation.create(path, layout, {key: array for key, (_, array) in data.items()})
        return cls.open(path)

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Store:
        """A store that is there; arrays are not read.

        Raises
        ------
        StoreError
            If it is no store, one of another version, or holds what this package does not write.
        """
        path = Path(path).absolute()
        return cls(path, creation.open_layout(path))

    @staticmethod
    def is_store(path: str | os.PathLike[str]) -> bool:
        """Whether a path is a store, of this version or another."""
        return creation.is_store(path)

    def __reduce__(self) -> tuple[Any, ...]:
        return Store.open, (self.path,)

    @property
    def attrs(self) -> dict[str, Any]:
        """The caller's attributes."""
        return dict(self.layout.attrs)

    @property
    def arrays(self) -> Mapping[Key, ArraySpec]:
        """What each batch has, by group and name of the site."""
        return self.layout.arrays

    @property
    def batch_size(self) -> int:
        """Number of particles in a batch."""
        return self.layout.batch_size

    @property
    def num_batches(self) -> int:
        """Number of batches, those that are missing included."""
        return self.layout.num_batches

    @cached_property
    def _chunks(self) -> dict[Key, Chunks]:
        nodes = self.layout.nodes
        return {k: Chunks(self.path, k, nodes[k], spec, self.batch_size) for k, spec in self.arrays.items()}

    @cached_property
    def _nodes(self) -> set[str]:
        return {chunks.node for chunks in self._chunks.values()}

    def done(self) -> list[int]:
        """Numbers of the batches that have a record, sorted."""
        return [batch for batch in self._recorded() if batch < self.num_batches]

    def missing(self) -> list[int]:
        """Numbers of the batches that have none, sorted."""
        return sorted(set(range(self.num_batches)) - set(self.done()))

    def _recorded(self) -> list[int]:
        try:
            found = map(records.batch_of, os.listdir(self.path / WORKSHOP))
            return sorted(batch for batch in found if batch is not None)
        except OSError as error:
            raise StoreError(f"{self.path}: its records cannot be listed: {reason(error)}") from error

    def write(self, batch: int, arrays: Mapping[Key, Array], notes: Mapping[str, Any]) -> dict[str, Any]:
        """Write a batch; on return it is on the disk.

        Parameters
        ----------
        batch : int
            Its number.
        arrays : mapping
            Its arrays, by group and name of the site.
        notes : mapping
            What else its record is to say: anything that JSON takes.

        Returns
        -------
        dict
            The record.

        Raises
        ------
        StoreError
            If an array is not what the store was made for, or the system refuses to write.
        """
        self._check_batches([batch])
        if odd := arrays.keys() ^ self.arrays.keys():
            where = "in it, but not in the store" if min(odd) in arrays else "in the store, but not in it"
            raise StoreError(f"{self.path}: batch {batch}: {named(min(odd))} is {where}")
        if taken := notes.keys() & set(_RECORD):
            raise ArgumentError(f"the notes {quoted(taken)} are the record's own")
        contents = {chunks: chunks.content(batch, arrays[key]) for key, chunks in self._chunks.items()}
        record = {"batch": batch, "rows": self.batch_size, "crc32": {}, **notes}
        name = records.record_name(batch)
        records.dump(record)  # notes that JSON does not take are refused before anything is written
        try:
            # No record may stand beside the chunks of another run.
            (self.path / name).unlink(missing_ok=True)
            with ThreadPoolExecutor(1) as pool:  # the disk need not wait for the checksums
                sums = pool.map(zlib.crc32, contents.values())
                put(self.path, {c.name(batch): content for c, content in contents.items() if c.width})
                record["crc32"] = {c.node: crc for c, crc in zip(contents, sums, strict=True)}
            put(self.path, {name: records.dump(record)})
        except OSError as error:
            raise self._unwritten(batch, error) from error
        return record

    def _unwritten(self, batch: int, error: OSError) -> StoreError:
        done = "the others"
        with contextlib.suppress(StoreError):
            done = f"{len(self.done())} of {self.num_batches} batches"
        return StoreError(
            f"{self.path}: batch {batch} cannot be written: {reason(error)}. {done} are done; once this is "
            f"mended, the same call goes on with the missing ones"
        )

    def record(self, batch: int) -> dict[str, Any]:
        """What was noted of a batch when it was written.

        Raises
        ------
        StoreError
            If the batch is missing, or its record is damaged.
        """
        self._check_batches([batch])
        name = records.record_name(batch)
        try:
            return records.load(read(self.path, name), batch, self.batch_size, self._nodes)
        except FileNotFoundError:
            raise StoreError(f"{self.path}: batch {batch} is missing: it has no record {name}") from None
        except OSError as error:
            raise StoreError(f"{self.path}: batch {batch}: {name}: {reason(error)}") from error
        except ValueError as error:
            raise StoreError(
                f"{self.path}: batch {batch}: {name}: {error}. Delete it: the same call then simulates the "
                f"batch again"
            ) from error

    def records(self, batches: Iterable[int]) -> dict[int, dict[str, Any]]:
        """Records of some batches by their numbers, once the sizes of their files are found to be right."""
        prefix, found = f"{self.path}/", {}
        for batch in batches:
            found[batch] = self.record(batch)
            for chunks in self._chunks.values():
                chunks.check_size(batch, prefix)
        return found

    def check(self, batches: Iterable[int]) -> dict[int, dict[str, Any]]:
        """Records of some batches, once all of their files are read and found to be as they were written."""
        found = self.records(batches)
        for batch, record in found.items():
            for chunks in self._chunks.values():
                if zlib.crc32(chunks.stored(batch)) != record["crc32"][chunks.node]:
                    raise chunks.damaged(batch, "the content has another checksum than when it was written")
        return found

    def read(self, key: Key, batches: Sequence[int], rows: range | None = None) -> Array:
        """Some batches of an array, one after the other; of all their rows, those of a range."""
        self._check_batches(batches)
        return self._of(key).whole(batches, rows)

    def rows(self, key: Key, index: Any) -> Array:
        """Some rows of an array, in this order; they may repeat."""
        return self._of(key).rows(as_index(index, self.batch_size * self.num_batches))

    def _of(self, key: Key) -> Chunks:
        if key not in self._chunks:
            known = ", ".join(map(named, sorted(self._chunks))) or "none"
            raise ArgumentError(f"{self.path} has no {named(key)}: it has {known}")
        return self._chunks[key]

    def _check_batches(self, batches: Iterable[int]) -> None:
        for batch in batches:
            if not 0 <= batch < self.num_batches:
                raise ArgumentError(
                    f"batches of {self.path} have numbers from 0 to {self.num_batches - 1}, got {batch}"
                )

    def data(self, group: str) -> dict[str, tuple[tuple[str, ...], Array]]:
        """Dims and values of the arrays of a group that have no particle axis, by name of the site."""
        found = {}
        for key, spec in self.layout.data.items():
            if key[0] == group:
                found[key[1]] = spec.dims, self._datum(key, spec)
        return found

    def _datum(self, key: Key, spec: ArraySpec) -> Array:
        if not np.prod(spec.shape, dtype=int):
            return np.empty(spec.shape, spec.little)
        name = creation.data_name(self.layout, key)
        try:
            return decompress(read(self.path, name), spec.shape, spec.little)
        except (OSError, ValueError) as error:
            why = reason(error) if isinstance(error, OSError) else error
            raise StoreError(f"{self.path}: {named(key)} cannot be read: {name}: {why}") from error

    @contextlib.contextmanager
    def lock(self, shard: str = "all") -> Iterator[None]:
        """The right to write a shard, as "3/100", or all of it alone, for as long as a block runs."""
        folder = self.path / WORKSHOP
        with contextlib.ExitStack() as held:
            held.enter_context(locks.lock(folder / ".lock-all", f"{self.path}", shared=shard != "all"))
            if shard != "all":
                i, n = map(int, shard.split("/"))
                held.enter_context(locks.lock_shard(folder, (i, n), f"{self.path}"))
            yield

    def clean(self) -> int:
        """The number of things removed that interrupted writers left; only while no other process writes."""
        try:
            return remove_unfinished(self.path)
        except OSError as error:
            raise StoreError(f"{self.path} cannot be cleaned: {reason(error)}") from error

    def with_room(self, num_batches: int) -> Store:
        """The same store for who writes more batches, which others see once it has :meth:`changed`."""
        if num_batches < self.num_batches:
            raise ArgumentError(
                f"{self.path} has {self.num_batches} batches, which cannot become {num_batches}"
            )
        return replace(self, layout=replace(self.layout, num_batches=num_batches))

    def changed(self, attrs: Mapping[str, Any] | None = None) -> Store:
        """The store as others see it from now on: with its room, or with other attributes of the caller."""
        layout = self.layout if attrs is None else replace(self.layout, attrs=dict(attrs))
        check(layout, str(self.path))
        contents = {node: to_json(content) for node, content in metadata(layout).items()}
        arrays = set(layout.nodes.values())
        try:
            put(self.path, {f"{node}/zarr.json": contents[node] for node in arrays})
            put(self.path, {creation.ROOT: contents[""]})  # what the root says is true, so it is the switch
            put(self.path, {f"{node}/zarr.json": contents[node] for node in contents.keys() - arrays - {""}})
        except OSError as error:
            raise StoreError(f"{self.path} cannot be changed: {reason(error)}") from error
        return Store.open(self.path)

    def surplus(self) -> list[int]:
        """Numbers of the batches beyond the last one that have a record: of a growth that was interrupted."""
        return [batch for batch in self._recorded() if batch >= self.num_batches]

    def forget(self, batches: Iterable[int]) -> None:
        """Have batches be missing, those beyond the last one among them."""
        try:
            for batch in batches:
                (self.path / records.record_name(batch)).unlink(missing_ok=True)
                for chunks in self._chunks.values():
                    (self.path / chunks.name(batch)).unlink(missing_ok=True)
        except OSError as error:
            raise StoreError(f"{self.path}: a batch cannot be removed: {reason(error)}") from error
