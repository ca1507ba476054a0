"""Levenberg-Marquardt on residuals that are known, within a reach."""

from types import SimpleNamespace

import numpy as np
import pytest
from fit_cases import NOISE, Known

from arviz_resampler import ProgramError
from arviz_resampler.fitting.search import Search, covariance, standard_errors


def rosenbrock(ess=lambda _: 5000.0):
    """A curved valley, in shares: its bottom is (0.6, 0.36)."""
    return Known(
        lambda u: [10 * (u[1] - u[0] ** 2), 0.6 - u[0]],
        lambda u: [[-20 * u[0], 10.0], [-1.0, 0.0]],
        ess,
    )


def test_a_line_is_solved_in_a_few_steps():
    made = Known(lambda u: [3 * (u[0] - 0.4), u[0] + u[1] - 0.9], lambda _: [[3.0, 0.0], [1.0, 1.0]])
    found = Search(made, 0, 100.0).run(made.at(np.array([0.1, 0.1])))
    assert found.shares == pytest.approx([0.4, 0.5], abs=NOISE)
    assert made.count <= 6


def test_a_curved_valley_is_followed():
    made = rosenbrock()
    found = Search(made, 0, 100.0).run(made.at(np.array([0.05, 0.9])))
    assert found.shares == pytest.approx([0.6, 0.36], abs=2 * NOISE)
    assert made.count <= 20


def test_an_optimum_outside_of_the_ranges_is_sought_at_their_end():
    made = Known(lambda u: [u[0] - 1.4, u[0] + u[1] - 1.5], lambda _: [[1.0, 0.0], [1.0, 1.0]])
    found = Search(made, 0, 100.0).run(made.at(np.array([0.5, 0.9])))
    assert found.shares == pytest.approx([1.0, 0.5], abs=5 * NOISE)


def test_steps_to_where_particles_do_not_reach_are_halved_and_said():
    made = rosenbrock(lambda u: 5000.0 if u[0] < 0.5 else 50.0)
    search = Search(made, 3, 100.0)
    found = search.run(made.at(np.array([0.3, 0.3])))
    assert 0.4 < found.shares[0] < 0.5
    assert found.ess == 5000.0
    actions = [entry.action for entry in search.entries]
    assert actions[0] == "start"
    assert "halved: too few effective particles" in actions
    assert {entry.start for entry in search.entries} == {3}


def test_a_position_that_is_worth_it_gets_particles():
    grown = []

    def grow(at):
        grown.append(at)
        return True

    made = rosenbrock(lambda u: 5000.0 if u[0] < 0.5 or grown else 50.0)
    search = Search(made, 0, 100.0, grow)
    found = search.run(made.at(np.array([0.3, 0.3])))
    assert found.shares == pytest.approx([0.6, 0.36], abs=2 * NOISE)
    assert len(grown) == 1
    assert "topped up" in [entry.action for entry in search.entries]


def test_a_position_that_is_no_better_gets_none():
    grown = []

    def grow(at):
        grown.append(at)
        return True

    made = Known(lambda u: [1.0 + 60 * u[0]], lambda _: [[-1.0]], lambda u: 5000.0 if u[0] < 0.2 else 50.0)
    Search(made, 0, 100.0, grow).run(made.at(np.array([0.1])))
    assert not grown


def test_a_position_at_which_the_family_fails_is_stepped_back_from():
    made = rosenbrock()
    at = made.at

    def failing(shares):
        if shares[0] > 0.55:
            raise ProgramError("the call failed")
        return at(shares)

    made.at = failing
    search = Search(made, 0, 100.0)
    found = search.run(at(np.array([0.3, 0.3])))
    assert 0.4 < found.shares[0] <= 0.55
    failed = [entry for entry in search.entries if entry.action == "failed: ProgramError: the call failed"]
    assert failed
    assert failed[0].num_particles == 7


def test_the_covariance_is_the_sandwich():
    jacobian = np.array([[2.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    noise = np.diag([0.1, 0.2, 0.3])
    at = SimpleNamespace(shares=np.zeros(2), jacobian=jacobian, monte_carlo=noise)
    inverse = np.linalg.inv(jacobian.T @ jacobian) @ jacobian.T
    assert covariance(at) == pytest.approx(inverse @ noise @ inverse.T)


def test_a_direction_without_derivative_has_the_error_of_its_range():
    at = SimpleNamespace(shares=np.zeros(2), jacobian=np.array([[2.0, 0.0]]), monte_carlo=np.eye(1))
    assert standard_errors(covariance(at)).tolist() == [0.5, 1.0]
    # The sum alone is told, with an error of a half, so each by itself has that of the other's range, too:
    # of directions (1, 1) and (1, -1) over the root of two, the variances are 1 / 8 and 1.
    at.jacobian = np.array([[2.0, 2.0]])
    assert standard_errors(covariance(at)) == pytest.approx([(1 / 16 + 1 / 2) ** 0.5] * 2)


@pytest.mark.parametrize(("component", "part"), [(0.19, False), (0.21, True)])
def test_a_hyper_parameter_without_a_part_in_a_flat_direction_has_its_own_error(component, part):
    # The flat direction is (component, root of the rest); across it the error is a thousandth.
    other = (1 - component**2) ** 0.5
    at = SimpleNamespace(
        shares=np.zeros(2), jacobian=np.array([[other, -component]]), monte_carlo=1e-6 * np.eye(1)
    )
    first, second = standard_errors(covariance(at))
    assert second == pytest.approx(other, rel=1e-3)
    assert first == pytest.approx(component if part else 1e-3 * other, rel=1e-3)
