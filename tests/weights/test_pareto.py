import math

import arviz as az
import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch
from scipy.stats import genpareto

from arviz_resampler import Resampler, Weights
from arviz_resampler.weights.pareto import ParetoFit, fit_pareto, unfit_to_smooth


def of_arviz(log_ratio):
    """Smoothed log weights and k-hat of the ArviZ that is installed."""
    if az.__version__.startswith("0."):
        return az.psislw(log_ratio)
    from arviz_stats.base.array import array_stats

    return array_stats.psislw(-log_ratio)  # of log likelihoods, whose ratios are the inverse


def shape_of_arviz(log_ratio):
    return float(of_arviz(log_ratio)[1])


@pytest.mark.parametrize("spread", [0.3, 1.0, 3.0])
@pytest.mark.parametrize("n", [50, 100, 400, 2500, 10_000])  # where all round the length of the tail alike
def test_the_shape_is_that_of_arviz(n, spread):
    log_ratio = spread * np.random.default_rng(n).normal(size=n)
    assert fit_pareto(torch.as_tensor(np.exp(log_ratio))).k == pytest.approx(
        shape_of_arviz(log_ratio), abs=1e-9
    )


@pytest.mark.parametrize("n", [25, 100])
def test_the_weak_prior_counts_as_ten_ratios_of_shape_one_half(n):
    log_ratio = 2 * np.random.default_rng(1).normal(size=n)
    fit = fit_pareto(torch.as_tensor(np.exp(log_ratio)))
    top = np.sort(np.exp(log_ratio))[-fit.tail - 1 :]
    excess = top[1:] - top[0]
    # The profile likelihood of Zhang and Stephens, averaged over their grid.
    m = 30 + int(math.sqrt(fit.tail))
    grid = 1 / excess[-1] + (1 - np.sqrt(m / (np.arange(1, m + 1) - 0.5))) / (
        3 * excess[int(fit.tail / 4 + 0.5) - 1]
    )
    shapes = np.log1p(-np.outer(grid, excess)).mean(axis=1)
    profile = fit.tail * (np.log(-grid / shapes) - shapes - 1)
    likely = np.exp(profile - profile.max())
    shape = np.log1p(-(grid @ likely / likely.sum()) * excess).mean()
    assert fit.k == pytest.approx((fit.tail * shape + 10 * 0.5) / (fit.tail + 10), abs=1e-9)


@pytest.mark.parametrize(
    ("n", "tail", "threshold"),
    [
        (24, 4, 0.2755),
        (25, 5, 0.2847),
        (100, 20, 0.5),
        (224, 44, 0.5745),
        (225, 45, 0.5749),
        (226, 45, 0.5752),
        (400, 60, 0.6157),
        (1000, 94, 0.6667),
        (2200, 140, 0.7),
        (10_000, 300, 0.7),
        (1_000_000, 3000, 0.7),
    ],
)
def test_tail_and_threshold_of_so_many_particles(n, tail, threshold):
    fit = fit_pareto(torch.as_tensor(np.exp(np.random.default_rng(0).normal(size=n))))
    assert (fit.tail, fit.threshold) == (tail, pytest.approx(threshold, abs=5e-5))
    assert math.isnan(fit.k) == (tail < 5)


@pytest.mark.parametrize("rate", [0.3, 0.5, 0.7])
def test_pareto_shape_of_exponential_ratios_is_exact(rate):
    n = 200_000
    x = np.random.default_rng(3).exponential(size=n)
    fit = fit_pareto(torch.as_tensor(np.exp((1 - rate) * x)))
    # The ratio is exactly Pareto of shape k = 1 - rate. The shape of a tail of M has standard error
    # (1 + k) / sqrt(M); the weak prior pulls it by (0.5 - k) * 10 / (M + 10).
    k = 1 - rate
    assert fit.tail == int(3 * math.sqrt(n))
    assert abs(fit.k - k) < 5 * (1 + k) / math.sqrt(fit.tail) + abs(0.5 - k) * 10 / fit.tail


def test_a_tail_is_found_without_sorting_wherever_it_stands():
    ratios = np.exp(np.random.default_rng(0).normal(size=400_000))
    ordered = np.sort(ratios)
    # In ascending order a stride sees the tail too late or too early; the answer is the same.
    assert fit_pareto(torch.as_tensor(ordered)) == fit_pareto(torch.as_tensor(ratios))


def test_the_fit_does_not_depend_on_the_scale():
    ratios = np.exp(np.random.default_rng(1).normal(size=5000))
    assert fit_pareto(torch.as_tensor(1e-200 * ratios)).k == pytest.approx(
        fit_pareto(torch.as_tensor(ratios)).k, rel=1e-6
    )


def test_a_tail_of_equal_ratios_is_not_fitted():
    ratios = np.random.default_rng(0).uniform(size=10_000)
    assert "equal" in fit_pareto(torch.as_tensor(np.minimum(ratios, 0.5))).reason
    assert math.isnan(fit_pareto(torch.as_tensor(np.minimum(ratios, 0.5))).k)


def test_ties_at_the_edge_of_the_tail_do_no_harm():
    ratios = np.concatenate([np.zeros(9000), np.exp(np.random.default_rng(0).normal(size=1000))])
    assert math.isfinite(fit_pareto(torch.as_tensor(ratios)).k)
    few = np.concatenate([np.zeros(9900), np.exp(np.random.default_rng(0).normal(size=100))])
    assert math.isfinite(fit_pareto(torch.as_tensor(few)).k)


