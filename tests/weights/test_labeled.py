import copy
import pickle

import numpy as np
import pandas as pd
import pyro
import pyro.distributions as dist
import pytest
import torch
import xarray as xr

from arviz_resampler import ArgumentError, Resampler, Weights


def model():
    pyro.sample("mu", dist.Normal(0.5, 1.0))


def guide():
    pyro.sample("mu", dist.Normal(0.0, 2.0))


def numbered():
    return Resampler(guide, num_guide_samples=200, random_seed=0)


def named(kind):
    """Particles whose own labels are numbers in no order, or names."""
    labels = np.random.default_rng(3).permutation(200)
    index = labels if kind == "numbers" else [f"run {i}" for i in labels]
    mu = np.random.default_rng(0).normal(0.0, 2.0, 200)
    draws = xr.Dataset({"mu": ("particle", mu)}, {"particle": index})
    return Resampler.from_simulations(draws, guide=guide)


BUILT = {"numbered": numbered, "numbers": lambda: named("numbers"), "names": lambda: named("names")}


@pytest.fixture(params=BUILT)
def resampler(request):
    return BUILT[request.param]()


def answers(weights, values):
    return [
        weights.mean(values),
        weights.mcse(values),
        weights.n_effective(values),
        *weights.quantile(values, [0.1, 0.5]),
    ]


@pytest.mark.filterwarnings("ignore::arviz_resampler.WeightWarning")
def test_values_are_weighted_by_the_particles_that_their_labels_name(resampler):
    weights, mu = resampler.weigh(model), resampler.weighted(model)[0].mu
    exact = answers(weights, mu.values)
    series = mu.to_series()
    for values in (mu, mu.sortby(mu), mu[::-1], mu.drop_vars("particle"), series, series.sort_values()):
        assert answers(weights, values) == exact
        assert answers(pickle.loads(pickle.dumps(weights)), values) == exact
        assert answers(copy.copy(weights), values) == exact
    assert answers(weights, pd.Series(mu.values)) == exact  # with the index that pandas gives: by place


@pytest.mark.filterwarnings("ignore::arviz_resampler.WeightWarning")
def test_particles_may_be_any_dim_of_an_array(resampler):
    weights, mu = resampler.weigh(model), resampler.weighted(model)[0].mu
    square = mu + xr.DataArray(np.arange(200.0), dims="k")
    np.testing.assert_allclose(weights.mean(square.T), weights.mean(square.values), rtol=1e-12)
    frame = square.to_pandas()
    shuffled = frame.sample(frac=1, random_state=0)
    np.testing.assert_allclose(weights.mean(shuffled), weights.mean(square), rtol=1e-12)


def test_values_of_other_particles_are_refused(resampler):
    weights, mu = resampler.weigh(model), resampler.weighted(model)[0].mu
    for wrong in (mu.assign_coords(particle=np.arange(200) + 0.5), mu[[0, *range(199)]]):
        with pytest.raises(ArgumentError, match="not those of the particles"):
            weights.mean(wrong)


def test_labels_of_values_are_put_in_order_where_weights_have_none_of_their_own():
    x = np.random.default_rng(0).normal(size=5000)
    weights = Weights({"x": x / 2 - 1 / 8})
    exact = weights.mean(x)
    shuffled = pd.Series(x).sample(frac=1, random_state=0)
    for values in (shuffled, shuffled.to_frame()[0], pd.Series(x)[::-1], torch.from_numpy(x)):
        assert weights.mean(values) == exact
    array = xr.DataArray(x, {"particle": np.arange(5000)}, "particle")
    assert weights.mean(array.sortby(array)) == exact
    assert weights.mean(array.assign_coords(particle=np.arange(5000) + 7)) == exact  # by place
