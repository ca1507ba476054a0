"""Answers: errors that hold, what is open, contradictions, ends of ranges, other optima."""

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
from fit_cases import MEDIAN, RANGES, build, exact, noisy, normal, shared, x

from arviz_resampler import ArgumentError, Resampler, family, mean, probability, quantile, quantiles, sd

COLUMNS = ["target", "wished", "reached", "mcse", "fresh", "mcse_fresh"]
TRUTH = {"mean": 2.0, "sd": 1.5}


def test_intervals_of_95_percent_cover():
    # 50 caches, two hyper-parameters: of 100 intervals that cover with a probability of 0.95, the number that
    # does has a standard deviation of at most sqrt(2 * 100 * 0.95 * 0.05) = 3.1, the two of a cache being as
    # one. Errors that are half as large as they should be would cover 67.
    guide = family(normal, **RANGES)
    z = []
    for seed in range(50):
        resampler = Resampler(guide, num_guide_samples=2000, random_seed=seed, progressbar=False)
        fit = resampler.fit(normal, exact(**TRUTH), ess=200, starts=1, **RANGES)
        z += [(fit.hyper[name] - value) / fit.mcse[name] for name, value in TRUTH.items()]
    covered = int((np.abs(z) < 1.96).sum())
    assert abs(covered - 95) <= 4 * 3.1 - 4
    # The root mean square of z is 1 with a standard error of at most 1 / sqrt(100).
    assert abs(np.sqrt(np.mean(np.square(z))) - 1.0) < 0.4


def test_what_is_reached_is_what_is_wished_also_by_a_fresh_simulation():
    resampler = build(noisy)
    targets = {"y": quantiles(lambda ds: ds.y, {0.1: 1.0, 0.5: 3.0, 0.9: 5.0})}
    table = resampler.fit(normal, targets, **RANGES).table
    assert table.columns.tolist() == [*COLUMNS, "tolerance"]
    for reached, error in (("reached", "mcse"), ("fresh", "mcse_fresh")):
        assert (np.abs(table[reached] - table["wished"]) < 4 * table[error]).all()


def test_hyper_parameters_have_no_digits_beyond_a_hundredth_of_their_errors():
    fit = shared().fit(normal, exact(**TRUTH), **RANGES)
    for name, error in fit.mcse.items():
        digits = 2 - int(np.floor(np.log10(error)))
        assert fit.hyper[name] == round(fit.hyper[name], digits)


def test_one_target_leaves_one_of_two_open():
    fit = shared().fit(normal, MEDIAN, **RANGES)
    assert fit.open == ("sd is hardly told by the targets",)
    assert fit.region.table.loc["sd", ["low", "high"]].tolist() == list(RANGES["sd"])
    assert fit.mcse["mean"] < 0.2
    assert fit.freedom == 0
    assert np.isnan(fit.p_value)


def test_a_target_that_tells_a_ratio_says_so():
    # P(x > 1) of a normal with mean m and standard deviation s: 0.2 if (1 - m) / s is 0.84.
    above = {"above": (lambda ds: ds.x > 1, 0.2)}
    fit = shared().fit(normal, above, mean=(-8.0, 0.9), sd=(0.5, 10.0))
    assert "mean" in " ".join(fit.open)
    assert "sd" in " ".join(fit.open)
    low, high = fit.region.table.loc["sd", ["low", "high"]]
    assert high / low > 3
    inside = fit.region.grid[fit.region.grid["inside"]]
    assert (np.abs((1 - inside["mean"]) / inside["sd"] - 0.84) < 0.3).all()


def test_all_targets_leave_nothing_open():
    fit = shared().fit(normal, exact(**TRUTH), **RANGES)
    assert fit.open == ()
    assert fit.notes == ()
    assert fit.freedom == 1
    assert fit.p_value > 0.001


def test_targets_that_contradict_each_other_are_named():
    targets = {"median": quantile(x, 0.5, 2.0), "mean": mean(x, 5.0), "sd": sd(x, 1.5)}
    fit = shared().fit(normal, targets, **RANGES)
    assert fit.p_value < 1e-6
    assert [note for note in fit.notes if "they contradict each other, or the family, most at" in note]
    assert "'mean'" in fit.notes[0]
    assert "'median'" in fit.notes[0]


def test_tolerance_says_which_of_two_gives_way():
    targets = {"median": quantile(x, 0.5, 2.0), "mean": mean(x, 5.0, tolerance=100.0), "sd": sd(x, 1.5)}
    fit = shared().fit(normal, targets, **RANGES)
    assert fit.hyper["mean"] == pytest.approx(2.0, abs=0.2)
    assert fit.notes == ()


def test_an_end_of_a_range_is_said():
    fit = shared().fit(normal, exact(**TRUTH), mean=(-10.0, 1.0), sd=(0.5, 10.0))
    assert fit.hyper["mean"] == 1.0
    assert any(note.startswith("mean is at the end of its range") for note in fit.notes)


