"""Particles on another device than torch's default one.

A machine without an accelerator has the device "meta", whose tensors hold nothing: what the package makes for
itself must not be made there, or it fails as it would where the programs live on another device.
"""

import pyro
import pyro.distributions as dist
import pytest
import torch

from arviz_resampler import Resampler, family, plan, quantile

OF_FIT = {"mu": quantile(lambda ds: ds.mu, 0.9, 3.0)}


def number(value):
    return torch.tensor(float(value), device="cpu")


def prior(scale=5.0):
    def program():
        mu = pyro.sample("mu", dist.Normal(number(0), number(scale)))
        tau = pyro.sample("tau", dist.HalfNormal(number(scale)))
        with pyro.plate("school", 4, device="cpu"):
            pyro.sample("theta", dist.Normal(mu, tau))

    return program


@pytest.fixture(autouse=True)
def elsewhere():
    with torch.device("meta"):
        assert torch.zeros(()).is_meta
        yield


def build(guide=None, n=3000, **options):
    options = {"random_seed": 0, "progressbar": False, **options}
    return Resampler(prior() if guide is None else guide, num_guide_samples=n, **options)


CALLS = {
    "weights": lambda r: r.weigh(prior(4.0)).ess,
    "draws": lambda r: r.sample(prior(4.0), 100)["theta"].shape,
    "independent draws": lambda r: r.sample(prior(4.0), 100, stable=False)["theta"].shape,
    "variants": lambda r: len(r.compare({"a": prior(4.0), "b": prior(3.0)}).summary()),
    "contrasts": lambda r: len(r.compare({"a": prior(4.0), "b": prior(3.0)}).contrast("a")),
    "sensitivity": lambda r: len(r.sensitivity(prior(4.0))),
    "all particles": lambda r: r.weighted(prior(4.0))[0].sizes["particle"],
    "top-up": lambda r: r.top_up(prior(1.0), 2500).num_added,
    "extension": lambda r: r.extend(5000),
    "tuner": lambda r: r.tune(prior, scale=(1.0, 6.0)).update(scale=2.0).weights.ess,
    "coverage": lambda r: r.tune(prior, scale=(1.0, 6.0)).coverage(4).covered_fraction,
    "fit": lambda r: (
        r.fit(prior, {"mu": quantile(lambda ds: ds.mu, 0.9, 3.0)}, ess=300, scale=(1.0, 6.0)).hyper
    ),
    "one particle": lambda r: r.simulate_one(5)["mu"].shape,
}


@pytest.mark.filterwarnings("ignore::arviz_resampler.WeightWarning")
@pytest.mark.parametrize("name", CALLS)
def test_calls_do_not_use_the_default_device(name):
    here = CALLS[name](build())
    with torch.device("cpu"):
        assert str(CALLS[name](build())) == str(here)


@pytest.mark.parametrize("scheme", ["stable", "multinomial", "stratified", "systematic", "residual"])
def test_containers_do_not_either(scheme):
    drawn = build().sample_prior_predictive(prior(4.0), 100, scheme=scheme)
    assert drawn.prior["theta"].shape == (1, 100, 4)


def test_family_guides_plans_and_particles_without_a_seed_do_not_either():
    guide = family(prior, scale=(1.0, 6.0))
    assert build(guide).weigh(prior(4.0)).verdict == "good"
    assert len(plan(prior(), {"a": prior(4.0)}, 100, pilot=1000, random_seed=0)) == 1
    assert build(random_seed=None).sample(prior(4.0), 10, stable=False)["mu"].is_cpu
