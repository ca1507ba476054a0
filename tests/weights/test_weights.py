import math
import pickle
from contextlib import nullcontext

import numpy as np
import pytest
import torch

from arviz_resampler import ArgumentError, WeightError, Weights, WeightWarning


def normal_weights(n, guide_sd=10.0, mean=0.0, sd=1.0, seed=0):
    """Weights of Normal(mean, sd) on particles of Normal(0, guide_sd), with the particles."""
    x = np.random.default_rng(seed).normal(0, guide_sd, size=n)
    ratio = np.log(guide_sd / sd) - ((x - mean) / sd) ** 2 / 2 + (x / guide_sd) ** 2 / 2
    return Weights({"x": ratio}), x


def test_equal_weights_count_every_particle():
    weights = Weights({"x": np.full(2000, -3.5)})
    assert weights.ess == pytest.approx(2000)
    assert weights.ess_entropy == pytest.approx(2000)
    assert weights.max_weight == pytest.approx(1 / 2000)
    assert weights.num_supported == 2000
    assert math.isnan(weights.pareto_k)
    assert "equal" in weights.pareto.reason
    assert weights.log_mean_weight == pytest.approx(-3.5)


def test_weights_sum_to_one_and_do_not_change_with_a_constant():
    ratio = np.random.default_rng(0).normal(size=500)
    plain, shifted = Weights({"x": ratio}), Weights({"x": ratio - 900.0})
    assert plain.normalized.sum() == pytest.approx(1)
    np.testing.assert_allclose(plain.normalized, shifted.normalized, rtol=1e-12)


@pytest.mark.parametrize(("mean", "sd"), [(0.0, 1.0), (3.0, 2.0), (-5.0, 4.0)])
def test_ess_of_a_normal_under_a_wider_normal_is_the_closed_form(mean, sd):
    n = 100_000
    weights, _ = normal_weights(n, 10, mean, sd)
    fraction = sd * math.sqrt(200 - sd**2) / 100 * math.exp(-(mean**2) / (200 - sd**2))
    raw = np.exp(weights.log_ratio)
    # ESS / N = mean(w)^2 / mean(w^2); by the delta method its relative error is that of
    # 2 w / E[w] - w^2 / E[w^2].
    error = fraction * (2 * raw / raw.mean() - raw**2 / (raw**2).mean()).std() / math.sqrt(n)
    assert abs(weights.ess / n - fraction) < 5 * error


@pytest.mark.parametrize(("mean", "sd"), [(0.0, 1.0), (3.0, 2.0), (-5.0, 4.0)])
def test_weighted_means_are_within_their_own_standard_error(mean, sd):
    weights, x = normal_weights(100_000, 10, mean, sd)
    assert abs(weights.mean(x) - mean) < 5 * weights.mcse(x)
    assert abs(weights.mean((x - mean) ** 2) - sd**2) < 5 * weights.mcse((x - mean) ** 2)
    # A quantile has error sqrt(q (1 - q) / ESS) over the density there; 0.24 / sd at q = 0.1 or 0.9.
    low, high = weights.quantile(x, [0.1, 0.9])
    error = math.sqrt(0.09 / weights.ess) / (0.1755 / sd)
    assert abs(low - (mean - 1.2816 * sd)) < 5 * error
    assert abs(high - (mean + 1.2816 * sd)) < 5 * error


def test_the_standard_error_is_that_of_repeated_runs():
    means, errors = [], []
    for seed in range(300):
        weights, x = normal_weights(2000, seed=seed)
        means.append(weights.mean(x))
        errors.append(weights.mcse(x))
    # The standard deviation of 300 means has a relative error of 1 / sqrt(600) = 0.041.
    assert abs(np.std(means) / np.mean(errors) - 1) < 5 * 0.041


def test_statistics_keep_the_axes_of_the_values():
    weights, x = normal_weights(1000)
    values = np.stack([x, 2 * x, 3 * x], axis=1).reshape(1000, 3, 1)
    assert weights.mean(values).shape == (3, 1)
    assert weights.mcse(values).shape == (3, 1)
    assert weights.quantile(values, [0.2, 0.5]).shape == (2, 3, 1)
    assert weights.mean(values)[1, 0] == pytest.approx(2 * weights.mean(x))


def test_values_of_another_length_are_refused():
    weights, x = normal_weights(1000)
    with pytest.raises(ArgumentError, match=r"1000 particles.*\(999,\)"):
        weights.mean(x[:-1])


