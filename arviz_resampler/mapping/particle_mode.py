"""What a map refuses although it makes sense for each particle: repairs, a row of a table each.

A mode for torch functions sees each call of a mapped program. Knows torch alone.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from arviz_resampler.errors import calling_line
from arviz_resampler.mapping.functorch import ParticleMap, unmapped
from arviz_resampler.mapping.random_mode import RANDOM, Args, Kwargs, RandomMode, Rule, UnmappableError
from arviz_resampler.mapping.streams import Streams


class _Row(NamedTuple):
    """A row that was looked up, or a view of it."""

    alive: weakref.ref[Tensor]
    base: Tensor
    key: Any
    row: Tensor | None  # for a view: the row, which may be gone


class ParticleMode(RandomMode):
    """Each torch function of a mapped program, as one particle sees it.

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
        self.failed: Tensor | None = None  # particles for which linear algebra failed
        self.failed_at = ""
        self.busy = False  # with what the package does at a site
        self.raised: Exception | None = None  # the first error of the program, which may have caught it
        # Tensors that became each particle's own, and what they were before; kept, so that ids stay theirs.
        self._originals: dict[int, tuple[Tensor, Tensor, Tensor, int]] = {}
        # Rows that were looked up by numbers that differ: views for a particle, copies in a map.
        self._looked_up: list[_Row] = []

    def __torch_function__(self, func: Any, types: Any, args: Args = (), kwargs: Kwargs | None = None) -> Any:
        """The call, by its rule where it has one."""
        rule = _RULES.get(func)
        try:
            if rule is not None:
                out = rule(self, func, args, kwargs or {})
            elif self.fresh:
                out = self._fresh(func, args, kwargs or {})
            else:
                out = func(*args, **kwargs) if kwargs else func(*args)
            if self._looked_up:
                self._follow(func, args, kwargs or {}, out)
            return out
        except Exception as error:
            if self._site is None and self.raised is None and not self.busy:
                self.raised = error
            raise

    def _fresh(self, func: Any, args: Args, kwargs: Kwargs) -> Any:
        """A call that makes new tensors each particle's own."""
        shared = self.shared(args)
        if _changes(func, kwargs):
            return self._change(func, args, shared, kwargs)
        out = func(*shared, **kwargs)
        views = self._views(out, args)
        if views is not None:  # they are views of what may be changed: of each particle's own, then
            own = func(*args, **kwargs)
            for mine, original in zip(_tensors(own), _tensors(out), strict=True):
                if not self.particles.varies(original):
                    self._originals[id(mine)] = mine, original, *views
            return own
        return self.own(out) if self._is_new(out, shared) else out

    def _change(self, func: Any, args: Args, shared: Args, kwargs: Kwargs) -> Any:
        """A change in place: of what all particles share still, by what they share, it is in common."""
        _, _, rows, version = self._originals.get(id(args[0]), (None, None, None, -1))
        common = rows is not None and rows._version == version and not self.varies(shared)
        out = func(*args, **kwargs)
        if common and rows is not None:
            func(*shared, **kwargs)
            for key, (own, original, others, _) in list(self._originals.items()):
                if others is rows:
                    self._originals[key] = own, original, rows, rows._version
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

    def own(self, out: Any) -> Any:
        """The same tensor, one for each particle."""
        if not isinstance(out, Tensor) or self.particles.varies(out):
            return out
        n = self.particles.num_particles
        with self.particles.outside():
            single = self.particles.rows(out)
            rows = single.expand(n, *single.shape[1:]).clone()
        own = self.particles.enter(rows)
        self._originals[id(own)] = own, out, rows, rows._version
        return own

    def shared(self, thing: Any) -> Any:
        """What all particles still share, as they share it: nobody has changed their own."""
        if isinstance(thing, list | tuple) and type(thing) in (list, tuple):
            return type(thing)(map(self.shared, thing))
        own, original, rows, version = self._originals.get(id(thing), (None, None, None, 0))
        return original if own is thing and rows is not None and rows._version == version else thing

    def _is_new(self, out: Any, args: Args) -> bool:
        """Whether a result that all particles share has memory of its own: a copy for each is the same."""
        if not isinstance(out, Tensor) or out.numel() == 0 or self.particles.varies(out):
            return False
        memory = out.untyped_storage().data_ptr()
        return not any(
            isinstance(a, Tensor) and (self.particles.varies(a) or a.untyped_storage().data_ptr() == memory)
            for a in args
        )

    @property
    def _asks_batch(self) -> bool:
        """Whether a distribution, or the library around it, asks something of all that it holds."""
        asks = _DISTRIBUTIONS if self._site is None else _LIBRARIES  # not a class of the user's own
        return bool(sys._getframe(3).f_globals.get("__name__", "").startswith(asks))

    # ---------------------------------------------------------------- rules

    def read(self, func: Any, args: Args, kwargs: Kwargs) -> Any:
        """A value as a Python number: each particle has another."""
        shared = self.shared(args) if self.fresh else args
        if self.varies(shared):
            raise UnmappableError("a value that differs between particles is read as a Python number")
        out = func(*shared, **kwargs)
        if isinstance(out, np.ndarray) and shared[0] is not args[0]:
            out.flags.writeable = False  # the program may not change what is no particle's own
        return out

    def reduce_batch(self, func: Any, args: Args, kwargs: Kwargs) -> Any:
        """``x.all()`` in a distribution is asked of a batch: the particles are more of it."""
        if len(args) == 1 and not kwargs and self.varies(args) and self._asks_batch:
            return func(self.particles.rows(args[0]))
        return func(*args, **kwargs)

    def look_up(self, func: Any, args: Args, kwargs: Kwargs) -> Any:
        """``x[i]``, a view also where the number i differs between particles."""
        base, key = args
        if self.fresh:
            key = self.shared(key)
        out = self._fresh(func, (base, key), kwargs) if self.fresh else func(base, key)
        if self.varies(key) and _is_place(key) and isinstance(out, Tensor):
            self._looked_up.append(_Row(weakref.ref(out), base, key, None))
        return out

    def reshape(self, func: Any, args: Args, kwargs: Kwargs) -> Any:
        """``x.reshape(-1)``, a view or a copy: a copy in a map may be a view for a particle."""
        out = self._fresh(func, args, kwargs) if self.fresh else func(*args, **kwargs)
        certain = func is Tensor.contiguous and _is_expanded(args[0])  # a copy for a particle, too
        if self.varies(out) and not certain and _memory(out) != _memory(args[0]):
            self._looked_up.append(_Row(weakref.ref(out), args[0], _UNKNOWN, None))
        return out

    def _follow(self, func: Any, args: Args, kwargs: Kwargs, out: Any) -> None:
        """Write a row that was looked up back where a call has changed it; notice views of it."""
        changes = _changes(func, kwargs)
        touched = {_memory(args[0])} if changes else set()
        for entry in list(self._looked_up):
            alive = entry.alive()
            if alive is None:
                self._looked_up.remove(entry)
                continue
            row = alive if entry.row is None else entry.row
            if entry.key is _UNKNOWN and changes and {_memory(row), _memory(entry.base)} & touched:
                raise UnmappableError(
                    "whether a change in place reaches another tensor depends on the layout"
                )
            if not changes:
                views = [t for t in _tensors(out) if t is not alive and _memory(t) == _memory(row)]
                self._looked_up += [_Row(weakref.ref(t), entry.base, entry.key, row) for t in views]
            elif _memory(row) in touched:
                self.assign(Tensor.__setitem__, (entry.base, entry.key, row), {})
            elif _memory(entry.base) in touched and args[-1] is not row:
                raise UnmappableError("a tensor is changed while a row is in use that was looked up in it")

    def assign(self, func: Any, args: Args, kwargs: Kwargs) -> Any:
        """``x[key] = value`` where vmap refuses the key, or silently mistakes its place."""
        target, key, value = args
        if self.fresh:
            key, value = self.shared(key), self.shared(value)
        if isinstance(value, Tensor) and _memory(value) == _memory(target):
            value = value.clone()  # of itself
        if isinstance(key, Tensor) and key.dtype == torch.bool and self.varies(key):
            if not isinstance(value, Tensor) or value.dim() == 0:
                wide = key.reshape((*key.shape, *(1,) * (target.dim() - key.dim())))
                target.copy_(torch.where(wide, value, target))
                return None
        elif _is_scattered(key) and self.varies((target, value)):
            _put(target, key, value)
            return None
        args = target, key, value
        return self._change(func, args, self.shared(args), {}) if self.fresh else func(*args)

    def copy(self, func: Any, args: Args, kwargs: Kwargs) -> Any:
        """``copy.deepcopy(x)``, which would copy the memory of all particles."""
        return args[0].clone()

    def data(self, func: Any, args: Args, kwargs: Kwargs) -> Any:
        """``x.data``, which vmap does not know: the same memory without its graph."""
        return args[0].detach()

    def number(self, func: Any, args: Args, kwargs: Kwargs) -> Any:
        """``x.squeeze(-1)`` of a number, which vmap refuses, is the number; ``x.flip(0)`` a copy of it."""
        if args[0].dim():
            return func(*args, **kwargs)
        return args[0].clone() if "flip" in func.__name__ else args[0]

    def clamp(self, func: Any, args: Args, kwargs: Kwargs) -> Any:
        """Clamping in place, which vmap does a particle at a time."""
        if self.varies(args):
            return args[0].copy_(_CLAMPS[func](*args, **kwargs))
        return func(*args, **kwargs)

    def build(self, func: Any, args: Args, kwargs: Kwargs) -> Any:
        """``torch.tensor([a, b])`` of values, which would read them as numbers."""
        if self.varies(args[0]):
            options = {k: v for k, v in kwargs.items() if k in ("dtype", "device")}
            return _stacked(args[0]).to(**options)
        out = func(*args, **kwargs)
        return self.own(out) if self.fresh else out

    def fill(self, func: Any, args: Args, kwargs: Kwargs) -> Any:
        """Memory that is filled later, as that of a particle."""
        return self.own(func(*args, **kwargs))

    def factorize(self, func: Any, args: Args, kwargs: Kwargs) -> Any:
        """Linear algebra that fails for single particles: NaN there, instead of an error for all."""
        if not self.varies(args) or kwargs.get("out") is not None:
            return func(*args, **kwargs)
        out, info = _FACTORS[func](*args, **kwargs)
        bad = self.particles.rows(info).reshape(self.particles.num_particles, -1).ne(0).any(-1)
        if bad.any():
            self.failed_at = self.failed_at or calling_line(outside=("pyro", "torch"))
            self.failed = bad if self.failed is None else self.failed | bad
            here = self.particles.enter(bad)
            return torch.where(here, torch.full_like(out, torch.nan), out)
        return out


