"""Numbers from weights against closed forms, other ways to compute them, and their own errors."""

import math

import numpy as np
import pytest

from arviz_resampler.analysis.distances import cjs_distance, overlap
from arviz_resampler.analysis.estimates import contrast, derivatives, event, moments, quantiles

Q = np.array([0.05, 0.5, 0.95])


def normal_log(x, mean, sd):
    return -(((x - mean) / sd) ** 2) / 2 - math.log(sd)


def particles(seed, n=4000, guide=2.0):
    return np.random.default_rng(seed).normal(0.0, guide, size=n)


def weigh(x, mean, sd, guide=2.0):
    log = normal_log(x, mean, sd) - normal_log(x, 0.0, guide)
    raw = np.exp(log - log.max())
    return raw / raw.sum()


def ordered(weights, x):
    order = np.argsort(x)
    return weights[order], x[order]


def every_estimate(seed):
    x = particles(seed)
    weights = weigh(x, 0.5, 1.0)
    found = moments(weights, x)
    return [found.mean, found.sd, *quantiles(*ordered(weights, x), Q)]


def test_errors_of_mean_sd_and_quantiles_are_those_of_repeated_runs():
    runs = np.array([every_estimate(seed) for seed in range(400)])
    truth = np.array([0.5, 1.0, *(0.5 + np.array([-1.6448536, 0.0, 1.6448536]))])
    values, errors = runs[..., 0], runs[..., 1]
    z = (values - truth) / errors.mean(0)
    # A mean of 400 runs has a standard error of 1 / sqrt(400) in these units. Sd and quantiles are
    # biased in the order of their squared error, of 1 / 30 of a standard error at 1,000 effective ones.
    assert (np.abs(z.mean(0)) < 5 / 20 + 1 / 30).all()
    # A standard deviation of 400 runs has a relative error of 1 / sqrt(800); that of a quantile is
    # estimated from a width that is noisy itself.
    assert (np.abs(z.std(0) - 1) < 5 / math.sqrt(800)).all()


SMOOTH = {
    "mean": lambda a, b, x, log_p: moments(a, x).mean,
    "sd": lambda a, b, x, log_p: moments(a, x).sd,
    "difference": lambda a, b, x, log_p: contrast(a, b, x, x**2).difference,
    "ratio": lambda a, b, x, log_p: contrast(a, b, x**2, x**4).ratio,
    "derivative of the mean": lambda a, b, x, log_p: derivatives(a, x, log_p)[0],
    "derivative of the sd": lambda a, b, x, log_p: derivatives(a, x, log_p)[1],
}


@pytest.mark.parametrize("name", SMOOTH)
def test_errors_add_up_what_each_particle_does_to_the_estimate(name):
    rng = np.random.default_rng(0)
    x, log_p, log_a, log_b = rng.normal(0.5, 1.0, size=(4, 40))

    def estimate(shift):
        raw_a, raw_b = np.exp(log_a + shift), np.exp(log_b + shift)
        return SMOOTH[name](raw_a / raw_a.sum(), raw_b / raw_b.sum(), x, log_p)

    step = 1e-5 * np.eye(40)
    effects = [(estimate(e).value - estimate(-e).value) / 2e-5 for e in step]
    assert estimate(0.0).mcse == pytest.approx(math.sqrt(np.square(effects).sum()), rel=1e-6)


def test_quantiles_are_those_of_numpy():
    rng = np.random.default_rng(1)
    for x in (rng.normal(size=500), rng.poisson(2.0, size=500).astype(float)):
        weights = rng.random(500) * (rng.random(500) > 0.3)
        weights /= weights.sum()
        found = [number.value for number in quantiles(*ordered(weights, x), Q)]
        expected = np.quantile(x, Q, weights=weights, method="inverted_cdf")
        np.testing.assert_array_equal(found, expected)


def test_equal_values_have_no_error():
    weights = np.full(50, 1 / 50)
    found = moments(weights, np.full(50, 3.0))
    assert found.mean[:2] == (pytest.approx(3.0), pytest.approx(0.0, abs=1e-12))
    assert found.sd[:2] == (pytest.approx(0.0, abs=1e-7), pytest.approx(0.0, abs=1e-7))
    assert [
        (number.value, number.lower, number.upper) for number in quantiles(weights, np.full(50, 3.0), Q)
    ] == [(3.0, 3.0, 3.0)] * 3


