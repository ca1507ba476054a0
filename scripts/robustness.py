"""Try every distribution of Pyro, and every kind of program, and write what became of it.

Run with ``python scripts/robustness.py``; writes ``docs/robustness.md``. The seeds are fixed. Exits
with 1 if a cell is open: neither right nor refused in the package's own words.
"""
# ruff: noqa: D102, D103 - the programs are what their names say

from __future__ import annotations

import itertools
import math
import re
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import pyro
import pyro.distributions as dist
import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from families import CASES, EXCLUDED, NUM_PARTICLES, WIDE, Case, forgotten, truncated_normal
from fuzz import of_one
from idioms import GUIDE, IDIOMS, MODEL, Idiom
from pyro import poutine
from pyro.distributions import constraints, transforms
from pyro.infer import autoguide, reparam
from torch import Tensor

from arviz_resampler import Resampler, ResamplerError, Weights

PAGE = Path(__file__).resolve().parent.parent / "docs" / "robustness.md"
NUM_DRAWS = 4_000
NUM_DIRECT = 20_000
NUM_TRACED = 20  # particles that are compared with a trace of Pyro
MIN_ESS = 200  # below, a comparison of means says nothing
BOUND = 5  # standard errors

Cell = tuple[str, str]  # outcome and reason

# ------------------------------------------------------------------ comparison


class Wrong(Exception):
    """What was computed is not what it should be."""


def features(value: Tensor, centre: Tensor, width: Tensor) -> Tensor:
    """Bounded functions of a value, so that their means exist whatever its tails are: (n, K)."""
    flat = value.double().reshape(len(value), -1)[:, :6]
    first = torch.sigmoid((flat - centre) / width)
    return torch.cat([first, first**2, first[:, :-1] * first[:, 1:]], 1)


def scale_of(value: Tensor) -> tuple[Tensor, Tensor]:
    """Median and a width of each element."""
    flat = value.double().reshape(len(value), -1)[:, :6]
    low, middle, high = torch.nanquantile(flat, torch.tensor([0.1, 0.5, 0.9], dtype=torch.float64), dim=0)
    return middle, (high - low).clamp(min=1e-3)


@dataclass(frozen=True)
class Drawn:
    """Draws of the package, and the weight of the particle of each."""

    values: dict[str, Tensor]
    weight: Tensor


def draw(resampler: Resampler, model: Callable[[], Any]) -> Drawn:
    weights = resampler.weigh(model)
    if weights.num_supported:
        check_weights(weights)
    values = resampler.sample(model, NUM_DRAWS)
    tree = resampler.sample_prior_predictive(model, NUM_DRAWS, container="datatree")
    particle = tree["sample_stats_prior"]["particle"].values[0]
    return Drawn(values, torch.as_tensor(weights.normalized[particle]))


def compare(drawn: Drawn, name: str, direct: Tensor) -> None:
    """Means of bounded features of resampled and of direct draws, in standard errors.

    The variance of a mean of S resampled draws is ``sum(W**2 * (h - mean)**2)`` over particles plus
    ``var / S``. The sum is the mean over draws of ``W * (h - mean)**2``.
    """
    draws = drawn.values[name]
    if draws.shape[1:] != direct.shape[1:]:
        raise Wrong(f"{name}: shape {tuple(draws.shape[1:])}, not {tuple(direct.shape[1:])}")
    if not torch.isfinite(draws.double()).all():
        raise Wrong(f"{name}: a draw is not finite")
    scale = scale_of(direct)
    ours, theirs = features(draws, *scale), features(direct, *scale)
    variance = torch.maximum(ours.var(0), theirs.var(0)).clamp(min=1e-12)
    of_weights = (drawn.weight[:, None] * (ours - ours.mean(0)) ** 2).mean(0)
    error = (of_weights + variance / len(ours) + variance / len(theirs)).sqrt()
    distance = ((ours.mean(0) - theirs.mean(0)).abs() / error).max().item()
    if not distance < BOUND:
        raise Wrong(f"{name}: {distance:.1f} standard errors from direct draws")


def check_equal(weights: Weights, what: str = "model = guide") -> None:
    """All weights are equal."""
    if abs(weights.ess / weights.num_particles - 1) > 1e-6:
        raise Wrong(f"ESS {weights.ess:.1f} of {weights.num_particles} with {what}")


