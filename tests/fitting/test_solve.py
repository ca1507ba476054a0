"""Starts, whole numbers, top-ups, and units that are taken anew."""

import warnings

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
from fit_cases import RANGES, build, exact, noisy, normal, shared, x
from scipy.stats import norm

from arviz_resampler import (
    ArgumentError,
    DrawWarning,
    ProgramError,
    Resampler,
    WeightError,
    WeightWarning,
    mean,
    quantile,
    quantiles,
    sd,
)

TRUTH = {"mean": 2.0, "sd": 1.5}


def test_all_starts_end_at_the_one_optimum():
    fit = shared().fit(normal, exact(**TRUTH), **RANGES)
    assert fit.optima["starts"].tolist() == [4]
    assert fit.history["start"].max() == 3
    assert fit.num_added == 0


def test_one_start_is_that_of_the_family():
    fit = shared().fit(normal, exact(**TRUTH), starts=1, **RANGES)
    first = fit.history.iloc[0]
    assert (first["mean"], first["sd"], first["action"]) == (0.0, 2.0, "start")
    assert fit.history["start"].unique().tolist() == [0]


def test_whole_numbers_are_enumerated():
    def discrete(count=3, scale=1.0):
        return lambda: pyro.sample("x", dist.Normal(float(count), scale))

    resampler = Resampler(
        lambda: pyro.sample("x", dist.Normal(4.0, 5.0)), num_guide_samples=10_000, random_seed=0
    )
    levels = {p: float(norm(6.0, 2.0).ppf(p)) for p in (0.1, 0.5, 0.9)}
    fit = resampler.fit(discrete, {"x": quantiles(x, levels)}, count=(1, 9), scale=(0.5, 5.0))
    assert fit.hyper["count"] == 6
    assert isinstance(fit.hyper["count"], int)
    assert np.isnan(fit.mcse["count"])
    assert abs(fit.hyper["scale"] - 2.0) < 4 * fit.mcse["scale"]
    alone = resampler.fit(lambda count: discrete(count, 2.0), {"x": quantiles(x, levels)}, count=(1, 9))
    assert dict(alone.hyper) == {"count": 6}
    assert alone.region.table.empty


@pytest.mark.parametrize(("high", "refused"), [(100, False), (101, True)])
def test_too_many_whole_numbers_are_refused(high, refused):
    def discrete(count=3):
        return lambda: pyro.sample("x", dist.Normal(count / 10, 2.0))

    targets = {"median": quantile(x, 0.5, 2.0)}
    if refused:
        with pytest.raises(ArgumentError, match="have 101 combinations"):
            shared().fit(discrete, targets, count=(1, high))
    else:
        assert abs(shared().fit(discrete, targets, count=(1, high)).hyper["count"] - 20) <= 1


def test_particles_are_added_where_the_answer_has_too_few():
    resampler = build(noisy, n=2000)
    targets = {"y": quantiles(lambda ds: ds.y, {0.1: 4.0, 0.9: 8.0})}
    fit = resampler.fit(normal, targets, ess=800, **RANGES)
    # Of y, whose standard deviation is the root of one more than that of x.
    truth = {"mean": 6.0, "sd": np.sqrt((2.0 / norm.ppf(0.9)) ** 2 - 1.0)}
    assert all(abs(fit.hyper[name] - value) < 4 * fit.mcse[name] for name, value in truth.items())
    assert fit.weights.ess >= 800
    assert resampler.pipeline.particles.num_particles == 2000 + fit.num_added
    assert fit.num_added > 0
    assert fit.history["num_particles"].max() == 2000 + fit.num_added


@pytest.mark.parametrize("at_most", [0, 100])
def test_no_more_particles_are_added_than_may_be(at_most):
    resampler = build(noisy, n=2000)
    targets = {"y": quantiles(lambda ds: ds.y, {0.1: 4.0, 0.9: 8.0})}
    message = "not the 1500 wanted.*" + (f"at_most={at_most} were allowed" if at_most else "needed there")
    with pytest.warns(WeightWarning, match=message):
        fit = resampler.fit(normal, targets, ess=1500, at_most=at_most, **RANGES)
    assert fit.num_added == at_most
    assert resampler.pipeline.particles.num_particles == 2000 + at_most
    assert fit.table["fresh"].isna().all() == (at_most == 0)


def test_a_fit_without_room_for_particles_stays_where_they_are():
    narrow = Resampler(normal(0.0, 2.0), num_guide_samples=5000, random_seed=0)
    with pytest.warns(WeightWarning, match="it may lean towards where particles are"):
        fit = narrow.fit(normal, {"x": quantiles(x, {0.1: 5.0, 0.9: 7.0})}, at_most=0, **RANGES)
    assert 99 <= fit.weights.ess < 1000
    assert fit.history["action"].str.startswith("halved: too few").any()


