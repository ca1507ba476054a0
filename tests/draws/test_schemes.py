import numpy as np
import pytest
import torch

from arviz_resampler.draws.race import Race
from arviz_resampler.draws.schemes import SCHEMES

N, S = 400, 1000


@pytest.fixture
def weights():
    log = np.random.default_rng(1).normal(size=N)
    weights = np.exp(log)
    weights[::7] = 0
    return weights / weights.sum()


def draw(scheme, weights, num_samples=S, seed=0):
    known = SCHEMES[scheme]
    randomness = Race(seed, len(weights)) if known.coupled else np.random.default_rng(seed)
    return known.indices(torch.as_tensor(weights), num_samples, randomness)


def test_all_schemes_of_the_design_are_registered():
    assert list(SCHEMES) == ["stable", "multinomial", "stratified", "systematic", "residual"]
    assert all(scheme.name == name for name, scheme in SCHEMES.items())
    assert [name for name, scheme in SCHEMES.items() if scheme.coupled] == ["stable"]


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_scheme_draws_each_particle_as_often_as_its_weight_says(scheme, weights):
    repeats = 200
    counts = np.stack([np.bincount(draw(scheme, weights, seed=s), minlength=N) for s in range(repeats)])
    # No scheme here has more variance than multinomial, S W (1 - W) for each repetition.
    error = np.sqrt(S * weights * (1 - weights) / repeats)
    assert (np.abs(counts.mean(0) - S * weights) <= 5 * error + 1e-9).all()


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_scheme_never_draws_a_particle_without_weight(scheme, weights):
    assert (weights[draw(scheme, weights, 20_000)] > 0).all()


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize(("n", "num_samples"), [(1, 1), (1, 7), (5, 1), (3, 500), (500, 3)])
def test_a_scheme_gives_as_many_draws_as_asked(scheme, n, num_samples):
    index = draw(scheme, np.full(n, 1 / n), num_samples)
    assert index.shape == (num_samples,)
    assert index.dtype == np.int64
    assert index.min() >= 0
    assert index.max() < n


@pytest.mark.parametrize("scheme", ["systematic", "residual"])
def test_copies_of_a_particle_do_not_fall_below_the_floor(scheme, weights):
    counts = np.bincount(draw(scheme, weights), minlength=N)
    # Rounding may put an expected count of exactly k a hair above k.
    assert (counts >= np.floor(S * weights - 1e-9)).all()


def test_copies_under_systematic_are_floor_or_ceiling(weights):
    counts = np.bincount(draw("systematic", weights), minlength=N)
    assert (counts <= np.ceil(S * weights + 1e-9)).all()


@pytest.mark.parametrize("scheme", ["stratified", "systematic", "residual"])
def test_integration_schemes_have_less_variance_than_multinomial(scheme, weights):
    x = np.random.default_rng(2).normal(size=N)
    spread = {
        s: np.std([x[draw(s, weights, seed=i)].mean() for i in range(200)]) for s in (scheme, "multinomial")
    }
    # The ratio of two standard deviations from 200 repetitions has a relative error of 0.07.
    assert spread[scheme] < (1 - 5 * 0.07) * spread["multinomial"]


@pytest.mark.parametrize("scheme", SCHEMES)
def test_draws_stand_in_no_order(scheme, weights):
    index = draw(scheme, weights)
    # Correlation of rank and position has standard error 1 / sqrt(S).
    assert abs(np.corrcoef(index, np.arange(S))[0, 1]) < 5 / np.sqrt(S)


def test_multinomial_reaches_particles_beyond_two_to_the_24():
    n = 2**24 + 10
    weights = np.zeros(n)
    weights[[2**24 - 1, 2**24 + 1, n - 1]] = 1 / 3
    assert set(draw("multinomial", weights, 60)) == {2**24 - 1, 2**24 + 1, n - 1}
