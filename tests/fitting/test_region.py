"""Regions of fits: grids and profiles beside what is known, and what ends them."""

from types import SimpleNamespace

import numpy as np
import pytest
from fit_cases import RANGES, Known, exact, normal, shared
from scipy.stats import chi2

from arviz_resampler.fitting.region import Ruler, region

ERROR = 0.02  # of a residual


def linear(matrix, ess=lambda _: 5000.0, error=ERROR):
    """Residuals that are linear in the shares, zero in the middle."""
    matrix = np.asarray(matrix, float)
    made = Known(lambda u: matrix @ (u - 0.5), lambda _: matrix, ess)
    at = made.at

    def with_noise(shares):
        found = at(shares)
        found.monte_carlo = found.noise = error**2 * np.eye(len(matrix))
        return found

    made.at = with_noise
    made.free = [f"h{i}" for i in range(matrix.shape[1])]
    return made


def found(made, others=(), floor=100.0):
    return region(made, made.at(np.full(len(made.free), 0.5)), others, floor)


@pytest.mark.parametrize("d", [1, 2])
def test_a_grid_holds_the_ellipse_of_the_errors(d):
    # A linear problem: the region of h is within error * sqrt(chi2) of the fit, for both at once.
    reach = ERROR * np.sqrt(chi2.ppf(0.95, d))
    made = found(linear(np.eye(d)))
    assert len(made.grid) == 15**d
    step = np.diff(np.unique(made.grid["h0"])).max()
    for _, row in made.table.iterrows():
        assert row["low"] == pytest.approx(0.5 - reach, abs=step)
        assert row["high"] == pytest.approx(0.5 + reach, abs=step)
        assert (row["low_end"], row["high_end"]) == ("misfit", "misfit")
    inside = ((made.grid[made.table.index] - 0.5) ** 2).sum(axis=1) <= reach**2
    assert (inside == made.grid["inside"]).all()


def test_profiles_of_more_are_intervals_of_each():
    matrix = np.array([[1.0, 0.0, 0.0], [0.5, 1.0, 0.0], [0.0, 0.3, 1.0], [0.2, 0.1, 0.4]])
    inverse = np.linalg.pinv(matrix)
    errors = ERROR * np.sqrt(np.diag(inverse @ inverse.T))
    made = found(linear(matrix))
    assert made.grid.empty
    reach = errors * np.sqrt(chi2.ppf(0.95, 1))
    assert made.table["low"].to_numpy(float) == pytest.approx(0.5 - reach, rel=0.02)
    assert made.table["high"].to_numpy(float) == pytest.approx(0.5 + reach, rel=0.02)


@pytest.mark.parametrize("d", [2, 3])
def test_what_no_target_tells_goes_over_the_whole_range(d):
    matrix = np.eye(d)[:-1]  # of the last one nothing is told
    made = found(linear(matrix))
    assert made.table.iloc[-1].tolist() == [0.0, 1.0, "range", "range"]
    assert made.table.iloc[0]["low_end"] == "misfit"


def test_a_line_along_which_two_give_way_to_each_other_is_followed():
    made = found(linear([[1.0, -1.0, 0.0], [0.0, 0.0, 1.0]]))
    assert made.table.loc["h0"].tolist() == [0.0, 1.0, "range", "range"]
    assert made.table.loc["h2", "low_end"] == "misfit"


@pytest.mark.parametrize("d", [1, 3])
def test_a_region_ends_where_particles_do(d):
    matrix = np.eye(d)[1:] if d > 1 else np.array([[1e-3]])
    made = found(linear(matrix, lambda u: 5000.0 if u[0] < 0.7 else 50.0))
    assert made.table.iloc[0]["high_end"] == "particles"
    assert 0.6 < made.table.iloc[0]["high"] <= 0.7
    assert made.table.iloc[0]["low_end"] == "range"


def test_another_optimum_is_in_the_window():
    made = Known(lambda u: [8 * (u[0] - 0.2) * (u[0] - 0.8)], lambda u: [[8 * (2 * u[0] - 1.0)]])
    at = made.at

    def with_noise(shares):
        one = at(shares)
        one.monte_carlo = one.noise = ERROR**2 * np.eye(1)
        return one

    made.at, made.free = with_noise, ["h0"]
    first, second = (made.at(np.array([u])) for u in (0.2, 0.8))
    alone, both = region(made, first, [], 100.0), region(made, first, [second], 100.0)
    assert alone.table["high"].iloc[0] < 0.3
    assert both.table["high"].iloc[0] > 0.7


def test_whole_numbers_alone_have_no_region():
    made = linear(np.zeros((2, 0)))
    assert found(made).table.empty


def test_a_misfit_is_what_no_step_can_mend():
    # Residuals (1, -1) + u * (1, 1): the half difference stays, of one degree of freedom.
    at = SimpleNamespace(
        shares=np.array([0.5]),
        residual=np.array([1.0, -1.0]),
        jacobian=np.array([[1.0], [1.0]]),
        noise=0.5**2 * np.eye(2),
    )
    ruler = Ruler(at)
    assert ruler.freedom == 1
    assert ruler.misfit == pytest.approx(2.0 / 0.25)
    moved = SimpleNamespace(residual=np.array([1.5, -0.5]), noise=at.noise)
    assert ruler.distance(moved) == pytest.approx(2 * 0.25 / 0.25)
    assert ruler.distance(at) == 0.0
    at.shares = np.array([1.0])  # at the end of its range it mends nothing: both residuals count
    assert Ruler(at).freedom == 2
    assert Ruler(at).misfit == pytest.approx(2.0 / 0.25)


def test_the_region_of_a_fit_is_its_errors_where_all_is_told():
    fit = shared().fit(normal, exact(2.0, 1.5), **RANGES)
    for name, row in fit.region.table.iterrows():
        # Both at once: 2.45 standard errors on either side, to a step of the grid of a seventh of 3.
        assert (row["high"] - row["low"]) / 2 == pytest.approx(2.45 * fit.mcse[name], rel=0.3)
    assert repr(fit.region).splitlines()[0].split() == ["low", "high", "low_end", "high_end"]
