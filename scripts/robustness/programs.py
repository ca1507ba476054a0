"""Programs of every kind, most of them as functions of the spread of their priors."""
# ruff: noqa: D102, D103 - the programs are what their names say

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pyro
import pyro.distributions as dist
import torch
from pyro.distributions import constraints, transforms
from torch import Tensor


def site(name: str, make: Callable[[], Any]) -> Callable[[], Any]:
    """A program of one site."""

    def program() -> Any:
        return pyro.sample(name, make())

    return program


def one(make: Callable[[], Any]) -> Callable[[], Any]:
    return site("x", make)


def normal_guide() -> None:
    pyro.sample("x", dist.Normal(0.0, 2.0))


def schools(spread: float, noise: float = 1.0) -> Callable[[], None]:
    """A hierarchy of eight schools, wide or narrow."""

    def program() -> None:
        mu = pyro.sample("mu", dist.Normal(0.0, spread))
        tau = pyro.sample("tau", dist.HalfNormal(1.5 * spread))
        with pyro.plate("school", 3):
            pyro.sample("theta", dist.Normal(mu, tau + noise))

    return program


def nested(spread: float, outer: int | None = None, inner: int | None = None) -> Callable[[], None]:
    def program() -> None:
        mu = pyro.sample("mu", dist.Normal(0.0, spread))
        with pyro.plate("region", 3, dim=outer):
            slope = pyro.sample("slope", dist.Normal(mu, 1.0))
            with pyro.plate("town", 2, dim=inner):
                pyro.sample("level", dist.Normal(slope, 1.0))

    return program


def crossed(spread: float, first: int, second: int) -> Callable[[], None]:
    def program() -> None:
        with pyro.plate("row", 2, dim=first):
            a = pyro.sample("a", dist.Normal(0.0, spread))
        with pyro.plate("column", 3, dim=second):
            b = pyro.sample("b", dist.Normal(0.0, spread))
        with pyro.plate("row_", 2, dim=first), pyro.plate("column_", 3, dim=second):
            pyro.sample("c", dist.Normal(a + b, 1.0))

    return program


def sequential(spread: float) -> Callable[[], None]:
    def program() -> None:
        level = torch.tensor(0.0)
        for i in pyro.plate("step", 3):
            level = pyro.sample(f"level_{i}", dist.Normal(level, spread))

    return program


def plated(make: Callable[[], Any]) -> Callable[[], None]:
    def program() -> None:
        with pyro.plate("item", 3):
            pyro.sample("x", make())

    return program


def slab(mix: float, spread: float) -> Callable[[], None]:
    def program() -> None:
        kind = pyro.sample("kind", dist.Bernoulli(mix))
        spike = dist.Normal(0.0, 0.1).expand(kind.shape)
        pyro.sample("x", dist.MaskedMixture(kind.bool(), spike, dist.Normal(0.0, spread)))

    return program


def exact_spike(mix: float, spread: float) -> Callable[[], None]:
    def program() -> None:
        kind = pyro.sample("kind", dist.Bernoulli(mix))
        spike = dist.Delta(torch.zeros(kind.shape))
        pyro.sample("x", dist.MaskedMixture(kind.bool(), spike, dist.Normal(0.0, spread)))

    return program


def covariance(concentration: float, spread: float) -> Callable[[], None]:
    def program() -> None:
        scale = pyro.sample("scale", dist.LogNormal(0.0, spread).expand([2]).to_event(1))
        chol = pyro.sample("chol", dist.LKJCholesky(2, concentration))
        pyro.deterministic("tril", scale[..., None] * chol, event_dim=2)
        pyro.sample("y", dist.MultivariateNormal(torch.zeros(2), scale_tril=scale[..., None] * chol))

    return program


def reads_tables(weights: list[float]) -> Callable[[], None]:
    def program() -> None:
        group = pyro.sample("group", dist.Categorical(torch.tensor(weights)))
        pyro.sample("y", dist.Normal(torch.tensor([-2.0, 0.0, 3.0])[group], 1.0))

    return program


def bounded_by_latent(low: float) -> Callable[[], None]:
    def program() -> None:
        top = pyro.sample("top", dist.Uniform(low, 3.0))
        pyro.sample("x", dist.Uniform(torch.zeros(()), top))

    return program


def soft(spread: float) -> Callable[[], None]:
    def program() -> None:
        x = pyro.sample("x", dist.Normal(0.0, spread))
        pyro.factor("pull", -0.5 * x**2)

    return program


