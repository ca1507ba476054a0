"""Pairs of several sites, of a simulator, or of densities without a known constant."""

from __future__ import annotations

import math
from typing import Any

import pyro
import pyro.distributions as dist
import torch
from scipy import stats

from .laws import Law
from .models import (
    beta,
    betas,
    bumped,
    chain,
    correlated,
    dirichlet,
    exponential,
    gamma,
    levels,
    masked,
    normal,
    plate_of,
    probit,
    scaled,
    sites_of,
    studentt,
    with_constant,
)
from .pairs import Pair


def _y(particles: Any) -> Any:
    return particles.y


def _at(place: int) -> Any:
    return lambda particles: particles.x[:, place]


def _sum(particles: Any) -> Any:
    return particles.x.sum(particles.x.dims[1])


def _difference(particles: Any) -> Any:
    return particles.x[:, 0] - particles.x[:, 1]


def _below(make: Any) -> Any:
    """A simulator of one site, whose distribution is made from x."""
    return lambda x: pyro.sample("y", make(x))


def _noise(sd: float) -> Any:
    return _below(lambda x: dist.Normal(x, sd))


def _precision(shape: float, rate: float) -> Law:
    return stats.t(2 * shape, scale=math.sqrt(rate / shape))


def _rate(shape: float, rate: float) -> Law:
    return stats.lomax(shape, scale=rate)


def _counts(shape: float, rate: float) -> Law:
    return stats.nbinom(shape, rate / (1 + rate))


def _inverse(shape: float, rate: float) -> Law:
    return stats.invgamma(shape, scale=rate)


def _school(x: Any) -> None:
    with pyro.plate("school", 4):
        pyro.sample("y", dist.Normal(x, 12.0))


_RARE = (5e-3, 1e-3, 1e-4)
SEVERAL = [
    *(
        Pair(
            "many sites",
            plate_of(count, 0, 1),
            plate_of(count, mean, sd),
            plate_of(count, 0, 0.95),
            quantity=_sum,
        )
        for count, mean, sd in ((5, 0.0, 0.7), (10, 0.1, 0.9), (20, 0.0, 0.8), (20, 0.2, 1.0), (5, 0.0, 1.15))
    ),
    Pair("many sites", sites_of(4, 0, 2), sites_of(4, 0, 1), sites_of(4, 0.2, 1)),
    Pair("many sites", sites_of(12, 0, 1), sites_of(12, 0, 0.8), sites_of(12, 0.1, 0.8)),
    Pair(
        "heavy-tailed h",
        gamma(2, 1),
        gamma(4, 2, _inverse),
        gamma(4, 2.2, _inverse),
        None,
        lambda ds: 1 / ds.x,
    ),
    Pair("rare events", normal(0, 2), normal(0, 1), normal(0.2, 1), tails=_RARE),
    Pair("rare events", normal(0, 1), normal(0, 1), normal(0.1, 1), tails=_RARE),
    Pair("rare events", exponential(0.5), exponential(1), exponential(0.9), tails=_RARE),
    Pair("rare events", studentt(4, 0, 2), normal(0, 1), normal(0.2, 1), tails=_RARE),
    *(
        Pair(
            "rare events, simulator",
            normal(0, wide),
            normal(0, 1, sd),
            normal(0.3, 1, sd),
            _noise(sd),
            _y,
            _RARE,
        )
        for wide, sd in ((2.0, 1.0), (5.0, 1.0), (2.0, 3.0))
    ),
    Pair(
        "rare events, simulator",
        normal(0, 25),
        normal(0, 5, 12),
        normal(2, 5, 12),
        _school,
        lambda ds: ds.y[:, 0],
        _RARE,
    ),
    Pair(
        "hierarchical",
        gamma(1, 0.5),
        gamma(3, 3, _precision),
        gamma(3, 2, _precision),
        _below(lambda x: dist.Normal(0.0, x**-0.5)),
        _y,
    ),
    Pair("hierarchical", gamma(2, 1), gamma(5, 3, _rate), gamma(5, 2, _rate), _below(dist.Exponential), _y),
    Pair(
        "hierarchical",
        levels(3, 1.2),
        levels(1, 1),
        levels(1.2, 1),
        quantity=lambda ds: ds.theta.mean(ds.theta.dims[1]),
    ),
    Pair("hierarchical", normal(0, 6), normal(1, 2, 1), normal(0, 2, 1), _noise(1.0), _y),
    Pair(
        "discrete simulator",
        beta(1, 1),
        beta(2, 5, 20),
        beta(2, 4, 20),
        _below(lambda x: dist.Binomial(20, x)),
        _y,
    ),
    Pair(
        "discrete simulator",
        gamma(1, 0.2),
        gamma(3, 0.8, _counts),
        gamma(3, 1, _counts),
        _below(dist.Poisson),
        _y,
    ),
    Pair(
        "discrete simulator",
        normal(0, 2),
        probit(-1.5, 1),
        probit(-1, 1),
        _below(lambda x: dist.Bernoulli(torch.special.ndtr(x))),
        _y,
    ),
    *(
        Pair(
            "correlated",
            correlated(0, 1.3),
            correlated(rho, 1, sign),
            correlated(rho / 2, 1, sign),
            None,
            value,
        )
        for rho in (0.5, 0.8, 0.95)
        for sign, value in ((1, _sum), (-1, _difference))
    ),
    Pair("correlated", chain(0), chain(0.7), chain(0.5), None, _y),
    Pair(
        "dirichlet",
        dirichlet(1.0, 1.0, 1.0),
        dirichlet(2.0, 3.0, 4.0),
        dirichlet(3.0, 3.0, 3.0),
        None,
        _at(0),
    ),
    Pair(
        "dirichlet",
        dirichlet(1.5, 1.0, 1.0, 1.0),
        dirichlet(5.0, 2.0, 2.0, 1.0),
        dirichlet(4.0, 2.0, 2.0, 2.0),
        None,
        _at(0),
    ),
    Pair("scale", normal(0, 1.5), scaled(0, 1, 2.0), scaled(0.3, 1, 2.0)),
    Pair("scale", normal(0, 2), scaled(0, 1, 0.5), scaled(0.3, 1, 0.5)),
    Pair("mask", betas(1.5, 1.5, 0), masked(3, 5, 0), masked(3, 4, 0), None, _at(0)),
    Pair("mask", betas(1.5, 1.5, 1), masked(3, 5, 1), masked(3, 4, 1), None, _at(1)),
    Pair("near-singular", correlated(0.999, 1.5), correlated(0.999, 1), correlated(0.9992, 1), None, _sum),
    Pair(
        "near-singular",
        correlated(0.999, 1.5, -1),
        correlated(0.9995, 1, -1),
        correlated(0.999, 1, -1),
        None,
        _difference,
    ),
    Pair("factor", normal(0, 1.5), bumped(normal(0, 1), 1.0, 0.7), bumped(normal(0, 1), 0.8, 0.7)),
    Pair("factor", normal(0, 3), bumped(normal(0, 2), 3.0, 1.0), bumped(normal(0, 2), 2.5, 1.0)),
    Pair(
        "factor",
        normal(0, 1.5),
        bumped(normal(0, 1), 2.0, 0.5, 0.5, flat=0.5),
        bumped(normal(0, 1), 2.0, 0.5),
    ),
    Pair("factor", normal(0, 1), with_constant(normal(0, 1.1)), with_constant(normal(0.2, 1))),
]
