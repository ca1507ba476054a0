"""Memory that one call leaves for the next.

Knows NumPy and torch; nothing of models or particles.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Bytes = NDArray[np.uint8]

_KEPT = 30 << 20  # bytes
_LINE = 64  # bytes that the processor takes at a time
# How many hold an array can be told where the interpreter counts them, and no other thread counts meanwhile.
_COUNTED = sys.implementation.name == "cpython" and getattr(sys, "_is_gil_enabled", lambda: True)()


class ScratchBuffers:
    """Memory of the last log densities, to be used again once nobody looks at it any more.

    The system hands out fresh memory page by page, which takes longer than the arithmetic.
    """

    def __init__(self) -> None:
        self._blocks: list[Bytes] = []  # one, or none while it is taken, so that no two threads get it
        self._offset: tuple[frozenset[str], Tensor] | None = None
        if sys.platform == "linux":
            # The allocator of glibc gives memory back to the system after each chunk, until it has seen a
            # large array go. This one is never touched, so it takes no memory.
            np.empty(_KEPT, np.uint8)

    def offset(self, sites: frozenset[str], make: Callable[[], Tensor]) -> Tensor:
        """The part of log ratios that is the same for all models that score the same sites."""
        last = self._offset
        if last is None or last[0] != sites:
            last = self._offset = sites, make()
        return last[1]

    def take(self, length: int, dtypes: Sequence[torch.dtype], device: torch.device) -> list[Tensor]:
        """Arrays of one length, their contents left as they are."""
        if device.type != "cpu":  # torch keeps the memory of other devices
            return [torch.empty(length, dtype=dtype, device=device) for dtype in dtypes]
        strides = [-(-length * dtype.itemsize // _LINE) * _LINE for dtype in dtypes]
        block = self._unused(sum(strides))
        starts = itertools.accumulate(strides, initial=0)
        return [
            torch.frombuffer(block, dtype=dtype, count=length, offset=start)
            for start, dtype in zip(starts, dtypes, strict=False)
        ]

    def _unused(self, size: int) -> Bytes:
        """A block of memory that nobody looks at."""
        if not _COUNTED:
            return np.empty(size, np.uint8)
        try:
            block, holders = _pop(self._blocks)
        except IndexError:
            block, holders = np.empty(0, np.uint8), 0
        if len(block) != size or holders > _FREE:
            # NumPy asks for large pages where there are any; torch does not.
            block = np.empty(size, np.uint8)
        self._blocks = [block]
        return block

    def __reduce__(self) -> Any:
        return type(self), ()


def _pop(arrays: list[Bytes]) -> tuple[Bytes, int]:
    """The last array, and how many hold it: every view of it is one more."""
    array = arrays.pop()
    return array, sys.getrefcount(array) if _COUNTED else 0


_FREE = _pop([np.empty(0, np.uint8)])[1]  # counted where it is compared: versions of Python differ