@pytest.mark.parametrize("sd", [1.5, 3.0])
def test_pareto_shape_of_a_wider_normal_is_near_its_limit(sd):
    weights, _ = normal_weights(200_000, guide_sd=1.0, sd=sd)
    # The limit 1 - 1 / sd^2 holds up to a factor that varies slowly, so loosely.
    assert abs(weights.pareto_k - (1 - 1 / sd**2)) < 0.2


def test_a_bounded_ratio_has_a_negative_shape():
    assert normal_weights(100_000)[0].pareto_k < 0


def test_few_particles_have_no_tail():
    weights = Weights({"x": np.random.default_rng(0).normal(size=20)})
    assert math.isnan(weights.pareto_k)
    assert "too few" in weights.pareto.reason


def test_a_good_weighting_is_called_good():
    weights, _ = normal_weights(50_000)
    assert weights.verdict == "good"
    assert repr(weights).startswith("Weights: good")


def test_fewer_effective_particles_than_draws_is_low():
    weights, _ = normal_weights(20_000)
    verdict, advice = weights.judge(10_000)
    assert verdict == "low"
    assert "guide samples" in advice
    assert "'x'" in advice
    assert weights.judge(1000).verdict == "good"


def test_the_advised_number_of_particles_is_enough():
    weights, _ = normal_weights(20_000)
    needed = int(weights.judge(10_000).advice.split("About ")[1].split(" guide")[0].replace(",", ""))
    more, _ = normal_weights(needed, seed=1)
    # ESS of either run has a relative error below 2 %.
    assert more.ess > 0.9 * 10_000


def test_a_handful_of_effective_particles_is_unreliable():
    weights, _ = normal_weights(500, guide_sd=100.0)
    assert weights.verdict == "unreliable"
    assert "effective sample size" in weights.advice


def test_a_model_that_the_guide_hardly_reaches_asks_for_a_wider_guide_and_not_for_more_particles():
    weights, _ = normal_weights(100_000, guide_sd=25.0, mean=250.0, sd=5.0)
    assert weights.ess < 100
    assert weights.verdict == "unreliable"
    assert "widen the guide" in weights.advice
    assert "guide samples" not in weights.advice


def test_a_model_much_narrower_than_the_guide_does_not_ask_for_a_wider_guide():
    # Three sites of a LogNormal(0, 1) over a LogNormal(0, 10): the ESS is 0.3 % of the particles, fewer than
    # the tail that k-hat is fitted to, and k-hat is above its threshold although all ratios are bounded.
    sites = {name: normal_weights(10_000, guide_sd=10.0, seed=s)[0].log_ratio for s, name in enumerate("abc")}
    weights = Weights(sites)
    assert weights.ess < 100
    assert weights.pareto_k > weights.pareto.threshold
    assert "a guide closer to the model" in weights.advice
    assert "widen" not in weights.advice


def test_a_heavy_tail_is_unreliable_and_says_where_to_widen():
    weights, _ = normal_weights(20_000, guide_sd=1.0, sd=3.0)
    assert weights.ess > weights.pareto.tail
    assert weights.verdict == "unreliable"
    assert "k-hat" in weights.advice
    assert "widen the guide" in weights.advice.lower()


def test_a_heavy_tail_is_unreliable_with_fewer_effective_particles_than_its_tail():
    weights, _ = normal_weights(10_000, guide_sd=1.0, sd=3.0, seed=1)
    assert 100 < weights.ess < weights.pareto.tail
    assert weights.verdict == "unreliable"
    assert "k-hat" in weights.advice


def test_a_missing_mode_shows_in_the_mean_ratio_alone():
    x = np.random.default_rng(0).normal(size=50_000)
    other = np.exp(-((x - 40) ** 2) / 2 + x**2 / 2)
    weights = Weights({"x": np.log(0.5 + 0.5 * other)})
    assert weights.ess == pytest.approx(50_000)
    assert weights.log_mean_weight == pytest.approx(math.log(0.5))
    assert weights.verdict == "unreliable"
    assert "50% of the model's mass" in weights.advice
    # Densities that are not normalized say nothing about mass.
    assert Weights({"x": np.log(0.5 + 0.5 * other)}, densities_normalized=False).verdict == "good"


