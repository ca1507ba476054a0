"""Plans against the closed form of the ESS fraction, and against what runs of the planned size give."""

import math
import re

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch

from arviz_resampler import ArgumentError, MismatchError, Resampler, Weights, family, plan, planning
from arviz_resampler.planning import Fraction, needed, of_draws, of_weights

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
        # The run varies by at most exp(0.2) here; two digits are rounded up.
        assert 1000 / truth < row["num_guide_samples"] < 1.1 * math.exp(0.2) * 1000 / truth
    assert table["costliest_site"].tolist() == ["mu", "mu", "df"]


def pilots(model, size, count):
    """Both estimates of the fraction, by pilots of as many seeds."""
    for seed in range(count):
        resampler = Resampler(normal(0.0, GUIDE), num_guide_samples=size, random_seed=seed)
        weights = resampler.weigh(model)
        yield of_weights(weights), of_draws(resampler.reach(model, num_draws=size).log_ratio, weights)


def test_errors_of_fractions_are_those_of_repeated_pilots():
    truth = fraction(1.0, 2.0, GUIDE)
    for found in zip(*pilots(normal(1.0, 2.0), 2000, 200), strict=True):
        values = np.array([each.value for each in found])
        errors = np.array([each.mcse for each in found])
        assert abs(values.mean() - truth) < 5 * errors.mean() / math.sqrt(200)
        assert abs(values.std() / errors.mean() - 1) < 5 / math.sqrt(400)


def test_how_much_a_run_varies_is_told_by_draws_of_the_model_as_by_particles_of_the_guide():
    # The influence has a variance under the guide that both estimate: within 5 % of each other at 20,000.
    for of_guide, of_model in pilots(normal(1.0, 5.0), 20_000, 3):
        assert of_model.one == pytest.approx(of_guide.one, rel=0.05)


@pytest.mark.parametrize(("mean", "sd"), [(0.0, 0.002), (60.0, 1.0)])
def test_draws_of_a_model_tell_the_fraction_where_no_particle_does(mean, sd):
    model = normal(mean, sd)
    row = plan(normal(0.0, GUIDE), model, 1000, pilot=2000, random_seed=0).iloc[0]
    assert Resampler(normal(0.0, GUIDE), num_guide_samples=2000, random_seed=0).weigh(model).ess < 10
    assert abs(row["ess_fraction"] - fraction(mean, sd, GUIDE)) < 5 * row["mcse_ess_fraction"]
    assert row["verdict"] == "good"


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
    # Each of a few draws whose ratio is above the others' has one influence, the others next to none.
    ratio = np.ones(10_000)
    ratio[:hits] = 30.0
    weights = Weights({"x": np.zeros(10_000)})
    found = of_draws(np.log(ratio), weights)
    assert found.n_effective == pytest.approx(hits, rel=0.05)
    row = planning._row(weights, found, 500)
    assert row["verdict"] == verdict
    assert row["n_effective"] == found.n_effective
    assert ("effective draws, and needs 10. Draw a larger pilot" in row["advice"]) is (hits < 10)


def test_advice_is_printed_below_the_table():
    table = plan(normal(0.0, GUIDE), {"a": normal(0, 5), "b": normal(0, 14)}, 1000, pilot=2000, random_seed=0)
    lines = repr(table).splitlines()
    assert "advice" not in lines[0]
    assert lines[-1] == f"  b: {table.loc['b', 'advice']}"
    assert not any(line.startswith("  a:") for line in lines)
    assert "<p>  b: a lower bound" in table._repr_html_()
    assert repr(table.drop(columns="advice")).splitlines()[0].endswith("verdict")


def with_factor(mean, sd):
    """A model that cannot be drawn from, so that the guide's particles tell its fraction."""

    def program():
        pyro.sample("mu", dist.Normal(mean, sd))
        pyro.factor("soft", torch.tensor(0.0))

    return program


def test_a_model_that_cannot_be_drawn_from_is_planned_by_the_particles_of_the_guide():
    row = plan(normal(0.0, GUIDE), with_factor(1.0, 2.0), 1000, pilot=20_000, random_seed=0).iloc[0]
    truth = fraction(1.0, 2.0, GUIDE)
    assert abs(row["ess_fraction"] - truth) < 5 * row["mcse_ess_fraction"]
    assert row["verdict"] == "good"
    # Room for two standard errors of pilot and run, and two digits rounded up.
    margin = 2 * row["mcse_ess_fraction"] / truth * math.sqrt(1 + 20_000 * truth / 1000)
    assert 1000 / truth < row["num_guide_samples"] < 1.1 * math.exp(1.2 * margin) * 1000 / truth


