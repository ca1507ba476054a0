"""The parts of ``torch.vmap`` that have no public name: into a map over particles, and out of it.

Every private name of torch that the package uses stands here, beside the public way to the same result.
Knows nothing of programs.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

try:
    from torch._C import _len_torch_function_stack
    from torch._C._functorch import (  # type: ignore[attr-defined]
        _add_batch_dim,
        _remove_batch_dim,
        _set_vmap_fallback_warning_enabled,
        _vmap_decrement_nesting,
        _vmap_increment_nesting,
        get_unwrapped,
        is_batchedtensor,
        maybe_get_bdim,
        maybe_get_level,
        peek_interpreter_stack,
        pop_dynamic_layer_stack,
        push_dynamic_layer_stack,
    )

    BY_HAND = True
except ImportError:  # pragma: no cover  # a torch that has renamed them: the public way is slower
    BY_HAND = False

_DEBUG_UNWRAP: Callable[[Tensor], Tensor] | None = getattr(torch.func, "debug_unwrap", None)
if _DEBUG_UNWRAP is None:  # pragma: no cover  # an older torch imports its compiler where it is first needed
    import torch._dynamo  # which must not be in a map

# Where it has another name, what a function lends a module is taken for the module's own.
_FUNCTIONAL_CALL = getattr(getattr(torch.nn.utils.stateless, "_functional_call", None), "__code__", None)

Call = Callable[[list[Tensor], list[bool]], Sequence[Tensor]]


class NestedMapError(RuntimeError):
    """A program maps by itself where particles would have to be told apart."""


def map_particles(work: Callable[[ParticleMap], None], num_particles: int) -> None:
    """Do some work once, mapped over particles, with random numbers of its own for each."""
    if not BY_HAND:

        def one(mark: Tensor) -> tuple[()]:
            work(ParticleMap(num_particles, mark=mark))
            return ()

        torch.vmap(one, randomness="different")(torch.zeros(num_particles))
        return
    outermost = not is_mapping()
    if outermost:  # that a function maps slowly is no fault of the program
        _set_vmap_fallback_warning_enabled(False)
    level = _vmap_increment_nesting(num_particles, "different")
    try:
        work(ParticleMap(num_particles, level))
    finally:
        _vmap_decrement_nesting()
        if outermost:
            _set_vmap_fallback_warning_enabled(True)


def is_mapping() -> bool:
    """Whether a map is under way, of the package or around it."""
    return peek_interpreter_stack() is not None if BY_HAND else True


def is_mapped_around() -> bool:
    """Whether a map is known to be under way."""
    return BY_HAND and is_mapping()


def unmapped(tensor: Tensor) -> Tensor:
    """Values of a tensor for all particles, axes in any order: to ask for any or all of them."""
    if _DEBUG_UNWRAP is not None:
        values: Tensor = _DEBUG_UNWRAP(tensor)
        return values
    while is_batchedtensor(tensor):
        tensor = get_unwrapped(tensor)
    return tensor


def to_rank(rows: Tensor, rank: int) -> Tensor:
    """Rows of all particles that broadcast as those of one do: axes of one come after the first."""
    return rows.reshape(len(rows), *(1,) * (rank - rows.dim()), *rows.shape[1:])


def first(values: Tensor, flags: Tensor) -> Tensor | None:
    """The value of the first particle that is flagged, the same for all; None: no particle is."""
    chosen = unmapped(flags).flatten().nonzero()
    if not len(chosen):
        return None
    if unmapped(values) is values:
        return values
    if not BY_HAND:
        raise NestedMapError("a value of one particle is needed for all")
    return get_unwrapped(values).select(maybe_get_bdim(values), int(chosen[0]))


def lent_to_modules() -> set[int]:
    """Tensors that calls of ``torch.func.functional_call`` have put into modules until they end, by id."""
    found: set[int] = set()
    frame = sys._getframe()
    while frame.f_back is not None:
        frame = frame.f_back
        if frame.f_code is _FUNCTIONAL_CALL:
            found |= set(map(id, frame.f_locals["parameters_and_buffers"].values()))
    return found


class ParticleMap:
    """One map over particles, seen from inside.

    Parameters
    ----------
    num_particles : int
        How many particles the map has.
    level : int
        Its number among the maps that are under way.
    mark : Tensor, optional
        A number that the map has one of for each particle: how the public way knows the map.
    """

    def __init__(self, num_particles: int, level: int = 0, mark: Tensor | None = None) -> None:
        self.num_particles = num_particles
        self.left: Any = None  # the map, while it is left
        self.level = level
        self._mark = mark

    def leave(self, call: Call, *tensors: Tensor) -> list[Tensor]:
        """Results of a function that is called outside the map, once for all particles.

        Parameters
        ----------
        call : callable
            Takes the tensors, with the particles in front of each that differs between them, and which
            of them differ. Returns tensors with the particles in front.
        *tensors : Tensor
            As they are inside the map.

        Returns
        -------
        list of Tensor
            The results inside the map.
        """
        if not BY_HAND:
            return list(_Leave.apply(call, self._mark, *tensors))  # type: ignore[no-untyped-call]
        with _left(self, tensors) as (rows, varies):
            out = call(rows, varies)
        return [self.enter(rows) for rows in out]

    def rows(self, tensor: Tensor) -> Tensor:
        """A tensor outside the map, particles in front; one row where all particles share it."""
        if BY_HAND:
            if not is_batchedtensor(tensor):
                return tensor.unsqueeze(0)
            return self.unwrapped(tensor)
        found: list[Tensor] = []

        def call(rows: list[Tensor], varies: list[bool]) -> list[Tensor]:
            found.append(rows[0] if varies[0] else rows[0].unsqueeze(0))
            return [torch.zeros(self.num_particles)]

        self.leave(call, tensor)
        return found[0]

    def enter(self, rows: Tensor) -> Tensor:
        """A tensor of all particles, inside the map: each particle sees its row."""
        if BY_HAND:
            entered: Tensor = _add_batch_dim(rows, 0, self.level)
            return entered
        return self.leave(lambda *_: (rows,))[0]

    def varies(self, tensor: Tensor) -> bool:
        """Whether particles may differ in a tensor."""
        if BY_HAND:
            return bool(is_batchedtensor(tensor))
        found: list[bool] = []

        def call(_rows: list[Tensor], varies: list[bool]) -> list[Tensor]:
            found.extend(varies)
            return [torch.zeros(self.num_particles)]

        self.leave(call, tensor)
        return found[0]

    def is_alone(self) -> bool:
        """Whether neither a further map nor a further mode for torch functions stands around a program."""
        if not BY_HAND or _len_torch_function_stack() != 1:
            return False
        top = peek_interpreter_stack()
        return top is not None and bool(top.level() == self.level)

    def outside(self) -> Outside:
        """Outside the map and its mode, for work on tensors that have the particles in front."""
        return Outside(self)

    @contextlib.contextmanager
    def inside(self) -> Iterator[None]:
        """Inside the map and its mode again, where they were left."""
        left, self.left = self.left, None
        if left is not None:
            push_dynamic_layer_stack(left)
        try:
            with torch._C._EnableTorchFunction():
                yield
        finally:
            if left is not None:
                self.left = pop_dynamic_layer_stack()

    def unwrapped(self, tensor: Tensor) -> Tensor:
        """A tensor that differs, with the particles in front."""
        level = self.level
        if maybe_get_level(tensor) != level:
            raise NestedMapError("the program maps by itself over what differs between particles")
        rows: Tensor = _remove_batch_dim(tensor, level, self.num_particles, 0)
        return rows


_NOTHING = contextlib.nullcontext()


class OneParticle:
    """One particle by itself: what a map is to many."""

    num_particles = 1

    def rows(self, tensor: Tensor) -> Tensor:
        """A tensor with the particle in front."""
        return tensor.unsqueeze(0)

    def enter(self, rows: Tensor) -> Tensor:
        """The one row, as the particle sees it."""
        return rows.squeeze(0)

    def varies(self, _tensor: Tensor) -> bool:
        """One particle differs from no other."""
        return False

    def is_alone(self) -> bool:
        """There is no map."""
        return False

    def outside(self) -> contextlib.AbstractContextManager[None]:
        """There is nothing to leave."""
        return _NOTHING

    inside = outside


class Outside:
    """A context without the map around it, and without its mode for torch functions."""

    __slots__ = ("_particles", "_plain")

    def __init__(self, particles: ParticleMap) -> None:
        self._particles = particles

    def __enter__(self) -> None:
        self._plain = torch._C.DisableTorchFunction()
        self._plain.__enter__()
        if BY_HAND:
            self._particles.left = pop_dynamic_layer_stack()

    def __exit__(self, *error: Any) -> None:
        if BY_HAND:
            push_dynamic_layer_stack(self._particles.left)
            self._particles.left = None
        self._plain.__exit__(*error)


@contextlib.contextmanager
def _left(particles: ParticleMap, tensors: Sequence[Tensor]) -> Iterator[tuple[list[Tensor], list[bool]]]:
    """Outside the map: the tensors with particles in front, and which of them differ."""
    top = peek_interpreter_stack()
    if top is None or top.level() != particles.level:
        raise NestedMapError("the program maps by itself around what is done for all particles at once")
    varies = [bool(is_batchedtensor(tensor)) for tensor in tensors]
    rows = [
        particles.unwrapped(tensor) if differs else tensor
        for tensor, differs in zip(tensors, varies, strict=True)
    ]
    with Outside(particles):
        yield rows, varies


class _Leave(torch.autograd.Function):
    """The public way out of a map: the rule for vmap of a function sees the particles."""

    @staticmethod
    def forward(*_: Any) -> Any:
        raise AssertionError("there is no map to leave")

    @staticmethod
    def setup_context(*_: Any) -> None:
        pass

    @staticmethod
    def vmap(_info: Any, in_dims: tuple[Any, ...], call: Call, _: Tensor, *tensors: Tensor) -> Any:
        varies = [dim is not None for dim in in_dims[2:]]
        rows = [
            tensor if dim is None else tensor.movedim(dim, 0)
            for tensor, dim in zip(tensors, in_dims[2:], strict=True)
        ]
        with torch._C.DisableTorchFunction():
            out = tuple(call(rows, varies))
        return out, (0,) * len(out)
