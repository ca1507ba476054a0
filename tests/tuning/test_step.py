"""Verdicts by weights and by draws of the prior."""

import numpy as np
import pytest

from arviz_resampler.particles.reach import Reach
from arviz_resampler.tuning.step import Step
from arviz_resampler.weights.weights import Weights


def reach(ess):
    return Reach(ess, 17, np.zeros(3))


@pytest.mark.parametrize(
    ("expected", "verdict"), [(99.0, "unreliable"), (101.0, "low"), (299.0, "low"), (301.0, "good")]
)
def test_a_step_is_good_only_where_draws_of_the_prior_expect_what_is_wanted(expected, verdict):
    weights = Weights({"x": [0.0] * 500})
    assert Step.of({"x": 1.0}, weights, 300).good
    step = Step.of({"x": 1.0}, weights, 300, reach(expected))
    assert (step.verdict, step.expected_ess) == (verdict, expected)
    assert step.top_up == (0 if verdict == "good" else 17)
    said = f"expect an effective sample size of {expected:.3g}, not the 300 wanted"
    assert (said in step.advice) is (verdict != "good")


def test_bad_weights_stay_bad_whatever_draws_of_the_prior_expect():
    few = Step.of({"x": 1.0}, Weights({"x": [0.0] * 50 + [-50.0] * 500}), 300, reach(400.0))
    assert few.verdict == "unreliable"
    assert "draws of the prior" not in few.advice
