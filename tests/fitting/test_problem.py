"""The misfit at hyper-parameters: values, derivatives by gradients and by differences, noise."""

import math

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch
from fit_cases import RANGES, exact, normal, shared

from arviz_resampler import Resampler, WeightError, mean, probability, quantile
from arviz_resampler.fitting.problem import Problem
from arviz_resampler.fitting.targets import as_targets
from arviz_resampler.tuning.family import Family

TRUTH = {"mean": 2.0, "sd": 1.5}


def problem(make_model=normal, targets=None, resampler=None, ranges=RANGES):
    made = Family.checked(make_model, ranges)
    return Problem(resampler or shared(), made, as_targets(targets or exact(**TRUTH)))


def test_positions_are_shares_of_ranges_and_back():
    made = problem()
    shares = np.array([0.3, 0.7])
    assert made.shares(made.hyper(shares)) == pytest.approx(shares)
    step = 1e-6
    ends = [made.hyper(shares + sign * step) for sign in (1, -1)]
    quotient = [(ends[0][name] - ends[1][name]) / (2 * step) for name in RANGES]
    assert made.slopes(made.hyper(shares)) == pytest.approx(quotient, rel=1e-6)


def test_residuals_are_small_at_the_truth_beside_their_noise():
    # Chi-squared of three: above 16.3 with a probability of 0.001.
    made = problem()
    at = made.at(made.shares(TRUTH))
    assert at.residual @ np.linalg.solve(at.noise, at.residual) < 16.3
    assert at.loss == pytest.approx(at.residual @ at.residual)
    assert at.ess > 1000


def test_gradients_are_those_of_difference_quotients():
    made = problem()
    at = made.at(made.shares({"mean": 1.0, "sd": 2.0}))
    by_gradients = at.jacobian
    by_differences = made._by_differences(at)
    # Quotients over 0.02 of a range have an error of second order, some per cent here.
    assert by_gradients == pytest.approx(by_differences, abs=0.05 * np.abs(by_differences).max())


FAMILIES = {
    "numbers": lambda mean, sd: normal(float(mean), math.sqrt(sd) ** 2),
    "detached": lambda mean, sd: normal(mean.detach() if torch.is_tensor(mean) else mean, sd),
    "no gradient": lambda mean, sd: _without_gradient(mean, sd),
    "other by tensors": lambda mean, sd: normal(mean, sd if isinstance(sd, float) else 2 * sd),
}


def _without_gradient(mean, sd):
    with torch.no_grad():
        return normal(mean * 1.0, sd * 1.0)


@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_whose_gradients_are_not_its_slopes_is_differenced(name):
    made = problem(FAMILIES[name])
    at = made.at(made.shares({"mean": 1.0, "sd": 2.0}))
    right = problem().at(made.shares({"mean": 1.0, "sd": 2.0})).jacobian
    before = made.count
    assert at.jacobian == pytest.approx(right, abs=0.05 * np.abs(right).max())
    assert made.count == before + 4  # two hyper-parameters, two ends


def test_a_support_that_moves_is_differenced():
    # The gradient of P(x < 2) under Uniform(0, h) is -2 / h**2; the score alone, -1 / h, would give 0.
    def uniform(high=4.0):
        return lambda: pyro.sample("x", dist.Uniform(0.0, high))

    resampler = Resampler(uniform(8.0), num_guide_samples=40_000, random_seed=0)
    made = problem(uniform, {"below": probability(lambda ds: ds.x < 2, 0.5)}, resampler, {"high": (2.5, 7.5)})
    at = made.at(made.shares({"high": 5.0}))
    slope = at.jacobian[0, 0] * float(made.scales[0]) / made.slopes(at.hyper)[0]
    assert slope * math.exp(0) == pytest.approx(-2 / 25, rel=0.15)


def test_a_statistic_of_what_a_model_computes_is_differenced():
    def shifted(shift=0.0):
        def model():
            z = pyro.sample("z", dist.Normal(0.0, 1.0))
            pyro.deterministic("x", z + shift)

        return model

    resampler = Resampler(shifted(), num_guide_samples=2000, random_seed=0)
    made = problem(shifted, {"mean": mean(lambda ds: ds.x, 1.0)}, resampler, {"shift": (-1.5, 2.5)})
    at = made.at(np.array([0.5]))
    assert at.jacobian[0, 0] * float(made.scales[0]) == pytest.approx(4.0, rel=1e-4)


def test_values_that_are_computed_from_latents_alone_are_read_once():
    asked = []

    def centered(location=0.0):
        def model():
            mu = pyro.sample("mu", dist.Normal(location, 1.0))
            z = pyro.sample("z", dist.Normal(0.0, 1.0))
            pyro.deterministic("x", mu + z)

        return model

    def statistic(ds):
        asked.append(ds.sizes["particle"])
        return ds.x

    resampler = Resampler(centered(), num_guide_samples=2000, random_seed=0)
    made = problem(centered, {"mean": mean(statistic, 0.5)}, resampler, {"location": (-2.0, 2.0)})
    for share in (0.4, 0.5, 0.6):
        assert made.at(np.array([share])).jacobian.shape == (1, 1)
    assert asked == [2000]
    assert made.count == 3  # no differences


def test_models_that_are_never_mapped_are_differenced():
    resampler = Resampler(normal(0.0, 4.0), num_guide_samples=300, random_seed=0, vectorize=False)
    made = problem(resampler=resampler, targets={"median": quantile(lambda ds: ds.x, 0.5, 0.5)})
    at = made.at(np.array([0.5, 0.7]))
    assert at.jacobian.shape == (1, 2)
    assert made.count == 5


def test_a_position_without_particles_is_refused_in_words():
    def uniform(low=0.0):
        return lambda: pyro.sample("x", dist.Uniform(low, low + 1.0))

    resampler = Resampler(uniform(), num_guide_samples=2000, random_seed=0)
    targets = {"below": probability(lambda ds: ds.x < 0.5, 0.5)}
    made = problem(uniform, targets, resampler, {"low": (0.0, 5.0)})
    with pytest.raises(WeightError, match=r"no particle is in the support of uniform\(low=5.0\)"):
        made.at(np.array([1.0]))


def test_tolerance_is_noise_that_says_nothing_against_a_position():
    # As a standard deviation of one, in the unit of the residual, and none of the Monte Carlo error.
    targets = {"told": mean(lambda ds: ds.x, 2.0, tolerance=0.5), "exact": mean(lambda ds: ds.x, 2.0)}
    at = problem(targets=targets).at(np.array([0.5, 0.5]))
    assert np.diag(at.noise) - np.diag(at.monte_carlo) == pytest.approx([1.0, 0.0])
