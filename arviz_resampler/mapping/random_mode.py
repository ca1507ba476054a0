"""Random numbers in a map: those of each particle, from the streams of its site.

Knows torch alone.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from arviz_resampler.mapping.functorch import ParticleMap, to_rank
from arviz_resampler.mapping.streams import Streams

Args = tuple[Any, ...]
Kwargs = Mapping[str, Any]
Rule = Callable[[Any, Any, Args, Kwargs], Any]


class UnmappableError(RuntimeError):
    """A program cannot be mapped over particles: it has to run for one at a time."""


class RandomMode(TorchFunctionMode):
    """Torch's random functions in a mapped program.

    Parameters
    ----------
    particles : ParticleMap
        The map.
    streams : Streams
        Where random numbers come from.
    role : str
        The word for the program: random numbers outside its sites have streams of that name.
    """

    def __init__(self, particles: ParticleMap, streams: Streams, role: str) -> None:
        super().__init__()
        self.particles = particles
        self.loose = False  # whether random numbers were drawn that no site holds
        self.unseen = False  # whether they were drawn by a way that no mode sees
        self.spared: Tensor | None = None  # particles whose parameters no sampler would take
        self._streams = streams
        self._role = role
        self._site: str | None = None
        self._calls: dict[str, int] = {}
        self._seed = torch.initial_seed()

    @contextlib.contextmanager
    def at_site(self, name: str) -> Iterator[None]:
        """Calls of the distribution at a site: of a whole batch, with random numbers of the site."""
        before, self._site = self._site, name
        try:
            yield
        finally:
            self._site = before

    def varies(self, thing: Any) -> bool:
        """Whether particles may differ in a tensor, or in one of several."""
        if isinstance(thing, Tensor):
            return self.particles.varies(thing)
        return isinstance(thing, (list, tuple)) and any(map(self.varies, thing))

    def _draw(
        self, tensors: Sequence[Tensor], width: int, device: torch.device, sampler: Callable[..., Any]
    ) -> Tensor:
        """Random numbers of all particles, from the streams of the site, or of the program."""
        name = f"site {self._site}" if self._site is not None else self._role
        if self._site is None:
            if torch.initial_seed() != self._seed:
                raise UnmappableError("random numbers come after a seed of the program's own")
            self.loose = True
        call = self._calls[name] = self._calls.get(name, -1) + 1
        n = self.particles.num_particles

        def outside(rows: list[Tensor], varies: list[bool]) -> list[Tensor]:
            wide = [
                self._valid(r) if differs else r.expand(n, *r.shape)
                for r, differs in zip(rows, varies, strict=True)
            ]
            return [self._streams.draw(f"{name}/{call}", n, wide, width, device, sampler)]

        return self.particles.leave(outside, *tensors)[0]

    def _valid(self, rows: Tensor) -> Tensor:
        """Parameters of all particles, those that no sampler would take replaced by others."""
        if self.spared is None:
            return rows
        places = torch.arange(len(rows), device=rows.device)
        first = int((~self.spared).nonzero()[0])
        return rows[torch.where(self.spared, first, places)]

    def random(self, func: Any, args: Args, kwargs: Kwargs) -> Any:
        """Draws from parameters, as ``torch.normal(mean, sd)``."""
        _refuse_generator(kwargs)
        given = [a for a in (*args, *kwargs.values()) if isinstance(a, Tensor)]
        if not given:  # torch.normal(0.0, 1.0, size)
            size, options = _size(kwargs, args[2:])
            return self._sized(lambda shape: func(*args[:2], size=shape, **options), size, options)
        names = [k for k, v in kwargs.items() if isinstance(v, Tensor)]
        width = max(1, *(a.numel() for a in given))

        def sampler(_: int, rows: list[Tensor]) -> Any:
            rank = max(r.dim() for r in rows)
            aligned = iter([to_rank(r, rank) for r in rows] if func in _BROADCAST else rows)
            given_rows = [next(aligned) if isinstance(a, Tensor) else a for a in args]
            return func(*given_rows, **{**kwargs, **{k: next(aligned) for k in names}})

        return self._draw(given, width, given[0].device, sampler)

    def multinomial(self, func: Any, args: Args, kwargs: Kwargs) -> Any:
        """Draws of categories, which torch makes for at most two axes."""
        _refuse_generator(kwargs)
        probs = args[0] if args else kwargs["input"]
        options = {k: v for k, v in kwargs.items() if k != "input"}

        def sampler(_: int, rows: list[Tensor]) -> Any:
            flat = rows[0].reshape(-1, rows[0].shape[-1])
            out = func(flat, *args[1:], **options)
            return out.reshape(*rows[0].shape[:-1], out.shape[-1])

        return self._draw([probs], probs.numel(), probs.device, sampler)

    def random_like(self, func: Any, args: Args, kwargs: Kwargs) -> Any:
        """``torch.randn_like(x)``: only the shape of x counts."""
        like, *rest = args

        def make(shape: tuple[int, ...]) -> Any:
            empty = torch.empty(shape, dtype=like.dtype, device=like.device)
            return func(empty, *rest, **kwargs)

        return self._sized(make, tuple(like.shape), {"device": like.device})

    def random_sized(self, func: Any, args: Args, kwargs: Kwargs) -> Any:
        """``torch.rand(3)``."""
        _refuse_generator(kwargs)
        before: Args = ()
        if func is torch.randint:  # low and high stand before the size
            before = tuple(a for a in args if not isinstance(a, list | tuple))
            args = args[len(before) :]
        size, options = _size(kwargs, args)
        return self._sized(lambda shape: func(*before, size=shape, **options), size, options)

    def permutation(self, func: Any, args: Args, kwargs: Kwargs) -> Any:
        """``torch.randperm(n)``, a permutation for each particle."""
        _refuse_generator(kwargs)
        device = torch.device(kwargs.get("device") or torch.get_default_device())

        def sampler(n: int, _: list[Tensor]) -> Any:
            return torch.stack([func(*args, **kwargs) for _ in range(n)])

        return self._draw([], int(args[0]), device, sampler)

    def random_fill(self, func: Any, args: Args, kwargs: Kwargs) -> Any:
        """``x.normal_()``."""
        _refuse_generator(kwargs)
        target, *rest = args
        if self.varies(rest) or any(isinstance(a, Tensor) for a in rest):
            drawn = self.random(torch.bernoulli, (rest[0].expand(target.shape),), {})  # x.bernoulli_(p)
            return target.copy_(drawn)

        def make(shape: tuple[int, ...]) -> Any:
            return func(torch.empty(shape, dtype=target.dtype, device=target.device), *rest, **kwargs)

        return target.copy_(self._sized(make, tuple(target.shape), {"device": target.device}))

    def _sized(self, make: Callable[..., Any], size: tuple[int, ...], kwargs: Kwargs) -> Tensor:
        device = torch.device(kwargs.get("device") or torch.get_default_device())
        width = max(1, torch.Size(size).numel())
        return self._draw([], width, device, lambda n, rows: make((n, *size)))


def _size(kwargs: Kwargs, args: Args) -> tuple[tuple[int, ...], dict[str, Any]]:
    """The size that is asked for, in one of torch's three ways, and the other options."""
    size = kwargs.get("size", args)
    if len(size) == 1 and isinstance(size[0], list | tuple):
        size = size[0]
    return tuple(size), {k: v for k, v in kwargs.items() if k != "size"}


def _refuse_generator(kwargs: Kwargs) -> None:
    if kwargs.get("generator") is not None:
        raise UnmappableError("random numbers come from a generator of the program's own")


T = Tensor
_BROADCAST = {torch.normal, torch.binomial}
RANDOM: tuple[tuple[Rule, Sequence[Any]], ...] = (
    (RandomMode.random, (torch.normal, torch.bernoulli, T.bernoulli, torch.poisson, torch.binomial)),
    (RandomMode.random, (torch._standard_gamma, torch._sample_dirichlet)),
    (RandomMode.multinomial, (torch.multinomial, T.multinomial)),
    (RandomMode.random_like, (torch.rand_like, torch.randn_like, torch.randint_like)),
    (RandomMode.random_sized, (torch.rand, torch.randn, torch.randint)),
    (RandomMode.permutation, (torch.randperm,)),
    (RandomMode.random_fill, (T.normal_, T.uniform_, T.exponential_, T.cauchy_, T.log_normal_)),
    (RandomMode.random_fill, (T.geometric_, T.bernoulli_, T.random_)),
)
