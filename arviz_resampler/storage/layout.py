"""What is in a store, and the metadata of zarr v3 that say so.

Knows JSON and the names of dtypes; nothing of files or of what arrays are for.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from arviz_resampler.errors import StoreError, quoted
from arviz_resampler.storage.compressed import ZSTD
from arviz_resampler.storage.names import escape

Key = tuple[str, str]

SCHEMA = 1
PARTICLE = "particle"
_OURS = ("schema", "batch_size", "num_batches")
_GROUP = re.compile(r"(?!records$)[a-z][a-z0-9_]*")
DTYPES = {
    "bool",
    *(f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)),
    *(f"float{bits}" for bits in (16, 32, 64)),
    *(f"complex{bits}" for bits in (64, 128)),
}


@dataclass(frozen=True)
class ArraySpec:
    """An array of a store.

    Attributes
    ----------
    shape : tuple of int
        Of one particle; of all of it where it is data.
    dtype : str
        NumPy's name.
    dims : tuple of str
        Names of the axes of ``shape``.
    shared : bool
        Whether all particles have the same values, which are then compressed.
    """

    shape: tuple[int, ...]
    dtype: str
    dims: tuple[str, ...]
    shared: bool = False

    @property
    def little(self) -> np.dtype[Any]:
        """The dtype as it lies in files."""
        return np.dtype(self.dtype).newbyteorder("<")


@dataclass(frozen=True)
class Layout:
    """All that the metadata of a store say.

    Attributes
    ----------
    arrays, data : mapping
        Specs of arrays with a particle axis, and of those without, by group and name of the site.
    batch_size, num_batches : int
        Number of particles in a batch, and of batches.
    attrs : mapping
        The caller's attributes.
    """

    arrays: Mapping[Key, ArraySpec]
    data: Mapping[Key, ArraySpec]
    batch_size: int
    num_batches: int
    attrs: Mapping[str, Any]

    @cached_property
    def nodes(self) -> dict[Key, str]:
        """Folders of all arrays, below the store."""
        specs = {**self.arrays, **self.data}
        taken = {PARTICLE, *(dim for spec in specs.values() for dim in spec.dims)}
        return {(group, name): f"{group}/{escape(name, taken)}" for group, name in specs}


def metadata(layout: Layout) -> dict[str, dict[str, Any]]:
    """The content of each ``zarr.json`` by folder; the root's (its name is empty) repeats the others."""
    inner = {}
    for key, node in layout.nodes.items():
        spec = layout.arrays.get(key)
        if spec is None:
            inner[node] = _array(key[1], layout.data[key], (), ())
        else:
            inner[node] = _array(
                key[1], spec, (layout.batch_size * layout.num_batches,), (layout.batch_size,)
            )
    groups: dict[str, dict[str, Any]] = {name: {} for name in sorted({group for group, _ in layout.nodes})}
    for (group, _), node in layout.nodes.items():
        groups[group][node] = inner[node]
    below = {name: _group({}, {}) for name in groups}
    for arrays in groups.values():  # zarr finds the arrays of a group only where they follow each other
        below |= arrays
    # Old versions of xarray that are told a group read the group's own.
    alone = {
        name: _group({}, {node.split("/")[1]: content for node, content in arrays.items()})
        for name, arrays in groups.items()
    }
    ours = {"schema": SCHEMA, "batch_size": layout.batch_size, "num_batches": layout.num_batches}
    return {"": _group({**ours, **layout.attrs}, below), **alone, **inner}


def _group(attributes: Mapping[str, Any], nodes: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "attributes": dict(attributes),
        "zarr_format": 3,
        "consolidated_metadata": {"kind": "inline", "must_understand": False, "metadata": dict(nodes)},
        "node_type": "group",
    }


def _array(name: str, spec: ArraySpec, rows: tuple[int, ...], chunk: tuple[int, ...]) -> dict[str, Any]:
    endian = {"configuration": {"endian": "little"}} if spec.little.itemsize > 1 else {}
    zero = {"b": False, "f": "NaN", "c": [0.0, 0.0]}
    return {
        "shape": [*rows, *spec.shape],
        "data_type": spec.dtype,
        "chunk_grid": {
            "name": "regular",
            # zarr has no chunks of size zero.
            "configuration": {"chunk_shape": [*chunk, *(max(1, size) for size in spec.shape)]},
        },
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": zero.get(spec.little.kind, 0),
        "codecs": [{"name": "bytes", **endian}, *([] if rows and not spec.shared else [ZSTD])],
        "attributes": {"site": name},
        "dimension_names": [*([PARTICLE] if rows else []), *spec.dims],
        "zarr_format": 3,
        "node_type": "array",
        "storage_transformers": [],
    }


def check(layout: Layout, where: str) -> None:
    """Refuse what cannot be stored, or could not be opened with xarray."""
    for name in ("batch_size", "num_batches"):
        if (value := getattr(layout, name)) < 1:
            raise StoreError(f"{where}: {name} must be a positive integer, got {value}")
    if both := layout.arrays.keys() & layout.data.keys():
        raise StoreError(f"{where}: {named(min(both))} is an array of particles and data")
    if taken := layout.attrs.keys() & set(_OURS):
        raise StoreError(f"{where}: the attributes {quoted(taken)} are the store's own")
    specs = {**layout.arrays, **layout.data}
    for key, spec in specs.items():
        _check_spec(key, spec, f"{where}: {named(key)}")
    sizes: dict[tuple[str, str], tuple[int, str]] = {}
    for (group, name), spec in specs.items():
        for dim, size in zip(spec.dims, spec.shape, strict=True):
            other, first = sizes.setdefault((group, dim), (size, name))
            if size != other:
                raise StoreError(
                    f"{where}: {named((group, name))} has size {size} in the dim {dim!r}, site {first!r} of "
                    f"the same group has {other}: xarray needs one size for a dim"
                )