def check_weights(weights: Weights) -> None:
    """Enough weight for a comparison, and normalized densities."""
    if weights.ess < MIN_ESS:
        raise Wrong(f"ESS {weights.ess:.1f}: too little to compare")
    if (
        weights.densities_normalized
        and abs(weights.log_mean_weight) > BOUND * weights.log_mean_weight_se + 1e-6
    ):
        raise Wrong(f"mean ratio {math.exp(weights.log_mean_weight):.3f}, not 1")


def direct_draws(fn: Any, number: int) -> Tensor:
    """Draws from a distribution by itself, without the package."""
    try:
        return fn(torch.Size((number,)))
    except (NotImplementedError, RuntimeError):
        return torch.stack([fn() for _ in range(min(number, 2000))])


# ------------------------------------------------------------------ one distribution


def site(name: str, make: Callable[[], Any]) -> Callable[[], Any]:
    """A program of one site."""

    def program() -> Any:
        return pyro.sample(name, make())

    return program


def as_guide(case: Case) -> None:
    zero = torch.zeros(())
    guide = site("x", lambda: case.at(zero))
    resampler = Resampler(guide, num_guide_samples=case.size, random_seed=1)
    check_equal(resampler.weigh(guide))
    if case.shift:
        make = partial(case.at, torch.tensor(case.shift))
        _same_draws(resampler, site("x", make), partial(case.direct or case.at, torch.tensor(case.shift)))


def as_model(case: Case) -> None:
    wide = WIDE[case.wide] if isinstance(case.wide, str) else case.wide
    resampler = Resampler(site("x", wide), num_guide_samples=case.size, random_seed=2)
    make = partial(case.at, torch.zeros(()))
    _same_draws(resampler, site("x", make), partial(case.direct or case.at, torch.zeros(())))


def _same_draws(resampler: Resampler, model: Callable[[], Any], make: Callable[[], Any]) -> None:
    drawn = draw(resampler, model)
    torch.manual_seed(3)
    try:
        direct = direct_draws(make(), NUM_DIRECT)
    except NotImplementedError:
        return  # nothing to compare with; the mean ratio was one
    compare(drawn, "x", direct)


def as_simulator(case: Case) -> None:
    guide = site("z", lambda: dist.Normal(0.0, 0.6))
    model = site("z", lambda: dist.Normal(0.2, 0.4))

    def simulator() -> None:
        z = guide()
        pyro.sample("y", case.at(0.5 * z))

    resampler = Resampler(guide, simulator, num_guide_samples=case.size, random_seed=4)
    drawn = draw(resampler, model)
    torch.manual_seed(5)
    z = dist.Normal(0.2, 0.4).sample((min(NUM_DIRECT, case.size),))
    try:
        fn = case.at(0.5 * z)
        direct = fn() if fn.batch_shape else direct_draws(fn, len(z))
    except (AssertionError, ValueError):  # a class that takes no batch
        direct = torch.stack([case.at(0.5 * each)() for each in z[:2000]])
    compare(drawn, "y", direct)

    def whole() -> None:
        z = model()
        pyro.sample("y", case.at(0.5 * z))

    try:
        full = resampler.weigh(whole)
    except ResamplerError:
        return  # drawn all right, and said to have no density
    prior = resampler.weigh(model)
    if abs(full.ess - prior.ess) > 1e-6 * prior.ess:
        raise Wrong(f"ESS {full.ess:.1f} with the same conditional, {prior.ess:.1f} without it")


def pairs() -> list[tuple[Case, Case]]:
    """All pairs of distributions that give values of one shape."""
    shapes: dict[tuple[torch.Size, torch.Size], list[Case]] = {}
    for case in CASES:
        fn = case.at(torch.zeros(()))
        if case.size == NUM_PARTICLES:  # the others are slow
            shapes.setdefault((fn.batch_shape, fn.event_shape), []).append(case)
    return [pair for cases in shapes.values() for pair in itertools.product(cases, cases)]


@lru_cache(maxsize=1)
def cached(guide: Case) -> Resampler:
    """Particles of a guide, kept while it goes through its models."""
    make = partial(guide.at, torch.zeros(()))
    return Resampler(site("x", make), num_guide_samples=1000, random_seed=8)


def as_pair(guide: Case, model: Case) -> None:
    """The mean weight is the share of the model that the guide can reach, so it is one at most."""
    weights = cached(guide).weigh(site("x", partial(model.at, torch.zeros(()))))
    reach = weights.log_mean_weight - BOUND * weights.log_mean_weight_se
    if weights.num_supported and weights.ess > 50 and reach > 1e-6:
        raise Wrong(f"mean ratio {math.exp(weights.log_mean_weight):.3f}, above 1")


