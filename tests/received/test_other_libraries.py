"""Containers of PyMC and NumPyro: real ones, stored in tests/data, whose README says how they were made."""

from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
from eight_schools import schools
from scipy.stats import halfnorm, norm

from arviz_resampler import Resampler

pytest.importorskip("h5netcdf")
DATA = Path(__file__).parents[1] / "data"
EFFECTS = [28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0]


def prior(location=5.0):
    return schools(location, 5.0)


def read(name):
    with xr.open_datatree(DATA / name) as tree:
        return tree.load()


def ratio_of_location(tree, group, location):
    mu = tree[group]["mu"].values.ravel()
    return norm.logpdf(mu, 0, location) - norm.logpdf(mu, 0, 5)


@pytest.mark.parametrize("name", ["pymc_prior.nc", "numpyro.nc"])
def test_prior_draws_have_the_weights_of_their_density(name):
    tree = read(name)
    found = Resampler.from_simulations(tree, guide=prior(), random_seed=0)
    weights = found.weigh(prior(3.0))
    np.testing.assert_allclose(weights.log_ratio, ratio_of_location(tree, "prior", 3.0), atol=1e-5)
    drawn = found.sample_prior_predictive(prior(), 50)
    assert drawn.prior_predictive["y"].shape == (1, 50, 8)
    assert drawn.observed_data["y"].values.tolist() == EFFECTS


def test_computed_values_and_labels_of_pymc_come_along():
    found = Resampler.from_simulations(read("pymc_prior.nc"), guide=prior(), random_seed=0)
    assert found.sites["spread"].role == "deterministic"
    drawn = found.sample_prior_predictive(prior(), 50)
    assert drawn.prior["theta"]["school"].values.tolist() == list("ABCDEFGH")
    spread = drawn.prior["theta"].max("school") - drawn.prior["theta"].min("school")
    np.testing.assert_allclose(drawn.prior["spread"], spread, rtol=1e-4)


def test_axes_that_numpyro_only_numbers_are_the_plates_of_the_program():
    found = Resampler.from_simulations(read("numpyro.nc"), guide=prior(), random_seed=0)
    assert found.sites["theta"].dims == ("school",)


@pytest.mark.parametrize("name", ["pymc_posterior.nc", "numpyro.nc"])
def test_posterior_draws_are_weighted_by_the_ratio_of_priors(name):
    tree = read(name)
    found = Resampler.from_posterior(tree, prior(), random_seed=0)
    weights = found.weigh(prior(3.0))
    expected = ratio_of_location(tree, "posterior", 3.0)
    np.testing.assert_allclose(weights.log_ratio, expected, atol=1e-5)
    assert weights.bayes_factor == pytest.approx(np.exp(expected).mean(), rel=1e-4)
    assert found.pipeline.chains.num_chains == 2


@pytest.mark.filterwarnings("ignore:.*not reliable:arviz_resampler.WeightWarning")
@pytest.mark.parametrize("name", ["pymc_posterior.nc", "numpyro.nc"])
def test_the_log_likelihood_is_that_of_all_data(name):
    tree = read(name)
    found = Resampler.from_posterior(tree, prior(), random_seed=0)
    theta = tree["posterior"]["theta"].values.reshape(-1, 8)
    errors = [15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0]
    np.testing.assert_allclose(
        found.pipeline.particles.log_likelihood, norm.logpdf(EFFECTS, theta, errors).sum(1), rtol=1e-4
    )
    table = found.sensitivity(prior(), var_names=["mu"])
    assert ("likelihood", "mu") in table.index


@pytest.mark.filterwarnings(
    "ignore:.*repeat others:arviz_resampler.DrawWarning"
)  # of steps that were rejected
def test_the_group_log_prior_of_pymc_is_the_density_of_its_latents():
    tree = read("pymc_posterior.nc")
    # As draws whose log prior is known; for the ratio it does not matter that they are of a posterior.
    given = xr.DataTree.from_dict(
        {
            "prior": tree["posterior"].to_dataset().drop_vars("spread"),
            "log_prior": tree["log_prior"].to_dataset(),
        }
    )
    found = Resampler.from_simulations(given, random_seed=0)
    by_site = found.weigh(prior()).log_ratio_by_site
    assert set(by_site) == {"mu", "tau", "theta"}
    tau = tree["posterior"]["tau"].values.ravel()
    assert np.ptp(halfnorm.logpdf(tau, 0, 5) - tree["log_prior"]["tau"].values.ravel()) < 1e-6
    for ratio in by_site.values():
        np.testing.assert_allclose(ratio, 0.0, atol=1e-4)
    assert torch.get_default_dtype() == found.pipeline.particles.columns["mu"].value.dtype
