"""Kinds of distributions, seen through what is wrapped around them."""

import math

import pyro.distributions as dist
import pytest
import torch
from density_cases import TABLE, ZERO, affine, is_improper
from pyro.distributions import constraints

from arviz_resampler.densities import kinds, parameters

WRAPPERS = [
    lambda fn: fn,
    lambda fn: fn.expand([2]).to_event(1),
    lambda fn: fn.to_event(0),
    lambda fn: fn.mask(True),
    lambda fn: fn.expand([2]).mask(False).to_event(1),
    lambda fn: dist.ExpandedDistribution(fn, (2,)),
    lambda fn: dist.Independent(dist.ExpandedDistribution(fn, (2,)).mask(torch.ones(2).bool()), 1),
]


@pytest.mark.parametrize("wrap", WRAPPERS)
def test_improper_distributions_and_point_masses_are_seen_through_wrappers(wrap):
    improper = dist.ImproperUniform(constraints.real, (), ())
    assert is_improper(wrap(improper))
    assert not is_improper(wrap(dist.Normal(0.0, 1.0)))
    assert kinds.is_kind(wrap(dist.Delta(ZERO)), "Delta")
    assert not kinds.is_kind(wrap(dist.Normal(0.0, 1.0)), "Delta")
    assert not kinds.is_continuous(wrap(dist.Delta(ZERO)))
    assert kinds.is_continuous(wrap(dist.Normal(0.0, 1.0)))
    assert kinds.is_discrete(wrap(dist.Poisson(1.0)))
    assert not kinds.is_continuous(wrap(dist.Poisson(1.0)))


def test_point_masses_are_seen_in_mixtures_and_behind_transforms():
    points = dist.Delta(torch.tensor([1.0, 2.0]))
    assert kinds.is_kind(dist.MixtureSameFamily(dist.Categorical(torch.ones(2)), points), "Delta")
    assert kinds.is_kind(affine(dist.Delta(ZERO)), "Delta")
    assert is_improper(
        dist.MixtureSameFamily(
            dist.Categorical(torch.ones(2)), dist.ImproperUniform(constraints.real, (2,), ())
        )
    )


@pytest.mark.parametrize("wrap", WRAPPERS)
def test_the_place_of_a_point_mass_is_found_behind_wrappers(wrap):
    point, log_density = kinds.point_of(wrap(dist.Delta(torch.tensor(3.0), log_density=0.5)))
    assert (point == 3.0).all()
    fn = wrap(dist.Delta(ZERO))
    free = any(getattr(part, "_mask", None) is False for part in parameters.nested(fn))
    assert (log_density == (0.0 if free else 0.5)).all()


def test_the_place_of_a_transformed_point_mass_is_transformed():
    point, _ = kinds.point_of(affine(dist.Delta(torch.tensor(3.0))))
    assert point.item() == 7.0
    assert kinds.point_of(
        dist.MixtureSameFamily(dist.Categorical(torch.ones(2)), dist.Delta(torch.tensor([1.0, 2.0])))
    )[0].isnan()


@pytest.mark.parametrize(
    ("fn", "discrete", "continuous"),
    [
        (dist.Normal(0.0, 1.0), False, True),
        (dist.Uniform(0.0, 1.0), False, True),
        (dist.Bernoulli(0.3), True, False),
        (dist.OneHotCategorical(torch.ones(3)), True, False),
        (dist.Multinomial(4, torch.ones(3)), True, False),
        (dist.ZeroInflatedPoisson(torch.tensor(3.0), gate=torch.tensor(0.3)), True, False),
        (dist.OneOneMatching(torch.zeros(3, 3)), True, False),
        (dist.OneOneMatching(torch.zeros(3, 3)).expand([2]).to_event(1), True, False),
        (dist.OneTwoMatching(torch.zeros(4, 2)), True, False),
        (dist.SpanningTree(torch.zeros(3)), True, False),
        (dist.Delta(ZERO), False, False),
        (dist.Empirical(torch.arange(3.0), torch.zeros(3)), False, False),
        (dist.Dirichlet(torch.ones(3)), False, True),
    ],
)
def test_discrete_and_continuous_distributions_are_told_apart(fn, discrete, continuous):
    assert kinds.is_discrete(fn) is discrete
    assert kinds.is_continuous(fn) is continuous


def test_distributions_that_draw_from_something_else_are_known():
    assert "LKJCholesky" in kinds.kind_of(dist.LKJCholesky(3, 1.0).expand([2])).drawn_otherwise
    assert "LKJCholesky" in kinds.kind_of(dist.LKJCholesky(5, torch.ones(2)).to_event(1)).drawn_otherwise
    assert kinds.kind_of(dist.LKJCholesky(2, 1.0)).drawn_otherwise is None
    times = torch.tensor([0.0, 0.5, 1.0])
    assert "rate 1" in kinds.kind_of(dist.CoalescentTimes(times, 2.0)).drawn_otherwise
    assert kinds.kind_of(dist.CoalescentTimes(times)).drawn_otherwise is None
    usual = [make for name, make in TABLE.items() if name != "LKJCholesky"]
    assert all(kinds.kind_of(make()).drawn_otherwise is None for make in usual)


def test_torch_still_draws_large_correlation_matrices_from_another_distribution():
    # The determinant of a uniform 3 x 3 correlation matrix has the mean 3/4 * 3/4 * 2/3 = 0.375 and
    # a standard deviation below 1/2. If this fails, torch is right now and drawn_otherwise says so.
    torch.manual_seed(0)
    diagonal = dist.LKJCholesky(3, 1.0).sample((20_000,)).diagonal(dim1=-1, dim2=-2)
    error = (diagonal.prod(-1) ** 2).mean().item() - 0.375
    assert abs(error) > 5 * 0.5 / math.sqrt(20_000)
