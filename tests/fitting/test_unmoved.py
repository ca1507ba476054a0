"""Targets that no hyper-parameter moves."""

import numpy as np

from arviz_resampler.fitting.unmoved import Seen


def at(share, residual, error):
    return np.array([share]), np.array(residual), np.array(error)


def test_a_target_is_unmoved_where_all_its_intervals_meet():
    seen = Seen()
    seen.add(*at(0.2, [0.0, 0.0], [0.05, 0.05]))
    assert seen.unmoved.tolist() == [False, False]  # nothing was tried yet
    seen.add(*at(0.5, [0.39, 0.41], [0.05, 0.05]))  # four standard errors of either
    assert seen.unmoved.tolist() == [True, False]


def test_positions_that_are_close_together_tell_nothing_of_what_moves():
    seen = Seen()
    seen.add(*at(0.2, [0.0], [0.05]))
    seen.add(*at(0.49, [0.0], [0.05]))
    assert seen.unmoved.tolist() == [False]
    seen.add(*at(0.51, [0.0], [0.05]))
    assert seen.unmoved.tolist() == [True]


def test_noise_that_hides_what_moves_tells_nothing():
    for error, told in ((0.062, True), (0.063, False)):  # four of them are a quarter of a unit
        seen = Seen()
        seen.add(*at(0.2, [0.0], [error]))
        seen.add(*at(0.6, [0.0], [error]))
        assert seen.unmoved.tolist() == [told]


def test_a_target_with_a_slope_is_moved():
    for slope, unmoved in ((0.39, True), (0.41, False)):
        seen = Seen()
        seen.add(*at(0.2, [0.0], [0.05]))
        seen.add(*at(0.6, [0.0], [0.05]))
        seen.add_slopes(np.array([[slope]]), np.array([[0.1]]))
        assert seen.unmoved.tolist() == [unmoved]
