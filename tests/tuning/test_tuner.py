import copy
import functools
import math
import pickle

import fit_cases
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pyro
import pyro.distributions as dist
import pytest
import torch

from arviz_resampler import ArgumentError, ProgramError, Resampler, WeightError, WeightWarning, mean, sd


def make_model(scale, shift=0.0):
    if scale == 4.0:
        raise ValueError("four is not for us")

    def model():
        return pyro.sample("mu", dist.Normal(shift, scale))

    return model


@pytest.fixture(scope="module")
def resampler():
    def guide():
        return pyro.sample("mu", dist.Normal(0.0, 5.0))

    def simulator():
        mu = guide()
        with pyro.plate("school", 3):
            pyro.sample("y", dist.Normal(mu, 1.0))

    return Resampler(guide, simulator, num_guide_samples=20_000, random_seed=0)


@pytest.fixture
def tuner(resampler):
    return resampler.tune(make_model, 400, scale=(0.5, 6.0), shift=(-20.0, 20.0))


def values(prior, name="mu"):
    return np.asarray(prior["prior"][name])


def test_an_update_is_what_the_resampler_gives(tuner, resampler):
    prior, weights = tuner.update(scale=2.0, shift=1.0)
    model = make_model(2.0, 1.0)
    again = resampler.sample_prior_predictive(model, 400)
    assert np.array_equal(values(prior), values(again))
    assert np.array_equal(weights.log_ratio, resampler.weigh(model).log_ratio)
    assert prior.attrs["name"] == "make_model(scale=2.0, shift=1.0)"


def test_an_update_depends_on_what_is_passed_alone(tuner):
    first = values(tuner.update(scale=2.0).prior)
    tuner.update(scale=3.0, shift=2.0)
    assert np.array_equal(values(tuner.update(scale=2.0).prior), first)
    assert tuner.current == {"scale": 2.0, "shift": 0.0}


def test_a_position_that_is_looked_at_again_is_not_weighed_again(resampler):
    made = []

    def counted(scale):
        made.append(scale)
        return make_model(scale)

    tuner = resampler.tune(counted, scale=(0.5, 6.0))
    tuner.look(scale=2.0)
    tuner.look(scale=2.0)
    assert made == [2.0]


def test_an_update_that_is_repeated_is_the_same_again_and_once_in_the_history(tuner):
    first = tuner.update(scale=2.0)
    values = first.prior["prior"]["mu"].values.copy()
    first.prior["prior"]["mu"] *= 100.0  # as a plot function might
    again = tuner.update(scale=2)
    np.testing.assert_array_equal(again.prior["prior"]["mu"].values, values)
    assert [dict(step.hyper)["scale"] for step in tuner.history] == [2.0]
    tuner.update(scale=3.0)
    tuner.update(scale=2.0)
    assert [dict(step.hyper)["scale"] for step in tuner.history] == [2.0, 3.0, 2.0]


@pytest.mark.parametrize("again", [copy.deepcopy, lambda thing: pickle.loads(pickle.dumps(thing))])
def test_tuners_steps_and_coverage_survive_copies(tuner, again):
    ess = tuner.update(scale=2.0).weights.ess
    coverage = tuner.coverage(4)
    twin = again(tuner)
    assert twin.update(scale=2.0).weights.ess == ess
    assert dict(twin.start) == dict(tuner.start)
    assert again(tuner.history) == tuner.history
    assert again(tuner.look(scale=2.5)) == tuner.look(scale=2.5)
    assert repr(again(coverage)) == repr(coverage)
    pd.testing.assert_frame_equal(again(coverage).table, coverage.table)
    assert copy.deepcopy(tuner.ranges) == tuner.ranges


def test_what_a_tuner_hands_out_cannot_be_changed(tuner):
    for mapping in (tuner.start, tuner.current, tuner.ranges, tuner.look(scale=2.0).hyper):
        with pytest.raises(TypeError):
            mapping["scale"] = 1.0


@pytest.mark.parametrize("name", ["two words", "s=0)\nimport os", "1st", "class"])
def test_a_hyper_parameter_needs_a_name_that_source_can_have(resampler, name):
    with pytest.raises(ArgumentError, match="Python source cannot have"):
        resampler.tune(lambda **hyper: make_model(1.0), **{name: (0.0, 1.0)})


def test_hyper_parameters_start_at_their_default_in_range_else_in_the_middle(resampler):
    def make(a, b=2.0, c=99.0, d=None):
        return make_model(1.0)

    tuner = resampler.tune(make, a=(0.01, 100.0), b=(1.0, 4.0), c=(0.0, 10.0), d=(1, 9))
    assert dict(tuner.start) == {"a": 1.0, "b": 2.0, "c": 5.0, "d": 5}
    assert dict(tuner.current) == dict(tuner.start)
    assert "a                1.0 in 0.01 to 100.0" in repr(tuner)


def test_a_default_that_has_no_range_is_left_alone(resampler):
    tuner = resampler.tune(functools.partial(make_model, shift=3.0), scale=(1.0, 6.0))
    _, weights = tuner.update(scale=1.0)
    mean = weights.mean(resampler.pipeline.particles.columns["mu"].value)
    assert mean == pytest.approx(3.0, abs=5 * weights.mcse(resampler.pipeline.particles.columns["mu"].value))


