"""Constructors of models, a function for each family.

Raising the density of a family to a power gives a member of the same family, where it says so.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import pyro
import pyro.distributions as dist
import torch
from pyro import poutine
from scipy import stats

from .laws import Law, Mixture, Model, site


def normal(mean: float, sd: float, noise: float = 0.0) -> Model:
    """A normal x; the quantity is x, or x with normal noise that a simulator adds."""
    law = stats.norm(mean, math.hypot(sd, noise))
    return Model(
        f"Normal({mean:g}, {sd:g})" + (f" and noise of {noise:g}" if noise else ""),
        site(dist.Normal, mean, sd),
        law,
        lambda power: normal(mean, sd / math.sqrt(power), noise),
    )


def studentt(df: float, mean: float = 0.0, scale: float = 1.0) -> Model:
    """Student's t."""

    def powered(power: float) -> Model:
        degrees = power * (df + 1) - 1
        return studentt(degrees, mean, scale * math.sqrt(df / degrees))

    law = stats.t(df, mean, scale)
    return Model(f"StudentT({df:g}, {mean:g}, {scale:g})", site(dist.StudentT, df, mean, scale), law, powered)


def cauchy(mean: float, scale: float) -> Model:
    """Cauchy, which has no mean."""
    return Model(f"Cauchy({mean:g}, {scale:g})", site(dist.Cauchy, mean, scale), stats.cauchy(mean, scale))


def laplace(mean: float, scale: float) -> Model:
    """Laplace."""
    law = stats.laplace(mean, scale)
    name = f"Laplace({mean:g}, {scale:g})"
    return Model(name, site(dist.Laplace, mean, scale), law, lambda power: laplace(mean, scale / power))


def lognormal(mean: float, sd: float) -> Model:
    """Log-normal."""

    def powered(power: float) -> Model:
        return lognormal(mean + (1 - power) / power * sd**2, sd / math.sqrt(power))

    law = stats.lognorm(sd, scale=math.exp(mean))
    return Model(f"LogNormal({mean:g}, {sd:g})", site(dist.LogNormal, mean, sd), law, powered)


def _of_gamma(shape: float, rate: float) -> Law:
    return stats.gamma(shape, scale=1 / rate)


def gamma(shape: float, rate: float, law_of: Callable[[float, float], Law] = _of_gamma) -> Model:
    """Gamma; the quantity is x, or has another law that depends on shape and rate."""
    return Model(
        f"Gamma({shape:g}, {rate:g})",
        site(dist.Gamma, shape, rate),
        law_of(shape, rate),
        lambda power: gamma(power * (shape - 1) + 1, power * rate, law_of),
    )


def exponential(rate: float) -> Model:
    """Exponential."""
    law = stats.expon(scale=1 / rate)
    name = f"Exponential({rate:g})"
    return Model(name, site(dist.Exponential, rate), law, lambda power: exponential(power * rate))


def beta(a: float, b: float, trials: int = 0) -> Model:
    """Beta; the quantity is x, or how many of some trials succeed with this probability."""
    law = stats.betabinom(trials, a, b) if trials else stats.beta(a, b)
    return Model(
        f"Beta({a:g}, {b:g})",
        site(dist.Beta, a, b),
        law,
        lambda power: beta(power * (a - 1) + 1, power * (b - 1) + 1, trials),
    )


def uniform(low: float, high: float) -> Model:
    """Uniform: the same to any power."""
    law = stats.uniform(low, high - low)
    name = f"Uniform({low:g}, {high:g})"
    return Model(name, site(dist.Uniform, low, high), law, lambda power: uniform(low, high))


def mixture(shares: Sequence[float], means: Sequence[float], sds: Sequence[float]) -> Model:
    """A mixture of normal distributions."""

    def make() -> Any:
        parts = dist.Normal(torch.tensor(means), torch.tensor(sds))
        return dist.MixtureSameFamily(dist.Categorical(torch.tensor(shares)), parts)

    parts = zip(shares, means, sds, strict=True)
    name = " + ".join(f"{share:g} Normal({mean:g}, {sd:g})" for share, mean, sd in parts)
    return Model(name, site(make), Mixture(shares, means, sds))