def _tensors(thing: Any) -> list[Tensor]:
    """The tensors in a result or in arguments."""
    if isinstance(thing, list | tuple):
        return [tensor for item in thing for tensor in _tensors(item)]
    return [thing] if isinstance(thing, Tensor) else []


def _changes(func: Any, kwargs: Kwargs) -> bool:
    """Whether a function changes a tensor in place."""
    name = getattr(func, "__name__", "")
    return name in _IN_PLACE or (name.endswith("_") and not name.endswith("__")) or "out" in kwargs


_DISTRIBUTIONS = ("torch.distributions", "pyro.")
_LIBRARIES = ("torch.", "pyro.", f"{__package__}.")
_UNKNOWN = object()  # a place that cannot be told


def _memory(tensor: Tensor) -> int:
    """Where a tensor has its numbers."""
    return unmapped(tensor).untyped_storage().data_ptr()


def _is_expanded(tensor: Tensor) -> bool:
    """Whether entries of a tensor are the same memory."""
    return any(step == 0 and size > 1 for step, size in zip(tensor.stride(), tensor.shape, strict=True))


def _is_place(key: Any) -> bool:
    """Whether a key is of numbers and slices, so that what it gives is a view."""
    parts = key if isinstance(key, tuple) else (key,)
    return all(
        (k.dim() == 0 and k.dtype != torch.bool and not k.is_floating_point())
        if isinstance(k, Tensor)
        else not isinstance(k, list | range)
        for k in parts
    )


