"""A device of its own memory, for machines without one: what leaves it, or mixes with the host, is seen.

Its tensors call themselves "meta", which torch knows everywhere, and hold their numbers on the host. As
with CUDA, an operation refuses tensors of two devices, unless those of the host are single numbers; NumPy
cannot read them; and what brings numbers to the host, or has to wait for them, is counted.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch.utils._device import _device_constructors
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

DEVICE = torch.device("meta")
# What has to know numbers on the device before it can go on: sizes of results, truth values.
_WAITS = {"_local_scalar_dense", "nonzero", "masked_select", "is_nonzero", "equal", "unique_dim", "_unique2"}
_MOVES = {"_to_copy", "copy_", "index", "index_put_", "index_put", "_index_put_impl_"}


class Transfer(NamedTuple):
    """One way of numbers from the device to the host."""

    operation: str
    nbytes: int


class OnDevice(torch.Tensor):
    """A tensor of the device."""

    @staticmethod
    def __new__(cls, held):
        return torch.Tensor._make_wrapper_subclass(
            cls,
            held.shape,
            strides=held.stride(),
            storage_offset=held.storage_offset(),
            dtype=held.dtype,
            device=DEVICE,
        )

    def __init__(self, held):
        self.held = held

    __torch_function__ = torch._C._disabled_torch_function_impl

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):  # type: ignore[override]
        raise AssertionError(f"{func} is called on a tensor of a device that is not there any more")

    def __reduce_ex__(self, protocol):
        return _restored, (self.held.numpy(),)


def _restored(array):
    return torch.from_numpy(array)


class Accelerator(TorchDispatchMode):
    """The device, while it is there.

    Attributes
    ----------
    transfers : list of Transfer
        What has left it, or was waited for.
    """

    def __init__(self) -> None:
        super().__init__()
        self.transfers: list[Transfer] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        flat, _ = tree_flatten((args, kwargs))
        tensors = [part for part in flat if isinstance(part, torch.Tensor)]
        here = [tensor for tensor in tensors if isinstance(tensor, OnDevice)]
        name, target = func.overloadpacket.__name__, kwargs.get("device")
        there = bool(here) if target is None else torch.device(target) == DEVICE
        if name == "copy_":
            there = isinstance(args[0], OnDevice)
        if len(here) < len(tensors) and here and name not in _MOVES:
            mixed = [tensor for tensor in tensors if tensor.dim() and not isinstance(tensor, OnDevice)]
            if mixed:
                raise RuntimeError(f"Expected all tensors to be on the same device, in {name}")
        if target is not None and there:
            kwargs = {**kwargs, "device": "cpu"}
        out = func(*tree_map(_held, args), **tree_map(_held, kwargs))
        flags = name in {"index", "index_put_", "index_put"} and any(
            t.dtype == torch.bool for t in tensors[1:]
        )
        if here and (name in _WAITS or flags or not there):
            moved = out.nbytes if isinstance(out, torch.Tensor) else 8
            self.transfers.append(Transfer(name, 8 if there else moved))
        if name.endswith("_") and tensors and func._schema.arguments[0].alias_info is not None:
            return args[0]
        if kwargs.get("out") is not None:
            return kwargs["out"]
        return tree_map(_placed, out) if there else out

    @contextlib.contextmanager
    def counting(self) -> Iterator[list[Transfer]]:
        """What leaves the device meanwhile."""
        before = len(self.transfers)
        found: list[Transfer] = []
        yield found
        found += self.transfers[before:]


def _placed(out: Any) -> Any:
    return OnDevice(out) if isinstance(out, torch.Tensor) else out


def _held(part: Any) -> Any:
    return part.held if isinstance(part, OnDevice) else part


@contextlib.contextmanager
def accelerator() -> Iterator[Accelerator]:
    """The device, with ``torch.tensor`` and its kin taught to put numbers there.

    Torch itself makes tensors of the device "meta" without their numbers.
    """
    _device_constructors()  # remembers the functions as they are
    makers = {name: getattr(torch, name) for name in ("tensor", "as_tensor")}

    def taught(make):
        def made(data, *args, **kwargs):
            out = make(data, *args, **kwargs)
            if out.is_meta and not isinstance(data, torch.Tensor):
                out = make(data, *args, **{**kwargs, "device": "cpu"}).to(DEVICE)
            return out

        return made

    for name, make in makers.items():
        setattr(torch, name, taught(make))
    try:
        with Accelerator() as device:
            yield device
    finally:
        for name, make in makers.items():
            setattr(torch, name, make)
