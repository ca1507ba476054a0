"""Draws of a posterior that depend on each other: their errors, and where weights take them."""

import numpy as np
import pytest

from arviz_resampler import Weights
from arviz_resampler.weights.averages import mean, standard_error
from arviz_resampler.weights.chains import WIDER, Chains


def autoregressive(rng, rho, chains, draws):
    """Stationary series of unit variance whose neighbors have a correlation of ``rho``."""
    x = rng.standard_normal((chains, draws))
    for i in range(1, draws):
        x[:, i] = rho * x[:, i - 1] + np.sqrt(1 - rho**2) * x[:, i]
    return x.reshape(-1)


def of(series, num_chains=4):
    return Chains(num_chains, {"x": series[:, None]})


@pytest.mark.parametrize("rho", [-0.5, 0.0, 0.5, 0.8])
def test_errors_of_chains_of_known_autocorrelation_are_right_to_ten_percent(rho):
    rng = np.random.default_rng(1)
    n, equal = 4000, np.full(4000, 1 / 4000)
    errors = []
    for _ in range(40):
        x = autoregressive(rng, rho, 4, n // 4)
        errors.append(mean(equal, x, of(x))[1])
    exact = np.sqrt((1 + rho) / (1 - rho) / n)
    # An effective sample size is off by 10 % or so, its root by 5 %, the mean of 40 such roots by 1 %.
    assert np.mean(errors) == pytest.approx(exact, rel=0.1)


def test_the_mean_of_weighted_chains_is_within_its_error():
    rng = np.random.default_rng(2)
    z = []
    for _ in range(200):
        x = autoregressive(rng, 0.7, 4, 1000)
        weights = Weights({"x": x / 4}, chains=of(x))  # of Normal(0, 1): that of Normal(0.25, 1)
        z.append((weights.mean(x) - 0.25) / weights.mcse(x))
    # The variance of 200 standard normal numbers has a standard error of a tenth.
    assert np.var(z) == pytest.approx(1.0, abs=0.4)
    assert abs(np.mean(z)) < 4 / np.sqrt(200)


def test_independent_draws_have_an_efficiency_near_one_and_alternating_ones_more():
    rng = np.random.default_rng(0)
    x = rng.standard_normal(4000)
    assert 0.9 < of(x).efficiency(x) < 1.1
    alternating = np.where(np.arange(4000) % 2, 1.0, -1.0) + 0.01 * x
    assert of(x).efficiency(alternating) > 2.0
    assert of(x).efficiency(np.ones(4000)) == 1.0
    assert of(x).efficiency(np.full(4000, np.nan)) == 1.0


def test_the_slowest_latent_decides():
    rng = np.random.default_rng(0)
    fast, slow = rng.standard_normal(4000), autoregressive(rng, 0.8, 4, 1000)
    both = Chains(4, {"a": fast[:, None], "b": np.stack([fast, slow], 1)})
    assert both.slowest == both.efficiency(slow) < 0.2


def test_errors_without_chains_are_those_of_independent_draws():
    influence = np.random.default_rng(0).normal(size=1000)
    assert standard_error(influence) == standard_error(influence, None)
    slower = Chains(1, {})
    slow = autoregressive(np.random.default_rng(0), 0.5, 1, 1000)
    (plain, n_plain), (larger, n_fewer) = standard_error(slow), standard_error(slow, slower)
    assert larger == pytest.approx(plain / np.sqrt(slower.efficiency(slow)))
    assert n_fewer == pytest.approx(n_plain * slower.efficiency(slow))


@pytest.mark.parametrize(("factor", "wider"), [(WIDER - 0.005, False), (WIDER + 0.005, True)])
def test_a_latent_is_named_where_its_posterior_gets_wider(factor, wider):
    # Two values whose weights move the standard deviation: sqrt(p) for values 0 and +-1, p the weight of +-1.
    values = np.array([-1.0, 0.0, 0.0, 1.0] * 5)
    p = 0.5 * factor**2
    weights = np.where(values == 0, (1 - p) / 10, p / 10)
    found = Chains(1, {"still": np.ones((20, 1)), "x": values[:, None]}).widened(weights, ["still", "x"])
    assert (found is not None) is wider
    if found is not None:
        assert found.name == "x"
        assert found.after / found.before == pytest.approx(factor)


def test_a_latent_whose_prior_is_the_same_is_not_named():
    rng = np.random.default_rng(0)
    x, z = rng.standard_normal((2, 4000))
    chains = Chains(4, {"x": x[:, None], "z": z[:, None]})
    ratio = -0.1 * x**2 + 0.1 * z**2  # x gets narrower, z wider
    both = Weights({"x": -0.1 * x**2, "z": 0.1 * z**2}, chains=chains)
    assert "wider at site 'z'" in both.advice
    one = Weights({"x": ratio, "z": np.zeros(4000)}, chains=chains)
    assert "No latent with another prior has a wider posterior" in one.advice
