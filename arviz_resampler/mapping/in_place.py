"""Changes in place in a map: what all particles share becomes one for each, a view stays a view.

Knows torch alone.
"""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from arviz_resampler.mapping.functorch import ParticleMap, unmapped
from arviz_resampler.mapping.random_mode import Args, Kwargs, RandomMode, Rule, UnmappableError
from arviz_resampler.mapping.streams import Streams


class _Row(NamedTuple):
    """A row that was looked up, or a view of it."""

    alive: weakref.ref[Tensor]
    base: Tensor
    key: Any
    memory: int  # its address, which a view shares
    row: Tensor | None = None  # for a view: the row, which may be gone


class InPlaceMode(RandomMode):
    """Torch functions that make, view and change tensors in a mapped program.

    Parameters
    ----------
    particles, streams, role
        As for random numbers.
    fresh : bool
        Whether each new tensor is one for each particle, so that it can be changed in place.
    """

    def __init__(self, particles: ParticleMap, streams: Streams, role: str, fresh: bool) -> None:
        super().__init__(particles, streams, role)
        self.fresh = fresh
        # Tensors that became each particle's own, and what they were before; kept, so that ids stay theirs.
        self._originals: dict[int, tuple[Tensor, Tensor, Tensor, int]] = {}
        # Rows that were looked up by numbers that differ: views for a particle, copies in a map.
        self.looked_up: list[_Row] = []

    def call(self, func: Any, args: Args, kwargs: Kwargs) -> Any:
        """A call without a rule; new tensors become one for each particle where they are to be fresh."""
        if not self.fresh:
            return func(*args, **kwargs)
        shared = self.shared(args)
        if _changes(func, kwargs):
            return self._change(func, args, shared, kwargs)
        out = func(*shared, **kwargs)
        views = self._views(out, args)
        if views is not None:  # they are views of what may be changed: of each particle's own, then
            copies = func(*args, **kwargs)
            for mine, original in zip(_tensors(copies), _tensors(out), strict=True):
                if not self.particles.varies(original):
                    self._originals[id(mine)] = mine, original, *views
            return copies
        return self.individual(out) if self._is_new(out, shared) else out

    def _change(self, func: Any, args: Args, shared: Args, kwargs: Kwargs) -> Any:
        """A change in place: of what all particles share still, by what they share, it is in common."""
        _, _, rows, version = self._originals.get(id(args[0]), (None, None, None, -1))
        common = rows is not None and rows._version == version and not self.varies(shared)
        out = func(*args, **kwargs)
        if common and rows is not None:
            func(*shared, **kwargs)
            for key, (single, original, others, _) in list(self._originals.items()):
                if others is rows:
                    self._originals[key] = single, original, rows, rows._version
        return out

    def _views(self, out: Any, args: Args) -> tuple[Tensor, int] | None:
        """The rows of which a result is a view, where it was computed from what was shared before."""
        memory = {t.untyped_storage().data_ptr() for t in _tensors(out) if not self.particles.varies(t)}
        for arg in _tensors(args) if memory else ():
            _, original, rows, version = self._originals.get(id(arg), (None, None, None, 0))
            if rows is None or original is None or rows._version != version:
                continue
            if original.untyped_storage().data_ptr() in memory:
                return rows, version
        return None

    def individual(self, out: Any) -> Any:
        """The same tensor, one for each particle."""
        if not isinstance(out, Tensor) or self.particles.varies(out):
            return out
        n = self.particles.num_particles
        with self.particles.outside(), counted():
            single = self.particles.rows(out)
            rows = single.expand(n, *single.shape[1:]).clone()
        copy = self.particles.enter(rows)
        self._originals[id(copy)] = copy, out, rows, rows._version
        return copy

    def shared(self, thing: Any) -> Any:
        """Tensors that all particles still share, as they share them: nobody has changed their own."""
        if isinstance(thing, list | tuple) and type(thing) in (list, tuple):
            return type(thing)(map(self.shared, thing))
        copy, original, rows, version = self._originals.get(id(thing), (None, None, None, 0))
        return original if copy is thing and rows is not None and rows._version == version else thing

    def _is_new(self, out: Any, args: Args) -> bool:
        """Whether a result that all particles share has memory of its own: a copy for each is the same."""
        if not isinstance(out, Tensor) or out.numel() == 0 or self.particles.varies(out):
            return False
        memory = out.untyped_storage().data_ptr()
        return not any(
            isinstance(a, Tensor) and (self.particles.varies(a) or a.untyped_storage().data_ptr() == memory)
            for a in args
        )

    def look_up(self, func: Any, args: Args, kwargs: Kwargs) -> Any:
        """``x[i]``, a view also where the number i differs between particles."""
        base, key = args
        if self.fresh:
            key = self.shared(key)
        differs = self.varies(key)
        out = self.call(_look_up if differs and _has_number(key) else func, (base, key), kwargs)
        if differs and _is_place(key) and isinstance(out, Tensor):
            self._note(out, base, key)
        return out

    def reshape(self, func: Any, args: Args, kwargs: Kwargs) -> Any:
        """``x.reshape(-1)``, a view or a copy: a copy in a map may be a view for a particle."""
        out = self.call(func, args, kwargs)
        certain = func is Tensor.contiguous and _is_expanded(args[0])  # a copy for a particle, too
        if self.varies(out) and not certain and memory_of(out) != memory_of(args[0]):
            self._note(out, args[0], _UNKNOWN)
        return out

    def _note(self, row: Tensor, base: Tensor, key: Any) -> None:
        """Remember a row that was looked up, and forget those that are gone."""
        self.looked_up = [entry for entry in self.looked_up if entry.alive() is not None]
        self.looked_up.append(_Row(weakref.ref(row), base, key, memory_of(row)))

    def follow(self, func: Any, args: Args, kwargs: Kwargs, out: Any) -> None:
        """Write a row that was looked up back where a call has changed it; notice views of it."""
        if not _changes(func, kwargs):
            self._notice_views(_tensors(out))
            return
        touched = memory_of(args[0])
        for entry in list(self.looked_up):
            alive = entry.alive()
            if alive is None:
                self.looked_up.remove(entry)
                continue
            row = alive if entry.row is None else entry.row
            of_base = memory_of(entry.base) == touched
            if entry.key is _UNKNOWN and (of_base or entry.memory == touched):
                raise UnmappableError(
                    "whether a change in place reaches another tensor depends on the layout"
                )
            if entry.memory == touched:
                self.assign(Tensor.__setitem__, (entry.base, entry.key, row), {})
            elif of_base and args[-1] is not row:
                raise UnmappableError("a tensor is changed while a row is in use that was looked up in it")

    def _notice_views(self, made: Sequence[Tensor]) -> None:
        """Remember which of the tensors that a call has made are views of rows."""
        memories = list(map(memory_of, made))
        for entry in list(self.looked_up):
            alive = entry.alive() if entry.memory in memories else None
            if alive is not None:
                row = alive if entry.row is None else entry.row
                views = [
                    t for t, at in zip(made, memories, strict=True) if at == entry.memory and t is not alive
                ]
                self.looked_up += [entry._replace(alive=weakref.ref(view), row=row) for view in views]

    def assign(self, func: Any, args: Args, _kwargs: Kwargs) -> Any:
        """``x[key] = value`` where vmap refuses the key, or silently mistakes its place."""
        target, key, value = args
        if self.fresh:
            key, value = self.shared(key), self.shared(value)
        if isinstance(value, Tensor) and memory_of(value) == memory_of(target):
            value = value.clone()  # of itself
        if isinstance(key, Tensor) and key.dtype == torch.bool and self.varies(key):
            if not isinstance(value, Tensor) or value.dim() == 0:
                wide = key.reshape((*key.shape, *(1,) * (target.dim() - key.dim())))
                target.copy_(torch.where(wide, value, target))
                return None
        elif self.varies(key) and _has_number(key):
            if _is_scattered(key) or not _is_in_front(key):
                _put(target, key, value)
                return None
            key = tuple(map(_as_index, _parts(key)))
        elif _is_scattered(key) and self.varies((target, value)):
            _put(target, key, value)
            return None
        args = target, key, value
        return self._change(func, args, self.shared(args), {}) if self.fresh else func(*args)

    def fill(self, func: Any, args: Args, kwargs: Kwargs) -> Any:
        """Memory that is filled later, as that of a particle."""
        return self.individual(func(*args, **kwargs))


