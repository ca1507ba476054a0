"""Numbers that are wrong are marked, or their interval has the truth."""

import math
import warnings

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch

from arviz_resampler import Resampler, Weights, WeightWarning
from arviz_resampler.analysis import estimates
from arviz_resampler.weights.averages import RELIABLE


def normal(mean, sd):
    return lambda: pyro.sample("x", dist.Normal(mean, sd))


def noisy():
    pyro.sample("y", dist.Normal(pyro.sample("x", dist.Normal(0.0, 2.0)), 1.0))


def studentt():
    pyro.sample("x", dist.StudentT(3.0, 0.0, 1.0))


def above(name, value):
    return {"p": lambda ds: ds[name] > value}


# Guide, simulator, model, N, seed, statistic, number and truth: weights called good, and a wrong number.
CASES = {
    "no hit": (normal(0, 1), None, normal(0, 1.8), 1000, 7, above("x", 2.961), "mean", 0.05),
    "hits without weight": (normal(0, 2), noisy, normal(0, 1), 1000, 1, above("y", 5.26), "mean", 1e-4),
    "sd of a wider model": (normal(0, 1), None, normal(0, 1.8), 1000, 4, None, "sd", 1.8),
    "sd of a heavy tail": (normal(0, 3), None, studentt, 10_000, 2, None, "sd", math.sqrt(3)),
}