# ------------------------------------------------------------------ program kinds


@dataclass(frozen=True)
class Kind:
    """A kind of program: a guide, a model, and what the model's draws must look like."""

    name: str
    guide: Callable[[], Any]
    model: Callable[[], Any]
    simulator: Callable[[], Any] | None = None
    reference: Callable[[], Any] | None = None  # the model and simulator in one, where it is not the model
    same: bool = True  # whether the guide can be its own model
    parallel: bool = True
    sites: Iterable[str] = field(default_factory=tuple)  # those to compare, or all


def run_kind(kind: Kind) -> None:
    size = NUM_PARTICLES
    resampler = Resampler(kind.guide, kind.simulator, num_guide_samples=size, random_seed=6)
    if kind.same:
        check_equal(resampler.weigh(kind.guide))
    drawn = draw(resampler, kind.model)
    pyro.set_rng_seed(7)
    number = NUM_DIRECT if kind.parallel else 1000
    reference = kind.reference or kind.model
    predictive = pyro.infer.Predictive(reference, num_samples=number, parallel=kind.parallel)
    direct = {name: value for name, value in predictive().items() if name in drawn.values}
    missing = set(kind.sites) - direct.keys()
    if missing or not direct:
        raise Wrong(f"site {sorted(missing)} is not among the draws")
    for name in kind.sites or direct:
        value = direct[name]
        compare(drawn, name, value.reshape(len(value), *drawn.values[name].shape[1:]))


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


def guided() -> None:
    """The model of the automatic guides."""
    mu = pyro.sample("mu", dist.Normal(0.0, 0.7))
    tau = pyro.sample("tau", dist.LogNormal(0.0, 0.5))
    with pyro.plate("school", 2):
        pyro.sample("theta", dist.Normal(mu, 0.5 + 0.1 * tau))
    pyro.sample("share", dist.Beta(3.0, 3.0))


def auto(make: Callable[[Callable[[], Any]], Any], program: Callable[[], Any] = guided) -> Callable[[], Any]:
    """An automatic guide that has run once, as after a fit."""
    with poutine.block():
        pyro.set_rng_seed(11)
        guide = make(program)
        guide()
    return guide


def changed(program: Callable[[], Any], config: Any) -> Callable[[], Any]:
    return poutine.reparam(program, config)


def one(make: Callable[[], Any]) -> Callable[[], None]:
    def program() -> None:
        pyro.sample("x", make())

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