def with_deterministic(spread: float, power: float) -> Callable[[], None]:
    def program() -> None:
        x = pyro.sample("x", dist.Normal(0.0, spread))
        pyro.deterministic("curve", x.abs() ** power)

    return program


def regression(spread: float, obs: bool = True) -> Callable[[], None]:
    """A full generative program with data."""

    def program() -> None:
        slope = pyro.sample("slope", dist.Normal(0.0, spread))
        with pyro.plate("row", 4):
            data = torch.zeros(4) if obs else None
            pyro.sample("y", dist.Normal(slope * torch.arange(4.0), 1.0), obs=data)

    return program


def partly_seen(spread: float) -> Callable[[], None]:
    def program() -> None:
        x = pyro.sample("x", dist.Normal(0.0, spread))
        with pyro.plate("row", 4):
            mask = torch.tensor([True, True, False, False])
            pyro.sample("y", dist.Normal(x, 1.0), obs=torch.zeros(4), obs_mask=mask)

    return program


class Module(pyro.nn.PyroModule):
    """A linear map with priors on its weights."""

    def __init__(self, spread: float) -> None:
        super().__init__()
        self.weight = pyro.nn.PyroSample(dist.Normal(0.0, spread).expand([2]).to_event(1))

    def forward(self) -> Tensor:
        return pyro.deterministic("total", self.weight.sum(-1))


class Layer(pyro.nn.PyroModule):
    """A layer of torch whose weights are drawn."""

    def __init__(self, spread: float) -> None:
        super().__init__()
        self.linear = pyro.nn.PyroModule[torch.nn.Linear](2, 1)
        self.linear.weight = pyro.nn.PyroSample(dist.Normal(0.0, spread).expand([1, 2]).to_event(2))
        self.linear.bias = pyro.nn.PyroSample(dist.Normal(0.0, spread).expand([1]).to_event(1))

    def forward(self) -> Tensor:
        return pyro.deterministic("out", self.linear(torch.ones(3, 2)))


class HalfLogistic(dist.TorchDistribution):
    """A distribution of a user, without constraints on its arguments."""

    support = constraints.positive

    def __init__(self, scale: Any, batch_shape: torch.Size | None = None) -> None:
        self.scale = torch.as_tensor(scale)
        super().__init__(self.scale.shape if batch_shape is None else batch_shape, validate_args=False)

    def expand(self, batch_shape: Any, _instance: Any = None) -> HalfLogistic:
        return HalfLogistic(self.scale.expand(batch_shape), torch.Size(batch_shape))

    def sample(self, sample_shape: Any = ()) -> Tensor:
        u = torch.rand(self._extended_shape(torch.Size(sample_shape)))
        return self.scale * torch.logit(u).abs()

    def log_prob(self, value: Tensor) -> Tensor:
        z = value / self.scale
        return math.log(2) - z - 2 * torch.log1p((-z).exp()) - self.scale.log()


def plated_subsample(spread: float) -> Callable[[], None]:
    def program() -> None:
        with pyro.plate("item", 10, subsample_size=3):
            pyro.sample("x", dist.Normal(0.0, spread))

    return program


def named_rows(spread: float) -> Callable[[], None]:
    def program() -> None:
        with pyro.plate("item", 10, subsample=torch.tensor([2, 3, 7])):
            pyro.sample("x", dist.Normal(0.0, spread))

    return program


def broadcast_data(spread: float) -> Callable[[], None]:
    def program() -> None:
        x = pyro.sample("x", dist.Normal(0.0, spread))
        with pyro.plate("row", 4):
            pyro.sample("y", dist.Normal(x, 1.0), obs=torch.zeros(4, 1))

    return program


def loc_scale(spread: float) -> Callable[[], None]:
    def program() -> None:
        mu = pyro.sample("mu", dist.Normal(0.0, spread))
        with pyro.plate("school", 3):
            pyro.sample("x", dist.Normal(mu, 1.0))

    return program


def mixing(spread: float) -> Callable[[], None]:
    """Takes a mean over the plate, and over the particles with it."""

    def program() -> None:
        mu = pyro.sample("mu", dist.Normal(0.0, spread))
        with pyro.plate("school", 3):
            x = pyro.sample("x", dist.Normal(mu.mean(), 1.0))
        pyro.deterministic("average", x.mean())

    return program


def transformed(spread: float) -> Callable[[], None]:
    return one(
        lambda: dist.TransformedDistribution(
            dist.Normal(0.0, spread), [transforms.ExpTransform(), transforms.AffineTransform(1.0, 2.0)]
        )
    )


def stable(scale: float) -> Callable[[], None]:
    return one(lambda: dist.Stable(1.7, 0.0, scale, 0.0))