def test_the_mean_ratio_of_normalized_densities_is_one_within_its_error():
    deviations = []
    for seed in range(5000):
        weights, _ = normal_weights(500, guide_sd=2.0, seed=seed)
        deviations.append(weights.log_mean_weight / weights.log_mean_weight_se)
    # Five thousand standard normal deviations: their mean square has standard error sqrt(2 / 5000) = 0.02,
    # and a standard error that is wrong by a fifth makes it 0.69 or 1.56. That of 500 particles differs
    # from a normal one by some thousandths.
    assert abs(np.mean(np.square(deviations)) - 1) < 5 * math.sqrt(2 / 5000)


def test_no_support_is_said_and_nothing_is_averaged():
    weights = Weights({"a": np.zeros(100), "b": np.full(100, -np.inf)})
    assert weights.num_supported == 0
    assert weights.ess == 0
    assert weights.verdict == "unreliable"
    assert "no particle has positive weight" in weights.advice
    assert "'b'" in weights.advice
    assert "unreliable" in repr(weights)
    with pytest.raises(WeightError, match="no particle"):
        weights.mean(np.zeros(100))


def test_sites_add_up_and_the_costly_one_is_named():
    rng = np.random.default_rng(0)
    a, b, c = rng.normal(0, 0.1, 5000), rng.normal(0, 1.2, 5000), rng.normal(0, 0.2, 5000)
    weights = Weights({"a": a, "b": b, "c": c})
    np.testing.assert_allclose(weights.log_ratio, a + b + c, atol=1e-12)
    assert weights.costliest_site == "b"
    assert weights.ess_by_site["a"] > weights.ess_by_site["b"]
    assert weights.ess_without_site["b"] == pytest.approx(Weights({"a": a, "c": c}).ess)
    # A product over independent sites, up to sampling.
    product = np.prod([weights.ess_by_site[s] / 5000 for s in "abc"])
    assert weights.ess / 5000 == pytest.approx(product, rel=0.15)


def test_of_sites_that_cost_the_same_the_one_that_leaves_least_on_its_own_is_named():
    leaves = {"a": 99, "b": 98, "c": 95, "d": 95}
    weights = Weights({name: np.where(np.arange(100) < left, 0.0, -np.inf) for name, left in leaves.items()})
    assert set(weights.ess_without_site.values()) == {95.0}
    assert dict(weights.ess_by_site) == leaves
    assert weights.costliest_site == "c"


@pytest.mark.parametrize("n", [80, 81, 1000])
def test_the_standard_error_of_the_mean_ratio_is_exact_for_equal_ratios(n):
    weights = Weights({"x": np.where(np.arange(n) < 80, 0.0, -np.inf)})
    assert weights.log_mean_weight_se == pytest.approx(math.sqrt(1 / 80 - 1 / n), abs=1e-12)


def test_a_quantile_is_never_that_of_a_particle_without_weight():
    # NumPy 2.0 gives the first value at q = 0, whatever it weighs.
    weights = Weights({"x": np.array([-np.inf, 0.0, math.log(2), -np.inf])})
    with pytest.warns(
        WeightWarning, match="weights are unreliable, and weighted quantiles with them: effective"
    ):
        found = weights.quantile([1.0, 2.0, 3.0, 4.0], [0.0, 0.3, 0.4, 1.0])
    assert found.tolist() == [2.0, 2.0, 3.0, 3.0]


def test_expected_distinct_draws_are_those_of_resampling():
    weights, _ = normal_weights(3000)
    rng = np.random.default_rng(0)
    counts = [len(np.unique(rng.choice(3000, 500, p=weights.normalized))) for _ in range(400)]
    assert abs(np.mean(counts) - weights.expected_distinct(500)) < 5 * np.std(counts) / 20


def test_weights_cannot_be_changed():
    weights, _ = normal_weights(100)
    with pytest.raises(AttributeError):
        weights.densities_normalized = False
    for array in (weights.log_ratio, weights.normalized, weights.log_ratio_by_site["x"]):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0.0
    with pytest.raises(TypeError):
        weights.log_ratio_by_site["y"] = np.zeros(100)


def test_weights_do_not_lock_the_array_they_were_given():
    ratio = np.zeros(50)
    Weights({"x": ratio})
    ratio[0] = 1.0
    assert ratio.flags.writeable


