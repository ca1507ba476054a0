"""A new store: built beside its path and moved there, so that nobody sees half of one.

Knows layouts, arrays and files.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from arviz_resampler.errors import StoreError
from arviz_resampler.storage.compressed import compress
from arviz_resampler.storage.files import (
    WORKSHOP,
    check_links,
    read,
    reason,
    sync,
    sync_tree,
    temporary_name,
    to_json,
)
from arviz_resampler.storage.layout import Key, Layout, is_ours, metadata, parse

ROOT = "zarr.json"


def is_store(path: str | os.PathLike[str]) -> bool:
    """Whether a path is a store of any version."""
    try:
        return is_ours(json.loads(read(Path(path), ROOT)))
    except (OSError, ValueError):
        return False


def create(path: Path, layout: Layout, data: Mapping[Key, NDArray[Any]]) -> None:
    """Make a store, unless another process has made one.

    Raises
    ------
    StoreError
        If there is something else, or nothing can be written there.
    """
    if is_store(path):
        return
    target = Path(os.path.realpath(path))
    _check_free(target, path)
    made = target.with_name(temporary_name(target.name))
    try:
        _build(made, layout, data)
        os.rename(made, target)  # refuses a directory that is not empty
        sync(target.parent)
    except OSError as error:
        if not is_store(path):  # else another process was quicker
            _check_free(target, path)
            raise StoreError(f"{path} cannot be made: {reason(error)}") from error
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _check_free(target: Path, path: Path) -> None:
    """Refuse a path where something is that is no store."""
    # Those of os.path are False where Path's raise, as for a name that is too long.
    if not os.path.isdir(target.parent):
        raise StoreError(f"{path} cannot be made: the directory {target.parent} does not exist")
    if os.path.isdir(target):
        found = sorted(os.listdir(target))
        if found and not is_store(target):  # another process may have been quicker
            raise StoreError(
                f"{path} is a directory that is no store of particles and not empty (it holds {found[0]!r}): "
                f"give another path"
            )
    elif os.path.exists(target):
        raise StoreError(f"{path} is a file, not a store of particles: give another path")


def _build(root: Path, layout: Layout, data: Mapping[Key, NDArray[Any]]) -> None:
    (root / WORKSHOP).mkdir(parents=True)
    for node, content in metadata(layout).items():
        (root / node).mkdir(exist_ok=True)
        (root / node / ROOT).write_bytes(to_json(content))
    for key, array in data.items():
        if array.size:
            chunk = root / data_name(layout, key)
            chunk.parent.mkdir(parents=True, exist_ok=True)
            chunk.write_bytes(compress(np.ascontiguousarray(array, dtype=layout.data[key].little)))
    sync_tree(root)


def data_name(layout: Layout, key: Key) -> str:
    """File of an array without a particle axis, below the store."""
    return "/".join([layout.nodes[key], "c", *["0"] * len(layout.data[key].shape)])


def open_layout(path: Path) -> Layout:
    """What is in a store, from its root's metadata alone."""
    if not os.path.isdir(path):
        raise StoreError(
            f"{path} is no store of particles: it is {'a file' if os.path.exists(path) else 'not there'}"
        )
    try:
        root = json.loads(read(path, ROOT))
    except FileNotFoundError:
        raise StoreError(f"{path} is no store of particles: it has no {ROOT}") from None
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {reason(error)}") from error
    except ValueError as error:
        raise StoreError(f"{path}: its {ROOT} is damaged: {error}") from error
    layout = parse(root, str(path))
    try:
        for node in (WORKSHOP, *(f"{node}/c" for node in layout.nodes.values())):
            check_links(path, node)
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {reason(error)}") from error
    return layout
