"""Derivatives of log densities with respect to hyper-parameters, at all particles."""

import math

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch

from arviz_resampler import Resampler
from arviz_resampler.particles import particles as cache
from arviz_resampler.scoring.gradients import scores
from arviz_resampler.tuning.laboratory import hyper_columns

N = 500


def many(location, spread):
    """Sites with and without closed forms, in plates and events, whose parameters depend on each other."""

    def model():
        mu = pyro.sample("mu", dist.Normal(location, spread))
        tau = pyro.sample("tau", dist.HalfNormal(spread))
        pyro.sample("rate", dist.LogNormal(location, spread))
        pyro.sample("shape", dist.Gamma(spread, 2.0))
        pyro.sample("count", dist.Poisson(spread))
        with pyro.plate("school", 4):
            pyro.sample("theta", dist.Normal(mu, tau))
            pyro.sample("pair", dist.Normal(location, torch.ones(2)).to_event(1))
        scale = torch.eye(3) * spread**2
        pyro.sample("vector", dist.MultivariateNormal(location * torch.ones(3), covariance_matrix=scale))

    return model


def columns(n=N, **hyper):
    return hyper_columns({name: np.full(n, value) for name, value in hyper.items()})


@pytest.fixture(scope="module")
def particles():
    return Resampler(many(1.0, 2.0), num_guide_samples=N, random_seed=0).pipeline.particles


def test_densities_are_those_of_a_model_of_numbers(particles):
    resampler = Resampler(many(1.0, 2.0), num_guide_samples=N, random_seed=0)
    scored = resampler.pipeline.score(many(1.1, 2.2))
    total = sum(values.double() for values in scored.scored.values())
    found = scores(particles, many, columns(location=1.1, spread=2.2))
    assert torch.allclose(found.log_p, total, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("name", ["location", "spread"])
def test_derivatives_are_those_of_difference_quotients(particles, name):
    # In float32 a quotient of step 0.01 has an error of some 1e-7 / 0.01 of the density, and 0.01**2 of its
    # third derivative.
    at, step = {"location": 1.1, "spread": 2.2}, 0.01
    ends = [
        scores(particles, many, columns(**{**at, name: at[name] + sign * step})).log_p for sign in (1, -1)
    ]
    quotient = (ends[0] - ends[1]) / (2 * step)
    found = scores(particles, many, columns(**at)).by_hyper[:, list(at).index(name)]
    assert torch.allclose(found, quotient, rtol=2e-3, atol=5e-3)


def test_the_score_of_a_normal_is_known():
    resampler = Resampler(lambda: pyro.sample("x", dist.Normal(0.0, 1.0)), num_guide_samples=N, random_seed=0)
    values = resampler.pipeline.particles.columns["x"].value.double()
    found = scores(
        resampler.pipeline.particles,
        lambda mean, sd: lambda: pyro.sample("x", dist.Normal(mean, sd)),
        columns(mean=0.5, sd=2.0),
    )
    z = (values - 0.5) / 2.0
    assert torch.allclose(found.by_hyper, torch.stack([z / 2.0, (z**2 - 1) / 2.0], 1), rtol=1e-5, atol=1e-6)
    assert torch.allclose(found.log_p, -0.5 * z**2 - math.log(2.0) - 0.5 * math.log(2 * math.pi), atol=1e-5)


def test_some_particles_can_be_asked_for(particles):
    whole = scores(particles, many, columns(location=1.1, spread=2.2))
    part = scores(particles, many, columns(n=20, location=1.1, spread=2.2), slice(5, 25))
    assert torch.equal(part.by_hyper, whole.by_hyper[5:25])


def test_chunks_give_the_derivatives_of_the_whole(particles, monkeypatch):
    whole = scores(particles, many, columns(location=1.1, spread=2.2))
    monkeypatch.setattr(cache, "_MAX_PARTICLES", 128)
    assert torch.equal(scores(particles, many, columns(location=1.1, spread=2.2)).by_hyper, whole.by_hyper)


@pytest.mark.parametrize(
    "family",
    [
        lambda location, spread: many(float(location), spread),
        lambda location, spread: many(location.item(), spread.item()),
        lambda location, spread: many(1.0, 2.0),
    ],
)
def test_a_family_that_takes_no_tensors_has_none(particles, family):
    assert scores(particles, family, columns(location=1.1, spread=2.2)) is None


def test_a_hyper_parameter_that_moves_nothing_has_derivatives_of_zero(particles):
    def family(location, spread, idle):
        return many(location, spread)

    found = scores(particles, family, columns(location=1.1, spread=2.2, idle=3.0))
    assert not found.by_hyper[:, 2].any()


def test_weights_have_no_gradients_afterwards(particles):
    resampler = Resampler(many(1.0, 2.0), num_guide_samples=N, random_seed=0)
    before = resampler.weigh(many(1.1, 2.2)).log_ratio
    scores(resampler.pipeline.particles, many, columns(location=1.1, spread=2.2))
    assert np.array_equal(resampler.weigh(many(1.1, 2.2)).log_ratio, before)
    assert not any(c.value.requires_grad for c in resampler.pipeline.particles.columns.values())
