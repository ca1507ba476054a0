"""Arrays of a container: copies of draws and data, views of particles. Knows arrays alone."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from arviz_resampler.arguments import as_array
from arviz_resampler.devices import to_host

Array = NDArray[Any]


def plain(name: str, values: Any, discrete: bool) -> Array:
    """An own copy in a dtype that every plot takes: int64 for discrete sites, else float64."""
    array = as_array(name, values)
    whole = array.dtype.kind != "f"
    if whole and array.dtype.kind == "u" and array.size:
        whole = int(array.max()) < 2**63
    if discrete and array.dtype.kind == "f":
        whole = bool((np.abs(array) < 2.0**63).all() and (array == np.floor(array)).all())
    return np.array(array, dtype=np.int64 if whole else np.float64, order="C")


def view(values: Any) -> Array:
    """A tensor as a read-only array that shares its memory, where NumPy has its dtype."""
    values = values.detach()
    return to_host(values.float() if str(values.dtype) == "torch.bfloat16" else values)