@pytest.mark.parametrize("name", CASES)
def test_a_number_is_marked_or_its_interval_has_the_truth(name):
    guide, simulator, model, n, seed, statistic, number, truth = CASES[name]
    resampler = Resampler(guide, simulator, num_guide_samples=n, random_seed=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", WeightWarning)
        comparison = resampler.compare({"a": model, "b": model}, 100)
        row = comparison.summary([] if statistic else "x", statistic).iloc[0]
    marked = not row[f"reliable_{number}"]
    assert marked or row[f"lower_{number}"] <= truth <= row[f"upper_{number}"]


@pytest.mark.parametrize("name", ["no hit", "hits without weight"])
def test_few_hits_have_a_bound_and_are_never_shown_as_certain(name):
    guide, simulator, model, n, seed, statistic, _, truth = CASES[name]
    resampler = Resampler(guide, simulator, num_guide_samples=n, random_seed=seed)
    with pytest.warns(WeightWarning, match="numbers are not reliable"):
        row = resampler.compare({"a": model, "b": model}, 10).summary([], statistic).iloc[0]
    assert row["lower_mean"] == 0.0
    assert truth <= row["upper_mean"] < 0.2
    assert row["mcse_mean"] != 0.0


def test_a_ratio_whose_hits_cancel_is_marked():
    resampler = Resampler(normal(0.0, 2.0), noisy, num_guide_samples=1000, random_seed=1)
    with pytest.warns(WeightWarning, match="numbers are not reliable"):
        row = (
            resampler.compare({"a": normal(0, 1), "b": normal(0.1, 1)}, 10)
            .contrast("a", "b", above("y", 5.26))
            .iloc[0]
        )
    assert not row["reliable"]


def test_equal_weights_do_not_make_a_heavy_tailed_mean_reliable():
    rng = np.random.default_rng(0)
    weights = np.full(10_000, 1e-4)
    for values in (np.exp(3 * rng.normal(size=10_000)), rng.standard_cauchy(10_000)):
        mean, sd = estimates.moments(weights, values)
        assert mean.n_effective < RELIABLE
        assert sd.n_effective < RELIABLE


@pytest.mark.parametrize("model", [normal(0.0, 1.0), normal(1.0, 0.5), normal(-0.5, 1.9)])
def test_bounded_weights_stay_reliable(model):
    resampler = Resampler(normal(0.0, 2.0), num_guide_samples=10_000, random_seed=0)
    assert resampler.weigh(model).ess > 1000
    table = resampler.compare({"a": model, "b": model}, 100).summary(statistics=above("x", 0.0))
    assert table.filter(regex="^reliable").all(axis=None)


@pytest.mark.parametrize("hits", [1, 9, 10, 29, 30, 100])
def test_the_effective_number_of_equal_hits_is_their_number(hits):
    n = 1_000_000
    values = np.zeros(n)
    values[:hits] = 1.0
    mean = estimates.moments(np.full(n, 1 / n), values).mean
    # sum(I**2)**2 / sum(I**4) is hits to the order of hits / n.
    assert mean.n_effective == pytest.approx(hits, rel=1e-3)
    assert (mean.n_effective * 1.001 >= RELIABLE) == (hits >= 30)
    bounded = estimates.fraction(mean, 0.01, 0.95)
    if hits < 10:
        assert (bounded.lower, bounded.upper) == (0.0, pytest.approx(hits / n + 0.01))
    elif hits > 10:  # at ten, rounding decides
        assert 0 < bounded.lower < hits / n < bounded.upper < 0.01


def test_the_thresholds_are_those_of_the_page():
    assert (RELIABLE, estimates.RELIABLE_SLOPE, estimates.FEW) == (30.0, 50.0, 10.0)


@pytest.mark.parametrize("ci_prob", [0.5, 0.95])
def test_intervals_cover_the_truth_as_often_as_they_say(ci_prob):
    truth = {"mean": 0.5, "sd": 1.0, "q": 0.5 + 1.6448536269514722, "p": 0.30853753872598694}
    inside = dict.fromkeys(truth, 0)
    runs = 1000
    rng = np.random.default_rng(0)
    for _ in range(runs):
        x = rng.normal(0.0, 2.0, size=1000)
        log = -((x - 0.5) ** 2) / 2 + x**2 / 8
        weights = np.exp(log - log.max())
        weights /= weights.sum()
        order = np.argsort(x)
        moments = estimates.moments(weights, x, ci_prob)
        hits = estimates.moments(weights, (x > 1.0).astype(float), ci_prob).mean
        found = {
            "mean": moments.mean,
            "sd": moments.sd,
            "q": estimates.quantiles(weights[order], x[order], np.array([0.95]), ci_prob)[0],
            "p": estimates.fraction(hits, 0.01, ci_prob),
        }
        for name, number in found.items():
            inside[name] += number.lower <= truth[name] <= number.upper
    # Five standard errors of a share of 1,000 runs, and two hundredths for the bias of a few hundred draws.
    bound = 5 * math.sqrt(ci_prob * (1 - ci_prob) / runs) + 0.02
    for name, count in inside.items():
        assert abs(count / runs - ci_prob) < bound, name


def test_wilsons_interval_is_that_of_the_binomial():
    # 20 of 100 equal draws: by Wilson (1927), with 1.96.
    values = np.repeat([1.0, 0.0], [20, 80])
    mean = estimates.moments(np.full(100, 0.01), values).mean._replace(n_effective=math.inf)
    found = estimates.fraction(mean, 0.0, 0.95)
    assert (found.lower, found.upper) == (
        pytest.approx(0.1333667, abs=1e-6),
        pytest.approx(0.2888292, abs=1e-6),
    )


def test_the_mass_that_may_be_missed_is_one_minus_the_mean_ratio_and_its_error():
    x = torch.distributions.Uniform(-2.0, 2.0).sample((2000,))
    ratio = (dist.Normal(0.0, 1.0).log_prob(x) - math.log(0.25)).double().numpy()
    weights = Weights({"x": ratio})
    mean = math.exp(weights.log_mean_weight)
    assert weights.missed_mass == pytest.approx(1 - mean + 1.645 * mean * weights.log_mean_weight_se)
    assert weights.missed_mass > 0.0455  # of Normal(0, 1) beyond 2
    assert math.isnan(Weights({"x": ratio}, densities_normalized=False).missed_mass)
    assert Weights({"x": ratio + 1.0}).missed_mass == 0.0
    assert Weights({"x": ratio - 50.0}).missed_mass == pytest.approx(1.0)


def test_the_effective_number_of_weights_is_that_of_the_table():
    rng = np.random.default_rng(0)
    weights, values = Weights({"x": rng.normal(size=500)}), rng.normal(size=(500, 2))
    found = weights.n_effective(values)
    for i in range(2):
        expected = estimates.moments(weights.normalized, values[:, i]).mean.n_effective
        assert found[i] == pytest.approx(expected)
    assert weights.n_effective(np.ones(500)) == weights.n_effective(np.zeros(500)) == 0.0
    assert weights.n_effective(np.full(500, 2.0)) == 500.0


def test_a_smoothed_number_is_reliable_only_where_the_plain_one_is():
    def guide():
        pyro.sample("x", dist.Exponential(0.5))

    def model():
        pyro.sample("x", dist.LogNormal(0.0, 1.0))

    # Of 30 seeds one in three has a k-hat that may be smoothed and a mean that a few particles make.
    told = []
    for seed in (1, 5, 10):
        weights = Resampler(guide, num_guide_samples=10_000, random_seed=seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", WeightWarning)
            comparison = weights.compare({"a": model, "b": model}, 10)
            rows = [comparison.summary("x", smooth=smooth).iloc[0] for smooth in (False, True)]
            contrast = comparison.contrast("a", "b", "x", smooth=True).iloc[0]
        assert rows[1]["n_effective_mean"] <= rows[0]["n_effective_mean"] < 30
        assert rows[1]["mean"] != rows[0]["mean"]
        told += [rows[1]["reliable_mean"], contrast["reliable"], contrast["reliable_ratio"]]
    assert not any(told)


def test_a_constant_density_has_no_derivative_even_where_some_particles_are_outside_of_it():
    resampler = Resampler(
        lambda: pyro.sample("x", dist.Uniform(0.0, 10.0)), num_guide_samples=1000, random_seed=0
    )
    row = resampler.sensitivity(lambda: pyro.sample("x", dist.Uniform(2.0, 5.0))).iloc[0]
    assert (row["derivative_mean"], row["derivative_sd"], row["mcse_derivative_sd"]) == (0.0, 0.0, 0.0)


def test_the_error_of_a_quantile_of_counts_is_its_distance_from_another_one():
    # 400 equal weights: the fraction up to 1 has the standard error sqrt(0.25 / 400) = 0.025 for q = 1/2.
    values = np.repeat([0.0, 1.0, 3.0], [150, 140, 110])
    found = estimates.quantiles(np.full(400, 1 / 400), values, np.array([0.5]))[0]
    assert (found.value, found.lower, found.upper) == (1.0, 1.0, 1.0)
    # Down to 0: 0.125 away, 5 standard errors, a step of 1; up to 3: 0.225 away, 9 of them, which is too far.
    assert found.mcse == pytest.approx(1.0 / 5.0, rel=0.01)
    far = np.repeat([0.0, 1.0, 3.0], [90, 220, 90])
    assert estimates.quantiles(np.full(400, 1 / 400), far, np.array([0.5]))[0].mcse == 0.0


def test_a_constant_fraction_has_no_error():
    mean = estimates.moments(np.full(50, 0.02), np.full(50, 0.5)).mean
    assert estimates.fraction(mean, 0.1, 0.95) == (0.5, 0.0, 50.0, 0.5, 0.5)


def test_an_event_that_no_particle_with_weight_misses_is_not_known_to_be_certain():
    # Particles without weight miss it; the weights of the others do not sum to one but for rounding.
    rng = np.random.default_rng(0)
    values = np.r_[np.ones(300), rng.integers(0, 2, 700)]
    weights = np.r_[rng.uniform(0.5, 1.5, 300), np.zeros(700)]
    mean = estimates.moments(weights / weights.sum(), values).mean
    assert mean.n_effective == 0
    assert math.isnan(mean.mcse)
    assert estimates.fraction(mean, 0.01, 0.95)[3:] == (0.99, 1.0)
