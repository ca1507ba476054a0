"""Functions that take all particles at once, inside programs that see one: NumPy, compiled code, solvers.

Knows torch's functions with a rule for maps; nothing of programs or particles.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from arviz_resampler.errors import ProgramError, describe


def batched(function: Callable[..., Any], *, tensors: bool = False, rtol: float = 0.0) -> Callable[..., Any]:
    """Function of one draw, made of a function that takes many draws at once.

    In a program it is called with the values of one draw, as any function is. The function behind it is
    called once for all particles.

    Parameters
    ----------
    function : callable
        Takes and returns arrays with the particles in front, ``(N, ...)``. Each tensor that it is called
        with, also inside tuples, lists and dicts, comes as such an array, whether particles differ in it
        or not; numbers, strings and arrays come as they are. What it returns may be a tuple, list or dict
        of arrays.
    tensors : bool, default False
        Whether the function is handed tensors instead of NumPy arrays, which are read-only.
    rtol : float, default 0.0
        How far, relative to the largest value, a particle by itself may be from the same particle among
        others: rounding of a function that adds up in another order.

    Returns
    -------
    callable
        The function of one draw.

    Raises
    ------
    ProgramError
        When it is called: if the function does not return the particles in front, changes what it is
        handed, sets a seed, or gives a particle among others something else than the same particle by
        itself.

    Notes
    -----
    At each call with several particles, the two with the smallest and the largest result are run by
    themselves and compared: a function that mixes particles, or an adaptive solver that steps for all of
    them together, gives weights that mean nothing. No gradient flows through the function. Random numbers
    are drawn by ``pyro.sample`` and handed to it.

    Examples
    --------
    >>> import numpy as np, torch
    >>> growth = batched(lambda rate, days: np.exp(rate[:, None] * days))
    >>> growth(torch.tensor(0.5), np.arange(3)).shape
    torch.Size([3])
    """

    @functools.wraps(function)
    def one(*args: Any, **kwargs: Any) -> Any:
        call = _Call(function, (args, kwargs), tensors, rtol)
        out = _Apply.apply(call, (), *call.given)  # type: ignore[no-untyped-call]
        return call.structure(iter(out))

    return one


class _Call:
    """One call: where tensors stand among its arguments, and what came back."""

    def __init__(self, function: Callable[..., Any], arguments: Any, tensors: bool, rtol: float) -> None:
        self.function, self.tensors, self.rtol = function, tensors, rtol
        self.name = getattr(function, "__name__", type(function).__name__)
        self.leaves: list[Any] = []
        self.put = _flatten(arguments, self.leaves)
        self.given = [leaf for leaf in self.leaves if isinstance(leaf, Tensor)]
        self.structure: Callable[[Iterator[Any]], Any] = next

    def run(self, lead: Sequence[int], given: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """The function over all particles; maps in maps are one axis of particles."""
        n = int(np.prod(lead, dtype=int))
        rows = [tensor.detach().reshape(n, *tensor.shape[len(lead) :]) for tensor in given]
        out = self._ask(n, rows)
        if n > 1 and out and out[0].numel():
            size = out[0].reshape(n, -1)[:, 0]
            for i in {int(size.argmin()), int(size.argmax())}:
                self._compare(i, out, self._ask(1, [r[i : i + 1] for r in rows]))
        return tuple(o.reshape(*lead, *o.shape[1:]) for o in out)

    def _ask(self, n: int, rows: Sequence[Tensor]) -> list[Tensor]:
        handed = iter([row if self.tensors else _read_only(row) for row in rows])
        args, kwargs = self.put(iter([next(handed) if isinstance(x, Tensor) else x for x in self.leaves]))
        versions, seed = [row._version for row in rows], torch.initial_seed()
        try:
            result = self.function(*args, **kwargs)
        except ValueError as error:
            if "read-only" in str(error):
                raise self._changed() from error
            raise
        if [row._version for row in rows] != versions:
            raise self._changed()
        if torch.initial_seed() != seed:
            raise ProgramError(
                f"the batched function {self.name!r} sets a seed of its own, so that every call would get "
                f"the same random numbers. Draw them with pyro.sample, and hand them to it."
            )
        found: list[Any] = []
        self.structure = _flatten(result, found)
        return [self._taken(x, n) for x in found]

    def _changed(self) -> ProgramError:
        return ProgramError(
            f"the batched function {self.name!r} changes what it is handed in place: let it work on a copy"
        )

    def _taken(self, x: Any, n: int) -> Tensor:
        if np.shape(x)[:1] != (n,):
            raise ProgramError(
                f"the batched function {self.name!r} gave {describe(x)} for {n} particles: what it returns "
                f"must have the particles in front, shape ({n}, ...)"
            )
        if isinstance(x, Tensor):
            return x
        x = np.asarray(x)
        if x.dtype.kind not in "biuf":
            raise ProgramError(f"the batched function {self.name!r} gave {describe(x)}, which are no numbers")
        return torch.from_numpy(np.array(x))  # its own memory: external code may use its result again

    def _compare(self, i: int, many: Sequence[Tensor], alone: Sequence[Tensor]) -> None:
        for among, single in zip(many, alone, strict=True):
            first, second = among[i].double(), single[0].double()
            scale = torch.nan_to_num(first.abs(), posinf=0.0).max() if first.numel() else first.sum()
            same = (first - second).abs() <= self.rtol * scale
            if not bool((same | (first == second) | (first.isnan() & second.isnan())).all()):
                raise ProgramError(
                    f"the batched function {self.name!r} gives particle {i} among others something else than "
                    f"the same particle by itself (largest difference "
                    f"{float((first - second).abs().max()):.2g}): it mixes particles, or draws random "
                    f"numbers. If that is rounding, say how much: rtol=1e-5."
                )


class _Apply(torch.autograd.Function):
    """A call as a function that maps know."""

    @staticmethod
    def forward(call: _Call, lead: tuple[int, ...], *given: Tensor) -> tuple[Tensor, ...]:
        with torch._C.DisableTorchFunction():
            if not lead:
                out = call.run((1,), [tensor.unsqueeze(0) for tensor in given])
                return tuple(o.squeeze(0) for o in out)
            return call.run(lead, given)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], _output: Any) -> None:
        ctx.name = inputs[0].name

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], call: _Call, lead: tuple[int, ...], *given: Tensor) -> Any:
        n = info.batch_size
        rows = [
            tensor.expand(n, *tensor.shape) if dim is None else tensor.movedim(dim, 0)
            for tensor, dim in zip(given, in_dims[2:], strict=True)
        ]
        out = _Apply.apply(call, (n, *lead), *rows)  # type: ignore[no-untyped-call]
        return out, (0,) * len(out)

    @staticmethod
    def backward(ctx: Any, *_: Tensor) -> Any:
        raise ProgramError(f"the batched function {ctx.name!r} has no derivative")


def _read_only(rows: Tensor) -> Any:
    array = rows.cpu().numpy()
    array.flags.writeable = False  # a change in place would change the particles
    return array


def _flatten(thing: Any, leaves: list[Any]) -> Callable[[Iterator[Any]], Any]:
    """Collect what tuples, lists and dicts hold; the result puts other things in their place."""
    if isinstance(thing, dict):
        parts = [_flatten(value, leaves) for value in thing.values()]
        return lambda new: dict(zip(thing, [part(new) for part in parts], strict=True))
    if isinstance(thing, list | tuple):
        parts = [_flatten(value, leaves) for value in thing]
        make: Any = getattr(type(thing), "_make", type(thing))  # a named tuple takes its parts one by one
        return lambda new: make([part(new) for part in parts])
    leaves.append(thing)
    return next