def counted() -> contextlib.AbstractContextManager[Any]:
    """No inference mode, in which tensors do not count how often they are changed."""
    inferring = torch.is_inference_mode_enabled()
    return torch.inference_mode(False) if inferring else contextlib.nullcontext()


def _tensors(thing: Any) -> list[Tensor]:
    """The tensors in a result or in arguments."""
    if isinstance(thing, list | tuple):
        return [tensor for item in thing for tensor in _tensors(item)]
    return [thing] if isinstance(thing, Tensor) else []


def _changes(func: Any, kwargs: Kwargs) -> bool:
    """Whether a function changes a tensor in place."""
    name = getattr(func, "__name__", "")
    return name in _IN_PLACE or (name.endswith("_") and not name.endswith("__")) or "out" in kwargs


_UNKNOWN = object()  # a place that cannot be told


def memory_of(tensor: Tensor) -> int:
    """Address of the memory of a tensor."""
    return unmapped(tensor).untyped_storage().data_ptr()


def _is_expanded(tensor: Tensor) -> bool:
    """Whether entries of a tensor are the same memory."""
    return any(step == 0 and size > 1 for step, size in zip(tensor.stride(), tensor.shape, strict=True))


def _parts(key: Any) -> tuple[Any, ...]:
    """The parts of a key, one or more for an axis."""
    return key if isinstance(key, tuple) else (key,)


