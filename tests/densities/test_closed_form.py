"""Densities in closed form are those of torch, to rounding."""

import math

import pyro
import pyro.distributions as dist
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from arviz_resampler import Resampler
from arviz_resampler.densities import closed_form, density

N = 50
KINDS = {
    "Normal": lambda loc, scale: dist.Normal(loc, scale),
    "LogNormal": lambda loc, scale: dist.LogNormal(loc, scale),
    "HalfNormal": lambda loc, scale: dist.HalfNormal(scale),
}
EPS = {torch.float32: 2.0**-24, torch.float64: 2.0**-53}  # half a unit in the last place of 1


def shaped(shape, low, high, dtype, seed):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(shape, generator=generator, dtype=dtype) * (high - low) + low


@pytest.mark.parametrize("kind", KINDS)
@given(
    loc=st.sampled_from([None, (), (1,), (3,), (2, 1), (N, 1, 1), (N, 2, 3)]),
    scale=st.sampled_from([(), (1,), (3,), (2, 1), (N, 1, 1), (N, 2, 3)]),
    dtype=st.sampled_from(list(EPS)),
    seed=st.integers(0, 2**31),
)
@settings(max_examples=60, deadline=None)
def test_the_log_density_is_that_of_torch_in_double_precision(kind, loc, scale, dtype, seed):
    loc = torch.zeros((), dtype=dtype) if loc is None else shaped(loc, -3, 3, dtype, seed)
    scale = shaped(scale, 0.1, 3, dtype, seed + 1)
    value = shaped((N, 2, 3), 0.01, 5, dtype, seed + 2)
    before = value.clone()
    fn = KINDS[kind](loc, scale).expand((N, 2, 3))
    found = closed_form.log_prob(fn, value)
    assert found is not None
    assert found.dtype == dtype
    assert torch.equal(value, before)
    exact = KINDS[kind](loc.double(), scale.double()).log_prob(value.double())
    # x, or its log, of at most 5 in size, is off by one rounding, x - loc of at most 8 by three of them
    # and one of its own: its square over twice the scale's by twice that and three roundings more. Sums
    # and constants add four roundings of their terms.
    half = 64 / scale.double() ** 2 / 2
    bound = EPS[dtype] * (11 * half + 4 * (half + scale.double().log().abs() + 5))
    assert ((found.double() - exact).abs() <= bound).all()


@pytest.mark.parametrize("loc", [0.0, 1e-29])
def test_a_scale_too_small_to_be_squared_gives_the_density_at_the_mode(loc):
    fn = dist.Normal(loc, 1e-30)
    found = closed_form.log_prob(fn, torch.tensor([loc, 1.0]))
    assert found[0].item() == pytest.approx(30 * math.log(10) - 0.5 * math.log(2 * math.pi), rel=1e-6)
    assert found[1].item() == -math.inf


def test_values_too_large_to_be_squared_have_a_density_under_a_scale_as_large():
    found = closed_form.log_prob(dist.Normal(0.0, 1e25), torch.tensor([1e25, -2e25]))
    highest = -25 * math.log(10) - 0.5 * math.log(2 * math.pi)
    torch.testing.assert_close(found.double(), torch.tensor([highest - 0.5, highest - 2.0]).double())


class Shifted(dist.Normal):
    """A class of another density."""

    def log_prob(self, value):
        return super().log_prob(value) + 1


class OfShifted(dist.LogNormal):
    """A class of another base."""

    def __init__(self):
        super().__init__(0.0, 1.0)
        self.base_dist = Shifted(0.0, 1.0)


@pytest.mark.parametrize(
    ("fn", "value"),
    [
        (Shifted(0.0, 1.0), torch.ones(4)),
        (OfShifted(), torch.ones(4)),
        (dist.Laplace(0.0, 1.0), torch.ones(4)),
        (dist.Normal(0.0, 1.0), torch.ones(4, dtype=torch.float64)),
        (dist.Normal(0.0, 1.0), torch.ones(4, dtype=torch.int64)),
        (dist.Normal(torch.zeros(3), 1.0), torch.ones(4, 1)),
        (dist.Normal(torch.zeros(4, 3), 1.0), torch.ones(3)),
        (dist.Normal(0.0, 0.0, validate_args=False), torch.ones(4)),
        (dist.Weibull(1.0, 1.0), torch.ones(4)),
    ],
)
def test_what_is_not_known_here_is_left_to_torch(fn, value):
    assert closed_form.log_prob(fn, value) is None
    if not isinstance(fn, OfShifted):
        expected = fn.log_prob(value).double()
        assert torch.equal(density.log_prob(fn, value), expected) or not expected.isfinite().all()


def test_particles_have_equal_weights_to_the_last_bit_under_their_own_guide():
    def guide():
        scale = pyro.sample("scale", dist.LogNormal(0.3, 0.7))
        tau = pyro.sample("tau", dist.HalfNormal(2.0))
        with pyro.plate("school", 3):
            theta = pyro.sample("theta", dist.Normal(scale, tau))
        pyro.sample("x", dist.Normal(theta[..., None, :], 1.0).to_event(1))

    weights = Resampler(guide, num_guide_samples=1000, random_seed=0).weigh(guide)
    assert (weights.log_ratio == 0).all()
    assert all((ratio == 0).all() for ratio in weights.log_ratio_by_site.values())
