"""Limits that hold what is drawn and seldom move."""

import numpy as np
import pytest

from arviz_resampler.plots.limits import each_union, round_ends, steady, union


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        ((1.0, 9.0), (0.0, 10.0)),  # inside, and fills them
        ((4.0, 5.0), (4.0, 5.0)),  # fills them badly
        ((1.0, 11.0), (0.0, 11.0)),  # not inside, and fills both
        ((12.0, 19.0), (12.0, 19.0)),  # elsewhere
        ((9.0, 1.0), (9.0, 1.0)),  # goes down
    ],
)
def test_limits_stay_where_a_picture_is_inside_of_them_and_fills_them(now, expected):
    assert steady(now, (0.0, 10.0)) == expected


def test_an_end_that_moves_outward_may_move_farther():
    assert steady((1.0, 12.0), (0.0, 10.0), room=0.25) == (0.0, 15.0)
    assert steady((-2.0, 10.0), (0.0, 10.0), room=0.25) == (-5.0, 10.0)
    assert steady((1.0, 9.0), (0.0, 10.0), room=0.25) == (0.0, 10.0)


def test_a_union_holds_both_and_an_axis_may_go_down():
    assert union((0.0, 2.0), (1.0, 3.0)) == (0.0, 3.0)
    assert union((2.0, 0.0), (3.0, 1.0)) == (3.0, 0.0)
    assert each_union([((0, 1), (0, 1))], [((1, 2), (-1, 0))]) == [((0, 2), (-1, 1))]


@pytest.mark.parametrize("scale", [1e-12, 0.3, 7.0, 1e12])
def test_round_ends_hold_the_values_and_leave_them_most_of_the_axis(scale):
    values = scale * np.random.default_rng(0).normal(3.0, 1.0, size=500)
    low, high = round_ends(values)
    assert low <= values.min() <= values.max() <= high
    assert np.ptp(values) / (high - low) > 2 / 3  # two steps of at most a fourth


def test_values_a_little_farther_out_move_no_limit():
    assert round_ends([0.3, 8.1]) == round_ends([0.2, 8.3]) == (0.0, 9.0)


def test_tails_of_the_first_values_may_be_outside_and_no_others():
    values = [*np.linspace(0.0, 1.0, 1000), 1e6]
    assert round_ends(values, tail=0.005)[1] < 2
    assert round_ends(values, [4.0], tail=0.005)[1] >= 4


@pytest.mark.parametrize("value", [0.0, 3.0, -1e8])
def test_one_value_is_in_the_middle(value):
    low, high = round_ends([value, value])
    assert low < high
    assert (low + high) / 2 == value


@pytest.mark.parametrize("values", [[], [np.nan, np.inf]])
def test_where_nothing_is_finite_there_are_limits_all_the_same(values):
    assert round_ends(values) == pytest.approx((0.0, 1.05))