def _is_scattered(key: Any) -> bool:
    """Whether index tensors stand apart in a key, as in ``x[i, :, j]``."""
    if not isinstance(key, tuple) or not any(isinstance(k, Tensor | list | range) for k in key):
        return False
    places = [i for i, k in enumerate(key) if isinstance(k, Tensor | list | range | int)]
    return places[-1] - places[0] + 1 > len(places)


def _put(target: Tensor, key: Any, value: Any) -> None:
    """The same assignment by positions in flat memory, which vmap does right."""
    places = torch.arange(target.numel(), device=target.device).reshape(target.shape)[key]
    flat = target.reshape(-1).clone()
    value = torch.as_tensor(value, dtype=target.dtype, device=target.device)
    value = value.reshape(value.shape[max(value.dim() - places.dim(), 0) :])  # axes of one in front
    flat[places.reshape(-1)] = value.expand(places.shape).reshape(-1)
    target.copy_(flat.reshape(target.shape))


def _stacked(thing: Any) -> Tensor:
    """``torch.tensor`` of nested lists of tensors and numbers, without reading the tensors as numbers."""
    if isinstance(thing, list | tuple):
        parts = [_stacked(item) for item in thing]
        # Torch takes tensors of one element for numbers.
        return torch.stack(
            [
                part.reshape(()) if part.numel() == 1 and isinstance(item, Tensor) else part
                for part, item in zip(parts, thing, strict=True)
            ]
        )
    return torch.as_tensor(thing)