def test_particles_of_the_guide_that_are_too_few_give_a_lower_bound_and_say_so():
    row = plan(normal(0.0, GUIDE), with_factor(0.0, 0.02), 1000, pilot=2000, random_seed=0).iloc[0]
    assert row["verdict"] == "unreliable"
    assert row["advice"].startswith("a lower bound: effective")
    assert row["num_guide_samples"] == pytest.approx(1000 / row["ess_fraction"], rel=0.1)


@pytest.mark.parametrize("make", [normal, with_factor])
def test_a_heavy_tail_gives_a_lower_bound_and_says_so(make):
    # Normal(0, 2) under Normal(0, 1): the shape of the tail is 1 - 1 / 4 = 0.75, the ESS fraction zero.
    for sd in (1.55, 2.0):
        row = plan(normal(0.0, 1.0), make(0.0, sd), 1000, pilot=100_000, random_seed=1).iloc[0]
        assert row["verdict"] == "unreliable"
        assert row["advice"].startswith("a lower bound: ")
        assert "k-hat" in row["advice"]


@pytest.mark.filterwarnings("ignore:site 'x' of the guide has no finite density")
def test_draws_that_underflow_are_no_reason_to_trust_a_plan():
    def beta(a):
        return lambda: pyro.sample("x", dist.Beta(a, a))

    def lognormal(sd):
        return lambda: pyro.sample("x", dist.LogNormal(0.0, sd))

    row = plan(beta(0.02), beta(0.01), 1000, random_seed=0).iloc[0]
    assert row["verdict"] == "unreliable"
    assert "not drawn from the density that they are scored with" in row["advice"]
    assert plan(lognormal(60.0), lognormal(50.0), 1000, random_seed=0).iloc[0]["verdict"] == "unreliable"


def test_a_family_is_planned_for_without_a_word_on_the_size_of_the_pilot():
    def make_model(scale):
        return normal(0.0, scale)

    guide = family(make_model, scale=(0.01, 10.0))
    models = {"narrow": make_model(0.01), "wide": make_model(10.0)}
    table = plan(guide, models, 1000, pilot=300, random_seed=0)
    assert (table["verdict"] == "good").all()
    # A mean of 300 ratios that vary by half of it at most: 5 * 0.5 / sqrt(300) = 0.15.
    assert table["ess_fraction"].min() > guide.promise * 0.85


def test_draws_of_a_model_outside_the_guide_give_a_lower_bound_and_say_so():
    def guide():
        pyro.sample("mu", dist.Uniform(-5.0, 5.0))

    row = plan(guide, normal(0.0, 3.0), 1000, random_seed=0).iloc[0]
    assert row["verdict"] == "unreliable"
    # 2 * (1 - Phi(5 / 3)) of Normal(0, 3) is outside: 0.0956, told by 10,000 draws to within 0.003.
    outside = float(re.search(r"a fraction (\S+) of the model's draws", row["advice"])[1])
    assert outside == pytest.approx(0.0956, abs=5 * 0.003)
    assert plan(guide, normal(0.0, 0.5), 1000, random_seed=0).iloc[0]["verdict"] == "good"


def test_a_model_outside_the_pilot_gives_the_bound_of_three():
    def far():
        pyro.sample("mu", dist.Uniform(900, 901))

    row = plan(normal(0.0, 1.0), far, 500, random_seed=0).iloc[0]
    assert row["ess_fraction"] == 0.0
    assert math.isnan(row["mcse_ess_fraction"])
    assert row["num_guide_samples"] == 1_700_000  # 500 * 10,000 / 3 with two digits
    assert "a fraction 1 of the model's draws are where the guide has no density" in row["advice"]


@pytest.mark.parametrize(
    ("given", "count"), [(1.0, 1000), (0.5, 2000), (0.999, 1100), (0.13, 7700), (1 / 3, 3000)]
)
def test_numbers_are_rounded_up_to_two_digits(given, count):
    assert needed(Fraction(given, 0.0, 10.0, 0.0), 10_000, 1000) == count
    assert needed(Fraction(1.0, 0.0, 10.0, 0.0), 10_000, 7) == 7


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
