"""Particles in a store: what is written of a batch, and the particles that a store has.

Knows records and the store; nothing of programs.
"""

from __future__ import annotations

import functools
import itertools
import json
import platform
import socket
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from arviz_resampler._version import __version__
from arviz_resampler.errors import StoreError
from arviz_resampler.particles.disk import StoredArray, StoredTensor
from arviz_resampler.particles.particles import Particles, Ran
from arviz_resampler.programs.columns import CachedSite, Columns
from arviz_resampler.sites import Site, name_axes
from arviz_resampler.storage import ArraySpec, Key, Store

Record = Mapping[str, Any]
_FLAGS = ("continuous", "point_mass", "transform", "from_guide", "masked", "reason")


def to_arrays(columns: Columns, *, masks: bool) -> dict[Key, NDArray[Any]]:
    """Arrays of a batch, by group and site.

    Where runs may fail, whole numbers that are predicted have room for NaN.
    """
    arrays: dict[Key, NDArray[Any]] = {}
    for name, column in columns.items():
        value = column.value
        if masks and column.site.role == "predictive" and not _has_nan(value):
            value = value.double()
        tensors = {"values": value, "log_q": column.log_q, "log_conditional": column.log_conditional}
        arrays |= {
            (group, name): _as_array(tensor) for group, tensor in tensors.items() if tensor is not None
        }
    return arrays


def specs_of(columns: Columns, *, masks: bool) -> dict[Key, ArraySpec]:
    """What the arrays of all batches are like, from the columns of a few particles."""
    specs, dims = {}, _dims(columns)
    for (group, name), array in to_arrays(columns, masks=masks).items():
        value = columns[name].value
        shared = group == "values" and len(value) > 1 and value.stride(0) == 0
        own = dims[name] if group == "values" else ()
        specs[group, name] = ArraySpec(array.shape[1:], str(array.dtype), own, shared)
    return specs


def _dims(columns: Columns) -> dict[str, tuple[str, ...]]:
    """Dims of each site, of which each has one size."""
    sizes: dict[str, set[int]] = {"particle": {0, 1}}
    for column in columns.values():
        for dim, size in zip(column.site.dims, column.site.shape, strict=True):
            sizes.setdefault(dim, set()).add(size)
    return {
        name: tuple(dim if len(sizes[dim]) == 1 else f"{name}_{dim}" for dim in column.site.dims)
        for name, column in columns.items()
    }


def to_json(columns: Columns) -> dict[str, Any]:
    """What is known of each site, in their order."""
    return {
        name: {**asdict(column.site), **{flag: getattr(column, flag) for flag in _FLAGS}}
        | {"support": column.support, "rows": column.rows}
        for name, column in columns.items()
    }


def to_attrs(said: Mapping[str, Any]) -> dict[str, str]:
    """What a store says beside its arrays, as attributes that any file takes."""
    return {"about": json.dumps(said)}


def about(
    store: Store, needs: Sequence[str] = ("random_seed", "first_draws", "sites", "settings")
) -> dict[str, Any]:
    """What a store says beside its arrays, which has some names."""
    try:
        said = dict(json.loads(store.attrs["about"]))
        if missing := [name for name in needs if name not in said]:
            raise KeyError(*missing)
        return said
    except (KeyError, TypeError, ValueError) as error:
        raise StoreError(
            f"{store.path} has no particles of this package, or is damaged: {error!r}"
        ) from error


def added_to(store: Store) -> list[dict[str, Any]]:
    """The top-ups that a store has had: the name of each model, and how many particles it has drawn."""
    return list(about(store).get("added", []))


@functools.cache
def versions() -> Mapping[str, str]:
    """Versions of what draws the particles, and the processor's instructions that torch uses."""
    return {
        "arviz_resampler": __version__,
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "pyro": version("pyro-ppl"),
        "numpy": np.__version__,
        "cpu": torch.backends.cpu.get_cpu_capability(),
    }


def signature() -> dict[str, Any]:
    """Who writes a batch: host and versions."""
    return {"host": socket.gethostname(), "versions": versions()}


def notes_of(columns: Columns, failed: Mapping[int, str]) -> dict[str, Any]:
    """What the record of a batch has beside the checksums."""
    infinite = {
        name: int((~torch.isfinite(column.log_q)).sum())
        for name, column in columns.items()
        if column.log_q is not None and not column.finite
    }
    reasons = {name: c.reason for name, c in columns.items() if c.reason not in (None, "deterministic")}
    return {
        "failed": {str(i): what for i, what in failed.items()},
        "infinite": infinite,
        "reasons": reasons,
    }


def as_in(
    store: Store, arrays: Mapping[Key, NDArray[Any]]
) -> tuple[dict[Key, NDArray[Any]], dict[str, list[Key]]]:
    """Arrays of a batch as a store has them; what it has that they lack is NaN, which a note says."""
    # The guide of the store may be a mixture, whose densities are float64, and those of some sites joint.
    known = {
        key: array if key[0] == "values" else array.astype(store.arrays[key].dtype)
        for key, array in arrays.items()
        if key in store.arrays
    }
    lacks = [key for key in store.arrays if key[0] != "values" and key not in known]
    nans = {key: np.full(store.batch_size, np.nan, store.arrays[key].dtype) for key in lacks}
    return known | nans, {"lacks": lacks}