def modes(share: float, place: float) -> Model:
    """A standard normal, and a share that lies elsewhere."""
    return mixture([1 - share, share], [0.0, place], [1.0, 1.0])


# ---------------------------------------------------------------- counts and choices


def poisson(rate: float) -> Model:
    """Poisson."""
    return Model(f"Poisson({rate:g})", site(dist.Poisson, rate), stats.poisson(rate))


def geometric(p: float) -> Model:
    """Geometric: the failures before a success."""
    return Model(f"Geometric({p:g})", site(dist.Geometric, p), stats.nbinom(1, p))


def negative_binomial(total: float, p: float) -> Model:
    """Negative binomial, with torch's probability of what is counted."""
    name = f"NegativeBinomial({total:g}, {p:g})"
    return Model(name, site(dist.NegativeBinomial, total, p), stats.nbinom(total, 1 - p))


def binomial(trials: int, p: float) -> Model:
    """Binomial."""
    return Model(f"Binomial({trials}, {p:g})", site(dist.Binomial, trials, p), stats.binom(trials, p))


def categorical(*shares: float) -> Model:
    """Categorical."""
    law = stats.rv_discrete(values=(range(len(shares)), shares))()
    name = f"Categorical{shares}"
    return Model(
        name, lambda: pyro.sample("x", dist.Categorical(torch.tensor(shares))), law, power_of(shares)
    )


def power_of(shares: Sequence[float]) -> Any:
    """From a power to the categorical model whose shares are raised to it."""

    def powered(power: float) -> Model:
        raised = [share**power for share in shares]
        return categorical(*(share / sum(raised) for share in raised))

    return powered


def probit(mean: float, sd: float) -> Model:
    """A normal x; the quantity is a success of probability Phi(x)."""
    law = stats.bernoulli(stats.norm.cdf(mean / math.hypot(1.0, sd)))
    return Model(
        f"Normal({mean:g}, {sd:g})",
        site(dist.Normal, mean, sd),
        law,
        lambda power: probit(mean, sd / math.sqrt(power)),
    )


# ---------------------------------------------------------------- several numbers


def plate_of(count: int, mean: float, sd: float) -> Model:
    """Independent normals in a plate; the quantity is their sum."""

    def program() -> Any:
        with pyro.plate("sites", count):
            return pyro.sample("x", dist.Normal(mean, sd))

    law = stats.norm(count * mean, math.sqrt(count) * sd)
    name = f"{count} Normal({mean:g}, {sd:g})"
    return Model(name, program, law, lambda power: plate_of(count, mean, sd / math.sqrt(power)))


def sites_of(count: int, mean: float, sd: float) -> Model:
    """Independent normals at sites of their own; the quantity is the first."""

    def program() -> Any:
        return [
            pyro.sample(name, dist.Normal(mean, sd)) for name in ("x", *(f"x{i}" for i in range(1, count)))
        ]

    law = stats.norm(mean, sd)
    name = f"{count} sites Normal({mean:g}, {sd:g})"
    return Model(name, program, law, lambda power: sites_of(count, mean, sd / math.sqrt(power)))


def correlated(rho: float, sd: float = 1.0, sign: int = 1) -> Model:
    """Two normals of some correlation; the quantity is their sum or difference."""
    covariance = sd**2 * torch.tensor([[1.0, rho], [rho, 1.0]])

    def make() -> Any:
        return dist.MultivariateNormal(torch.zeros(2), covariance)

    law = stats.norm(0.0, sd * math.sqrt(2 + sign * 2 * rho))
    which = "sum" if sign > 0 else "difference"
    name = f"{which} of two Normal(0, {sd:g}) of correlation {rho:g}"
    return Model(name, site(make), law, lambda power: correlated(rho, sd / math.sqrt(power), sign))


def chain(rho: float) -> Model:
    """A normal y whose mean is a normal x; the quantity is y."""

    def program() -> Any:
        x = pyro.sample("x", dist.Normal(0.0, 1.0))
        return pyro.sample("y", dist.Normal(rho * x, 1.0))

    return Model(f"y of mean {rho:g} x", program, stats.norm(0.0, math.hypot(1.0, rho)))