def test_weights_survive_pickling():
    weights, x = normal_weights(1000)
    again = pickle.loads(pickle.dumps(weights))
    assert again.ess == weights.ess
    assert again.mean(x) == weights.mean(x)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_ratios_that_are_not_numbers_are_refused_by_site(bad):
    with pytest.raises(WeightError, match="site 'b'"):
        Weights({"a": np.zeros(3), "b": np.array([0.0, bad, 0.0])})


def test_ratios_of_different_lengths_are_refused():
    with pytest.raises(ArgumentError, match="one length"):
        Weights({"a": np.zeros(3), "b": np.zeros(4)})


def test_ratios_far_below_the_range_of_exp_keep_their_proportions():
    weights = Weights({"x": np.array([-5000.0, -5000.0 - math.log(3)])})
    np.testing.assert_allclose(weights.normalized, [0.75, 0.25], rtol=1e-9)
    assert weights.log_mean_weight == pytest.approx(-5000 + math.log(2 / 3))
    assert "mean ratio" in repr(weights)


def test_weights_do_not_follow_the_arrays_that_they_were_made_of():
    raw = np.zeros(5)
    weights = Weights({"x": raw})
    raw[0] = 50.0
    assert weights.ess == pytest.approx(5.0)


@pytest.mark.filterwarnings("ignore:.*are not reliable")
def test_particles_without_weight_have_no_say_whatever_their_value():
    weights = Weights({"x": np.array([0.0, 0.0, -np.inf])})
    for odd in (np.nan, np.inf, -np.inf):
        values = np.array([1.0, 3.0, odd])
        assert weights.mean(values) == 2.0
        assert weights.mcse(values) == pytest.approx(math.sqrt(0.5))
        assert weights.quantile(values, 1.0) == 3.0
    assert np.isnan(weights.mean(np.array([1.0, np.nan, 0.0])))


@pytest.mark.parametrize("constant", [800.0, 1e8, 1e300, -1e300])
def test_a_constant_changes_nothing(constant):
    ratio = np.random.default_rng(0).normal(size=1000)
    # With a constant the digits of the ratio that are left are those of the sum.
    ratio = (ratio + constant) - constant
    weights, shifted = (Weights({"x": ratio + c}, densities_normalized=False) for c in (0.0, constant))
    assert shifted.ess == pytest.approx(weights.ess)
    assert shifted.judge(10) == weights.judge(10)
    np.testing.assert_allclose(shifted.normalized, weights.normalized)
    assert repr(shifted).startswith("Weights:")


def test_log_ratios_far_apart_overflow_nothing():
    weights = Weights({"x": np.linspace(-1e5, 1e5, 1000)})
    assert weights.verdict == "unreliable"
    assert weights.ess == pytest.approx(1.0)


def test_a_sum_beyond_the_range_of_floats_is_refused():
    with pytest.raises(WeightError, match=r"the sum of the log ratios over sites is \+infinity"):
        _ = Weights({"x": np.full(10, 1e308), "y": np.full(10, 1e308)}).ess


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16, torch.float32, torch.int64, torch.bool])
def test_values_may_be_tensors_of_any_dtype(kind):
    weights = Weights({"x": np.zeros(64)})
    assert weights.mean(torch.tensor([0, 1] * 32).to(kind)) == 0.5
    assert weights.mean(torch.full((64,), 3.0, requires_grad=True)) == 3.0


def test_the_ess_without_each_site_is_that_of_the_other_sites():
    rng = np.random.default_rng(0)
    sites = {name: rng.normal(size=200) for name in "abcde"}
    sites["c"][:50] = -np.inf
    weights = Weights(sites)
    for name in sites:
        others = Weights({"rest": sum(ratio for other, ratio in sites.items() if other != name)})
        assert weights.ess_without_site[name] == pytest.approx(others.ess)
    assert dict(Weights({"a": sites["a"]}).ess_without_site) == {"a": 200.0}


def test_failed_is_copied_and_checked():
    failed = np.zeros(4, bool)
    weights = Weights({"x": np.zeros(4)}, failed=failed)
    failed[:] = True
    assert weights.failed_mass == (0.0, 0.0)
    with pytest.raises(ArgumentError, match="failed must have the 4 particles as the first axis"):
        Weights({"x": np.zeros(4)}, failed=np.zeros(3, bool))


