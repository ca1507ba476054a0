"""Numbers that are on a device: which of them come to the host, and how.

Each transfer waits for all that the device has still to do, so numbers come together. The same functions
serve the host, where NumPy finds and adds up faster than torch. Knows arrays; nothing of weights.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

T = TypeVar("T", bound=np.generic)


def numbers(*values: Tensor) -> list[float]:
    """Single numbers, in one transfer."""
    away = next((value.device for value in values if not value.is_cpu), None)
    if away is not None:
        values = (*torch.stack([value.to(away, torch.float64) for value in values]).cpu(),)
    return list(map(float, values))


def to_host(values: Tensor) -> NDArray[Any]:
    """An array on the host, read-only; it shares the memory of values that are there already."""
    return frozen(values.cpu().numpy())


def together(*values: Tensor) -> tuple[NDArray[Any], ...]:
    """Arrays of one length on the host, in one transfer."""
    if all(value.is_cpu for value in values):
        return tuple(value.numpy() for value in values)
    rows = [value.reshape(len(value), math.prod(value.shape[1:])) for value in values]
    rows = [row.clone(memory_format=torch.contiguous_format).view(torch.uint8) for row in rows]
    parts = torch.split(torch.cat(rows, 1).cpu(), [part.shape[1] for part in rows], 1)
    return tuple(
        part.clone(memory_format=torch.contiguous_format).view(value.dtype).reshape(value.shape).numpy()
        for part, value in zip(parts, values, strict=True)
    )


def frozen(array: NDArray[T]) -> NDArray[T]:
    """A read-only view."""
    array = array.view()
    array.flags.writeable = False
    return array


def readable(value: Tensor) -> bool:
    """Whether a tensor is a single number that can be read without a wait for a device."""
    return value.numel() == 1 and value.is_cpu


class _Packed(NamedTuple):
    """A tensor of a device, as it is pickled."""

    values: Tensor  # on the host
    device: str

    def unpacked(self) -> Tensor:
        """The tensor on its device, or on the host where there is none."""
        try:
            return self.values.to(self.device)
        except (AssertionError, NotImplementedError, RuntimeError):
            return self.values


class PicklesFromDevices:
    """A record whose tensors, on whatever device, are unpickled on a machine without it, too."""

    def __getstate__(self) -> dict[str, Any]:
        return {name: _packed(value) for name, value in vars(self).items()}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        vars(self).update({name: _unpacked(value) for name, value in state.items()})


def _packed(value: Any) -> Any:
    away = isinstance(value, Tensor) and not value.is_cpu
    return _Packed(value.cpu(), str(value.device)) if away else _each(_packed, value)


def _unpacked(value: Any) -> Any:
    return value.unpacked() if isinstance(value, _Packed) else _each(_unpacked, value)


def _each(change: Callable[[Any], Any], value: Any) -> Any:
    """A thing with what it is made of changed."""
    if type(value) is dict:
        return {key: change(item) for key, item in value.items()}
    if isinstance(value, tuple):
        items = map(change, value)
        return type(value)(*items) if hasattr(value, "_fields") else tuple(items)
    return value


def total(values: Tensor) -> Tensor:
    """Sum of values; on the host it does not depend on the number of threads, as torch's does."""
    return torch.from_numpy(np.asarray(values.numpy().sum())) if values.is_cpu else values.sum()


def all_finite(values: Tensor) -> bool:
    """Whether no value is infinite or NaN; on the host NumPy tells in a tenth of torch's time."""
    return bool(np.isfinite(values.numpy()).all() if values.is_cpu else torch.isfinite(values).all())


def above(values: Tensor, least: Tensor, *others: Tensor) -> tuple[NDArray[Any], ...]:
    """Where values are at least as large as others, ascending, with rows of arrays there; on the host."""
    if values.is_cpu:  # NumPy finds them in a quarter of torch's time
        found = np.flatnonzero(values.numpy() >= least.numpy())
        return found, *(other.numpy().take(found, axis=0) for other in others)
    there = (values >= least).nonzero().squeeze(1)
    return together(there, *(other.index_select(0, there) for other in others))
