"""Sentences on what targets leave open, and on contradictions."""

import numpy as np
import pytest
from scipy.stats import chi2

from arviz_resampler.fitting import words
from arviz_resampler.tuning.ranges import Range

LINEAR = {"a": Range("a", -1.0, 1.0), "b": Range("b", 0.0, 2.0), "c": Range("c", -5.0, 5.0)}
BY_RATIO = {"a": Range("a", 1.0, 10.0), "b": Range("b", 2.0, 20.0)}


@pytest.mark.parametrize(
    ("direction", "ranges", "sentence"),
    [
        ([0.0, 1.0], BY_RATIO, "b is hardly told by the targets"),
        ([0.19, 1.0], BY_RATIO, "b is hardly told by the targets"),
        ([0.7, 0.7], BY_RATIO, "only the ratio of a and b is told"),
        ([0.7, -0.7], BY_RATIO, "only the product of a and b is told"),
        ([0.7, -0.5], BY_RATIO, "more a with less b meets the targets about as well"),
        ([0.7, 0.7, 0.0], LINEAR, "only the difference of a and b is told"),
        ([-0.7, 0.7, 0.0], LINEAR, "only the sum of a and b is told"),
        ([0.7, 0.0, 0.7], LINEAR, "more a with more c meets the targets about as well"),
        ([0.6, -0.6, 0.5], LINEAR, "more a with less b and more c meets the targets about as well"),
    ],
)
def test_a_direction_is_said_by_what_stays_told(direction, ranges, sentence):
    assert words.sentence(np.array(direction), list(ranges), ranges) == sentence


def test_a_ratio_is_one_up_to_a_seventh():
    # Components that differ by 15 % are taken for equal; by 16 % they are not.
    for size, told in ((0.851, "only the ratio"), (0.84, "more a with more b")):
        assert words.sentence(np.array([1.0, size]), ["a", "b"], BY_RATIO).startswith(told)


@pytest.mark.parametrize(("singular", "count"), [(19.9, 1), (20.1, 0)])
def test_a_direction_is_open_from_an_error_of_a_twentieth_of_the_range_on(singular, count):
    jacobian = np.diag([1000.0, singular])
    assert len(words.open_directions(jacobian, np.eye(2))) == count
    assert len(words.open_directions(2 * jacobian, 4 * np.eye(2))) == count


def test_hyper_parameters_without_as_many_targets_are_open():
    found = words.open_directions(np.array([[1000.0, 0.0, 0.0]]), np.eye(1))
    assert len(found) == 2
    assert np.abs(found[:, 0]).max() < 1e-9


def test_targets_contradict_each_other_from_a_probability_of_a_hundredth_on():
    limit = float(chi2.ppf(0.99, 2))
    names, residual = ["a", "b", "c"], np.array([0.1, -3.0, 2.0])
    assert words.contradiction(0.999 * limit, 2, names, residual) == ""
    assert words.contradiction(1.001 * limit, 2, names, residual).endswith("most at 'b' and 'c'")
    assert words.contradiction(1e6, 0, names, residual) == ""


def test_the_probability_of_a_misfit_is_that_of_chi_squared():
    assert words.p_value(float(chi2.ppf(0.95, 3)), 3) == pytest.approx(0.05)
    assert np.isnan(words.p_value(0.0, 0))
