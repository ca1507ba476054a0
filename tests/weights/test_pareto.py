import math

import numpy as np
import pytest

from arviz_resampler.weights.pareto import fit_pareto


@pytest.mark.parametrize("rate", [0.3, 0.5, 0.7])
def test_pareto_shape_of_exponential_ratios_is_exact(rate):
    n = 200_000
    x = np.random.default_rng(3).exponential(size=n)
    fit = fit_pareto(np.exp((1 - rate) * x))
    # The ratio is exactly Pareto of shape k = 1 - rate. The shape of a tail of M has standard error
    # (1 + k) / sqrt(M); the weak prior pulls it by (0.5 - k) * 10 / (M + 10).
    k = 1 - rate
    assert fit.tail == int(3 * math.sqrt(n))
    assert abs(fit.k - k) < 5 * (1 + k) / math.sqrt(fit.tail) + abs(0.5 - k) * 10 / fit.tail


def test_a_tail_is_found_without_sorting_wherever_it_stands():
    ratios = np.exp(np.random.default_rng(0).normal(size=400_000))
    ordered = np.sort(ratios)
    # In ascending order a stride sees the tail too late or too early; the answer is the same.
    assert fit_pareto(ordered) == fit_pareto(ratios)


def test_the_fit_does_not_depend_on_the_scale():
    ratios = np.exp(np.random.default_rng(1).normal(size=5000))
    assert fit_pareto(1e-200 * ratios).k == pytest.approx(fit_pareto(ratios).k, rel=1e-6)


def test_a_tail_of_equal_ratios_is_not_fitted():
    ratios = np.random.default_rng(0).uniform(size=10_000)
    assert "equal" in fit_pareto(np.minimum(ratios, 0.5)).reason
    assert math.isnan(fit_pareto(np.minimum(ratios, 0.5)).k)


def test_ties_at_the_edge_of_the_tail_do_no_harm():
    ratios = np.concatenate([np.zeros(9000), np.exp(np.random.default_rng(0).normal(size=1000))])
    assert math.isfinite(fit_pareto(ratios).k)
    few = np.concatenate([np.zeros(9900), np.exp(np.random.default_rng(0).normal(size=100))])
    assert math.isfinite(fit_pareto(few).k)


def test_the_threshold_is_lower_for_few_particles():
    ratios = np.exp(np.random.default_rng(0).normal(size=100_000))
    assert fit_pareto(ratios[:100]).threshold == pytest.approx(0.5)
    assert fit_pareto(ratios).threshold == pytest.approx(0.7)
