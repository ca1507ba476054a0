"""What type checkers see of the public names; mypy reads this file, and running it shows that it holds."""

from collections.abc import Callable, Mapping
from typing import Any, assert_type

import numpy as np
import pandas as pd
import pyro
import pyro.distributions as dist
import pytest
import xarray as xr
from numpy.typing import NDArray
from torch import Tensor

from arviz_resampler import Comparison, Coverage, Resampler, Site, Tuner, Weights, batched, plan, posterior


def prior(scale: float) -> Callable[[], None]:
    def program() -> None:
        pyro.sample("x", dist.Normal(0.0, scale))

    return program


@pytest.fixture(scope="module")
def resampler() -> Resampler:
    return Resampler(prior(2.0), num_guide_samples=2000, random_seed=0)


def test_types_of_a_resampler(resampler: Resampler) -> None:
    assert isinstance(assert_type(resampler.sites, dict[str, Site])["x"], Site)
    assert isinstance(assert_type(resampler.sample(prior(1.0), 10), dict[str, Tensor])["x"], Tensor)
    assert isinstance(assert_type(resampler.simulate_one(0), dict[str, Tensor])["x"], Tensor)
    # An InferenceData or a DataTree, by the generation of ArviZ.
    assert_type(resampler.sample_prior_predictive(prior(1.0), 10), Any)
    assert_type(resampler.posterior({"x": np.zeros(5)}), Any)
    assert_type(posterior({"x": np.zeros(5)}, prior(1.0)), Any)
    dataset, weights = assert_type(resampler.weighted(prior(1.0)), tuple[xr.Dataset, xr.DataArray])
    assert isinstance(dataset, xr.Dataset)
    assert isinstance(weights, xr.DataArray)


def test_types_of_weights(resampler: Resampler) -> None:
    weights = assert_type(resampler.weigh(prior(1.0)), Weights)
    assert isinstance(weights, Weights)
    assert isinstance(assert_type(weights.normalized, NDArray[np.float64]), np.ndarray)
    assert isinstance(assert_type(weights.ess, float), float)
    assert isinstance(assert_type(weights.pareto_k, float), float)
    assert isinstance(assert_type(weights.num_particles, int), int)
    assert isinstance(assert_type(weights.advice, str), str)
    assert isinstance(assert_type(weights.ess_by_site, Mapping[str, float])["x"], float)


def test_types_of_a_comparison(resampler: Resampler) -> None:
    comparison = assert_type(resampler.compare({"a": prior(1.0), "b": prior(1.5)}, 100), Comparison)
    assert isinstance(comparison, Comparison)
    assert isinstance(assert_type(comparison.dataset(), xr.Dataset), xr.Dataset)
    assert isinstance(assert_type(comparison.diagnostics(), pd.DataFrame), pd.DataFrame)


def test_types_of_a_tuner(resampler: Resampler) -> None:
    tuner = assert_type(resampler.tune(prior, 100, scale=(0.5, 2.0)), Tuner)
    assert isinstance(tuner, Tuner)
    assert isinstance(assert_type(tuner.update(scale=1.0).weights, Weights), Weights)
    assert isinstance(assert_type(tuner.code(scale=1.0), str), str)
    coverage = assert_type(tuner.coverage(4), Coverage)
    assert isinstance(assert_type(coverage.covered_fraction, float), float)


def test_types_of_a_plan() -> None:
    table = assert_type(plan(prior(2.0), prior(1.0), 100, pilot=1000, random_seed=0), pd.DataFrame)
    assert isinstance(table, pd.DataFrame)


def test_a_batched_function_is_callable_as_before() -> None:
    assert callable(assert_type(batched(lambda x: 2 * x), Callable[..., Any]))
