"""Compare random programs with plain Pyro, one run after the other.

Run with ``python scripts/fuzz.py --programs 5000 --seed 0``. Prints each program that fails, with the
statements that it needs to fail, and what failed; exits with 1 if one does. ``--only 17`` tries that
program alone.
"""

from __future__ import annotations

import argparse
import functools
import math
import random
import re
import sys
import textwrap
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyro
import pyro.distributions as dist
import torch
from pyro import poutine
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from reference import draw_one_by_one, run_one, score_one

from arviz_resampler import ProgramError, Resampler

GUIDE, MODEL = 1.0, 1.3  # the scale of the priors
LARGEST = 40  # numbers in a tensor
TRIES = 12  # to write one more statement; most that are wrong have shapes that do not fit

# Distributions by kind of value: from a location ``{t}`` between -1 and 1 and a positive scale ``{s}``.
REAL = (
    "Normal({t}, {s})",
    "Normal({t}, 0.05 * {s})",  # narrow: a value beside its location shows
    "Normal(loc={t}, scale=0.05 * {s})",
    "StudentT(4.0, {t}, {s})",
    "Laplace({t}, {s})",
    "Gumbel({t}, {s})",
    "LogNormal({t}, 0.5 * {s})",
    "Gamma(1.0 + {s}, {t}.exp())",
    "InverseGamma(3.0 + {s}, {t}.exp())",
    "Exponential({t}.exp() / {s})",
    "HalfNormal({t}.exp() * {s})",
    "Beta(2.0 * {t}.exp(), torch.tensor(2.0) + {s})",
    "Kumaraswamy(2.0 * {t}.exp(), 1.0 + {s} + 0 * {t})",
    "Uniform({t} - {s}, {t} + 1.0 + {s})",
    "VonMises({t}, torch.tensor(1.0) / {s})",
    "Weibull({t}.exp() * {s}, 1.5)",
    "Logistic({t}, {s})",
    "SoftLaplace({t}, {s})",
    "AsymmetricLaplace({t}, {s}, {t}.exp())",
    "Chi2(3.0 * {t}.exp())",
    "FoldedDistribution(dist.Normal({t}, {s}))",
    "ZeroInflatedPoisson({t}.exp() * {s}, gate=torch.tensor(0.3))",
    "Bernoulli(logits={t} / {s})",
    "Bernoulli({t}.sigmoid())",
    "Poisson({t}.exp() * {s})",
    "Geometric(logits={t} / {s})",
    "Binomial(3, logits={t} / {s})",
    "NegativeBinomial(2.0, logits={t} / {s})",
    "MixtureSameFamily(dist.Categorical(logits=0 * {t}[..., None] + torch.zeros(2)), "
    "dist.Normal({t}[..., None] + torch.tensor([-1.0, 1.0]), {s}))",
    "TransformedDistribution(dist.Normal({t}, {s}), [T.AffineTransform({t}, 0.5), T.TanhTransform()])",
    "TransformedDistribution(dist.Normal(0 * {t}, {s}), [T.ExpTransform(), T.AffineTransform({t}, 2.0)])",
)
VECTORS = (
    "MultivariateNormal({t}[..., None] + torch.zeros(3), {s} * (torch.eye(3) + 0.2))",
    "MultivariateNormal(torch.zeros(3), scale_tril=0.5 * {s} * torch.eye(3) + 0 * {t}[..., None, None])",
    "MultivariateNormal(torch.zeros(3), precision_matrix=torch.eye(3) + {t}[..., None, None].abs())",
    "LowRankMultivariateNormal({t}[..., None] * torch.ones(3), {t}[..., None, None] + torch.ones(3, 2), "
    "{s} * torch.ones(3))",
    "Dirichlet(({t}[..., None] + torch.zeros(3)).exp() + {s})",
    "Multinomial(4, logits={t}[..., None] * torch.tensor([1.0, 0.0, -1.0]) / {s})",
    "OneHotCategorical(logits={t}[..., None] * torch.tensor([1.0, 0.0, -1.0]) / {s})",
    "MixtureSameFamily(dist.Categorical(logits=torch.zeros(2) + 0 * {t}[..., None]), "
    "dist.Normal({t}[..., None, None] + torch.ones(2, 3), {s}).to_event(1))",
)
INDEX = (
    "Categorical(logits={t}[..., None] * torch.linspace(-1, 1, {k}) / {s})",
    "Categorical(torch.softmax({t}[..., None] + torch.arange(float({k})), -1))",
    "Categorical(torch.ones({k}) / {k})",
)