def _cholesky(x: Tensor, upper: bool = False) -> Any:
    return torch.linalg.cholesky_ex(x, upper=upper)


def _solve(a: Tensor, b: Tensor, *, left: bool = True) -> Any:
    return torch.linalg.solve_ex(a, b, left=left)


def _inverse(x: Tensor) -> Any:
    return torch.linalg.inv_ex(x)


T = Tensor
_CLAMPS: dict[Any, Any] = {T.clamp_: T.clamp, T.clamp_min_: T.clamp_min, T.clamp_max_: T.clamp_max}
_FACTORS: dict[Any, Callable[..., Any]] = {
    torch.linalg.cholesky: _cholesky,
    torch.cholesky: _cholesky,
    T.cholesky: _cholesky,
    torch.linalg.solve: _solve,
    torch.linalg.inv: _inverse,
    torch.inverse: _inverse,
    T.inverse: _inverse,
}
_OPERATORS = "add sub mul truediv floordiv mod pow and or xor lshift rshift"
_IN_PLACE = {"__setitem__", *(f"__i{name}__" for name in _OPERATORS.split())}
_READS = (
    *(T.__bool__, T.item, T.__int__, T.__float__, T.__index__, T.tolist, T.numpy, T.__array__),
    *(T.__contains__, T.__format__),
)


def _rules() -> dict[Any, Rule]:
    rows: tuple[tuple[Rule, Sequence[Any]], ...] = (
        (ParticleMode.read, _READS),
        (ParticleMode.reduce_batch, (T.all, T.any, torch.all, torch.any)),
        (ParticleMode.look_up, (T.__getitem__,)),
        (ParticleMode.reshape, (T.reshape, torch.reshape, T.flatten, torch.flatten, T.ravel, torch.ravel)),
        (ParticleMode.reshape, (T.contiguous, T.reshape_as)),
        (ParticleMode.assign, (T.__setitem__,)),
        (ParticleMode.copy, (T.__deepcopy__,)),
        (ParticleMode.data, (T.data.__get__,)),  # type: ignore[attr-defined]
        (ParticleMode.number, (T.squeeze, torch.squeeze, T.flip, torch.flip)),
        (ParticleMode.clamp, tuple(_CLAMPS)),
        (ParticleMode.build, (torch.tensor,)),
        (ParticleMode.fill, (torch.empty, torch.empty_like, T.new, T.new_empty)),
        (ParticleMode.factorize, tuple(_FACTORS)),
        *RANDOM,
    )
    return {func: rule for rule, funcs in rows for func in funcs}


_RULES = _rules()


class _NoContext:
    """Stands for the context of an autograd function where no gradient is asked for."""

    needs_input_grad: tuple[bool, ...] = ()

    def save_for_backward(self, *_: Any) -> None:
        pass

    mark_dirty = mark_non_differentiable = set_materialize_grads = save_for_forward = save_for_backward


@contextlib.contextmanager
def forward_alone() -> Iterator[None]:
    """Autograd functions without a rule for vmap, by their forward: no gradient is asked for."""
    apply = torch.autograd.Function.__dict__["apply"]
    default = torch.autograd.function._SingleLevelFunction.setup_context
    thread = threading.get_ident()

    def plain(cls: Any, *args: Any, **kwargs: Any) -> Any:
        if cls.setup_context is not default or threading.get_ident() != thread:
            return apply.__func__(cls, *args, **kwargs)
        return cls.forward(_NoContext(), *args, **kwargs)

    torch.autograd.Function.apply = classmethod(plain)  # type: ignore[assignment,method-assign]
    try:
        yield
    finally:
        torch.autograd.Function.apply = apply  # type: ignore[method-assign]