def test_an_answer_is_not_rounded_by_an_error_that_is_larger_than_its_range():
    # Of P(x > 1) = 0.2 alone, the linear errors of mean and sd are without bound.
    fit = shared().fit(normal, {"above": (lambda ds: ds.x > 1, 0.2)}, mean=(-8.0, 0.9), sd=(0.5, 10.0))
    assert fit.table["reached"].iloc[0] == pytest.approx(0.2, abs=2e-3)
    assert all(error <= 9.0 * np.log(20.0) for error in fit.mcse.values())


def test_two_islands_are_optima_and_nothing_open():
    targets = {"beyond": (lambda ds: abs(ds.x) > 5, 0.3), "sd": sd(lambda ds: ds.x, 2.0)}
    fit = shared().fit(normal, targets, starts=8, **RANGES)
    assert len(fit.optima) >= 2
    assert fit.open == ()
    assert fit.region.table.loc["mean", "low"] < -3 < 3 < fit.region.table.loc["mean", "high"]
    around = fit.region.around.loc["mean"]
    assert np.sign(around["low"]) == np.sign(around["high"])


def test_a_target_may_have_the_name_of_a_variable():
    fit = shared().fit(normal, {"x": quantile(lambda ds: ds.x, 0.5, 2.0)}, mean=RANGES["mean"])
    assert fit.table.index.tolist() == ["x"]


def test_a_hyper_parameter_that_moves_nothing_is_open_and_not_said_to_be_at_an_end():
    def family(mean=0.0, idle=1.0):
        return normal(mean, 1.5)

    fit = shared().fit(family, exact(**TRUTH), mean=RANGES["mean"], idle=(0.0, 1.0))
    assert fit.open == ("idle is hardly told by the targets",)
    assert not [note for note in fit.notes if "end of its range" in note]


def test_as_many_targets_as_hyper_parameters_that_cannot_be_met_are_told():
    targets = {"low": quantile(lambda ds: ds.x, 0.2, 3.0), "high": quantile(lambda ds: 1.0 * ds.x, 0.8, 1.0)}
    fit = shared().fit(normal, targets, **RANGES)
    assert fit.freedom == 1  # sd is at an end
    assert any("they contradict each other" in note for note in fit.notes)


def test_an_answer_beside_positions_at_which_the_family_fails_is_found():
    def failing(mean=0.0, sd=2.0):
        if mean > 1.5:
            raise ValueError("no such prior")
        return normal(mean, sd)

    fit = shared().fit(failing, exact(**TRUTH), **RANGES)
    assert 1.2 < fit.hyper["mean"] <= 1.5
    assert fit.history["action"].str.contains("ValueError: no such prior").any()


def test_a_target_that_nothing_moves_is_said_and_refused_where_it_is_alone():
    def simulator():
        normal()()
        pyro.sample("z", dist.Normal(0.0, 1.0))

    resampler = build(simulator)
    idle = probability(lambda ds: ds.z > 0, 0.5)
    fit = resampler.fit(normal, {**exact(**TRUTH), "idle": idle}, **RANGES)
    assert [note for note in fit.notes if note.startswith("target 'idle' depends on no hyper-parameter")]
    with pytest.raises(
        ArgumentError, match="no target depends on any of these hyper-parameters: 'idle' stayed"
    ):
        resampler.fit(normal, {"idle": idle}, **RANGES)


def test_two_optima_that_do_as_well_are_told():
    # The second moment, 9, of a normal with standard deviation 1: its mean is the root of 8, or less that.
    resampler = Resampler(
        lambda: pyro.sample("x", dist.Normal(0.0, 4.0)), num_guide_samples=20_000, random_seed=0
    )
    fit = resampler.fit(
        lambda mean=1.0: normal(mean, 1.0), {"square": mean(lambda ds: ds.x**2, 9.0)}, mean=(-6.0, 6.0)
    )
    assert sorted(np.sign(fit.optima["mean"]).tolist()) == [-1.0, 1.0]
    assert fit.optima["mean"].abs().tolist() == pytest.approx([8**0.5] * 2, rel=0.05)
    assert any("the targets are met as well at" in note for note in fit.notes)
    limits = fit.region.table.loc["mean", ["low", "high"]].tolist()
    assert limits == pytest.approx([-(8**0.5), 8**0.5], rel=0.1)


def test_draws_of_a_posterior_are_refused():
    draws = {"x": np.random.default_rng(0).normal(size=(4, 500))}
    resampler = Resampler.from_posterior(draws, normal())
    with pytest.raises(ArgumentError, match="these particles are draws of a posterior"):
        resampler.fit(normal, exact(**TRUTH), **RANGES)
