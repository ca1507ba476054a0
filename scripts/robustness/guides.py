"""Kinds of programs: the automatic guides of Pyro."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pyro
import pyro.distributions as dist
from pyro import poutine
from pyro.infer import autoguide

from .kind import Kind


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


def laplace(program: Callable[[], Any]) -> Any:
    """The normal that it approximates its model by."""
    guide = autoguide.AutoLaplaceApproximation(program)
    guide()
    return guide.laplace_approximation()


def guide_list(program: Callable[[], Any]) -> Any:
    """Two guides, each for some of the latents."""
    parts = autoguide.AutoGuideList(program)
    parts.append(autoguide.AutoNormal(poutine.block(program, expose=["mu", "tau"]), init_scale=1.0))
    parts.append(autoguide.AutoNormal(poutine.block(program, hide=["mu", "tau"]), init_scale=1.0))
    return parts


def guides() -> list[Kind]:
    """Each for the model of this file. Made when they are run, since some draw when they are made."""
    return [
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
    ]
