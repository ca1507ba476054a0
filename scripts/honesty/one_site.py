"""Pairs of one site, by kind: guide, model, and the other model of the contrast."""

from __future__ import annotations

import math

from .models import (
    beta,
    binomial,
    bumped,
    categorical,
    cauchy,
    exponential,
    gamma,
    geometric,
    laplace,
    lognormal,
    mixture,
    modes,
    negative_binomial,
    normal,
    poisson,
    studentt,
    uniform,
    with_constant,
)

_NARROWER = [
    (normal(0, 2), normal(0, 1), normal(0.5, 1)),
    (normal(0, 10), normal(0, 1), normal(0, 2)),
    (normal(0, 1), normal(0.5, 0.5), normal(0.4, 0.5)),
    (normal(0, 2), normal(1, 1.2), normal(-1, 1.2)),
    (laplace(0, 3), laplace(0, 1), laplace(0.5, 1)),
    (gamma(2, 0.5), gamma(4, 2), gamma(4, 1.5)),
    (exponential(0.5), exponential(2), exponential(1)),
    (beta(1, 1), beta(3, 5), beta(2, 2)),
    (uniform(0, 10), uniform(2, 5), uniform(1, 5)),
    (lognormal(0, 1.5), lognormal(0, 1), lognormal(0.3, 1)),
    (studentt(3, 0, 3), studentt(5, 0, 1), studentt(5, 0.5, 1)),
]
_LIGHTER = [
    (studentt(3, 0, 1.5), normal(0, 1), normal(0.5, 1)),
    (laplace(0, 1), normal(0, 1), normal(0.3, 1)),
    (cauchy(0, 1), normal(0, 1), normal(1, 1)),
    (cauchy(0, 1), laplace(0, 1), laplace(0.5, 1)),
    (studentt(2, 0, 1), studentt(6, 0, 1), studentt(6, 0.5, 1)),
]
_MIXTURES = [
    (mixture([0.5, 0.5], [-3.0, 3.0], [1.0, 1.0]), normal(0, 1), normal(0.2, 1)),
    (mixture([0.5, 0.5], [0.0, 0.0], [1.0, 5.0]), normal(0, 1), normal(0.5, 1)),
    (mixture([0.9, 0.1], [0.0, 0.0], [1.0, 4.0]), normal(0, 1.8), normal(0, 1.5)),
    (mixture([0.5, 0.5], [-1.0, 1.0], [1.0, 1.5]), modes(0.3, 1.5), normal(0, 1)),
]
_WIDER = [
    *((normal(0, 1), normal(0, sd), normal(0.1, sd)) for sd in (1.2, 1.35, 1.5, 1.8, 2.5)),
    (laplace(0, 1), laplace(0, 1.6), laplace(0, 1.4)),
    (gamma(2, 1), gamma(2, 0.65), gamma(2, 0.75)),
    (exponential(1), exponential(0.6), exponential(0.7)),
    (beta(4, 4), beta(1.5, 2), beta(2, 2)),
    (lognormal(0, 1), lognormal(0, 1.35), lognormal(0, 1.2)),
]
_SHIFTED = [
    *((normal(0, 1), normal(mean, 1), normal(mean - 0.3, 1)) for mean in (0.5, 1, 1.5, 2, 3)),
    (gamma(3, 1), gamma(6, 1), gamma(5, 1)),
    (laplace(0, 1), laplace(3, 1), laplace(2, 1)),
    (normal(0, 1), normal(1.5, 0.9), normal(1.2, 0.9)),
]
_HEAVIER = [
    (normal(0, 1), studentt(3), studentt(5)),
    (normal(0, 3), studentt(3), studentt(3, 0.3)),
    (normal(0, 2), laplace(0, 1), laplace(0.2, 1)),
    (studentt(10), studentt(3), studentt(4)),
    (laplace(0, 1.5), studentt(4), studentt(4, 0.3)),
    (exponential(0.5), lognormal(0, 1), lognormal(0.1, 1)),
]
_HEAVY_H = [
    (lognormal(0, 2), lognormal(0, 1.5), lognormal(0.2, 1.5)),
    (lognormal(0, 3), lognormal(0, 3), lognormal(0.1, 3)),
    (studentt(3), studentt(3), studentt(3, 0.2)),
    (studentt(2), studentt(2), studentt(2, 0.2)),
    (studentt(5, 0, 2), studentt(5), studentt(5, 0.2)),
    (cauchy(0, 1), cauchy(0, 1), cauchy(0.2, 1)),
]
_DISCRETE = [
    (poisson(4), poisson(3.5), poisson(4.5)),
    (poisson(5), poisson(3), poisson(4)),
    (poisson(5), poisson(10), poisson(8)),
    (poisson(4), negative_binomial(5, 0.5), negative_binomial(5, 0.4)),
    (poisson(3.2), geometric(0.3), geometric(0.35)),
    (geometric(0.1), geometric(0.3), poisson(3.3)),
    (binomial(10, 0.5), binomial(10, 0.3), binomial(10, 0.4)),
    (categorical(0.9, 0.08, 0.02), categorical(0.2, 0.3, 0.5), categorical(0.4, 0.4, 0.2)),
    (categorical(0.5, 0.5), categorical(0.97, 0.03), categorical(0.7, 0.3)),
]
_TRUNCATED = [
    *((uniform(-end, end), normal(0, 1), normal(0.1, 1)) for end in (2, 2.5, 3)),
    (uniform(0, 3), exponential(1), exponential(1.2)),
    (uniform(0, 6), exponential(1), exponential(0.9)),
    (binomial(8, 0.5), poisson(4), poisson(3.5)),
    (uniform(0, 0.9), beta(2, 2), beta(2, 3)),
]

# ---------------------------------------------------------------- missed mass

_MODES = [(normal(0, 1.5), modes(share, 20.0), modes(share, 18.0)) for share in (0.4, 0.1, 0.06, 0.01)]
_BARELY = [
    (normal(0, 1.5), modes(share, place), modes(share / 2, place))
    for share, place in ((0.4, 5.0), (0.1, 5.0), (0.08, 6.0), (0.3, 6.0))
]
_PEAK = bumped(normal(0, 1), 7.0, 0.1, math.log(1e12), flat=1.0)
_UNNORMALIZED = [
    *((guide, with_constant(model), with_constant(other)) for guide, model, other in _MODES[:3]),
    *((guide, with_constant(model), with_constant(other)) for guide, model, other in _BARELY[:2]),
    (normal(0, 1), _PEAK, bumped(normal(0, 1), 0.5, 1.0)),
]


ONE_SITE = {
    "narrower": _NARROWER,
    "lighter-tailed": _LIGHTER,
    "mixture guide": _MIXTURES,
    "wider": _WIDER,
    "shifted": _SHIFTED,
    "heavier-tailed": _HEAVIER,
    "heavy-tailed h": _HEAVY_H,
    "discrete": _DISCRETE,
    "truncated": _TRUNCATED,
    "missed mode": _MODES,
    "barely touched mode": _BARELY,
    "missed mass, unnormalized": _UNNORMALIZED,
}