# What is computed from real tensors v and w, an index z, and a data matrix of fitting size.
EXPRESSIONS = (
    *("v.tanh()", "v.abs()", "-v", "v ** 2", "v.exp().clamp(max=3.0)", "torch.relu(v)", "v * 1.5 - 0.5"),
    *("v.sum()", "v.mean()", "v.sum({d})", "v.mean({d}, keepdim=True)", "v.logsumexp({d})", "v.max()"),
    *(
        "v.cumsum({d})",
        "v.prod({d})",
        "v.norm()",
        "v.sort({d}).values",
        "v.max({d}).values",
        "v.softmax({d})",
    ),
    *("v.std({d}, unbiased=False)", "v.diff(dim={d})", "v.amin({d})", "v.median()", "v.var(unbiased=False)"),
    *("v[{i}]", "v[-1]", "v[..., {i}]", "v[:, {i}]", "v[{i}, {j}]", "v[None]", "v[..., None]", "v[{i}:]"),
    *("v[..., :-1]", "v[::2]", "v[torch.tensor({places})]", "v[..., torch.tensor({places})]", "v[{places}]"),
    *("v[:, torch.tensor({places})]", "v[torch.tensor({places}), torch.tensor({places})]"),
    *("v[torch.tensor({places}), :, torch.tensor({places})]", "v[torch.arange(v.shape[0]) > 0]"),
    *("v[z]", "v[..., z]", "v[:, z]", "v[z, torch.arange(z.shape[0])]", "v[z, ..., {i}]", "v[{i}, z]"),
    *("v.index_select({d}, torch.tensor({places}))", "v.gather({d}, torch.zeros_like(v).long())"),
    *("v.take_along_dim(v.argsort({d}), {d})", "Vindex(v)[..., z]", "Vindex(v)[z, {i}]"),
    *("torch.nn.functional.one_hot(z, {k}).float() * w", "(z == {i}).float() + w", "z.float() * 0.5"),
    *("v.T", "v.mT", "v.reshape(-1)", "v.flatten()", "v.unsqueeze({d})", "v.squeeze()", "v.squeeze(-1)"),
    *("v.expand(2, *v.shape)", "v.transpose(0, -1)", "v.permute(*range(v.dim() - 1, -1, -1))"),
    *("v.view(*v.shape, 1)", "v.repeat(2)", "v.flip(0)", "v.roll(1, {d})", "torch.cat([v, w], {d})"),
    *("torch.cat([v.reshape(-1), w.reshape(-1)])", "torch.stack([v, w], {d})", "torch.stack([*v])"),
    *("v + w", "v * w", "v - 2 * w", "torch.where(v > 0, v, w)", "torch.maximum(v, w)", "v / (1 + w.abs())"),
    *("v @ w", "torch.mv(v, w)", "torch.mm(v, w)", "torch.outer(v, w)", "v.dot(w)", "v[..., None] * w"),
    *("data(4, v.shape[0]) @ v", "v @ data(v.shape[-1], 2)", "torch.einsum('i,j->ij', v, w)"),
    *("torch.einsum('...i,...i->...', v, w)", "torch.addmm(v, w, w.T)", "torch.nn.functional.pad(v, (1, 0))"),
    *("torch.nn.functional.linear(v, w)", "torch.nn.functional.linear(data(2, v.shape[-1]), v)"),
    *("torch.tensor([v, w])", "torch.tensor([[v, 0.5], [1.0, w]])", "torch.stack([v, w, v * w])"),
    *("torch.zeros(3) + v", "v * torch.arange(3.0)", "torch.ones_like(v) * w", "torch.full_like(v, 0.5) + w"),
    *("v.new_zeros(2) + w", "sum(v)", "sum([v, w])", "torch.diag(v)", "torch.diag_embed(v)", "v.tril()"),
    *("torch.linalg.cholesky(positive(v))", "torch.inverse(positive(v))", "torch.logdet(positive(v))"),
    *("torch.linalg.solve(positive(v), w)", "torch.linalg.eigvalsh(positive(v))", "torch.det(positive(v))"),
    *("v.double().float()", "v.clone()", "v.contiguous()", "v.unbind({d})[{i}]", "v.chunk(2)[0]"),
    *("torch.vmap(lambda x: x * w)(v)", "torch.meshgrid(v, w, indexing='ij')[0]", "torch.cdist(v, w)"),
    *("torch.lerp(v, w, 0.3)", "torch.clamp(v, -1.0, 1.0)", "v.masked_fill(v > 0, 0.5)", "torch.atan2(v, w)"),
    *("v.unfold(0, 2, 1)", "torch.tensordot(v, w, 1)", "torch.kron(v, w)", "torch.bmm(v, w)", "v.trace()"),
    *("(v > w).float()", "v.sign()", "v.round()", "v.argmax({d}).float()", "v.split(1)[-1]"),
    *("torch.bucketize(v, torch.zeros(1)).float()", "torch.nn.functional.layer_norm(v, v.shape[-1:])"),
)
# What is then changed in place: a copy, new memory, or the value itself.
STARTS = (
    *("v", "v.clone()", "v * 1.0", "torch.zeros_like(v)", "torch.zeros(3)", "torch.ones(2, 3)"),
    *(
        "torch.empty(3).fill_(0.1)",
        "v.new_ones(4)",
        "data(3, 3)",
        "torch.arange(4.0)",
        "torch.zeros(3, 3, 3)",
    ),
    # Views, or copies, of the value.
    *(
        "v[0]",
        "v[:, 0]",
        "v.T",
        "v.reshape(-1)",
        "v.flatten()",
        "v.T.reshape(-1)",
        "v[..., None]",
        "v.view(-1)",
    ),
    *("v.detach()", "v.data", "v.squeeze()", "v.contiguous()", "v.T.contiguous()", "v.float()", "v[1:]"),
    *(
        "v.expand(2, *v.shape).contiguous()",
        "v.diagonal()",
        "v.unbind(0)[0]",
        "v.movedim(0, -1)",
        "v[[0, 1]]",
    ),
    *(
        "torch.as_tensor(v)",
        "v.broadcast_to(v.shape)",
        "v.unsqueeze(0)",
        "v.chunk(2)[0]",
        "v.swapaxes(0, -1)",
    ),
)
CHANGES = (
    *("v[{i}] = w", "v[{i}] = 0.5", "v[..., {i}] = w", "v[:, {i}] = w", "v += 1.0", "v *= w", "v -= w"),
    *("v[{i}] += w", "v[{i}:] = 0.0", "v[torch.tensor({places})] = w", "v[torch.tensor({places})] = 0.5"),
    *("v[v > 0] = 0.5", "v[v < w] = -0.5", "v.clamp_(-1.0, 1.0)", "v.clamp_min_(0.0)", "v.fill_(0.5)"),
    *("v.copy_(w)", "v.zero_()", "v.mul_(0.5)", "v.add_(w)", "v[z] = 0.5", "v[..., z] = w.sum()"),
    # One index: where two are equal, it is not defined which value stays.
    *("v[z.reshape(-1)[0]] = w", "v[..., z.reshape(-1)[0]] = w", "v[z.reshape(-1)[0], {i}] += w.sum()"),
    *("v[torch.tensor({places}), :, torch.tensor({places})] = w", "v[{i}, {j}] = w", "v[..., -1] *= 2"),
    *("v.index_fill_(0, torch.tensor([{i}]), 0.5)", "v.masked_fill_(v > 0, 0.5)", "v.relu_()", "v.neg_()"),
    *(
        "v.reshape(-1)[{i}] = w.sum()",
        "v.T[0] = w",
        "v[0][0] = 0.5",
        "v[None].mul_(2.0)",
        "v.squeeze().add_(w)",
    ),
    *("v.diagonal().fill_(0.5)", "v.unbind(0)[0].add_(1.0)", "v.contiguous().add_(1.0)", "v.data.add_(w)"),
    *(
        "v.flatten()[{i}] = 0.5",
        "v.float().add_(1.0)",
        "v.narrow(0, 0, 1).fill_(0.5)",
        "v.T.reshape(-1)[0] = 0.5",
    ),
    *("v.detach().mul_(w)", "v.to(torch.float32).mul_(2.0)", "v[1:][0] = w", "v.unsqueeze(-1)[0] += 1.0"),
    *(
        "v.index_add_(0, torch.tensor([{i}]), w)",
        "v[torch.arange(len(v)) > 0] = w",
        "v[:] = w.clone()",
        "v[...] = w.clone()",
    ),
)
# Statements with a site, or a value, a step. Named x, with sites named y, from a number t and a scale s.
LOOPS = (
    "{x} = {t}\n"
    "for i in range(3):\n"
    '    {x} = pyro.sample(f"{y}_{{i}}", dist.Normal(torch.tanh({x}), {s}))',
    "{x} = {t}\n"
    'for i in pyro.plate("{y}", 2):\n'
    '    {x} = {x} + pyro.sample(f"{y}_{{i}}", dist.Normal(torch.tanh({x}), {s}))',
    "{x} = torch.zeros(4)\n"
    "for i in range(1, 4):\n"
    "    {x}[i] = 0.5 * {x}[i - 1] + {t}",
    "{x} = torch.zeros(3)\n"
    "for i in range(3):\n"
    '    {x}[i] = pyro.sample(f"{y}_{{i}}", dist.Normal(torch.tanh({x}.sum()), {s}))',
    "z, {x} = 0, 0.0\n"
    "for i in pyro.markov(range(3)):\n"
    "    probs = torch.softmax(torch.eye(2) * {t}, -1)\n"
    '    z = pyro.sample(f"{y}_{{i}}", dist.Categorical(probs[z]))\n'
    "    {x} = {x} + torch.tensor([-1.0, 1.0])[z]",
    "{x} = torch.stack([{t} * i for i in range(3)])",
)  # fmt: skip
MASKS = ("torch.tensor(False)", "False", "torch.tensor(s > 0.5)", "{t} > 0")
# What only one particle at a time can do.
SINGLE = (
    "{new} = v * 2 if v.sum() > 0 else v - 1",
    "{new} = torch.tensor(float(v.sum()))",
    "{new} = torch.tensor(v.mean().item()) + w",
    "{new} = torch.from_numpy(np.tanh(v.numpy()))",
    "{new} = torch.tensor(math.tanh(v.sum()))",
    "{new} = v * len(range(int(z.sum())))",
    "{new} = v[v > 0].sum()",
    "{new} = torch.tensor(v.tolist())",
)


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
            value = self.space.get(name)
            if name and not (isinstance(value, Tensor) and 0 < value.numel() <= LARGEST):
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


