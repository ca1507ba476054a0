"""Families whose answers are known, and their particles, for tests of fits."""

import functools
from types import SimpleNamespace

import numpy as np
import pyro
import pyro.distributions as dist
from scipy.stats import norm

from arviz_resampler import Resampler, family, quantile, quantiles

NOISE = 1e-3  # of a known residual
RANGES = {"mean": (-10.0, 10.0), "sd": (0.5, 10.0)}


def normal(mean=0.0, sd=2.0):
    """A normal prior of one value."""
    return lambda: pyro.sample("x", dist.Normal(mean, sd))


def noisy():
    """What is observed of the value."""
    pyro.sample("y", dist.Normal(normal()(), 1.0))


def x(ds):
    """The value."""
    return ds.x


def exact(mean, sd, levels=(0.1, 0.5, 0.9)):
    """Quantiles of the value under a normal prior."""
    return {"x": quantiles(x, {level: float(norm(mean, sd).ppf(level)) for level in levels})}


MEDIAN = {"median": quantile(x, 0.5, 2.0)}


@functools.cache
def shared():
    """Particles that no test adds to."""
    return build()


def build(simulator=None, n=10_000, **options):
    """Particles over the ranges."""
    guide = family(normal, **RANGES)
    return Resampler(
        guide, simulator, num_guide_samples=n, progressbar=False, **{"random_seed": 0, **options}
    )


class Known:
    """Residuals of a function of the shares, with an effective sample size by position."""

    def __init__(self, residual, jacobian, ess=lambda _: 5000.0):
        self.residual, self.jacobian, self.ess = residual, jacobian, ess
        self.count = 0
        self.source = SimpleNamespace(pipeline=SimpleNamespace(particles=SimpleNamespace(num_particles=7)))

    def hyper(self, shares):
        return {f"h{i}": float(u) for i, u in enumerate(shares)}

    def at(self, shares):
        self.count += 1
        residual = np.asarray(self.residual(shares))
        return SimpleNamespace(
            shares=shares,
            hyper=self.hyper(shares),
            residual=residual,
            jacobian=np.asarray(self.jacobian(shares)),
            monte_carlo=NOISE**2 * np.eye(len(residual)),
            loss=float(residual @ residual),
            ess=self.ess(shares),
        )
