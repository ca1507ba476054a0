"""Plans against the closed form of the ESS fraction, and against what runs of the planned size give."""

import math
import re

import numpy as np
import pyro
import pyro.distributions as dist
import pytest

from arviz_resampler import ArgumentError, MismatchError, Resampler, Weights, plan, planning
from arviz_resampler.planning import ess_fraction, needed

GUIDE = 10.0


def prior(mean, sd, log_sd=1.0):
    def program():
        pyro.sample("mu", dist.Normal(mean, sd))
        pyro.sample("df", dist.LogNormal(0.0, log_sd))

    return program


def normal(mean, sd):
    return lambda: pyro.sample("mu", dist.Normal(mean, sd))


def fraction(mean, sd, guide):
    """1 / E[w**2] for a Normal site, or a LogNormal one on the log scale."""
    root = math.sqrt(2 * guide**2 - sd**2)
    return sd * root / guide**2 * math.exp(-(mean**2) / root**2)


MODELS = {"narrow": (0.0, 2.0, 1.0), "shifted": (5.0, 6.0, 0.8), "log": (0.0, 10.0, 0.2)}
TRUTHS = {
    name: fraction(mean, sd, GUIDE) * fraction(0.0, log_sd, 1.0)
    for name, (mean, sd, log_sd) in MODELS.items()
}


def test_fractions_are_those_of_the_closed_form_and_within_their_error():
    priors = {name: prior(*spec) for name, spec in MODELS.items()}
    table = plan(prior(0.0, GUIDE), priors, 1000, pilot=20_000, random_seed=0)
    assert table.index.name == "model"
    for name, truth in TRUTHS.items():
        row = table.loc[name]
        assert abs(row["ess_fraction"] - truth) < 5 * row["mcse_ess_fraction"]
        assert row["mcse_ess_fraction"] < truth / 20
        assert row["verdict"] == "good"
        # Room for two standard errors, and two digits rounded up.
        margin = 2 * row["mcse_ess_fraction"] / truth * math.sqrt(1 + 20_000 * truth / 1000)
        assert 1000 / truth < row["num_guide_samples"] < 1.1 * math.exp(1.2 * margin) * 1000 / truth
    assert table["costliest_site"].tolist() == ["mu", "mu", "df"]


def test_errors_of_fractions_are_those_of_repeated_pilots():
    cache = [Resampler(normal(0.0, GUIDE), num_guide_samples=2000, random_seed=seed) for seed in range(200)]
    found = np.array([ess_fraction(resampler.weigh(normal(1.0, 2.0))) for resampler in cache])
    truth = fraction(1.0, 2.0, GUIDE)
    values, errors, _ = found.T
    assert abs(values.mean() - truth) < 5 * errors.mean() / math.sqrt(200)
    assert abs(values.std() / errors.mean() - 1) < 5 / math.sqrt(400)


def test_a_run_of_the_planned_size_gives_the_effective_samples():
    model = prior(2.0, 3.0, 0.6)
    enough = 0
    for seed in range(40):
        count = plan(prior(0.0, GUIDE), model, 500, pilot=3000, random_seed=seed)["num_guide_samples"].iloc[0]
        run = Resampler(prior(0.0, GUIDE), num_guide_samples=int(count), random_seed=1000 + seed)
        ess = run.weigh(model).ess
        assert ess < 1000
        enough += ess >= 500
    # At least 0.977 of the runs should: 35 of 40 or fewer have a probability of 0.002.
    assert enough > 35


def test_one_model_goes_by_the_name_of_its_program():
    def informed():
        pyro.sample("mu", dist.Normal(0.0, 5.0))

    table = plan(normal(0.0, GUIDE), informed, 100, random_seed=0)
    assert list(table.index) == ["informed"]
    same = plan(normal(0.0, GUIDE), {"informed": informed}, 100, random_seed=0)
    assert table.equals(same)


def test_the_guide_itself_needs_as_many_particles_as_draws():
    row = plan(normal(0.0, GUIDE), normal(0.0, GUIDE), 1200, random_seed=0).iloc[0]
    assert row["ess_fraction"] == pytest.approx(1.0)
    assert row["num_guide_samples"] == 1200
    assert row["costliest_site"] is None or row["costliest_site"] != row["costliest_site"]


