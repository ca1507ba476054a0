"""Keys of supports: equal where supports are, none where they may vary."""

import pyro.distributions as dist
import pytest
import torch
from density_cases import ZERO, affine
from pyro.distributions import transforms

from arviz_resampler.densities import support


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (dist.Normal(0.0, 1.0), dist.StudentT(3.0)),
        (dist.Normal(0.0, 1.0), dist.MultivariateNormal(torch.zeros(2), torch.eye(2))),
        (dist.Normal(torch.zeros(2), 1.0).to_event(1), dist.Normal(0.0, 1.0)),
        (dist.Normal(0.0, 1.0).mask(False), dist.Normal(0.0, 1.0)),
        (dist.Exponential(1.0), dist.Gamma(2.0, 1.0)),
        (dist.LogNormal(0.0, 1.0), dist.InverseGamma(2.0, 1.0)),
        (
            dist.LogNormal(0.0, 1.0),
            dist.TransformedDistribution(dist.Normal(0.0, 1.0), transforms.ExpTransform()),
        ),
        (dist.Poisson(1.0), dist.Geometric(0.3)),
        (dist.Beta(1.0, 2.0), dist.Kumaraswamy(1.0, 2.0)),
        (dist.Binomial(3, torch.tensor(0.3)), dist.Categorical(torch.ones(4))),
        (dist.Dirichlet(torch.ones(3)), dist.LogisticNormal(torch.zeros(2), torch.ones(2))),
        (dist.ExpandedDistribution(dist.Exponential(1.0), (3,)), dist.Exponential(1.0)),
        (dist.Normal(0.0, 1.0), affine(dist.Normal(0.0, 1.0))),
    ],
)
def test_equal_supports_have_equal_keys(first, second):
    assert support.support_key(first) is not None
    assert support.support_key(first) == support.support_key(second)
    hash(support.support_key(first))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (dist.Normal(0.0, 1.0), dist.Exponential(1.0)),
        (dist.Exponential(1.0), dist.LogNormal(0.0, 1.0)),
        (dist.Exponential(1.0), dist.Poisson(1.0)),
        (dist.Bernoulli(0.3), dist.Beta(1.0, 1.0)),
        (dist.Uniform(0.0, 1.0), dist.Uniform(0.0, 2.0)),
        (dist.Categorical(torch.ones(3)), dist.Categorical(torch.ones(4))),
        (dist.Binomial(3, torch.tensor(0.3)), dist.Binomial(4, torch.tensor(0.3))),
        (dist.Pareto(1.0, 1.0), dist.Pareto(2.0, 1.0)),
        (dist.Dirichlet(torch.ones(3)), dist.OneHotCategorical(torch.ones(3))),
        (
            dist.ZeroInflatedDistribution(dist.Normal(0.0, 1.0), gate=torch.tensor(0.3)),
            dist.Normal(0.0, 1.0),
        ),
    ],
)
def test_different_supports_have_different_keys(first, second):
    assert support.support_key(first) != support.support_key(second)


@pytest.mark.parametrize(
    "fn",
    [
        dist.Uniform(torch.zeros(2), torch.tensor([1.0, 2.0])),
        dist.Binomial(torch.tensor([3, 4]), torch.tensor(0.3)),
        dist.VonMises(ZERO, torch.tensor(1.0)),
        dist.Multinomial(4, torch.ones(3)),
        affine(dist.Exponential(1.0)),
        affine(dist.Normal(0.0, 1.0), transforms.ExpTransform()),
        dist.TransformedDistribution(dist.Uniform(0.0, 1.0), transforms.ExpTransform()),
        dist.MixtureSameFamily(dist.Categorical(torch.ones(2)), dist.Pareto(torch.tensor([1.0, 5.0]), 3.0)),
        dist.MaskedMixture(torch.tensor([True, False]), dist.Normal(0.0, 1.0), dist.Exponential(1.0)),
        dist.Stable(0.5, 1.0),
        dist.CoalescentTimes(torch.tensor([0.0, 0.5, 1.0])),
    ],
)
def test_a_support_that_may_vary_has_no_key(fn):
    assert support.support_key(fn) is None