def _check_spec(key: Key, spec: ArraySpec, here: str) -> None:
    if not _GROUP.fullmatch(key[0]):
        raise StoreError(
            f"{here}: a group needs a name of lower-case letters, digits and underscores other than 'records'"
        )
    if spec.dtype not in DTYPES:
        raise StoreError(f"{here} has dtype {spec.dtype}: a store takes truth values and numbers alone")
    if len(spec.dims) != len(spec.shape) or len({PARTICLE, *spec.dims}) <= len(spec.dims):
        raise StoreError(
            f"{here} has shape {spec.shape} and dims {spec.dims}: each axis needs a name of its own, other "
            f"than {PARTICLE!r}"
        )


def named(key: Key) -> str:
    """A site as it is shown in messages."""
    return f"site {key[1]!r} of group {key[0]!r}"


def parse(root: Any, where: str) -> Layout:
    """The layout that a root's ``zarr.json`` describes; nothing else is read, and nothing else is believed.

    Raises
    ------
    StoreError
        If it is not what this version of the package writes.
    """
    attributes = _attributes(root, where)
    size, batches = attributes["batch_size"], attributes["num_batches"]
    arrays: dict[Key, ArraySpec] = {}
    data: dict[Key, ArraySpec] = {}
    found = {}
    try:
        for node, content in root["consolidated_metadata"]["metadata"].items():
            if content["node_type"] != "group":
                group, spec = node.split("/")[0], _spec(node, content, where)
                key = group, str(content["attributes"]["site"])
                (arrays if content["dimension_names"][:1] == [PARTICLE] else data)[key] = spec
                found[node] = content
        own = {name: value for name, value in attributes.items() if name not in _OURS}
        layout = Layout(arrays, data, size, batches, own)
        check(layout, where)
        _compare(layout, found, where)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise StoreError(f"{where}: its zarr.json is damaged: {error!r}") from error
    return layout


def _attributes(root: Any, where: str) -> dict[str, Any]:
    if not isinstance(root, dict) or root.get("zarr_format") != 3:
        version = root.get("zarr_format") if isinstance(root, dict) else None
        raise StoreError(f"{where} is no store of particles: it has zarr's format {version}, not 3")
    if not is_ours(root):
        raise StoreError(f"{where} is no store of particles: its attributes lack {quoted(_OURS)}")
    attributes: dict[str, Any] = root["attributes"]
    if attributes["schema"] != SCHEMA:
        raise StoreError(
            f"{where} has schema {attributes['schema']!r}, this version of the package reads schema "
            f"{SCHEMA}: use the version that wrote it, or another path"
        )
    for name in _OURS:
        if type(attributes[name]) is not int:
            raise StoreError(f"{where}: its zarr.json is damaged: {name} is {attributes[name]!r}")
    return attributes


def is_ours(root: Any) -> bool:
    """Whether the content of a ``zarr.json`` is of a store of any version."""
    attributes = root.get("attributes") if isinstance(root, dict) else None
    return isinstance(attributes, dict) and set(_OURS) <= attributes.keys()


def _spec(node: str, content: Mapping[str, Any], where: str) -> ArraySpec:
    """What an array's metadata seem to say, before they are compared with what would say so."""
    dtype, codecs = content["data_type"], content["codecs"]
    if dtype not in DTYPES:
        raise StoreError(
            f"{where}: array {node!r} has dtype {dtype!r}: a store has truth values and numbers alone"
        )
    names = [codec["name"] for codec in codecs]
    if names not in (["bytes"], ["bytes", "zstd"]):
        raise StoreError(
            f"{where}: array {node!r} has codecs {names}: a store has 'bytes', or 'bytes' and 'zstd', alone"
        )
    dims, shape = content["dimension_names"], content["shape"]
    if not all(type(size) is int and size >= 0 for size in shape):
        raise StoreError(f"{where}: array {node!r} has shape {shape}")
    own = slice(1, None) if dims[:1] == [PARTICLE] else slice(None)
    return ArraySpec(tuple(shape[own]), dtype, tuple(map(str, dims[own])), own.start == 1 and len(names) > 1)


def _compare(layout: Layout, found: Mapping[str, Mapping[str, Any]], where: str) -> None:
    """Refuse arrays that lie elsewhere or otherwise than this version would have put them."""
    expected = metadata(layout)
    nodes = set(layout.nodes.values())
    for node, content in found.items():
        if node not in nodes:
            raise StoreError(f"{where}: array {node!r} has no name that this package gives")
        rows = expected[node]["shape"][: content["dimension_names"][:1] == [PARTICLE]]
        if rows and content["shape"][0] < rows[0]:
            raise StoreError(
                f"{where}: array {node!r} has {content['shape'][0]} rows, but {layout.num_batches} batches "
                f"of {layout.batch_size} are {rows[0]}"
            )
        for name in (content.keys() | expected[node].keys()) - {"attributes", "fill_value", "shape"}:
            here, there = content.get(name), expected[node].get(name)
            if name == "codecs" and np.dtype(content["data_type"]).itemsize == 1:
                here = [{"name": "bytes"}, *content[name][1:]]  # zarr 3.0 names an order of single bytes, too
            if here != there:
                raise StoreError(f"{where}: array {node!r} has {name} {here!r}, not {there!r}")