def kinds() -> list[Kind]:
    """All kinds; made when they are run, since some guides draw when they are made."""
    decentred = {"x": reparam.LocScaleReparam(0.0)}
    half = {"x": reparam.LocScaleReparam(0.5)}
    undone = {"x": reparam.TransformReparam()}
    mask = torch.tensor([True, False, True])
    lognormal = [transforms.ExpTransform(), transforms.AffineTransform(1.0, 2.0)]
    return [
        Kind("a hierarchy in a plate", schools(2.0), schools(1.0)),
        Kind("nested plates", nested(2.0), nested(1.0)),
        Kind("nested plates, explicit dims, the inner one outside", nested(2.0, -1, -2), nested(1.0, -1, -2)),
        Kind("plates on other dims in the model", nested(2.0, -1, -2), nested(1.0, -2, -1)),
        Kind("plates deeper in the model than in the guide", nested(2.0, -2, -1), nested(1.0, -4, -2)),
        Kind("crossed plates", crossed(2.0, -1, -2), crossed(1.0, -1, -2)),
        Kind("a sequential plate", sequential(1.5), sequential(1.0)),
        Kind(
            "a plate in the guide, an event in the model",
            plated(lambda: dist.Normal(0.0, 2.0)),
            one(lambda: dist.Normal(0.0, 1.0).expand([3]).to_event(1)),
            same=False,
        ),
        Kind(
            "an event in the guide, a plate in the model",
            one(lambda: dist.Normal(0.0, 2.0).expand([3]).to_event(1)),
            plated(lambda: dist.Normal(0.0, 1.0)),
            same=False,
        ),
        Kind(
            "to_event of zero dims",
            one(lambda: dist.Normal(0.0, 2.0).to_event(0)),
            one(lambda: dist.Normal(0.0, 1.0)),
        ),
        Kind(
            "a plate of one, an event of one",
            one(lambda: dist.Normal(0.0, 2.0).expand([1]).to_event(1)),
            one(lambda: dist.Normal(0.0, 1.0).expand([1]).to_event(1)),
        ),
        Kind(
            "a mask on the distribution of the guide",
            plated(lambda: dist.Normal(0.0, 2.0).mask(mask)),
            plated(lambda: dist.Normal(0.0, 1.0)),
            same=False,
        ),
        Kind(
            "poutine.mask around the guide", poutine.mask(schools(2.0), mask=False), schools(1.0), same=False
        ),
        Kind(
            "poutine.scale around the guide", poutine.scale(schools(2.0), scale=3.0), schools(1.0), same=False
        ),
        Kind(
            "poutine.scale around the model",
            normal_guide,
            poutine.scale(one(lambda: dist.Normal(0.0, 2.0)), scale=4.0),
            reference=one(lambda: dist.Normal(0.0, 1.0)),
        ),
        Kind(
            "pyro.factor in the model",
            normal_guide,
            soft(1.0),
            reference=one(lambda: dist.Normal(0.0, 0.5**0.5)),
        ),
        Kind("pyro.factor in the guide", soft(2.0), normal_guide),
        Kind(
            "a mixture",
            one(
                lambda: dist.MixtureSameFamily(
                    dist.Categorical(torch.ones(2)), dist.Normal(torch.tensor([-2.0, 2.0]), 2.0)
                )
            ),
            one(
                lambda: dist.MixtureSameFamily(
                    dist.Categorical(torch.tensor([0.8, 0.2])), dist.Normal(torch.tensor([-1.0, 1.0]), 0.5)
                )
            ),
        ),
        Kind("a mixture told apart by a latent mask", slab(0.5, 2.0), slab(0.7, 1.0)),
        Kind("a spike and slab", exact_spike(0.5, 2.0), exact_spike(0.7, 1.0)),
        Kind(
            "a zero-inflated density",
            one(lambda: dist.ZeroInflatedDistribution(dist.Normal(0.0, 2.0), gate=torch.tensor(0.5))),
            one(lambda: dist.ZeroInflatedDistribution(dist.Normal(0.0, 1.0), gate=torch.tensor(0.3))),
        ),
        Kind(
            "a density where the guide is zero-inflated",
            one(lambda: dist.ZeroInflatedDistribution(dist.Normal(0.0, 2.0), gate=torch.tensor(0.5))),
            one(lambda: dist.Normal(0.0, 1.0)),
        ),
        Kind(
            "a shifted exponential in the model",
            normal_guide,
            one(
                lambda: dist.TransformedDistribution(
                    dist.Exponential(2.0), [transforms.AffineTransform(1.0, 0.5)]
                )
            ),
        ),
        Kind(
            "a shifted log-normal in the model",
            one(lambda: dist.StudentT(2.0, 2.0, 2.0)),
            one(lambda: dist.TransformedDistribution(dist.Normal(0.0, 0.3), lognormal)),
        ),
        Kind("a uniform prior within a normal guide", normal_guide, one(lambda: dist.Uniform(-1.0, 1.5))),
        Kind("a truncated prior", normal_guide, one(lambda: truncated_normal(torch.tensor(0.3)))),
        Kind("a bound that is a latent", bounded_by_latent(1.0), bounded_by_latent(2.0)),
        Kind("a distribution of the user's", one(lambda: HalfLogistic(2.0)), one(lambda: HalfLogistic(1.0))),
        Kind("a correlation matrix and scales", covariance(1.0, 1.0), covariance(2.0, 0.7)),
        Kind(
            "a Dirichlet with tiny concentration",
            one(lambda: dist.Dirichlet(torch.full((3,), 0.05, dtype=torch.float64))),
            one(lambda: dist.Dirichlet(torch.full((3,), 0.06, dtype=torch.float64))),
        ),
        Kind(
            "fewer categories in the model",
            one(lambda: dist.Categorical(torch.ones(6))),
            one(lambda: dist.Categorical(torch.tensor([0.2, 0.3, 0.5]))),
        ),
        Kind(
            "fewer categories in the model, in a plate",
            plated(lambda: dist.Categorical(torch.ones(4))),
            plated(lambda: dist.Categorical(torch.tensor([0.2, 0.3, 0.5]))),
        ),
        Kind("a discrete latent with a table", reads_tables([1.0, 1.0, 1.0]), reads_tables([0.2, 0.3, 0.5])),
        Kind(
            "a density in place of a count",
            one(lambda: dist.Poisson(3.0)),
            one(lambda: dist.Normal(3.0, 2.0)),
        ),
        Kind(
            "a density in place of a choice",
            one(lambda: dist.Bernoulli(0.5)),
            one(lambda: dist.Uniform(0.0, 1.0)),
        ),
        Kind("a count in place of a density", normal_guide, one(lambda: dist.Poisson(3.0))),
        Kind(
            "another number of trials",
            one(lambda: dist.Multinomial(5, torch.ones(3))),
            one(lambda: dist.Multinomial(10, torch.ones(3))),
        ),
        Kind("a point mass in the model", normal_guide, one(lambda: dist.Delta(torch.tensor(0.0)))),
        Kind(
            "a transformed point mass in the guide",
            one(
                lambda: dist.TransformedDistribution(
                    dist.Delta(torch.tensor(1.0)), [transforms.AffineTransform(1.0, 2.0)]
                )
            ),
            normal_guide,
        ),
        Kind(
            "a deterministic that the model changes",
            with_deterministic(2.0, 1.0),
            with_deterministic(1.0, 2.0),
        ),
        Kind(
            "a generative program with data, in every place",
            regression(2.0),
            regression(1.0),
            regression(2.0),
            regression(1.0, obs=False),
        ),
        Kind(
            "data that are partly missing",
            partly_seen(2.0),
            partly_seen(1.0),
            partly_seen(2.0),
            same=False,
            sites=["x"],
        ),
        Kind("a module with priors", Module(2.0), Module(1.0)),
        Kind("a layer of torch with priors", Layer(2.0), Layer(1.0), parallel=False),
        Kind(
            "a latent that is data in the model, left out of the weights",
            normal_guide,
            poutine.condition(normal_guide, {"x": torch.tensor(0.0)}),
            reference=normal_guide,
        ),
        Kind("some latents hidden from the model", schools(2.0), poutine.block(schools(1.0), hide=["theta"])),
        Kind("a mean over all axes in the guide", mixing(2.0), normal_guide),
        Kind("a mean over all axes in the model", loc_scale(2.0), mixing(1.0), same=False, parallel=False),
        Kind("a subsampling plate", plated_subsample(2.0), plated_subsample(1.0)),
        Kind(
            "discrete latents marked for enumeration",
            pyro.infer.config_enumerate(reads_tables([1.0, 1.0, 1.0])),
            pyro.infer.config_enumerate(reads_tables([0.2, 0.3, 0.5])),
        ),
        Kind("AutoNormal", auto(partial(autoguide.AutoNormal, init_scale=1.0)), guided, same=False),
        Kind(
            "AutoNormal that has not run before",
            autoguide.AutoNormal(guided, init_scale=1.0),
            guided,
            same=False,
        ),
        Kind(
            "AutoDiagonalNormal",
            auto(partial(autoguide.AutoDiagonalNormal, init_scale=1.0)),
            guided,
            same=False,
        ),
        Kind(
            "AutoMultivariateNormal",
            auto(partial(autoguide.AutoMultivariateNormal, init_scale=1.0)),
            guided,
            same=False,
        ),
        Kind(
            "AutoLowRankMultivariateNormal",
            auto(partial(autoguide.AutoLowRankMultivariateNormal, init_scale=1.0, rank=1)),
            guided,
            same=False,
        ),
        Kind(
            "AutoIAFNormal",
            auto(partial(autoguide.AutoIAFNormal, num_transforms=1, hidden_dim=[8])),
            guided,
            same=False,
        ),
        Kind(
            "AutoNormalMessenger",
            auto(partial(autoguide.AutoNormalMessenger, init_scale=1.0)),
            guided,
            same=False,
        ),
        Kind(
            "AutoHierarchicalNormalMessenger",
            auto(partial(autoguide.AutoHierarchicalNormalMessenger, init_scale=1.0)),
            guided,
            same=False,
        ),
        Kind(
            "AutoStructured",
            auto(partial(autoguide.AutoStructured, conditionals="normal", init_scale=1.0)),
            guided,
            same=False,
        ),
        Kind("AutoDelta", auto(autoguide.AutoDelta), guided, same=False),
        Kind("AutoLaplaceApproximation, from its normal", auto(laplace), guided, same=False),
        Kind("AutoGuideList", auto(guide_list), guided, same=False),
        Kind(
            "LocScaleReparam in the model alone",
            loc_scale(2.0),
            changed(loc_scale(1.0), decentred),
            reference=loc_scale(1.0),
        ),
        Kind("LocScaleReparam in the guide alone", changed(loc_scale(2.0), decentred), loc_scale(1.0)),
        Kind(
            "LocScaleReparam in both", changed(loc_scale(2.0), decentred), changed(loc_scale(1.0), decentred)
        ),
        Kind(
            "LocScaleReparam in both, half way", changed(loc_scale(2.0), half), changed(loc_scale(1.0), half)
        ),
        Kind(
            "LocScaleReparam in both, differently",
            changed(loc_scale(2.0), decentred),
            changed(loc_scale(1.0), half),
        ),
        Kind(
            "TransformReparam in the model alone",
            transformed(1.0),
            changed(transformed(0.7), undone),
            reference=transformed(0.7),
        ),
        Kind("TransformReparam in the guide alone", changed(transformed(1.0), undone), transformed(0.7)),
        Kind(
            "TransformReparam in both", changed(transformed(1.0), undone), changed(transformed(0.7), undone)
        ),
        Kind(
            "ProjectedNormalReparam in the model alone",
            one(lambda: dist.ProjectedNormal(torch.zeros(2))),
            changed(
                one(lambda: dist.ProjectedNormal(torch.ones(2))), {"x": reparam.ProjectedNormalReparam()}
            ),
            reference=one(lambda: dist.ProjectedNormal(torch.ones(2))),
        ),
        Kind(
            "ProjectedNormalReparam in both",
            changed(
                one(lambda: dist.ProjectedNormal(torch.zeros(2))), {"x": reparam.ProjectedNormalReparam()}
            ),
            changed(
                one(lambda: dist.ProjectedNormal(0.5 * torch.ones(2))),
                {"x": reparam.ProjectedNormalReparam()},
            ),
        ),
        Kind(
            "SymmetricStableReparam in both",
            changed(stable(2.0), {"x": reparam.SymmetricStableReparam()}),
            changed(stable(1.0), {"x": reparam.SymmetricStableReparam()}),
            reference=stable(1.0),
        ),
        Kind(
            "LatentStableReparam in both",
            changed(stable(2.0), {"x": reparam.LatentStableReparam()}),
            changed(stable(1.5), {"x": reparam.LatentStableReparam()}),
            reference=stable(1.5),
        ),
        Kind(
            "StudentTReparam in both",
            changed(one(lambda: dist.StudentT(4.0, 0.0, 2.0)), {"x": reparam.StudentTReparam()}),
            changed(one(lambda: dist.StudentT(4.0, 0.0, 1.0)), {"x": reparam.StudentTReparam()}),
        ),
        Kind(
            "SplitReparam in the model alone",
            one(lambda: dist.Normal(0.0, 2.0).expand([4]).to_event(1)),
            changed(
                one(lambda: dist.Normal(0.0, 1.0).expand([4]).to_event(1)),
                {"x": reparam.SplitReparam([2, 2], -1)},
            ),
            reference=one(lambda: dist.Normal(0.0, 1.0).expand([4]).to_event(1)),
        ),
        Kind(
            "SplitReparam in both",
            changed(
                one(lambda: dist.Normal(0.0, 2.0).expand([4]).to_event(1)),
                {"x": reparam.SplitReparam([2, 2], -1)},
            ),
            changed(
                one(lambda: dist.Normal(0.0, 1.0).expand([4]).to_event(1)),
                {"x": reparam.SplitReparam([2, 2], -1)},
            ),
        ),
        Kind(
            "HaarReparam in the model alone",
            one(lambda: dist.Normal(0.0, 2.0).expand([4]).to_event(1)),
            changed(
                one(lambda: dist.Normal(0.0, 1.0).expand([4]).to_event(1)), {"x": reparam.HaarReparam(-1)}
            ),
            reference=one(lambda: dist.Normal(0.0, 1.0).expand([4]).to_event(1)),
        ),
        Kind(
            "HaarReparam in both",
            changed(
                one(lambda: dist.Normal(0.0, 2.0).expand([4]).to_event(1)), {"x": reparam.HaarReparam(-1)}
            ),
            changed(
                one(lambda: dist.Normal(0.0, 1.0).expand([4]).to_event(1)), {"x": reparam.HaarReparam(-1)}
            ),
        ),
        Kind(
            "AutoReparam in the model alone",
            loc_scale(2.0),
            reparam.AutoReparam()(loc_scale(1.0)),
            reference=loc_scale(1.0),
        ),
        Kind(
            "AutoReparam in both",
            reparam.AutoReparam()(loc_scale(2.0)),
            reparam.AutoReparam()(loc_scale(1.0)),
            reference=loc_scale(1.0),
        ),
        Kind(
            "MinimalReparam in the model alone",
            loc_scale(2.0),
            reparam.MinimalReparam()(loc_scale(1.0)),
            reference=loc_scale(1.0),
        ),
    ]


