"""A scored model: its log densities by site, and the sites that it computes itself."""

import pyro
import pyro.distributions as dist
import pytest
import torch

from arviz_resampler import Resampler


def guide():
    pyro.sample("mu", dist.Normal(0.0, 2.0))
    pyro.sample("tau", dist.LogNormal(0.0, 1.0))
    pyro.deterministic("total", torch.tensor(0.0))


def model():
    mu = pyro.sample("mu", dist.Normal(1.0, 1.0))
    tau = pyro.sample("tau", dist.HalfNormal(1.0))
    pyro.deterministic("total", mu + tau)
    pyro.factor("f", -tau)


@pytest.fixture(scope="module")
def particles():
    return Resampler(guide, num_guide_samples=50, random_seed=0)


def test_log_densities_are_those_of_the_model_in_float64(particles):
    scored = particles.pipeline.score(model)
    mu, tau = (particles.pipeline.particles.columns[name].value for name in ("mu", "tau"))
    expected = {
        "mu": dist.Normal(1.0, 1.0).log_prob(mu),
        "tau": dist.HalfNormal(1.0).log_prob(tau),
        "f": -tau,
    }
    for name, log_p in expected.items():
        assert scored.log_p(name).dtype == torch.float64
        torch.testing.assert_close(scored.log_p(name), log_p.double(), rtol=1e-5, atol=1e-6)
    index = torch.tensor([7, 3, 7])
    torch.testing.assert_close(
        scored.log_density(index), sum(scored.log_p(name)[index] for name in expected), rtol=0, atol=0
    )


def test_latents_are_the_sites_with_a_prior(particles):
    assert particles.pipeline.score(model).latents == ["mu", "tau"]


def test_computed_sites_are_those_of_the_model(particles):
    scored = particles.pipeline.score(model)
    mu, tau = (particles.pipeline.particles.columns[name].value for name in ("mu", "tau"))
    assert list(scored.computed) == ["total"]
    assert torch.equal(scored.columns["total"].value, mu + tau)
    assert scored.columns["mu"] is particles.pipeline.particles.columns["mu"]


def test_a_density_of_a_particle_that_was_lost_is_not_compared():
    cache = Resampler(guide, num_guide_samples=50, random_seed=0)
    column = cache.pipeline.particles.columns["mu"]
    log_q = column.log_q.clone()
    log_q[4] = -torch.inf
    scored = cache.pipeline.score(model)
    scored._particles.columns["mu"] = type(column)(**{**vars(column), "log_q": log_q, "finite": False})
    assert scored.log_p("mu").isnan().nonzero().tolist() == [[4]]
    assert scored.log_p("mu", slice(3, 6)).isnan().tolist() == [False, True, False]