def shrunk(written: Written, words: str) -> Written:
    """A program of fewer statements that fails with these words, too."""
    for i in reversed(range(len(written.statements))):
        fewer = replace(written, statements=written.statements[:i] + written.statements[i + 1 :])
        if fewer.statements and runs(fewer) and words in str(failures(fewer)):
            return shrunk(fewer, words)
    return written


# ---------------------------------------------------------------- comparison


def failures(written: Written) -> list[str]:
    """What differs from plain Pyro, in words; nothing where all is the same."""
    n = written.num_particles
    guide, model = written.program(GUIDE), written.program(MODEL)
    plain = draw_one_by_one(guide, 1, seed=1)
    try:
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            resampler = Resampler(
                guide,
                guide if written.simulator else None,
                num_guide_samples=n,
                batch_size=written.batch_size,
                random_seed=5,
                progressbar=False,
            )
            mapped = resampler.weigh(model).log_ratio_by_site
            same = resampler.weigh(guide).log_ratio
            resampler._vectorize = False
            single = resampler.weigh(model).log_ratio_by_site
            if written.mapped:
                resampler._vectorize = True
                try:
                    resampler.weigh(model)
                except ProgramError as error:
                    if not any(part in str(error) for part in _LAYOUT):
                        raise
    except Exception as error:
        return [f"{type(error).__name__}: {error}"]
    columns = resampler.pipeline.particles.columns
    found = [text for warning in said if (text := _unexpected(written, warning))]
    if columns.keys() != plain.keys():
        return [*found, f"sites {sorted(columns)}, but {sorted(plain)} in Pyro"]
    for name, value in plain.items():
        wide = [size for size in value.shape[1:] if size != 1]
        own = [size for size in columns[name].site.shape if size != 1]
        if wide != own or columns[name].value.dtype != value.dtype:
            found.append(
                f"{name!r} has shape {own} and {columns[name].value.dtype}, not {wide}, {value.dtype}"
            )
    if found:
        return found
    if not written.scaled and np.abs(same).max() > 1e-4:
        found.append(f"weights of the guide against itself: {same}")
    for name, ratios in mapped.items():
        if not np.allclose(ratios, single[name], rtol=1e-4, atol=1e-3, equal_nan=True):
            found.append(f"{name!r}: log ratios {ratios} mapped, {single[name]} one at a time")
    for i in range(n):
        values = {name: column.value[i] for name, column in columns.items()}
        # What carries obs= goes by the simulator, if there is one: it is left out of the weights.
        latent = {name: ratios[i] for name, ratios in mapped.items() if columns[name].site.role == "latent"}
        found += of_one(guide, model, values, latent)
    return found


