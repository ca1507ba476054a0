"""Particles of one seed, written out. A change of these is a breaking change: say so in the changelog."""

import pyro
import pyro.distributions as dist
import pytest

from arviz_resampler import Resampler


def program():
    mu = pyro.sample("mu", dist.Normal(0.0, 1.0))
    tau = pyro.sample("tau", dist.Gamma(2.0, 1.0))
    with pyro.plate("school", 2):
        pyro.sample("y", dist.Normal(mu, tau))
        pyro.sample("n", dist.Poisson(3.0))


@pytest.fixture
def resampler():
    return Resampler(program, num_guide_samples=1000, random_seed=20240519, progressbar=False)


def test_the_first_particles_of_a_seed_are_those_of_earlier_versions(resampler):
    particles, _ = resampler.weighted(program)
    first = particles.isel(particle=slice(3))
    # Processors round sums and logarithms differently.
    assert first["mu"].values == pytest.approx([0.04939026, 1.84376788, 0.11350915], rel=1e-5)
    assert first["tau"].values == pytest.approx([4.13866234, 0.71402556, 2.53798246], rel=1e-5)
    assert first["y"].values.ravel() == pytest.approx(
        [2.89122701, 4.57641363, 1.10027528, 2.13840508, 6.22147655, -3.76322317], rel=1e-5
    )
    assert first["n"].values.ravel().tolist() == [0, 2, 5, 6, 2, 3]


def test_the_first_draws_from_them_are_those_of_earlier_versions(resampler):
    assert resampler.sample(program, 1000)["mu"][:3].tolist() == pytest.approx(
        [0.34336659, -0.82860893, -0.99461693], rel=1e-5
    )
