"""What a map refuses although it makes sense for each particle: repairs, a row of a table each.

A mode for torch functions sees each call of a mapped program. Knows torch alone.
"""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from arviz_resampler.errors import calling_line
from arviz_resampler.mapping.functorch import ParticleMap
from arviz_resampler.mapping.in_place import IN_PLACE, InPlaceMode, memory_of
from arviz_resampler.mapping.random_mode import RANDOM, Args, Kwargs, Rule, UnmappableError
from arviz_resampler.mapping.streams import Streams


class ParticleMode(InPlaceMode):
    """Each torch function of a mapped program, as one particle sees it.

    Parameters
    ----------
    particles, streams, role
        As for random numbers.
    fresh : bool
        Whether each new tensor is one for each particle, so that it can be changed in place.
    """

    def __init__(self, particles: ParticleMap, streams: Streams, role: str, fresh: bool) -> None:
        super().__init__(particles, streams, role, fresh)
        self.failed: Tensor | None = None  # particles for which linear algebra failed
        self.failed_at = ""
        self.busy = False  # with what the package does at a site
        self.raised: Exception | None = None  # the first error of the program, which may have caught it
        self._exposed: list[Tensor] = []  # whose ``.data`` the program has taken

    def __torch_function__(self, func: Any, types: Any, args: Args = (), kwargs: Kwargs | None = None) -> Any:
        """The call, by its rule where it has one."""
        rule, kwargs = _RULES.get(func), kwargs or {}
        try:
            if rule is not None:
                out = rule(self, func, args, kwargs)
            else:
                out = self.call(func, args, kwargs) if self.fresh else func(*args, **kwargs)
            if self.looked_up:
                self.follow(func, args, kwargs, out)
            return out
        except Exception as error:
            if self._site is None and self.raised is None and not self.busy:
                self.raised = error
            raise

    def exposes(self, rows: Tensor) -> bool:
        """Whether the program has taken the ``.data`` of these rows."""
        return any(memory_of(tensor) == memory_of(rows) for tensor in self._exposed)

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

    def copy(self, _func: Any, args: Args, _kwargs: Kwargs) -> Any:
        """``copy.deepcopy(x)``, which would copy the memory of all particles."""
        return args[0].clone()

    def data(self, _func: Any, args: Args, _kwargs: Kwargs) -> Any:
        """``x.data``, which vmap does not know: the same memory without its graph."""
        self._exposed.append(args[0])  # alive, so that its address stays its own
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
        return self.individual(out) if self.fresh else out

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


_DISTRIBUTIONS = ("torch.distributions", "pyro.")
_LIBRARIES = ("torch.", "pyro.", f"{__package__}.")


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


T = Tensor
_CLAMPS: dict[Any, Any] = {T.clamp_: T.clamp, T.clamp_min_: T.clamp_min, T.clamp_max_: T.clamp_max}
_FACTORS: dict[Any, Callable[..., Any]] = {
    torch.linalg.cholesky: _cholesky,
    torch.cholesky: _cholesky,
    T.cholesky: _cholesky,
    torch.linalg.solve: torch.linalg.solve_ex,
    torch.linalg.inv: torch.linalg.inv_ex,
    torch.inverse: torch.linalg.inv_ex,
    T.inverse: torch.linalg.inv_ex,
}
_READS = (
    *(T.__bool__, T.item, T.__int__, T.__float__, T.__index__, T.tolist, T.numpy, T.__array__),
    *(T.__contains__, T.__format__),
)


def _rules() -> dict[Any, Rule]:
    rows: tuple[tuple[Rule, Sequence[Any]], ...] = (
        (ParticleMode.read, _READS),
        (ParticleMode.reduce_batch, (T.all, T.any, torch.all, torch.any)),
        (ParticleMode.copy, (T.__deepcopy__,)),
        (ParticleMode.data, (T.data.__get__,)),  # type: ignore[attr-defined]
        (ParticleMode.number, (T.squeeze, torch.squeeze, T.flip, torch.flip)),
        (ParticleMode.clamp, tuple(_CLAMPS)),
        (ParticleMode.build, (torch.tensor,)),
        (ParticleMode.factorize, tuple(_FACTORS)),
        *IN_PLACE,
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
