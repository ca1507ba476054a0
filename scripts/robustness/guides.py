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

    def normal(kind: Callable[..., Any], **options: Any) -> Callable[[], Any]:
        return auto(partial(kind, init_scale=1.0, **options))

    guide_by_name = {
        "AutoNormal": normal(autoguide.AutoNormal),
        "AutoNormal that has not run before": autoguide.AutoNormal(guided, init_scale=1.0),
        "AutoDiagonalNormal": normal(autoguide.AutoDiagonalNormal),
        "AutoMultivariateNormal": normal(autoguide.AutoMultivariateNormal),
        "AutoLowRankMultivariateNormal": normal(autoguide.AutoLowRankMultivariateNormal, rank=1),
        "AutoIAFNormal": auto(partial(autoguide.AutoIAFNormal, num_transforms=1, hidden_dim=[8])),
        "AutoNormalMessenger": normal(autoguide.AutoNormalMessenger),
        "AutoHierarchicalNormalMessenger": normal(autoguide.AutoHierarchicalNormalMessenger),
        "AutoStructured": normal(autoguide.AutoStructured, conditionals="normal"),
        "AutoDelta": auto(autoguide.AutoDelta),
        "AutoLaplaceApproximation, from its normal": auto(laplace),
        "AutoGuideList": auto(guide_list),
    }
    return [Kind(name, guide, guided, same=False) for name, guide in guide_by_name.items()]