# What is mapped or not by the layout that torch chooses: both are right.
_LAYOUT = (
    "whether a change in place reaches another tensor depends on the layout",
    "a tensor is changed while a row is in use that was looked up in it",
    "view size is not compatible with input tensor's size and stride",
)


def _unexpected(written: Written, warning: warnings.WarningMessage) -> str:
    """What a warning says, unless it belongs to the program or to few particles."""
    text = f"{warning.category.__name__}: {warning.message}"
    expected = ["carries obs=", "WeightWarning", "torch.searchsorted(): input value tensor is non-contiguous"]
    expected += _LAYOUT
    if not written.mapped:
        expected.append("one particle at a time")
    return "" if any(part in text for part in expected) else text


def of_one(
    guide: Callable, model: Callable, values: dict[str, Tensor], ratios: dict[str, float]
) -> list[str]:
    """What differs for one particle."""
    try:
        below = run_one(guide, values, scales=False, masks=False)
    except ValueError as error:  # a value is not in the support that it has in a trace
        return [str(error)]
    # A mask around a site that is drawn says which data there are: it changes no weight.
    above = score_one(model, values, masks=False)
    found = []
    for name, ratio in ratios.items():
        expected = above[name] - below.log_prob[name]
        # Sums of at most 40 float32 terms; the scale of a narrow normal multiplies the rounding of a mean.
        bound = 1e-3 + 1e-4 * (abs(above[name]) + abs(below.log_prob[name]))
        if math.isfinite(expected) and not abs(ratio - expected) <= bound:
            found.append(f"{name!r}: log ratio {ratio}, but {expected} in a trace")
    for name, value in below.deterministic.items():
        own = values[name].reshape(value.shape)
        if not torch.allclose(own, value, rtol=1e-3, atol=1e-3, equal_nan=True):
            found.append(f"{name!r} is {own.tolist()}, but {value.tolist()} in a trace")
    for name, node in below.trace.nodes.items():
        fn = node.get("fn")
        while type(fn).__name__ in ("Independent", "ExpandedDistribution", "MaskedDistribution"):
            fn = fn.base_dist
        if type(fn) is dist.Normal:
            # Seven standard deviations: once in 4e11 draws.
            far = ((node["value"] - fn.loc) / fn.scale).abs().max()
            if not far < 7:
                found.append(f"{name!r} is {float(far):.1f} standard deviations from its location")
    return found


def main() -> int:
    """Try random programs and print those that fail."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--programs", type=int, default=1000)
    parser.add_argument("--start", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, help="the number of one program")
    args = parser.parse_args()
    numbers = range(args.start, args.programs) if args.only is None else [args.only]
    failed = 0
    for number in numbers:
        written = write(args.seed, number)
        found = failures(written)
        if found:
            failed += 1
            short = shrunk(written, found[0][:40])
            print(f"--- program {number} of seed {args.seed}, shortened: {replace(short, statements=())}")
            print(short.source)
            print("\n".join(failures(short) or ["not a second time:", *found]), flush=True)
    print(f"{len(numbers) - failed} passed, {failed} failed")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