def read_particles(store: Store, batches: Sequence[int], records: Mapping[int, Record]) -> Particles:
    """The particles of some batches; values that simulators add stay on disk."""
    size, said = store.batch_size, about(store)
    failures = {
        position * size + int(row): what
        for position, batch in enumerate(batches)
        for row, what in records[batch]["failed"].items()
    }
    n = len(batches) * size
    failed = torch.zeros(n, dtype=torch.bool, device="cpu")
    failed[list(failures)] = True
    kept = _Kept(store, batches, records, some_failed=bool(failures))
    columns = {name: kept.column(name, site) for name, site in said["sites"].items()}
    joint = {tuple(sites): None for sites in said["joint"]}
    joint |= {tuple(sites): None for batch in batches for sites in records[batch]["joint"]}
    params = tensors(store, "params")
    return Particles(
        columns,
        tensors(store, "data"),
        n,
        failed if failures else None,
        _ran(size, [records[batch] for batch in batches], params, mixture=said["mixture"]),
        tuple(joint),
        params,
        failures,
    )


def _ran(
    size: int, records: Sequence[Record], params: Mapping[str, Tensor], *, mixture: bool
) -> tuple[Ran, ...]:
    """Who drew the particles: one program and those of top-ups, or the parts of each batch in turn."""
    found: list[Ran] = []
    numbers = itertools.count()
    for of, each in itertools.groupby(records, key=lambda record: record["component"]):
        flags = []
        for record, number in zip(each, numbers, strict=False):  # takes no number once the group has ended
            starts = itertools.accumulate((part[0] for part in record["parts"]), initial=number * size)
            for start, (n, *singly) in zip(starts, record["parts"], strict=False):
                flags.append((range(start, start + n), tuple(singly)))
        groups = [[flag] for flag in flags] if mixture and not of else [flags]
        found += [Ran.of(group[0][0].start, group, params) for group in groups]
    return tuple(found)


class _Kept(NamedTuple):
    """What a store has of some batches."""

    store: Store
    batches: Sequence[int]
    records: Mapping[int, Record]
    some_failed: bool

    def column(self, name: str, said: Mapping[str, Any]) -> CachedSite:
        """A site of all particles."""
        fields = {field: _as_tuple(said[field]) for field in Site.__dataclass_fields__}
        dtype = self._dtype(name, said)
        fields["dtype"] = str(dtype).removeprefix("torch.")
        # No density is asked of computed values, and of predictive ones where a model mentions them alone.
        stays = said["role"] == "predictive" or (said["reason"] == "deterministic" and not said["from_guide"])
        return CachedSite(
            site=Site(**fields),
            value=self._value(name, dtype, stays=stays),
            log_q=self._densities("log_q", name),
            log_conditional=self._densities("log_conditional", name),
            support=_as_tuple(said["support"]),
            rows=said.get("rows", {}),  # stores that are older do not say it
            finite=all(name not in self.records[batch]["infinite"] for batch in self.batches),
            **{**{flag: said[flag] for flag in _FLAGS}, "reason": said["reason"] or self._reason(name)},
        )

    def _reason(self, name: str) -> str | None:
        """Why a site has no density in some batches."""
        reasons = (self.records[batch].get("reasons", {}).get(name) for batch in self.batches)
        return next(filter(None, reasons), None)

    def _dtype(self, name: str, said: Mapping[str, Any]) -> torch.dtype:
        # Whole numbers have room for NaN where runs may fail; if none did, they are whole numbers.
        dtype: torch.dtype = getattr(torch, said["dtype"])
        room = not (dtype.is_floating_point or dtype.is_complex)
        widened = room and self.store.arrays["values", name].dtype == "float64"
        return torch.float64 if widened and self.some_failed else dtype

    def _densities(self, group: str, name: str) -> Tensor | None:
        key = (group, name)
        lacking = any([group, name] in self.records[batch].get("lacks", ()) for batch in self.batches)
        if key not in self.store.arrays or lacking:
            return None
        return torch.from_numpy(self.store.read(key, self.batches))

    def _value(self, name: str, dtype: torch.dtype, *, stays: bool) -> Tensor:
        store, batches, key = self.store, self.batches, ("values", name)
        if store.arrays[key].shared:
            node = store.layout.nodes[key]
            if len({self.records[batch]["crc32"][node] for batch in batches}) == 1:
                row = torch.from_numpy(store.read(key, batches[:1])[:1]).to(dtype)
                return row.expand(len(batches) * store.batch_size, *row.shape[1:])
        if stays:
            return StoredTensor.of(StoredArray(store, key, batches), dtype)
        return torch.from_numpy(store.read(key, batches)).to(dtype)


def tensors(store: Store, group: str) -> dict[str, Tensor]:
    """Tensors without particles, by name."""
    return {name: torch.from_numpy(array) for name, (_, array) in store.data(group).items()}


def as_data(
    group: str, values: Mapping[str, Tensor] | Mapping[str, NDArray[Any]]
) -> dict[Key, tuple[tuple[str, ...], NDArray[Any]]]:
    """Tensors or arrays without particles, as a store takes them."""
    arrays = {name: _as_array(v) if isinstance(v, Tensor) else v for name, v in values.items()}
    return {(group, name): (name_axes(name, [None] * a.ndim), a) for name, a in arrays.items()}


def _has_nan(value: Tensor) -> bool:
    return value.is_floating_point() or value.is_complex()


def _as_array(tensor: Tensor) -> NDArray[Any]:
    """A tensor as an array of its dtype, or of one that NumPy has."""
    tensor = tensor.detach().cpu().contiguous()
    return np.asarray(tensor.float() if tensor.dtype == torch.bfloat16 else tensor)


def _as_tuple(value: Any) -> Any:
    """Lists of JSON as the tuples that they were."""
    return tuple(map(_as_tuple, value)) if isinstance(value, list) else value