def _is_number(part: Any) -> bool:
    """Whether a part of a key is a tensor that stands for a number."""
    masks = torch.bool, torch.uint8
    return (
        isinstance(part, Tensor)
        and part.dim() == 0
        and part.dtype not in masks
        and not part.is_floating_point()
    )


def _has_number(key: Any) -> bool:
    """Whether there is a number in a key that is a tensor."""
    return any(map(_is_number, _parts(key)))


def _is_place(key: Any) -> bool:
    """Whether a key is of numbers and slices, so that what it gives is a view."""
    return all(
        _is_number(k) if isinstance(k, Tensor) else not isinstance(k, list | range) for k in _parts(key)
    )


def _as_index(part: Any) -> Any:
    """A number in a key as an index of one entry, which torch below 2.12 need not read."""
    return part.reshape(1) if _is_number(part) else part


def _is_in_front(key: Any) -> bool:
    """Whether the first axis that is left of a key would be that of its numbers, were they an index."""
    return _is_number(next(k for k in _parts(key) if not isinstance(k, int)))


def _look_up(base: Tensor, key: Any) -> Tensor:
    """``x[i]`` with numbers that differ: these first, by themselves, as torch does for a particle."""
    numbers: list[Any] = []
    for k in _parts(key):
        if isinstance(k, Tensor) and k.dtype == torch.bool:
            numbers += [slice(None)] * k.dim()
        elif k is not None:
            numbers.append(k if k is Ellipsis or _is_number(k) else slice(None))
    shape = base[tuple(0 if _is_number(k) else k for k in numbers)].shape
    rows = base[tuple(map(_as_index, numbers))].reshape(shape)
    return rows[tuple(k for k in _parts(key) if not _is_number(k))]


def _is_scattered(key: Any) -> bool:
    """Whether index tensors stand apart in a key, as in ``x[i, :, j]``."""
    if not isinstance(key, tuple) or not any(isinstance(k, Tensor | list | range) for k in key):
        return False
    places = [i for i, k in enumerate(key) if isinstance(k, Tensor | list | range | int)]
    return places[-1] - places[0] + 1 > len(places)


def _put(target: Tensor, key: Any, value: Any) -> None:
    """The same assignment by positions in flat memory, which vmap does right."""
    places = torch.arange(target.numel(), device=target.device).reshape(target.shape)
    places = _look_up(places, key) if _has_number(key) else places[key]
    flat = target.reshape(-1).clone()
    value = torch.as_tensor(value, dtype=target.dtype, device=target.device)
    value = value.reshape(value.shape[max(value.dim() - places.dim(), 0) :])  # axes of one in front
    flat[places.reshape(-1)] = value.expand(places.shape).reshape(-1)
    target.copy_(flat.reshape(target.shape))


_OPERATORS = "add sub mul truediv floordiv mod pow and or xor lshift rshift"
_IN_PLACE = {"__setitem__", *(f"__i{name}__" for name in _OPERATORS.split())}
T = Tensor
IN_PLACE: tuple[tuple[Rule, Sequence[Any]], ...] = (
    (InPlaceMode.look_up, (T.__getitem__,)),
    (InPlaceMode.reshape, (T.reshape, torch.reshape, T.flatten, torch.flatten, T.ravel, torch.ravel)),
    (InPlaceMode.reshape, (T.contiguous, T.reshape_as)),
    (InPlaceMode.assign, (T.__setitem__,)),
    (InPlaceMode.fill, (torch.empty, torch.empty_like, T.new, T.new_empty)),
)