def plated_subsample(spread: float) -> Callable[[], None]:
    def program() -> None:
        with pyro.plate("item", 10, subsample_size=3):
            pyro.sample("x", dist.Normal(0.0, spread))

    return program


def laplace(program: Callable[[], Any]) -> Any:
    guide = autoguide.AutoLaplaceApproximation(program)
    guide()
    return guide.laplace_approximation()


def guide_list(program: Callable[[], Any]) -> Any:
    parts = autoguide.AutoGuideList(program)
    parts.append(autoguide.AutoNormal(poutine.block(program, expose=["mu", "tau"]), init_scale=1.0))
    parts.append(autoguide.AutoNormal(poutine.block(program, hide=["mu", "tau"]), init_scale=1.0))
    return parts


# ------------------------------------------------------------------ idioms


def way_of(idiom: Idiom) -> tuple[str, str]:
    """Whether an idiom is mapped, and why it is not; its densities are those of Pyro."""
    guide, model = idiom.program(GUIDE), idiom.program(MODEL)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        resampler = Resampler(guide, num_guide_samples=NUM_TRACED, random_seed=9, progressbar=False)
        ratios = resampler.weigh(model).log_ratio_by_site
    columns = resampler.pipeline.particles.columns
    for i in range(NUM_TRACED):
        values = {name: column.value[i] for name, column in columns.items()}
        latent = {name: ratio[i] for name, ratio in ratios.items() if columns[name].site.role == "latent"}
        found = of_one(guide, model, values, latent) if not idiom.random else []
        if found:
            raise Wrong(found[0])
    text = next((str(w.message) for w in said if "runs one particle at a time" in str(w.message)), "")
    if not text:
        return "mapped", ""
    reason = re.sub(r"\(\w+\.py:\d+ in (`.*`)\)", r"in \1", text.split(": ", 1)[1])
    return "one particle at a time", reason.split(". That takes ")[0]


