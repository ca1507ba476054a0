"""Random programs: a statement at a time, each of which plain Pyro runs."""

from __future__ import annotations

import functools
import math
import random
import re
import textwrap
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyro
import pyro.distributions as dist
import torch
from fuzz_templates import CHANGES, EXPRESSIONS, INDEX, LOOPS, MASKS, REAL, SINGLE, STARTS, VECTORS
from pyro import poutine
from reference import draw_one_by_one
from torch import Tensor

GUIDE = 1.0  # the scale of the priors
LARGEST = 40  # numbers in a tensor
TRIES = 12  # to write one more statement; most that are wrong have shapes that do not fit


def data(rows: int, columns: int) -> Tensor:
    """A matrix that stands for data."""
    return torch.linspace(-1.0, 1.0, rows * columns).reshape(rows, columns)


def positive(v: Tensor) -> Tensor:
    """A positive definite matrix."""
    return v.tanh() @ v.tanh().T + torch.eye(len(v))


def namespace() -> dict[str, Any]:
    """What the source of a program may use."""
    space: dict[str, Any] = {"math": math, "np": np, "torch": torch, "pyro": pyro, "dist": dist}
    space |= {"poutine": poutine, "data": data, "positive": positive, "T": dist.transforms}
    space["Vindex"] = pyro.ops.indexing.Vindex
    return space


@dataclass(frozen=True)
class Written:
    """A random program.

    Attributes
    ----------
    statements : tuple of str
        What the program does, in terms of ``s``, the scale of its priors.
    mapped : bool
        Whether it can be mapped over particles.
    scaled : bool
        Whether a ``poutine.scale`` stands around a site.
    num_particles : int
        How many to try it with.
    batch_size : int or None
        How many of them at a time.
    simulator : bool
        Whether it is run as a simulator, too, on what it has drawn as a guide.
    """

    statements: tuple[str, ...]
    mapped: bool
    scaled: bool
    num_particles: int
    batch_size: int | None = None
    simulator: bool = False

    @property
    def source(self) -> str:
        """Of a function ``program(s)``."""
        lines = "\n".join(self.statements).split("\n")
        return "\n".join(["def program(s):", *(f"    {line}" for line in lines), ""])

    def program(self, scale: float) -> Callable[[], Any]:
        """The program without arguments."""
        space = namespace()
        exec(self.source, space)
        return functools.partial(space["program"], scale)