def test_names_of_the_packages_own_arguments_are_free_for_hyper_parameters(resampler):
    def make(self, make_model, num_samples, hyper):
        return lambda: pyro.sample("mu", dist.Normal(self + make_model, num_samples + hyper))

    ends = (1.0, 2.0)
    tuner = resampler.tune(make, self=ends, make_model=ends, num_samples=ends, hyper=ends)
    assert tuner.update(self=1.0, make_model=1.0, num_samples=1.0, hyper=1.0).weights.ess > 100


# Arguments of tune, and columns of tables.
TAKEN = ["ranges options", "num_samples verdict", "start loss", "evaluations num_particles"]
TAKEN += ["action distance", "inside along"]


@pytest.mark.parametrize("names", TAKEN)
def test_hyper_parameters_of_any_names_are_tuned_and_fitted_and_have_their_columns(resampler, names):
    shift, scale = names.split()

    def make(**hyper):
        return make_model(hyper[scale], hyper[shift])

    ranges = {shift: (-4.0, -0.5), scale: (1.0, 3.0)}
    targets = {"mean": mean(lambda ds: ds.mu, -1.0), "sd": sd(lambda ds: ds.mu, 2.0)}
    tuner = resampler.tune(make, 400, **ranges)
    fit = tuner.fit(targets, ess=200, starts=2, at_most=0)
    assert abs(fit.hyper[shift] + 1.0) < 4 * fit.mcse[shift]
    assert tuner.current == fit.hyper
    for table in (fit.optima, fit.history, fit.region.grid, tuner.coverage(2).table):
        for name, ends in ranges.items():
            column = table[f"{name}_" if f"{name}_" in table else name]
            assert column.between(*ends).all()
    assert (fit.optima["ess"] > 200).all()
    assert fit.region.grid["distance"].min() == 0.0
    figure = fit.plot()
    assert figure.axes[1].get_xlabel() == shift
    plt.close(figure)
    assert resampler.fit(make, targets, **ranges, ess=200, starts=2, at_most=0).hyper == fit.hyper


@pytest.mark.parametrize("name", ["ess", "starts", "simulator", "at_most"])
def test_a_range_in_the_place_of_an_option_is_refused_in_words(resampler, name):
    with pytest.raises(ArgumentError, match=rf"'{name}' is an option of fit, got a range, \(1.0, 2.0\)"):
        resampler.fit(lambda **hyper: None, {}, **{name: (1.0, 2.0)})


@pytest.mark.parametrize("name", ["ess", "starts", "simulator", "at_most", "make_model", "targets", "self"])
def test_a_tuner_says_which_hyper_parameter_cannot_be_fitted(resampler, name):
    tuner = resampler.tune(lambda **hyper: make_model(hyper[name]), **{name: (1.0, 3.0)})
    assert tuner.update(**{name: 2.0}).weights.ess > 100
    with pytest.raises(ArgumentError, match=f"'{name}' is an argument of fit: rename the hyper-parameter"):
        tuner.fit({"mean": mean(lambda ds: ds.mu, 0.5)})


def test_history_keeps_what_became_of_each_update_but_no_draws(tuner):
    _, weights = tuner.update(scale=3.0)
    with pytest.raises(ProgramError, match=r"the call make_model\(scale=4.0, shift=0.0\) failed: ValueError"):
        tuner.update(scale=4.0)
    good, failed = tuner.history
    assert dict(good.hyper) == {"scale": 3.0, "shift": 0.0}
    assert (good.verdict, good.site) == ("good", "mu")
    assert good.ess == weights.ess
    assert good.diagnostics == weights.diagnostics(400)
    assert (failed.verdict, failed.ess) == ("failed", 0.0)
    assert "four is not for us" in failed.advice
    assert not any(hasattr(step, "prior") or hasattr(step, "weights") for step in tuner.history)


def test_weights_below_good_warn_and_none_at_all_is_an_error(resampler):
    def make(low):
        return lambda: pyro.sample("mu", dist.Uniform(low, low + 1.0))

    tuner = resampler.tune(make, 5000, low=(0.0, 100.0))
    with pytest.warns(WeightWarning, match="low"):
        tuner.update(low=3.0)
    with pytest.raises(WeightError, match="no draw can be made"):
        tuner.update(low=90.0)
    assert [step.verdict for step in tuner.history] == ["low", "unreliable"]
    assert "no two particles are in the support" in tuner.code()


def test_a_look_has_the_verdict_of_an_update_and_leaves_no_trace(tuner):
    step = tuner.look(scale=3.0)
    assert (tuner.history, dict(tuner.current)) == ((), dict(tuner.start))
    tuner.update(scale=3.0)
    assert (tuner.history[0].diagnostics, tuner.history[0].verdict) == (step.diagnostics, step.verdict)
    assert tuner.look(scale=4.0).verdict == "failed"