def in_words(idiom: Idiom) -> str:
    """What an idiom is, as its name says it."""
    return idiom.name.replace("_", " ")


# ------------------------------------------------------------------ page


def attempt(action: Callable[[], Cell | None]) -> Cell:
    """Right, refused or open, with the reason; or what the action says itself."""
    pyro.set_rng_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            said = action()
        except ResamplerError as error:
            return "refused", reason_of(error)
        except Wrong as error:
            return "open", str(error)
        except Exception as error:
            return "open", f"{type(error).__name__}: {' '.join(str(error).split())}"
    return said or ("right", "")


def reason_of(error: Exception) -> str:
    """The message in one line, without line numbers and counts of particles."""
    text = re.sub(r" \(\w+\.py:.*(?:at|after) site ('[^']+')\)", r" at site \1", str(error))
    text = re.sub(r"\b\d+ of \d+ particles", "some particles", text)
    text = re.sub(r":? ?(NotImplementedError|AssertionError):? *$", ": Pyro has not implemented it", text)
    return " ".join(text.split())


def short(reason: str) -> str:
    """The first sentence, safe in a table."""
    first = re.split(r"(?<=[a-z)'])[.;] ", reason)[0].rstrip(".")
    return (first if len(first) <= 150 else first[:147] + "...").replace("|", "\\|")


