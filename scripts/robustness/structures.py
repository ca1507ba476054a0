"""Kinds of programs: plates, mixtures, supports, data, modules."""

from __future__ import annotations

import pyro
import pyro.distributions as dist
import torch
from families import truncated_normal
from pyro import poutine
from pyro.distributions import transforms

from .kind import Kind
from .programs import (
    HalfLogistic,
    Layer,
    Module,
    bounded_by_latent,
    broadcast_data,
    covariance,
    crossed,
    exact_spike,
    loc_scale,
    mixing,
    named_rows,
    nested,
    normal_guide,
    one,
    partly_seen,
    plated,
    plated_subsample,
    reads_tables,
    regression,
    schools,
    sequential,
    slab,
    soft,
    with_deterministic,
)


def structures() -> list[Kind]:
    """Those that are written as they are."""
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
        Kind("a plate that names its rows", named_rows(2.0), named_rows(1.0)),
        Kind(
            "data that Pyro only broadcasts",
            normal_guide,
            one(lambda: dist.Normal(0.0, 1.0)),
            broadcast_data(2.0),
            reference=poutine.uncondition(broadcast_data(1.0)),
        ),
        Kind("a subsampling plate", plated_subsample(2.0), plated_subsample(1.0)),
        Kind(
            "discrete latents marked for enumeration",
            pyro.infer.config_enumerate(reads_tables([1.0, 1.0, 1.0])),
            pyro.infer.config_enumerate(reads_tables([0.2, 0.3, 0.5])),
        ),
    ]