def test_room_for_weights_is_taken_once():
    room = torch.empty(3, dtype=torch.float64)
    log_ratio = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64).log()
    weights = Weights.from_sum(
        {"x": log_ratio}, log_ratio, log_ratio.max(), unnormalized=(), failed=None, out=room
    )
    first = weights.tensor
    assert first.data_ptr() == room.data_ptr()
    del weights.__dict__["_normalized"]  # as a second thread that asks before the first one is done
    assert weights.tensor.data_ptr() != room.data_ptr()
    assert torch.equal(weights.tensor, first)


@pytest.mark.parametrize("q", ["median", ["a"], None, [0.1, [0.2]], {0.5}, 1j, 50, math.nan])
def test_what_is_no_probability_is_refused(q):
    with pytest.raises(ArgumentError, match=r"q must be probabilities in \[0, 1\]"):
        Weights({"x": np.zeros(4)}).quantile(np.arange(4), q)


def test_log_ratios_are_given_by_site():
    for given in (np.zeros(4), {1: np.zeros(4)}):
        with pytest.raises(ArgumentError, match="log_ratio_by_site"):
            Weights(given)


def test_a_mean_ratio_beyond_floats_is_shown_by_its_log():
    weights = Weights({"x": np.full(1000, 1e8)}, densities_normalized=False)
    assert "mean ratio     exp(1e+08)" in repr(weights)


def test_what_is_known_of_a_model_without_a_normalizing_constant_is_its_other_sites():
    ratio, factor = np.random.default_rng(0).normal(size=(2, 500))
    weights = Weights({"x": ratio, "f": factor, "g": -factor}, unnormalized=("f", "g"))
    assert not weights.densities_normalized
    assert math.isnan(weights.missed_mass)
    known = weights.normalized_part
    assert known.missed_mass == Weights({"x": ratio}).missed_mass
    assert f"without 'f', 'g' it has one, and up to {known.missed_mass:.2%} may lie" in repr(weights)
    assert pickle.loads(pickle.dumps(weights)).unnormalized == ("f", "g")
    assert Weights({"x": ratio}).normalized_part is None
    assert Weights({"f": factor}, unnormalized=["f"]).normalized_part is None
    assert Weights({"x": ratio}, densities_normalized=False).normalized_part is None
    with pytest.raises(ArgumentError, match="unnormalized holds 'h'; the sites are 'x'"):
        Weights({"x": ratio}, unnormalized=["h"])


def test_without_weight_all_of_a_model_is_missed():
    assert Weights({"x": np.full(50, -np.inf)}).missed_mass == 1.0


@pytest.mark.parametrize(("hits", "warns"), [(29, True), (31, False)])
def test_means_and_quantiles_warn_where_fewer_than_thirty_particles_tell_their_error(hits, warns):
    # Of equal weights and few hits, the error of a mean is that of the hits; see test_honesty.py.
    weights, values = Weights({"x": np.zeros(100_000)}), np.zeros((100_000, 2))
    values[:hits, 0] = 1.0
    values[:50_000, 1] = 1.0
    expected = (
        pytest.warns(WeightWarning, match="1 of 2 weighted means are not reliable")
        if warns
        else nullcontext()
    )
    with expected:
        assert weights.mean(values).tolist() == pytest.approx([hits / 100_000, 0.5])
    ordered = np.arange(100_000.0)
    expected = (
        pytest.warns(WeightWarning, match="1 of 1 weighted quantiles are not") if warns else nullcontext()
    )
    with expected:
        weights.quantile(-ordered, (hits - 0.5) / 100_000)


def test_weights_that_are_unreliable_have_no_reliable_mean():
    weights = Weights({"x": np.full(1000, -3.0)})
    with pytest.warns(
        WeightWarning, match="weights are unreliable, and weighted means with them: the mean raw"
    ):
        weights.mean(np.arange(1000.0))


def test_log_ratios_by_site_are_arrays_that_cannot_be_changed():
    weights = Weights({"x": [0.0, 1.0], "y": torch.tensor([2.0, 3.0])})
    by_site = weights.log_ratio_by_site
    assert {name: ratio.tolist() for name, ratio in by_site.items()} == {"x": [0.0, 1.0], "y": [2.0, 3.0]}
    assert repr(by_site) == repr(dict(by_site))
    assert by_site._ipython_key_completions_() == ["x", "y"]  # type: ignore[attr-defined]
    assert by_site["x"] is by_site["x"]
    for array in (*by_site.values(), weights.log_ratio, weights.normalized):
        assert array.dtype == np.float64
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1.0
    with pytest.raises(TypeError):
        by_site["x"] = 0.0