def counted(cells: Iterable[Cell]) -> str:
    outcomes = Counter(outcome for outcome, _ in cells)
    return " | ".join(
        str(n) for n in (outcomes.total(), *(outcomes[o] for o in ("right", "refused", "open")))
    )


PLACES = {"as guide": as_guide, "as model": as_model, "as simulator": as_simulator}

PAGE_TAIL = """
## What the libraries below do

Some distributions draw from something else than their density says, whoever asks them. Weights
cannot know of it.

* `LKJCholesky` of torch, and all that is made from it, draws from another distribution where the
  matrix has three rows or more: the squared length of i elements left of the diagonal comes from a
  Beta whose first parameter is i - 1/2, and should be i / 2. Between two concentrations the mean
  weight is then not 1. The verdict says that mass is missing where the model has the larger
  concentration, and cannot tell where it has the smaller one. The table has matrices of two rows,
  where the draws are right.
* `CoalescentTimes` of Pyro draws with rate 1 whatever its rate is. The table leaves the rate at 1.
* The two relaxed distributions named `StraightThrough` round their draws and keep the density of what
  was rounded, which a stored draw has no more. They can be simulated, and have no weights.
* `VonMises` and its kin have periodic densities over the whole line. They count as densities on the
  circle from -pi to pi, where they draw; values outside have no weight.
* `Multinomial` and `DirichletMultinomial` give a density to any number of trials. Counts that do not
  add up to theirs have no weight.
"""