def test_a_contrast_with_itself_is_exactly_zero_and_swapping_flips_the_sign_exactly():
    x = particles(0)
    a, b = weigh(x, 0.5, 1.0), weigh(x, 0.0, 1.2)
    n = [moments(a, values).mean.n_effective for values in (x, x**2)]
    assert contrast(a, a, x, x).difference == (0.0, 0.0, n[0], 0.0, 0.0)
    assert contrast(a, a, x**2, x**2).ratio == (1.0, 0.0, n[1], 1.0, 1.0)
    there, back = contrast(a, b, x, x), contrast(b, a, x, x)
    assert there.difference.value == -back.difference.value != 0
    assert there.difference.mcse == back.difference.mcse


def test_a_ratio_is_for_quantities_that_are_nowhere_negative_where_there_is_weight():
    x = particles(0)
    a, b = weigh(x, 0.5, 1.0), weigh(x, 0.0, 1.2)
    assert math.isnan(contrast(a, b, x, x).ratio.value)
    half_a, half_b = (np.where(x > 0, w, 0.0) / w[x > 0].sum() for w in (a, b))
    assert contrast(half_a, half_b, x, x).ratio.value > 1


def test_errors_of_ratios_are_those_of_repeated_runs():
    found = []
    for seed in range(400):
        x = particles(seed)
        found.append(contrast(weigh(x, 0.5, 1.0), weigh(x, 0.0, 1.2), x**2, x**2).ratio)
    values, errors = np.array(found)[:, :2].T
    assert abs(values.mean() - 1.25 / 1.44) < 5 * errors.mean() / 20 + 1e-3
    assert abs(values.std() / errors.mean() - 1) < 5 / math.sqrt(800)


def brute_overlap(p, q):
    total = 0.0
    for pj, qj in zip(p, q, strict=True):
        if pj > 0 and qj > 0:
            total += 1 / np.maximum(p / pj, q / qj).sum()
    return total


@pytest.mark.parametrize("seed", range(5))
def test_the_overlap_is_that_of_the_double_sum(seed):
    rng = np.random.default_rng(seed)
    p, q = rng.exponential(size=(2, 300)) ** 3
    p[rng.random(300) < 0.3] = 0.0
    q[rng.random(300) < 0.3] = 0.0
    q[::7] = p[::7]
    p, q = p / p.sum(), q / q.sum()
    assert overlap(p, q) == pytest.approx(brute_overlap(p, q), rel=1e-10)
    assert overlap(p, q) == pytest.approx(overlap(q, p), rel=1e-10)
    distance = np.abs(p - q).sum() / 2
    assert (1 - distance) / (1 + distance) <= overlap(p, q) <= 1 - distance + 1e-12


def test_the_overlap_is_one_with_itself_and_zero_without_common_support():
    p = weigh(particles(0), 0.5, 1.0)
    assert overlap(p, p) == pytest.approx(1.0, abs=1e-12)
    assert overlap(np.array([0.5, 0.5, 0.0, 0.0]), np.array([0.0, 0.0, 0.3, 0.7])) == 0.0
    assert overlap(np.array([1.0]), np.array([1.0])) == 1.0


def test_the_overlap_of_weights_next_to_nothing_is_next_to_nothing():
    p, q = np.array([1.0, 5e-324]), np.array([5e-324, 1.0])  # their inverses are beyond float64
    assert overlap(p, q) == 0.0


def test_the_overlap_survives_weights_that_underflow():
    log = np.array([0.0, -700.0, -1e4])
    p, q = np.exp(log), np.exp(log[::-1])
    assert np.isfinite(overlap(p, q))


def test_derivatives_are_those_of_the_scaled_weights():
    x = particles(2)
    base = weigh(x, 0.5, 1.0)
    log_p = normal_log(x, 0.0, 1.5)

    def scaled(power):
        weights = base * np.exp((power - 1) * log_p)
        return moments(weights / weights.sum(), x)

    step = 1e-4
    up, down = scaled(2**step), scaled(2**-step)
    mean, sd = derivatives(base, x, log_p)
    assert mean.value == pytest.approx((up.mean.value - down.mean.value) / (2 * step), rel=1e-5)
    assert sd.value == pytest.approx((up.sd.value - down.sd.value) / (2 * step), rel=1e-5)


@pytest.mark.parametrize(
    ("mean", "truth"),
    # Normal(0.5, 1) to the power alpha is Normal(0.5, 1 / sqrt(alpha)). Times Normal(0, 1) to the power
    # alpha - 1, Normal(2, 1) has mean 2 / alpha and the same standard deviation.
    [(0.5, (0.0, -math.log(2) / 2)), (2.0, (-2 * math.log(2), -math.log(2) / 2))],
)
def test_errors_of_derivatives_are_those_of_repeated_runs(mean, truth):
    found = []
    for seed in range(1000):
        x = particles(seed)
        log_p = normal_log(x, mean if mean < 1 else 0.0, 1.0)
        found.append(derivatives(weigh(x, mean, 1.0), x, log_p))
    values, errors = np.moveaxis(np.array(found)[..., :2], -1, 0)
    # The bias is of the order of the squared error.
    assert (
        np.abs(values.mean(0) - truth) < 5 * errors.mean(0) / math.sqrt(1000) + 4 * errors.mean(0) ** 2
    ).all()
    assert (np.abs(values.std(0) / errors.mean(0) - 1) < 5 / math.sqrt(2000)).all()