@pytest.mark.parametrize(("hits", "verdict"), [(9, "unreliable"), (11, "good")])
def test_a_pilot_is_good_only_where_ten_effective_particles_tell_the_error(hits, verdict):
    # Each of a few particles that weigh more than the others has one influence, the others next to none.
    ratio = np.ones(10_000)
    ratio[:hits] = 30.0
    weights = Weights({"x": np.log(ratio / ratio.mean())})
    assert ess_fraction(weights)[2] == pytest.approx(hits, rel=0.05)
    row = planning._row(weights, 500)
    assert row["verdict"] == verdict
    assert row["n_effective"] == ess_fraction(weights)[2]
    assert ("effective particles, and needs 10. Draw a larger pilot" in row["advice"]) is (hits < 10)


def test_advice_is_printed_below_the_table():
    table = plan(
        normal(0.0, GUIDE), {"a": normal(0, 5), "b": normal(0, 0.02)}, 1000, pilot=2000, random_seed=0
    )
    lines = repr(table).splitlines()
    assert "advice" not in lines[0]
    assert lines[-1] == f"  b: {table.loc['b', 'advice']}"
    assert not any(line.startswith("  a:") for line in lines)
    assert "<p>  b: a lower bound" in table._repr_html_()
    assert repr(table.drop(columns="advice")).splitlines()[0].endswith("verdict")


def test_a_pilot_that_is_too_small_gives_a_lower_bound_and_says_so():
    row = plan(normal(0.0, GUIDE), normal(0.0, 0.02), 1000, pilot=2000, random_seed=0).iloc[0]
    assert row["verdict"] == "unreliable"
    assert row["advice"].startswith(
        "a lower bound, as the pilot is too small to estimate the number: effective"
    )
    assert row["num_guide_samples"] == pytest.approx(1000 / row["ess_fraction"], rel=0.1)


def test_a_heavy_tail_gives_a_lower_bound_and_says_so():
    # Normal(0, 2) under Normal(0, 1): the shape of the tail is 1 - 1 / 4 = 0.75, the ESS fraction zero.
    for sd in (1.55, 2.0):
        row = plan(normal(0.0, 1.0), normal(0.0, sd), 1000, pilot=100_000, random_seed=1).iloc[0]
        assert row["verdict"] == "unreliable"
        assert row["advice"].startswith("a lower bound, as the pilot")
        assert "k-hat" in row["advice"]


def test_a_model_outside_the_pilot_gives_the_bound_of_three():
    row = plan(normal(0.0, 1.0), lambda: pyro.sample("mu", dist.Uniform(900, 901)), 500, random_seed=0).iloc[
        0
    ]
    assert row["ess_fraction"] == 0.0
    assert math.isnan(row["mcse_ess_fraction"])
    assert row["num_guide_samples"] == 1_700_000  # 500 * 10,000 / 3 with two digits
    assert "no particle has positive weight" in row["advice"]


@pytest.mark.parametrize(
    ("given", "count"), [(1.0, 1000), (0.5, 2000), (0.999, 1100), (0.13, 7700), (1 / 3, 3000)]
)
def test_numbers_are_rounded_up_to_two_digits(given, count):
    assert needed(given, 0.0, 10_000, 1000) == count
    assert needed(1.0, 0.0, 10_000, 7) == 7


def test_options_reach_the_resampler():
    def guide():
        with pyro.plate("n", 3):
            pyro.sample("x", dist.Normal(0.0, 1.0))
        pyro.sample("mu", dist.Normal(0.0, GUIDE))

    row = plan(guide, normal(0.0, 5.0), 100, pilot=500, random_seed=0, partial=True, batch_size=100).iloc[0]
    assert row["costliest_site"] == "mu"
    with pytest.raises(ArgumentError, match="max_plate_nesting must be a non-negative integer"):
        plan(guide, guide, 100, max_plate_nesting="deep")


def test_without_a_seed_the_plan_follows_the_global_generator():
    def planned():
        pyro.set_rng_seed(3)
        return plan(normal(0.0, GUIDE), normal(0.0, 2.0), 100, pilot=500)

    assert planned().equals(planned())


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        (({}, 100), {}, ArgumentError, "models must hold at least one program by name, got none"),
        (({3: normal(0, 1)}, 100), {}, ArgumentError, "the keys of models must be strings"),
        ((normal(0, 1), 0), {}, ArgumentError, "num_samples must be a positive integer, got 0"),
        ((normal(0, 1), 100), {"pilot": 0.5}, ArgumentError, "pilot must be a positive integer, got 0.5"),
        ((7, 100), {}, ArgumentError, "variant 'int': model must be a callable, got int"),
        (({"m": prior(0, 1)}, 100), {}, MismatchError, "variant 'm': site 'df' of the model was not drawn"),
    ],
)
def test_bad_input_is_refused(arguments, options, error, message):
    with pytest.raises(error, match=re.escape(message)):
        plan(normal(0.0, GUIDE), *arguments, **options)