def dirichlet(*concentration: float) -> Model:
    """Dirichlet; the quantity is the first share."""

    def powered(power: float) -> Model:
        return dirichlet(*(power * (each - 1) + 1 for each in concentration))

    law = stats.beta(concentration[0], sum(concentration[1:]))
    name = f"Dirichlet{concentration}"
    return Model(name, lambda: pyro.sample("x", dist.Dirichlet(torch.tensor(concentration))), law, powered)


def levels(sd: float, spread: float) -> Model:
    """Eight normals around a common normal mean; the quantity is their mean."""

    def program() -> Any:
        x = pyro.sample("x", dist.Normal(0.0, sd))
        with pyro.plate("member", 8):
            return pyro.sample("theta", dist.Normal(x, spread))

    law = stats.norm(0.0, math.hypot(sd, spread / math.sqrt(8)))
    return Model(f"8 Normal(Normal(0, {sd:g}), {spread:g})", program, law)


# ---------------------------------------------------------------- densities without a known constant


def scaled(mean: float, sd: float, scale: float) -> Model:
    """A normal density to a power, by ``poutine.scale``."""

    def program() -> Any:
        with poutine.scale(scale=scale):
            return pyro.sample("x", dist.Normal(mean, sd))

    law = stats.norm(mean, sd / math.sqrt(scale))
    return Model(f"Normal({mean:g}, {sd:g}) scaled by {scale:g}", program, law, simulated=False)


def betas(a: float, b: float, quantity: int) -> Model:
    """Two betas; the quantity is one of them."""

    def program() -> Any:
        with pyro.plate("pair", 2):
            return pyro.sample("x", dist.Beta(a, b))

    return Model(f"2 Beta({a:g}, {b:g}), number {quantity + 1}", program, stats.beta(a, b))


def masked(a: float, b: float, quantity: int) -> Model:
    """Two betas, the second of which a mask leaves flat; the quantity is one of them."""
    two = betas(a, b, quantity)

    def program() -> Any:
        with poutine.mask(mask=torch.tensor([True, False])):
            return two()

    law = stats.uniform(0.0, 1.0) if quantity else two.law
    return Model(f"2 Beta({a:g}, {b:g}), one masked, number {quantity + 1}", program, law, simulated=False)


def bumped(prior: Model, mean: float, sd: float, log_height: float = 0.0, flat: float = 0.0) -> Model:
    """A mixture of normals, with a factor that is a constant and a bump of normal shape.

    A normal density times a bump is a bump again: the law is a mixture.
    """

    def program() -> Any:
        x = prior()
        bump = log_height - (x - mean) ** 2 / (2 * sd**2)
        pyro.factor("f", torch.logaddexp(bump, torch.tensor(math.log(flat))) if flat else bump)
        return x

    law = prior.law
    known = law if isinstance(law, Mixture) else Mixture([1.0], [law.mean()], [law.std()])
    parts = [(flat * share, m, s) for share, m, s in zip(known.shares, known.means, known.sds, strict=True)]
    for share, m, s in zip(known.shares, known.means, known.sds, strict=True):
        both = math.hypot(s, sd)
        mass = share * math.exp(log_height) * sd * math.sqrt(2 * math.pi) * stats.norm.pdf(mean, m, both)
        parts.append((mass, (m * sd**2 + mean * s**2) / both**2, s * sd / both))
    total = sum(share for share, *_ in parts)
    used = [(share / total, m, s) for share, m, s in parts if share]
    product = Mixture(*zip(*used, strict=True))
    return Model(f"{prior.name} with a bump at {mean:g}", program, product, simulated=False)


def with_constant(model: Model) -> Model:
    """A model with a factor that is a constant, which leaves its law as it is."""

    def program() -> Any:
        x = model()
        pyro.factor("f", torch.tensor(0.5))
        return x

    return Model(f"{model.name} with a factor", program, model.law, simulated=False)
