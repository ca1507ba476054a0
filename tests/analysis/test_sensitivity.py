"""Power-scaling against closed forms: a Normal prior to the power alpha has the sd s / sqrt(alpha)."""

import math

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch

from arviz_resampler import ArgumentError, DrawWarning, NameWarning, Resampler, WeightError, WeightWarning
from arviz_resampler.analysis import sensitivity
from arviz_resampler.analysis.sensitivity import COLUMNS
from arviz_resampler.containers.installed import major_version

S = 2.0
RATE = 3.0

STEP = 1.01  # of the difference quotient of priorsense


def prior(sd=S, rate=RATE):
    def program():
        return pyro.sample("mu", dist.Normal(1.0, sd)), pyro.sample("tau", dist.Exponential(rate))

    return program


def guide():
    return pyro.sample("mu", dist.Normal(0.0, 6.0)), pyro.sample("tau", dist.Exponential(1.0))


def simulator():
    mu, tau = guide()
    with pyro.plate("n", 2):
        pyro.sample("y", dist.Normal(mu, tau + 0.1))


@pytest.fixture(scope="module")
def cache():
    return Resampler(guide, simulator, num_guide_samples=100_000, random_seed=0)


@pytest.fixture(scope="module")
def table(cache):
    return cache.sensitivity(prior(), statistics={"far": lambda ds: ds.mu > 3.0})


def test_there_is_a_row_for_each_latent_site_and_quantity(table):
    assert table.index.names == ["site", "quantity"]
    assert list(table.columns) == [*COLUMNS, "ess", "pareto_k", "reliable"]
    quantities = ["mu", "tau", "y[0]", "y[1]", "far"]
    assert list(table.index) == [(site, q) for site in ("mu", "tau") for q in quantities]
    assert table.notna().all(axis=None)


def test_the_standard_deviation_of_a_scaled_normal_is_the_closed_form(table, cache):
    row = table.loc[("mu", "mu")]
    error = S / math.sqrt(2 * row["ess"])
    assert abs(row["sd"] - S) < 5 * error
    assert abs(row["sd_low"] - S / math.sqrt(0.8)) < 5 * error
    assert abs(row["sd_high"] - S / math.sqrt(1.25)) < 5 * error
    assert abs(row["mean"] - 1.0) < 5 * S / math.sqrt(row["ess"])
    # d/dlog2(alpha) of s / sqrt(alpha) at one.
    assert abs(row["derivative_sd"] + S * math.log(2) / 2) < 5 * row["mcse_derivative_sd"]
    assert abs(row["derivative_mean"]) < 5 * row["mcse_derivative_mean"]
    assert row["mcse_derivative_sd"] < 0.02


def test_the_mean_of_a_scaled_exponential_is_the_closed_form(table):
    row = table.loc[("tau", "tau")]
    # Exponential(rate) to the power alpha is Exponential(alpha * rate), with mean 1 / (alpha * rate).
    for column, alpha in (("mean_low", 0.8), ("mean", 1.0), ("mean_high", 1.25)):
        assert abs(row[column] - 1 / (alpha * RATE)) < 5 / (alpha * RATE) / math.sqrt(row["ess"])
    assert abs(row["derivative_mean"] + math.log(2) / RATE) < 5 * row["mcse_derivative_mean"]


def test_a_probability_moves_as_the_closed_form(table):
    row = table.loc[("mu", "far")]
    z = (3.0 - 1.0) / S
    # P(mu > 3) is 1 - Phi(z sqrt(alpha)), with derivative -phi(z) z / 2, times log(2).
    truth = -math.exp(-(z**2) / 2) / math.sqrt(2 * math.pi) * z / 2 * math.log(2)
    assert abs(row["derivative_mean"] - truth) < 5 * row["mcse_derivative_mean"]


