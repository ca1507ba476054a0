"""The density of draws from their nearest neighbors."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from arviz_resampler import ArgumentError
from arviz_resampler.particles.neighbors import BIAS, NEAREST, bias_text, log_density


@pytest.mark.parametrize("dimensions", [1, 2, 3])
def test_the_density_of_normal_draws_is_near_the_true_one(dimensions):
    rng = np.random.default_rng(0)
    scale = np.eye(dimensions) + 0.5 * np.tri(dimensions, k=-1)
    draws = 10 + rng.standard_normal((5000, dimensions)) @ scale.T
    error = log_density(draws) - multivariate_normal(np.full(dimensions, 10.0), scale @ scale.T).logpdf(draws)
    # The log of a distance to the tenth neighbor has a standard deviation of 10 ** -0.5 / d, d times which is
    # 0.32; its bias is 1 / 20 and what the density bends. The median of 5,000 has an error of 0.006.
    assert abs(np.median(error)) < 0.1
    assert 0.2 < np.std(error) < 0.5


def test_units_and_correlations_do_not_matter():
    draws = np.random.default_rng(0).standard_normal((500, 2))
    turn = np.array([[1e3, 2e3], [0.0, 10.0]])
    moved = log_density(draws @ turn + 5.0)
    np.testing.assert_allclose(moved, log_density(draws) - np.log(abs(np.linalg.det(turn))), atol=1e-6)


@pytest.mark.parametrize(
    ("draws", "message"),
    [
        (np.zeros((10 * NEAREST - 1, 1)), "needs 100 draws or more, got 99"),
        (np.zeros((100, 1)), "one is the same in all draws"),
        (np.repeat(np.arange(100.0)[:, None], 2, 1), "none is a linear combination of the others"),
        (np.repeat(np.arange(10.0), 20)[:, None], "200 of 200 are equal to 10 others"),
    ],
)
def test_draws_that_have_no_density_are_refused(draws, message):
    with pytest.raises(ArgumentError, match=message):
        log_density(draws)


def test_ten_times_the_neighbors_are_enough_draws():
    assert np.isfinite(log_density(np.random.default_rng(0).normal(size=(10 * NEAREST, 1)))).all()


def test_the_bias_is_told_for_the_nearest_number_of_dimensions_that_was_tried():
    assert bias_text(5) == f"{abs(BIAS[5]):.1%} too small in 5 dimensions"
    assert bias_text(20) == f"{abs(BIAS[8]):.1%} too small in 8 dimensions"
    assert "1 dimension" in bias_text(1)
    assert "dimensions" not in bias_text(1)