class Writer:
    """Writes a program a statement at a time, and runs each once to see what it gives.

    A statement that plain Pyro does not run is not kept: so nothing has to be known of shapes.
    """

    def __init__(self, number: random.Random) -> None:
        self.random = number
        self.lines: list[str] = []
        self.space = {**namespace(), "s": GUIDE}
        self.reals: list[str] = []
        self.indices: dict[str, int] = {}
        self.plates: dict[str, tuple[int, int | None]] = {}
        self.count = 0
        self.sites = 0
        self.single = self.scaled = False

    def write(self) -> Written:
        """A program of some statements, with a site at least."""
        self._declare_plates()
        kinds = [self._site, self._compute, self._change, self._loop, self._keep]
        while self.sites < 2 or len(self.lines) < 4:
            self._site()
        for _ in range(self.random.randint(2, 9)):
            self.random.choices(kinds, [3, 6, 3, 1, 1])[0]()
        self._site()
        self._keep()
        if self.random.random() < 0.05:
            self._one_at_a_time()
        n = self.random.choice([1, 2, 3, 3, 4, 7])  # most of them sizes of plates and events, too
        batch_size = self.random.choice([None, None, None, 2])
        simulator = self._chance(0.2)
        return Written(tuple(self.lines), not self.single, self.scaled, n, batch_size, simulator)

    # ---------------------------------------------------------------- statements

    def _declare_plates(self) -> None:
        dims = self.random.sample([-1, -2, -3], 3) if self.random.random() < 0.5 else [None] * 3
        for i in range(self.random.randint(0, 3)):
            size = self.random.choice([1, 2, 3, 4])
            self.plates[f"p{i}"] = size, dims[i]
            dim = "" if dims[i] is None else f", dim={dims[i]}"
            self._run(f'p{i} = pyro.plate("plate_{i}", {size}{dim})')

    def _site(self) -> None:
        for _ in range(TRIES):
            name = self._new()
            around = self._around()
            text, k = self._distribution(self._padded(around), bool(around))
            observed = self._chance(0.03) and name != "x1"  # there has to be a latent
            options = f", obs=torch.zeros({self._shape(text)})" if observed else ""
            statement = f'{name} = pyro.sample("{name}", {text}{options})'
            if around:
                statement = _within(f"with {', '.join(around)}", statement)
            scaled = self._chance(0.05)
            if scaled:
                statement = _within("with poutine.scale(scale=0.5)", statement)
            elif self._chance(0.05):
                statement = _within(
                    f"with poutine.mask(mask={self.random.choice(MASKS).format(t=self._fitting(()))})",
                    statement,
                )
            if self._run(statement, name):
                self.sites += 1
                self.scaled |= scaled
                self._know(name, k)
                return

    def _shape(self, text: str) -> str:
        """The shape of a draw by itself."""
        try:
            return str(list(eval(text, self.space).shape()))
        except Exception:
            return "[]"

    def _around(self) -> list[str]:
        """Plates from the outside in. Those without a dim get theirs from right to left."""
        if all(dim is None for _, dim in self.plates.values()):
            return list(self.plates)[: self.random.randint(0, len(self.plates))]
        return [name for name in self.plates if self._chance(0.5)]

    def _padded(self, around: list[str]) -> tuple[int, ...]:
        places = {}
        for i, name in enumerate(around):
            size, dim = self.plates[name]
            places[-1 - i if dim is None else dim] = size
        return tuple(places.get(dim, 1) for dim in range(min(places, default=0), 0))

    def _distribution(self, batch: tuple[int, ...], plated: bool) -> tuple[str, int]:
        """Source of a distribution; for an index also how many categories it has."""
        event = self.random.choice([(), (), (), (3,), (3,), (2,), (4,), (3, 3), (2, 3), (3, 1), (2, 3, 3)])
        kind, k = self.random.choices(["real", "vector", "index"], [6, 1, 1])[0], 0
        template = self.random.choice({"real": REAL, "vector": VECTORS, "index": INDEX}[kind])
        if kind == "index":
            k = self.random.choice([2, 3, 4])
        scale = "s" if self._chance(0.3) else f"({self.random.choice([0.5, 0.8, 1.0])} * s)"
        if self.reals and self._chance(0.2):
            scale = f"(0.3 * s + {self._fitting(())}.sigmoid())"
        expanded = self._chance(0.4)
        location = self._fitting(() if expanded else (*batch, *event))
        t = f"torch.tanh({location})"
        if event and not expanded:
            t = f"({t} + torch.zeros({list(event)}))"
        text = "dist." + template.format(t=t, s=scale, k=k)
        if expanded and event:
            text += f".expand({[*batch, *event]})"
        if not event:
            return text, k
        if not plated and self._chance(0.2):
            return (f"{text}.to_event()" if self._chance(0.5) else text), k
        return f"{text}.to_event({len(event)})", k

    def _fitting(self, shape: tuple[int, ...]) -> str:
        """Source of a real tensor that can be broadcast to a shape, as it is or as a number."""
        if not self.reals or self._chance(0.15):
            return "torch.tensor(0.3)"
        name = self._real()
        own = tuple(self.space[name].shape)
        try:
            if torch.broadcast_shapes(own, shape) == shape:
                return name
        except RuntimeError:
            pass
        fill = self.random.choice(["{}.mean()", "{}.sum()", "{}.reshape(-1)[0]", "{}.flatten()[-1]"])
        return fill.format(name)

    def _compute(self) -> None:
        for _ in range(TRIES):
            name = self._new()
            if self._run(f"{name} = {self._filled(self.random.choice(EXPRESSIONS))}", name):
                self._know(name, 0)
                self._keep(name)
                return

    def _change(self) -> None:
        for _ in range(TRIES):
            v, name = self._real(), self._new()
            start = self.random.choice(STARTS)
            start = _replaced(start, "v", v)
            change = self._filled(self.random.choice(CHANGES), v=name)
            if self._run(f"{name} = {start}\n{change}", name):
                self._know(name, 0)
                self._keep(name)
                if v in self.space:
                    self._keep(v)
                return

    def _loop(self) -> None:
        for _ in range(TRIES):
            name, site = self._new(), self._new()
            scale = self.random.choice(["s", "0.05 * s", "0.5 * s"])
            loop = self.random.choice(LOOPS).format(x=name, y=site, t=self._fitting(()), s=scale)
            if self._run(loop, name):
                self._know(name, 0)
                return

    def _keep(self, name: str | None = None) -> None:
        """A deterministic site: what is computed is compared, too."""
        v = name or self._real()
        if name is None or self._chance(0.5):
            self._run(f'pyro.deterministic("{v}_{self._new()}", {v} + 0.0, event_dim={v}.dim())')

    def _one_at_a_time(self) -> None:
        for _ in range(TRIES):
            name = self._new()
            statement = self._filled(self.random.choice(SINGLE).replace("{new}", name))
            if self._run(statement, name):
                self._know(name, 0)
                self.single = True
                self._run(f'pyro.sample("{name}", dist.Normal(torch.tanh({name}.sum()), 0.05 * s))')
                return

    # ---------------------------------------------------------------- parts

    def _filled(self, template: str, v: str | None = None) -> str:
        """A template with the names of values and with places in it."""
        v = v or self._real()
        z = self.random.choice([*self.indices]) if self.indices else "torch.tensor(1)"
        name = self._real()
        near = self.random.choice([name, name, name, f"{name}.mean()", f"{v}.tanh()", f"{v}[0].clone()"])
        text = template
        for letter, own in (("v", v), ("w", near), ("z", z)):
            text = _replaced(text, letter, own)
        places = [self.random.randint(0, 2) for _ in range(self.random.choice([2, 3]))]
        if "v[" in template and "= w" in template:
            places = self.random.sample([0, 1, 2], 2)  # the order of two values at one place is not defined
        marks = {"i": self.random.randint(0, 2), "j": self.random.randint(0, 2), "k": self.indices.get(z, 2)}
        return text.format(d=self.random.choice([0, -1, 0, -1, 1]), places=places, **marks)

    def _real(self) -> str:
        recent = self.reals[-4:] if self._chance(0.5) else self.reals
        return self.random.choice(recent or ["torch.tensor(0.3)"])

    def _new(self) -> str:
        self.count += 1
        return f"x{self.count}"

    def _chance(self, share: float) -> bool:
        return self.random.random() < share

    def _run(self, statement: str, name: str = "") -> bool:
        """Run a statement once, and keep it if it does what a program may do."""
        before = {key: value.clone() for key, value in self.space.items() if isinstance(value, Tensor)}
        try:
            with warnings.catch_warnings(), torch.no_grad():
                warnings.simplefilter("error")
                exec(statement, self._with_last_categories())
                exec(statement, self.space)
            value: Any = self.space.get(name)
            if name and (not isinstance(value, Tensor) or not 0 < value.numel() <= LARGEST):
                raise ValueError("no tensor, or a large one")
            if name and not torch.isfinite(value).all():
                raise ValueError("not finite")
        except Exception:
            self.space.update(before)
            if name not in before:
                self.space.pop(name, None)
            return False
        self.lines.append(statement)
        return True

    def _with_last_categories(self) -> dict[str, Any]:
        """The values so far, with an index at its largest: a statement must not depend on what was drawn."""
        space = {
            key: value.clone() if isinstance(value, Tensor) else value for key, value in self.space.items()
        }
        return space | {z: torch.full_like(space[z], k - 1) for z, k in self.indices.items() if z in space}

    def _know(self, name: str, k: int) -> None:
        value = self.space[name]
        if k:
            self.indices[name] = k
        elif value.dtype == torch.float32:
            self.reals.append(name)


def _within(head: str, statement: str) -> str:
    return f"{head}:\n{textwrap.indent(statement, '    ')}"


def _replaced(text: str, letter: str, name: str) -> str:
    """A template with a name for a letter that stands by itself."""
    return re.sub(rf"(?<![\w.'{{]){letter}(?![\w'}}])", name, text)


def runs(written: Written) -> bool:
    """Whether plain Pyro runs a program."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            drawn = draw_one_by_one(written.program(GUIDE), 5, seed=1)
    except Exception:
        return False
    return bool(drawn) and all(bool(value.isfinite().all()) for value in drawn.values())


def write(seed: int, number: int) -> Written:
    """The random program of a number, one that plain Pyro runs."""
    pyro.set_rng_seed(seed * 1_000_003 + number)
    choices = random.Random(f"{seed}/{number}")
    while True:
        written = Writer(choices).write()
        # What was tried a statement at a time may fail as a whole: a plate keeps the dim that it once found.
        if runs(written):
            return written