def test_other_sites_do_not_move_and_the_predictive_moves_with_both(table):
    for site, other in (("mu", "tau"), ("tau", "mu")):
        row = table.loc[(site, other)]
        assert abs(row["derivative_mean"]) < 5 * row["mcse_derivative_mean"]
        assert abs(row["derivative_sd"]) < 5 * row["mcse_derivative_sd"]
        assert row["sensitivity"] < 0.01 < table.loc[(site, site), "sensitivity"]
    y = table.loc[("mu", "y[0]")]
    # Var y = s**2 / alpha + E[(tau + 0.1)**2].
    sd = math.sqrt(S**2 + 2 / RATE**2 + 0.2 / RATE + 0.01)
    assert abs(y["derivative_sd"] + math.log(2) * S**2 / 2 / sd) < 5 * y["mcse_derivative_sd"]
    assert y["sensitivity"] < table.loc[("mu", "mu"), "sensitivity"]


def reference(values, log_p, powers):
    """The sensitivity of priorsense to equally weighted draws, from its definition."""

    def distance(values, weights):
        order = np.argsort(values)
        width = np.diff(values[order])
        p = np.arange(1, len(values)) / len(values)
        q = np.cumsum(weights[order] / weights.sum())[:-1]
        pq = width @ (p * np.log2(p / (p + q) * 2)) + (q - p) @ width / (2 * math.log(2))
        qp = width @ (q * np.log2(q / (p + q) * 2)) + (p - q) @ width / (2 * math.log(2))
        return math.sqrt((pq + qp) / ((p + q) @ width))

    found = 0.0
    for power in powers:
        weights = np.exp((power - 1) * (log_p - log_p.max()))
        found += max(distance(values, weights), distance(-values, weights)) / abs(math.log2(power))
    return found / 2


@pytest.fixture(scope="module")
def equal():
    """A model that is its own guide: weights are equal, as those of draws in priorsense."""
    resampler = Resampler(prior(), num_guide_samples=4000, random_seed=0)
    particles, _ = resampler.weighted(prior())
    mu = particles["mu"].values.astype(np.float64)
    with pytest.warns(WeightWarning, match="of 4 numbers are not reliable. .* of the sd of 'mu'"):
        table = resampler.sensitivity(prior(), var_names="mu")
    return mu, -(((mu - 1.0) / S) ** 2) / 2, table.loc[("mu", "mu")]


def test_sensitivity_is_that_of_priorsense_where_weights_are_equal(equal):
    mu, log_p, row = equal
    assert row["sensitivity"] == pytest.approx(reference(mu, log_p, (1 / STEP, STEP)), rel=1e-4)
    scaled = [reference(mu, log_p, (a,)) * 2 * abs(math.log2(a)) for a in (0.8, 1.25)]
    assert row["cjs_distance"] == pytest.approx(max(scaled), rel=1e-5)


@pytest.mark.skipif(major_version() == 0, reason="psense is ArviZ 1.x")
def test_sensitivity_is_that_of_arviz_where_weights_are_equal(equal):
    from arviz_stats.base import array_stats

    mu, log_p, row = equal
    lower, upper = (np.exp((a - 1) * (log_p - log_p.max())) for a in (1 / STEP, STEP))
    draws = (array[None] for array in (mu, lower, upper))
    theirs = array_stats.power_scale_sense(*draws, 1 / STEP, STEP)
    assert row["sensitivity"] == pytest.approx(float(theirs), rel=1e-4)


def test_the_powers_are_on_a_log_grid_around_one():
    assert pytest.approx((0.8, 0.8**0.5, 1.0, 1.25**0.5, 1.25)) == sensitivity.GRID
    assert sensitivity.STEP == STEP


def test_a_column_says_whether_the_weights_carried_the_scaling(cache, table):
    assert table["reliable"].all()
    assert (table.loc["mu", "ess"] < cache.weigh(prior()).ess).all()
    # As wide as the guide: to the power 0.8 it is wider, with the shape 1 - 0.8 = 0.2 for its tail. A site
    # that is as narrow as the guide can be scaled only to be narrower.
    few = Resampler(guide, num_guide_samples=300, random_seed=0)
    with pytest.warns(
        WeightWarning, match="of 8 numbers are not reliable. The weights are unreliable: "
    ) as said:
        thin = few.sensitivity(prior(0.5, 1.0))
    assert len(said) == 1
    assert not thin.filter(regex="reliable").any(axis=None)


