"""Values that stay on disk: a tensor whose rows are read when they are asked for.

Knows torch and the store; nothing of programs or sites.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from arviz_resampler.storage import Key, Store

# What a tensor is asked for that needs none of its values.
_ABOUT = {
    *(Tensor.dim, Tensor.size, Tensor.numel, Tensor.__len__, Tensor.element_size, Tensor.detach, Tensor.cpu),
    *(Tensor.is_floating_point, Tensor.is_complex),
}


class ReadOnlyError(RuntimeError):
    """Values in a store were to be changed.

    No TypeError: where ``t += 1`` raises one, torch computes ``t = t + 1`` instead.
    """


class StoredArray(NamedTuple):
    """An array of a store, and the batches that count."""

    store: Store
    key: Key
    batches: Sequence[int]


class StoredTensor(Tensor):
    """Values of particles in a store, shape (N, ...), read-only.

    Shape, dtype and device are known without reading. A slice of rows is another such tensor, rows by an
    index are read from where they are, and all else that is done with it reads the whole.
    """

    _array: StoredArray
    _rows: range

    @classmethod
    def of(cls, array: StoredArray, dtype: torch.dtype, rows: range | None = None) -> StoredTensor:
        """Some rows of an array in a store, all if absent, as values of a dtype."""
        found = range(len(array.batches) * array.store.batch_size) if rows is None else rows
        shape = (len(found), *array.store.arrays[array.key].shape)
        tensor: StoredTensor = Tensor._make_wrapper_subclass(
            cls, shape, dtype=dtype, device=torch.device("cpu")
        )
        tensor._array, tensor._rows = array, found
        return tensor

    @classmethod
    def __torch_function__(
        cls,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """What torch calls for whatever is done with such a tensor."""
        kwargs = kwargs or {}
        if func in _ABOUT or getattr(func, "__name__", "") == "__get__":
            with torch._C.DisableTorchFunctionSubclass():
                return args[0] if func in {Tensor.detach, Tensor.cpu} else func(*args, **kwargs)
        if func is Tensor.__getitem__ and isinstance(args[0], cls):
            return args[0].part(args[1])
        if func is Tensor.index_select and len(args) == 3 and isinstance(args[0], cls) and args[1] == 0:
            return args[0].rows(args[2].reshape(-1))
        changes = "out" in kwargs or kwargs.get("inplace") or _changes(func)
        if changes and _is_stored(kwargs.get("out", args and args[0])):
            raise ReadOnlyError("values in a store are read-only: change a clone() of them")
        return func(*_loaded(args), **{name: _loaded(value) for name, value in kwargs.items()})

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]  # the stubs take it for a method
        cls,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """What torch calls inside a map."""
        return func(*_loaded(args), **{name: _loaded(value) for name, value in (kwargs or {}).items()})

    def __reduce_ex__(self, protocol: Any) -> Any:
        """The store by its path, and the rows by their numbers."""
        return StoredTensor.of, (self._array, self.dtype, self._rows)

    def __deepcopy__(self, memo: Any) -> StoredTensor:
        """Itself: nobody can change it."""
        return self

    def __repr__(self, *, tensor_contents: Any = None) -> str:  # type: ignore[override]
        return f"StoredTensor of shape {tuple(self.shape)} and dtype {self.dtype} in {self._array.store.path}"

    def load(self) -> Tensor:
        """All values."""
        if len(self._rows) == 0:
            return torch.empty(self.shape, dtype=self.dtype, device="cpu")
        store, key, batches = self._array
        first, last = self._rows.start // store.batch_size, -(-self._rows.stop // store.batch_size)
        start = self._rows.start - first * store.batch_size
        rows = range(start, start + len(self._rows))
        return torch.from_numpy(store.read(key, batches[first:last], rows)).to(self.dtype)

    def rows(self, index: Tensor) -> Tensor:
        """Some rows."""
        store, key, batches = self._array
        numbers = index.cpu().numpy().astype(np.int64)
        if len(numbers) and not 0 <= numbers.min() <= numbers.max() < len(self):
            raise IndexError(f"rows have numbers from 0 to {len(self) - 1}")
        rows = numbers + self._rows.start
        which, size = np.asarray(batches, np.int64), store.batch_size
        return torch.from_numpy(store.rows(key, which[rows // size] * size + rows % size)).to(self.dtype)

    def part(self, index: Any) -> Tensor:
        """What an index stands for; a slice is not read."""
        if isinstance(index, slice) and index.step in (None, 1):
            return StoredTensor.of(self._array, self.dtype, self._rows[index])
        if isinstance(index, int | np.integer | list | Tensor | np.ndarray) and _is_of_rows(index):
            # Torch knows what is asked for, and refuses what is none.
            numbers = torch.arange(len(self), device="cpu")[index]
            return self.rows(numbers.reshape(-1)).reshape((*numbers.shape, *self.shape[1:]))
        return self.load()[index]


def _is_of_rows(index: Any) -> bool:
    """Whether an index without slices says nothing of other axes."""
    array = np.asarray(index)
    return array.dtype != bool or array.ndim == 1


def _changes(func: Callable[..., Any]) -> bool:
    """Whether a function of torch changes its first argument."""
    name = getattr(func, "__name__", "")
    if name[-2:] != "__":
        return bool(name[-1:] == "_")
    augmented = name[:3] == "__i" and hasattr(Tensor, f"__{name[3:]}")  # as __ior__ of __or__; not __int__
    return augmented or name in ("__set__", "__setitem__")


def _is_stored(value: Any) -> bool:
    """Whether a value, or one in a list, is on disk."""
    if isinstance(value, list | tuple):
        return any(map(_is_stored, value))
    return isinstance(value, StoredTensor)


def _loaded(value: Any) -> Any:
    """A value, or the values in a list, with what is on disk read."""
    if isinstance(value, StoredTensor):
        return value.load()
    if isinstance(value, list | tuple):
        return type(value)(_loaded(item) for item in value)
    return value