def test_a_guide_that_reaches_no_start_is_refused_in_words():
    far = Resampler(normal(0.0, 0.01), num_guide_samples=1000, random_seed=0)
    with pytest.raises(
        WeightError, match=r"at normal\(mean=0.0, sd=2.0\) fewer than 100 of them are effective"
    ):
        far.fit(normal, {"median": quantile(x, 0.5, 0.001)}, at_most=0, **RANGES)


def test_a_family_that_fails_at_the_start_says_where():
    def failing(mean=0.0, sd=2.0):
        raise ValueError("no such prior")

    with pytest.raises(
        ProgramError, match=r"the call failing\(mean=0.0, sd=2.0\) failed: ValueError: no such"
    ):
        shared().fit(failing, exact(**TRUTH), **RANGES)


def test_a_family_that_fails_at_other_positions_is_searched_around_them():
    def failing(mean=0.0, sd=2.0):
        if mean < -2.5:
            raise ValueError("no such prior")
        return normal(mean, sd)

    fit = shared().fit(failing, exact(**TRUTH), **RANGES)
    assert abs(fit.hyper["mean"] - 2.0) < 4 * fit.mcse["mean"]
    assert fit.history["action"].str.contains("ValueError: no such prior").any()


@pytest.mark.parametrize("start", [-7.5, 0.0, 7.5])
def test_positions_whose_runs_all_failed_are_positions_that_particles_do_not_reach(start):
    # Runs fail above 4. Of a box of width 2 around 1.4, 0.3 is above 1.8.
    def box(mean=start):
        return lambda: pyro.sample("x", dist.Uniform(mean - 1.0, mean + 1.0))

    values = np.random.default_rng(0).uniform(-10.0, 10.0, 5000)
    there = {"x": values, "y": np.where(values > 4, np.nan, values)}

    def wide():
        pyro.sample("x", dist.Uniform(-10.0, 10.0))

    with pytest.warns(DrawWarning, match="of 5000 particles failed"):
        resampler = Resampler.from_simulations(there, latents="x", guide=wide)
    targets = {"above": (lambda ds: ds.y > 1.8, 0.3)}
    with pytest.warns(DrawWarning, match="of 5000 particles have no value of target 'above'"):
        fit = resampler.fit(box, targets, ess=200, at_most=0, mean=(-8.9, 8.9))
    assert abs(fit.hyper["mean"] - 1.4) < 4 * fit.mcse["mean"]
    assert np.isfinite(fit.optima["loss"]).all()
    failed = fit.history["action"].str.contains("no particle with weight has a value of target 'above'")
    assert failed.any()
    assert fit.history["action"][0] == "start" or start == 7.5


def test_an_answer_has_as_many_particles_with_a_value_as_are_wanted():
    # Half of the runs fail, whatever the value.
    def failing():
        value = normal()()
        if pyro.sample("coin", dist.Uniform(0.0, 1.0)) < 0.5:
            raise OverflowError
        pyro.sample("y", dist.Normal(value, 1.0))

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        resampler = build(failing, n=1000, vectorize=False, on_error="mask")
        fit = resampler.fit(normal, {"above": (lambda ds: ds.y > 2.0, 0.5)}, ess=400, mean=RANGES["mean"])
    assert fit.num_added > 0
    assert fit.weights.ess > 700
    assert not any("the fit has an effective" in str(warning.message) for warning in caught)


def test_a_model_that_cannot_be_drawn_from_is_fitted_without_new_particles():
    def tilted(mean=0.0, sd=2.0):
        def model():
            value = normal(mean, sd)()
            pyro.factor("tilt", 0.01 * value)

        return model

    resampler = build(n=2000)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit = resampler.fit(tilted, exact(**TRUTH), ess=1900, **RANGES)
    said = [str(warning.message) for warning in caught]
    assert any(
        "no particles could be added at a position of the fit: the model cannot be drawn" in s for s in said
    )
    assert fit.num_added == 0
    # The factor moves the mean by 0.01 times the variance.
    assert abs(fit.hyper["mean"] + 0.01 * 1.5**2 - 2.0) < 4 * fit.mcse["mean"]


def test_means_and_deviations_are_met_together_with_quantiles():
    targets = {"mean": mean(x, 2.0), "sd": sd(x, 1.5), "median": quantile(x, 0.5, 2.0)}
    fit = shared().fit(normal, targets, **RANGES)
    assert all(abs(fit.hyper[name] - value) < 4 * fit.mcse[name] for name, value in TRUTH.items())
    assert fit.p_value > 0.001


def test_searches_begin_where_targets_have_a_slope():
    # Under a standard deviation of 0.5 nothing is beyond 9, so half of the starts would see no way.
    beyond = {"beyond": (lambda ds: abs(ds.x) > 9, 0.05)}
    fit = shared().fit(lambda sd=1.0: normal(0.0, sd), beyond, sd=RANGES["sd"])
    assert fit.hyper["sd"] == pytest.approx(9.0 / norm.ppf(0.975), abs=4 * fit.mcse["sd"])
    assert (fit.optima["loss"] < 1e-3).all()