def reference_cjs(values, p, q):
    """The definition as priorsense has it, term by term."""

    def one_side(values, p, q):
        width = np.diff(values)
        p, q = np.cumsum(p)[:-1], np.cumsum(q)[:-1]
        area_p, area_q = (p * width).sum(), (q * width).sum()
        pq = (width * p * (np.log2(p) - np.log2((p + q) / 2))).sum() + (area_q - area_p) / (2 * math.log(2))
        qp = (width * q * (np.log2(q) - np.log2((p + q) / 2))).sum() + (area_p - area_q) / (2 * math.log(2))
        return math.sqrt((pq + qp) / (area_p + area_q))

    return max(one_side(values, p, q), one_side(-values[::-1], p[::-1], q[::-1]))


@pytest.mark.parametrize("power", [0.8, 0.99, 1.25])
def test_the_distance_is_that_of_priorsense_where_weights_are_equal(power):
    x = np.sort(particles(3, n=1000))
    equal = np.full(1000, 1 / 1000)
    other = np.exp((power - 1) * normal_log(x, 0.3, 2.0))
    other /= other.sum()
    expected = reference_cjs(x, equal, other)
    assert cjs_distance(equal, other, x) == pytest.approx(expected, rel=1e-7)


def test_the_distance_does_not_change_with_the_sign_of_the_values():
    x = np.sort(np.random.default_rng(5).exponential(size=1000))
    equal, other = np.full(1000, 1 / 1000), np.exp(-0.25 * x)
    other /= other.sum()
    there, back = cjs_distance(equal, other, x), cjs_distance(equal, other[::-1], -x[::-1])
    assert there == pytest.approx(back, rel=1e-9)
    assert there == pytest.approx(reference_cjs(x, equal, other), rel=1e-7)


def test_the_distance_of_a_weighted_sample_is_near_that_of_an_unweighted_one():
    x = np.sort(particles(4, n=200_000, guide=5.0))
    base, other = weigh(x, 0.0, 1.0, 5.0), weigh(x, 0.0, 1 / math.sqrt(1.25), 5.0)
    direct = np.sort(particles(5, n=40_000, guide=1.0))
    scaled = np.exp(0.25 * normal_log(direct, 0.0, 1.0))
    expected = reference_cjs(direct, np.full(40_000, 1 / 40_000), scaled / scaled.sum())
    # The bound is proportional to the range, which differs by a tenth between samples.
    assert cjs_distance(base, other, x) == pytest.approx(expected, rel=0.1)


def test_the_distance_is_zero_to_itself_and_of_equal_values_and_one_at_most():
    x = np.sort(particles(6))
    a, b = weigh(x, 0.0, 1.0), weigh(x, 0.3, 1.0)
    assert cjs_distance(a, a, x) == 0.0
    assert 0 < cjs_distance(a, b, x) < 1
    assert cjs_distance(a, b, np.full(len(x), 2.0)) == 0.0


def test_an_event_is_between_what_is_known_to_happen_and_what_may():
    x = particles(0)
    weights = weigh(x, 0.0, 1.0)
    known = np.where(x > 2.0, math.nan, x > 1.0)
    found = event(weights, known, 0.0, 0.95)
    least, most = (moments(weights, (x > 1.0) & (x <= top)).mean for top in (2.0, math.inf))
    # P(1 < x <= 2) and P(x > 1) of a standard Normal.
    assert abs(least.value - 0.1359) < 5 * least.mcse
    assert abs(most.value - 0.1587) < 5 * most.mcse
    assert least.value - 6 * least.mcse < found.lower < least.lower
    assert most.upper < found.upper < most.value + 6 * most.mcse
    assert math.isnan(found.value)


def test_bounds_of_an_event_hold_where_what_leaves_it_open_weighs_next_to_nothing():
    # Half of the particles failed, which a prior avoids; of the others none was hit, or all.
    weights = np.r_[np.full(400, 1e-6), np.full(400, 1.0)]
    heaviest = 1.0 / weights.sum()
    for happens in (0.0, 1.0):
        found = event(
            weights / weights.sum(), np.r_[np.full(400, math.nan), np.full(400, happens)], 3 * heaviest, 0.95
        )
        width = found.upper - found.lower
        assert 3 * heaviest <= width < 10 * heaviest
        assert found.lower <= happens <= found.upper