def test_the_code_of_an_update_is_that_prior(tuner, resampler):
    _, weights = tuner.update(scale=2.5, shift=1.0)
    namespace = {}
    exec(tuner.code(), namespace)
    assert np.array_equal(resampler.weigh(namespace["prior"]).log_ratio, weights.log_ratio)
    assert "dist.Normal(0.0, 3.0)" in tuner.code(scale=3.0)
    assert "dist.Normal(1.0, 2.5)" in tuner.code()


def test_code_that_cannot_be_written_is_a_call_with_the_reason(resampler):
    def make_offset(scale=2.0):
        def model():
            mu = pyro.sample("mu", dist.Normal(0.0, scale))
            with pyro.plate("school", 3):
                pyro.sample("y", dist.Normal(mu + 1.0, 1.0))

        return model

    tuner = resampler.tune(make_offset, scale=(1.0, 4.0))
    assert tuner.code() == (
        "# site 'y' cannot be written as source: a parameter is computed from other sites\n"
        "prior = make_offset(scale=2.0)\n"
    )
    namespace = {"make_offset": make_offset}
    exec(tuner.code(), namespace)
    assert np.array_equal(
        resampler.weigh(namespace["prior"]).log_ratio, resampler.weigh(make_offset(2.0)).log_ratio
    )


def test_models_of_a_class_or_a_lambda_can_be_tuned(resampler):
    class Maker:
        def __call__(self, scale):
            return make_model(scale)

    for make in (Maker(), lambda scale: make_model(scale), lambda **hyper: make_model(**hyper)):
        tuner = resampler.tune(make, scale=(1.0, 5.0))
        assert tuner.update(scale=2.0).prior.attrs["name"] == "make_model(scale=2.0)"


def test_no_generator_is_touched(tuner):
    torch.manual_seed(0)
    np.random.seed(0)
    tuner.coverage(8)
    tuner.update(scale=2.0)
    tuner.code()
    numbers = torch.rand(()).item(), np.random.rand()
    torch.manual_seed(0)
    np.random.seed(0)
    assert numbers == (torch.rand(()).item(), np.random.rand())


@pytest.mark.parametrize(
    ("arguments", "ranges", "text"),
    [
        ((make_model,), {"scael": (1.0, 2.0)}, "takes no hyper-parameter 'scael'.* Did you mean 'scale'"),
        ((make_model,), {"shift": (1.0, 2.0)}, "make_model needs 'scale'"),
        ((make_model,), {"scale": (2.0, 1.0)}, "must go from low to high, got \\(2.0, 1.0\\)"),
        ((make_model,), {"scale": (1.0, math.nan)}, "must be finite"),
        ((make_model,), {"scale": 1.0}, "must be two numbers, got 1.0"),
        ((make_model,), {}, "a range is needed"),
        ((make_model, 0), {"scale": (1.0, 2.0)}, "num_samples must be a positive integer, got 0"),
        ((make_model,), {"num_samples": 5, "scale": (1.0, 2.0)}, "number of draws goes second"),
        ((make_model(1.0),), {"scale": (1.0, 2.0)}, "model takes no hyper-parameter 'scale'; it takes none"),
        ((3.0,), {"scale": (1.0, 2.0)}, "make_model must be a callable"),
    ],
)
def test_a_tuner_that_cannot_work_is_refused_when_it_is_made(resampler, arguments, ranges, text):
    with pytest.raises(ArgumentError, match=text):
        resampler.tune(*arguments, **ranges)


def test_hyper_parameters_of_an_update_are_checked(tuner):
    with pytest.raises(ArgumentError, match=r"there is no range for 'scael'.*Did you mean 'scale'"):
        tuner.update(scael=2.0)
    with pytest.raises(ArgumentError, match=r"scale must be a number from 0.5 to 6.0, got 7.0"):
        tuner.look(scale=7.0)
    assert tuner.history == ()


def test_a_maker_that_returns_no_program_is_named(resampler):
    tuner = resampler.tune(lambda scale: make_model(scale)(), scale=(1.0, 2.0))
    with pytest.raises(ArgumentError, match="model must be a callable, got Tensor"):
        tuner.update()


def test_a_fit_moves_the_tuner_to_where_targets_are_met():
    resampler = fit_cases.build(n=5000)
    tuner = resampler.tune(fit_cases.normal)
    found = tuner.fit(fit_cases.exact(2.0, 1.5), ess=300)
    assert dict(tuner.current) == dict(found.hyper)
    assert dict(tuner.history[-1].hyper) == dict(found.hyper)
    assert tuner.update(**tuner.current).weights.ess == found.weights.ess
    again = tuner.fit(ess=300)
    assert again.hyper["mean"] == pytest.approx(found.hyper["mean"], abs=found.mcse["mean"])
    assert [line.value for line in tuner.lines["x"]] == [target.value for target in found_targets(tuner)]


def found_targets(tuner):
    """The targets of a tuner, one by one."""
    return [each for several in tuner.targets.values() for each in several.values()]


def test_a_tuner_without_targets_says_that_there_are_none():
    tuner = fit_cases.shared().tune(fit_cases.normal)
    with pytest.raises(ArgumentError, match="a target is needed"):
        tuner.fit()
