"""Densities of many samples at once."""

import numpy as np
import pytest

from arviz_resampler.plots.densities import bars, densities


def test_the_density_of_normal_samples_is_that_of_a_normal():
    samples = np.random.default_rng(0).normal(2.0, 3.0, size=(4, 10_000))
    grid, found = densities(samples, (-10.0, 14.0))
    # The kernel adds a variance of (0.9 n^-0.2)^2, here 2 %. The height then has a variance of about
    # f / (2 sqrt(pi) n h): 2 % of the peak are 1 standard error, and 5 hold for all of the grid.
    expected = np.exp(-0.5 * ((grid - 2) / 3) ** 2 / 1.02) / (3 * np.sqrt(2 * np.pi * 1.02))
    assert found.shape == (4, len(grid))
    assert found == pytest.approx(np.broadcast_to(expected, found.shape), abs=0.1 * expected.max())


def test_a_density_does_not_fall_at_the_end_of_a_support():
    samples = np.random.default_rng(0).exponential(size=(1, 20_000))
    grid, found = densities(samples, (0.0, 8.0))
    # Without reflection it would be one half at zero; the kernel's width of 0.11 costs about as much.
    assert found[0, 0] == pytest.approx(np.exp(-grid[0]), abs=0.15)


@pytest.mark.parametrize("spread", [1.0, 0.0])
def test_a_density_integrates_to_one_also_where_all_values_are_equal(spread):
    samples = 5.0 + spread * np.random.default_rng(0).uniform(-1, 1, size=(2, 200))
    grid, found = densities(samples, (2.0, 8.0))
    assert found.sum(axis=-1) * (grid[1] - grid[0]) == pytest.approx(1.0)


def test_what_is_not_finite_is_left_out():
    whole = np.random.default_rng(0).normal(size=(1, 50))
    holes = np.concatenate([whole, [[np.nan, np.inf, -np.inf]]], axis=1)
    for found, expected in zip(densities(holes, (-4.0, 4.0)), densities(whole, (-4.0, 4.0)), strict=True):
        assert np.array_equal(found, expected)


def test_a_sample_without_a_finite_value_has_no_density():
    _, found = densities(np.array([[np.nan, np.inf], [0.1, 0.2]]), (0.0, 1.0))
    assert not found[0].any()
    assert found[1].any()


def test_what_lies_outside_counts_in_the_total():
    grid, found = densities(np.array([[0.4, 0.5, 0.6, 7.0]]), (0.0, 1.0))
    assert found.sum() * (grid[1] - grid[0]) == pytest.approx(0.75)


def test_integers_have_a_bar_each_that_is_their_relative_frequency():
    corners, heights = bars(np.array([[0.0, 2.0, 2.0, np.nan], [1.0, 1.0, 1.0, 1.0]]), (-0.5, 2.5))
    assert corners.tolist() == [-0.5, -0.5, 0.5, 0.5, 1.5, 1.5, 2.5, 2.5]
    assert heights[0] == pytest.approx([0, 1 / 3, 1 / 3, 0, 0, 2 / 3, 2 / 3, 0])
    assert heights[1] == pytest.approx([0, 0, 0, 1, 1, 0, 0, 0])


def test_many_integers_share_bars_of_equal_area():
    samples = np.arange(1000.0)[None]
    corners, heights = bars(samples, (-0.5, 999.5))
    assert len(corners) <= 2 * 101
    widths = np.diff(corners)
    assert (heights[0, :-1] * widths).sum() == pytest.approx(1.0)
    assert heights[0, 1:-3] == pytest.approx(1e-3)