PAGE_IDIOMS = """
## Idioms

Programs as they are written for one draw. Of {n}, {mapped} are mapped over the particles and {one} run one
particle at a time. What each draws and computes, and its densities under another prior, are those of Pyro's
own traces of single particles.
"""

PAGE_HEAD = """# Robustness

Every distribution of `pyro.distributions`, and many kinds of programs, tried one by one. The page is
written by `scripts/robustness.py`, with fixed seeds; the script ends with an error if anything is open.

## What is tried

Each distribution is tried in three places:

* as guide, with itself as model, and with another member of its family as model;
* as model, with a wide distribution of the same support as guide;
* as simulator, for a site downstream of a normal latent, under a narrower prior of that latent.

The outcome of each is one of:

* **right**: the weights are finite; they are equal where model and guide are the same; their mean is 1
  within 5 standard errors; and bounded functions of the resampled draws (a sigmoid of each element,
  its square, products of neighbours) have the means of draws that Pyro makes from the model itself,
  within 5 standard errors. Where Pyro cannot draw from a distribution, the mean weight is all there is;
* **refused**: an error of the package says why it cannot be done;
* **open**: anything else.

Every pair of distributions that give values of one shape is tried as well, one as guide and one as
model, whatever their supports. It is right where the mean weight is not above 1, for it estimates how
much of the model the guide can reach.
"""


def main() -> int:
    torch.set_num_threads(1)
    pyro.clear_param_store()
    lost = forgotten()
    if lost:
        print(f"neither tried nor excluded, or not in pyro.distributions: {sorted(lost)}")
        return 1
    table = {case: {place: attempt(partial(run, case)) for place, run in PLACES.items()} for case in CASES}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tried = pairs()
    mixed = {pair: attempt(partial(as_pair, *pair)) for pair in tried}
    programs = {kind.name: attempt(partial(run_kind, kind)) for kind in kinds()}
    idioms = {in_words(idiom): attempt(partial(way_of, idiom)) for idiom in IDIOMS.values()}
    lines = [
        PAGE_HEAD,
        "## Figures",
        "",
        "| what | tried | right | refused | open |",
        "|---|---|---|---|---|",
    ]
    for place in PLACES:
        lines.append(f"| distributions {place} | {counted(cells[place] for cells in table.values())} |")
    lines.append(f"| pairs of distributions of one shape | {counted(mixed.values())} |")
    lines.append(f"| kinds of programs | {counted(programs.values())} |")
    lines += ["", "## Distributions", "", "| distribution | guide | model | simulator |", "|---|---|---|---|"]
    reasons: list[str] = []
    for case, cells in table.items():
        lines.append(f"| {case.name} | " + " | ".join(outcome for outcome, _ in cells.values()) + " |")
        for place, (outcome, reason) in cells.items():
            if outcome != "right":
                reasons.append(f"| {case.name} | {place.removeprefix('as ')} | {outcome} | {short(reason)} |")
    lines += ["", "### What is not right, and why", "", "| distribution | as | outcome | reason |"]
    lines += ["|---|---|---|---|", *reasons]
    lines += ["", "### Not tried", "", "| class | reason |", "|---|---|"]
    lines += [f"| {name} | {reason} |" for name, reason in EXCLUDED.items()]
    lines += ["", "## Kinds of programs", "", "| program | outcome | reason |", "|---|---|---|"]
    lines += [f"| {name} | {outcome} | {short(reason)} |" for name, (outcome, reason) in programs.items()]
    ways = Counter(way for way, _ in idioms.values())
    lines += ["", PAGE_IDIOMS.format(n=len(idioms), **{k.split()[0]: v for k, v in ways.items()}).strip(), ""]
    lines += ["| idiom | runs | reason |", "|---|---|---|"]
    lines += [f"| {name} | {way} | {short(reason)} |" for name, (way, reason) in idioms.items()]
    lines += ["", PAGE_TAIL.strip(), ""]
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text("\n".join(lines))
    found = [
        (c.name, place, r) for c, cells in table.items() for place, (o, r) in cells.items() if o == "open"
    ]
    found += [(a.name, f"to {b.name}", r) for (a, b), (o, r) in mixed.items() if o == "open"]
    found += [(name, "", r) for name, (o, r) in (programs | idioms).items() if o == "open"]
    for name, place, reason in found:
        print(f"open: {name} {place}: {reason}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
