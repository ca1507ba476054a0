"""A simulator that is run on particles from elsewhere."""

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch

from arviz_resampler.particles import extending
from arviz_resampler.particles.extending import extend
from arviz_resampler.particles.given import free_latent
from arviz_resampler.programs.program import Program

OPTIONS = {"vectorize": "auto", "on_error": "raise", "progressbar": False}


def simulator():
    mu = pyro.sample("mu", dist.Normal(0.0, 1.0))
    pyro.deterministic("twice", 2 * mu)
    with pyro.plate("time", 3):
        pyro.sample("y", dist.Normal(mu, 1.0), obs=torch.tensor([1.0, 2.0, 3.0]))


def columns(n):
    return {"mu": free_latent("mu", np.arange(float(n)), ()).column}


def test_its_sites_are_added_and_the_latents_are_those_that_are_there():
    found = extend(Program(simulator, "simulator"), columns(500), 500, seed=0, **OPTIONS)
    assert list(found.columns) == ["twice", "y"]
    assert found.columns["twice"].value.tolist() == [2.0 * i for i in range(500)]
    assert found.columns["y"].site.role == "predictive"
    residual = found.columns["y"].value - torch.arange(500.0)[:, None]
    assert abs(float(residual.mean())) < 4 / 1500**0.5
    assert float(residual.std()) == pytest.approx(1.0, abs=4 / (2 * 1500) ** 0.5)
    assert found.data["y"].tolist() == [1.0, 2.0, 3.0]
    assert found.failed is None


def test_the_seed_decides_what_is_drawn_and_no_generator_is_touched():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    one, other, third = (
        extend(Program(simulator, "simulator"), columns(50), 50, seed=seed, **OPTIONS).columns["y"].value
        for seed in (1, 1, 2)
    )
    assert torch.equal(one, other)
    assert not torch.equal(one, third)
    assert torch.equal(torch.get_rng_state(), before)


def test_many_particles_are_run_some_at_a_time(monkeypatch):
    monkeypatch.setattr(extending, "_MOST", 64)
    found = extend(Program(simulator, "simulator"), columns(150), 150, seed=0, **OPTIONS)
    assert found.columns["twice"].value.tolist() == [2.0 * i for i in range(150)]
    assert len(found.columns["y"].value.unique()) == 450