@pytest.mark.parametrize(
    ("guide", "model"),
    [
        (dist.Categorical(torch.tensor([0.01, 0.99])), dist.Categorical(torch.tensor([0.02, 0.98]))),
        (dist.Poisson(5.0), dist.Poisson(4.0)),
        (dist.Binomial(10, 0.5), dist.Binomial(10, 0.4)),
        (dist.Geometric(0.3), dist.Geometric(0.4)),
    ],
)
def test_ratios_of_counts_which_are_bounded_and_tied_have_no_heavy_tail(guide, model):
    torch.manual_seed(0)
    x = guide.sample((20_000,))
    ratios = (model.log_prob(x) - guide.log_prob(x)).exp().double().numpy()
    fit = fit_pareto(torch.as_tensor(ratios))
    assert fit.reason or fit.k < fit.threshold


@pytest.mark.parametrize(("tied", "reason"), [(19, ""), (20, "the largest weights are equal")])
def test_where_the_twenty_largest_ratios_are_equal_they_are_at_a_bound(tied, reason):
    ratios = np.random.default_rng(0).uniform(0.9, 1.0, 5000)
    ratios[:tied] = 3.0 * (1 - 1e-7 * np.arange(tied) / tied)
    fit = fit_pareto(torch.as_tensor(ratios))
    assert fit.reason == reason
    assert (fit.k > fit.threshold) == (reason == "")


def test_a_model_beyond_a_box_that_it_topped_up_is_reliable():
    design = np.random.default_rng(0).uniform(-4, 4, 4096)
    resampler = Resampler.from_simulations({"a": design}, box={"a": (-4, 4)}, random_seed=0)
    model = lambda: pyro.sample("a", dist.Normal(2.5, 1.0))  # noqa: E731
    resampler.top_up(model, ess=3000)
    assert resampler.weigh(model).verdict == "good"


def test_ratios_that_are_tied_with_the_cutoff_are_no_tail():
    n = 10_000  # 300 are the tail
    ratios = np.ones(n)
    ratios[:100] = 2.0
    assert fit_pareto(torch.as_tensor(ratios)).reason == "the largest weights are equal"
    ratios[:4] = [3.0, 4.0, 5.0, 6.0]
    ratios[4:100] = 1.0
    assert (fit_pareto(torch.as_tensor(ratios)).reason, fit_pareto(torch.as_tensor(ratios)).tail) == (
        "most of the largest weights are equal",
        4,
    )
    ratios[4] = 7.0
    assert (fit_pareto(torch.as_tensor(ratios)).reason, fit_pareto(torch.as_tensor(ratios)).tail) == ("", 5)


# ---------------------------------------------------------------- weights with a smooth tail


def pareto_weights(k, n=4000, seed=0):
    ratio = (1 - np.random.default_rng(seed).random(n)) ** -k
    return Weights({"x": np.log(ratio)}, densities_normalized=False)


@pytest.mark.parametrize(
    ("k", "ess", "why"),
    [
        (0.5, 91.0, ""),
        (math.nextafter(0.5, 0), 91.0, "Pareto k-hat 0.50 is below 0.5, where smoothing gains nothing"),
        (math.nextafter(1.0, 0), 91.0, ""),
        (1.0, 91.0, "Pareto k-hat 1.00 is 1 or more, where smoothing makes errors larger"),
        (0.7, 90.0, "the effective sample size 90 is not above the 90 weights of the tail"),
    ],
)
def test_weights_are_smoothed_where_that_lowers_the_error(k, ess, why):
    found = unfit_to_smooth(ParetoFit(k, 90, 0.65, "", 1.0, 1.0), ess)
    assert found.startswith(why)
    assert bool(found) is bool(why)


def test_weights_without_k_hat_are_not_smoothed():
    assert unfit_to_smooth(ParetoFit(math.nan, 3, 0.65, "too few"), 500.0) == "too few"


def test_smoothed_weights_are_those_of_the_fitted_distribution():
    weights = pareto_weights(0.6)
    fit, smoothed = weights.pareto, weights.smoothed
    raw = weights.normalized
    assert smoothed.sum() == pytest.approx(1.0)
    assert not smoothed.flags.writeable
    tail = np.argsort(raw)[-fit.tail :]
    body = np.setdiff1d(np.arange(4000), tail)
    np.testing.assert_allclose(smoothed[body] / smoothed[body].sum(), raw[body] / raw[body].sum())
    scale = raw[body].sum() / smoothed[body].sum()
    p = (np.arange(fit.tail) + 0.5) / fit.tail
    expected = np.minimum(genpareto.ppf(p, fit.k, loc=fit.cutoff, scale=fit.scale), raw.max())
    np.testing.assert_allclose(smoothed[tail] * scale, expected, rtol=1e-9)
    assert (np.diff(smoothed[tail]) >= 0).all()


def test_smoothed_weights_are_those_of_arviz():
    weights = pareto_weights(0.6, 10_000, seed=1)  # where both round the length of the tail alike
    np.testing.assert_allclose(np.log(weights.smoothed), of_arviz(weights.log_ratio)[0], atol=1e-6)


def test_a_tail_between_two_bounds_of_a_mixture_has_no_shape():
    # Half of the tail lies all but at its cutoff, the other half half as high again: no heavy tail, though a
    # generalized Pareto distribution with k of 2.5 looks like that.
    ratios = np.ones(10_000)
    ratios[:150] = 1.0 + np.geomspace(1e-6, 0.49, 150)
    ratios[150:300] = 1.0 + 1e-6 * (1 + np.arange(150) / 150)
    fit = fit_pareto(torch.as_tensor(ratios))
    assert np.isnan(fit.k)
    assert fit.reason == "the largest weights differ by less than a factor of two"
    higher = np.where(ratios > 1.4, 2.1 * ratios, ratios)
    assert fit_pareto(torch.as_tensor(higher)).k > 0.7