def test_particles_outside_the_support_stay_outside(cache):
    def half():
        pyro.sample("mu", dist.Uniform(0.0, 1.0))
        pyro.sample("tau", dist.Exponential(RATE))

    table = cache.sensitivity(half)
    row = table.loc[("mu", "mu")]
    # A uniform density is a constant: scaling it changes nothing.
    assert row["mean_low"] == pytest.approx(row["mean"], rel=1e-9)
    assert row["sensitivity"] == pytest.approx(0.0, abs=1e-6)
    assert table.notna().all(axis=None)


@pytest.mark.filterwarnings("ignore:.*numbers are not reliable")
def test_only_latent_sites_are_scaled():
    def model():
        mu, tau = prior()()
        pyro.factor("soft", -(mu**2) / 50)
        with pyro.plate("n", 2):
            pyro.sample("y", dist.Normal(mu, tau + 0.2))

    table = Resampler(guide, simulator, num_guide_samples=50_000, random_seed=0).sensitivity(model)
    assert list(table.index.get_level_values("site").unique()) == ["mu", "tau"]


def test_quantities_are_chosen_as_in_a_comparison(cache):
    table = cache.sensitivity(prior(), var_names=[], statistics={"s": lambda ds: ds.y.mean("n")})
    assert list(table.index) == [("mu", "s"), ("tau", "s")]
    with pytest.raises(ArgumentError, match="var_names holds 'nu', which is no variable"):
        cache.sensitivity(prior(), var_names="nu")
    with pytest.raises(ArgumentError, match="the statistic 's' has dims"):
        cache.sensitivity(prior(), statistics={"s": lambda ds: ds.y.mean("particle")})


def test_without_support_there_is_nothing_to_scale(cache):
    def away():
        pyro.sample("mu", dist.Uniform(900.0, 901.0))
        pyro.sample("tau", dist.Exponential(RATE))

    with pytest.raises(WeightError, match="there is nothing to average: no particle has positive weight"):
        cache.sensitivity(away)


def test_simulations_that_failed_are_not_scaled():
    def failing():
        mu, _ = guide()
        pyro.sample("z", dist.Normal(torch.where(mu > 3.0, torch.nan, 0.0), 1.0))
        pyro.sample("y", dist.Normal(mu, 1.0), obs=torch.tensor(0.0))

    def model():
        prior()()
        pyro.sample("z", dist.Normal(0.0, 0.9))

    with pytest.warns(DrawWarning):
        cache = Resampler(guide, failing, num_guide_samples=20_000, random_seed=0)
    with pytest.warns(DrawWarning, match="NaN or infinite in 'z'"):
        table = cache.sensitivity(model)
    assert table.loc["z"].loc["mu"].notna().all()
    assert table["ess"].min() > 1000


def test_values_that_are_not_finite_leave_the_rest():
    def failing():
        mu, tau = guide()
        pyro.sample("y", dist.Normal(torch.where(mu > 3.0, torch.nan, mu), tau))

    with pytest.warns(DrawWarning):
        cache = Resampler(guide, failing, num_guide_samples=20_000, random_seed=0)
    with pytest.warns(DrawWarning, match="particles with weight are NaN or infinite in 'y', which get NaN"):
        table = cache.sensitivity(prior())
    assert table.loc[("mu", "y"), list(COLUMNS)].isna().all()
    assert table.loc[("mu", "mu")].notna().all()


def test_renamed_sites_are_said():
    def program():
        pyro.sample("draw", dist.Normal(0.0, 1.0))

    with pytest.warns(NameWarning, match="'draw' is 'draw_site'"):
        table = Resampler(program, num_guide_samples=20_000, random_seed=0).sensitivity(program)
    assert list(table.index) == [("draw", "draw_site")]
