"""The table of particles whose run failed."""

import warnings

import numpy as np
import pyro
import pyro.distributions as dist
import pytest

from arviz_resampler import DrawWarning, Resampler


def guide(mean=0.0):
    def program():
        with pyro.plate("school", 2):
            pyro.sample("x", dist.Normal(mean, 1.0))
        return pyro.sample("mu", dist.Normal(mean, 1.0))

    return program


def simulator():
    mu = guide()()
    if mu.item() > 1.0:
        raise ValueError("the solver did not converge")
    pyro.sample("y", dist.Normal(mu, 1.0))


@pytest.fixture
def resampler():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DrawWarning)
        return Resampler(
            guide(),
            simulator,
            num_guide_samples=300,
            random_seed=0,
            vectorize=False,
            on_error="mask",
            progressbar=False,
        )


def test_each_failed_particle_has_its_error_and_its_latents(resampler):
    table = resampler.failures
    weights = resampler.weigh(guide())
    assert list(table.columns) == ["error", "x[0]", "x[1]", "mu"]
    assert table.index.name == "particle"
    np.testing.assert_array_equal(table.index, np.flatnonzero(weights.failed))
    particles, _ = resampler.weighted(guide())
    np.testing.assert_array_equal(table["mu"], particles["mu"].values[table.index])
    np.testing.assert_array_equal(table["x[1]"], particles["x"].values[table.index, 1])
    assert table["error"].str.endswith("ValueError: the solver did not converge").all()


def test_a_top_up_adds_the_particles_of_its_own_that_failed(resampler):
    before = resampler.failures
    with pytest.warns(DrawWarning, match="particles failed"):
        resampler.top_up(guide(1.5), ess=290)
    table = resampler.failures
    assert table.iloc[: len(before)].equals(before)
    assert len(table) > len(before)
    assert (table.index[len(before) :] >= 300).all()
    particles, _ = resampler.weighted(guide())
    np.testing.assert_array_equal(table["mu"], particles["mu"].values[table.index])


def test_where_none_failed_the_table_is_empty():
    table = Resampler(guide(), num_guide_samples=20, random_seed=0).failures
    assert table.empty
    assert list(table.columns) == ["error", "x[0]", "x[1]", "mu"]


def test_results_of_simulations_elsewhere_that_are_nan_are_failures():
    def elsewhere():
        pyro.sample("y", dist.Normal(guide()(), 1.0))

    resampler = Resampler(guide(), elsewhere, num_guide_samples=300, random_seed=0)
    latents = resampler.wanted(guide(4.0), ess=50)
    y = latents["mu"].values.copy()
    y[3] = np.nan
    resampler.extend({"y": y})
    assert resampler.failures["error"].to_dict() == {303: "NaN in the results of a simulation elsewhere"}


def test_latents_whose_names_collide_have_columns_of_their_own():
    def of_names():
        pyro.sample("th[0]", dist.Normal(100.0, 1.0))
        with pyro.plate("school", 2):
            pyro.sample("th", dist.Normal(0.0, 1.0))
        return pyro.sample("error", dist.Normal(0.0, 1.0))

    def failing():
        if of_names().item() > 1.0:
            raise ValueError("no")
        pyro.sample("y", dist.Normal(0.0, 1.0))

    options = {"vectorize": False, "on_error": "mask", "progressbar": False}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DrawWarning)
        table = Resampler(of_names, failing, num_guide_samples=60, random_seed=0, **options).failures
    assert list(table.columns) == ["error", "th[0]", "th[0] (2)", "th[1]", "error (site)"]
    assert table["error"].str.endswith("ValueError: no").all()
    assert (table["error (site)"] > 1.0).all()
    assert (table["th[0]"] > 50.0).all()
