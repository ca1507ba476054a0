"""Each threshold of the verdict from just below and from just above, and the sentence that comes out.

The thresholds are written out here: 100 effective particles, half of the particles, 5 standard errors.
"""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from arviz_resampler import Weights
from arviz_resampler.weights import verdict
from arviz_resampler.weights.chains import Widened
from arviz_resampler.weights.pareto import ParetoFit
from arviz_resampler.weights.verdict import Judgement, judge

N = 1000
BELOW_ONE = math.nextafter(1.0, 0.0)
EVEN = np.full(N, 1 / N)
LIGHT, HEAVY = ParetoFit(0.2, 90, 0.65, ""), ParetoFit(0.65, 90, 0.65, "")
JUST_LIGHT = HEAVY._replace(k=0.65 * BELOW_ONE)
MISSED = "Up to 1.23% of the model may lie where no particle is."
NONE = ParetoFit(math.nan, 90, 0.65, "the largest weights are equal")


def numbers(**changes):
    """The numbers of 1,000 good weights, some of them changed."""
    normalized = changes.get("normalized", EVEN)
    ratios = changes.get("log_ratio_by_site", {"a": np.zeros(4), "b": np.full(4, -1.0)})
    good = {
        "num_particles": N,
        "ess": 500.0,
        "max_weight": 0.0123,
        "pareto": LIGHT,
        "log_mean_weight": 0.0,
        "log_mean_weight_se": 0.01,
        "densities_normalized": True,
        "missed_mass": 0.0123,
        "normalized_part": None,
        "unnormalized": (),
        "normalized": normalized,
        "tensor": torch.from_numpy(normalized),
        "log_ratio_by_site": ratios,
        "tensors_by_site": {name: torch.from_numpy(ratio) for name, ratio in ratios.items()},
        "costliest_site": "c",
        "failed_mass": (0.0, 0.0),
        "chains": None,
        "relative_efficiency": 1.0,
        "expected_distinct": lambda num_samples: 0.4 * num_samples,
    }
    return SimpleNamespace(**{**good, **changes})


def mostly(weight):
    """Weights of which just over a half, or exactly a half, are above a multiple of 1 / N."""
    return np.where(np.arange(N) < 501, weight / N, 0.0), np.where(np.arange(N) < 500, weight / N, 0.0)


# ---------------------------------------------------------------- which rule decides


@pytest.mark.parametrize(
    ("rule", "changes", "num_samples"),
    [
        (verdict.no_support, {"ess": 0.0}, 1),
        (verdict.too_few, {"ess": 100 * BELOW_ONE}, 1),
        (verdict.too_few, {"ess": 30 * BELOW_ONE, "num_particles": 60}, 1),
        (verdict.too_few, {"ess": 99.5, "num_particles": 200}, 1),
        (verdict.heavy_tail, {"pareto": HEAVY}, 1),
        (verdict.heavy_tail, {"pareto": HEAVY._replace(tail=500), "normalized": mostly(0.009)[0]}, 1),
        (verdict.heavy_tail, {"pareto": HEAVY._replace(tail=501), "normalized": mostly(0.011)[0]}, 1),
        (verdict.missing_mass, {"log_mean_weight": math.log(0.8), "log_mean_weight_se": 0.25 / 5.1}, 1),
        (verdict.missing_mass, {"log_mean_weight": -1.1e-3, "log_mean_weight_se": 0.0}, 1),
        (verdict.excess_mass, {"log_mean_weight": math.log(1.25), "log_mean_weight_se": 0.1842 / 5.1}, 1),
        (verdict.excess_mass, {"log_mean_weight": math.log(1.01625), "log_mean_weight_se": 0.0}, 1),
        (verdict.excess_mass, {"log_mean_weight": 5e5}, 1),
        (verdict.repeats, {}, 501),
        (verdict.repeats, {"pareto": HEAVY._replace(tail=501), "normalized": mostly(0.011)[1]}, 1),
        (verdict.repeats, {"pareto": HEAVY._replace(tail=501), "normalized": mostly(0.009)[0]}, 1),
    ],
)
def test_a_rule_judges_from_its_threshold_on(rule, changes, num_samples):
    weights = numbers(**changes)
    judgement = rule(weights, num_samples)
    assert isinstance(judgement, Judgement)
    assert judgement.verdict == ("low" if rule is verdict.repeats else "unreliable")
    assert judge(weights, num_samples) == judgement


@pytest.mark.parametrize(
    ("rule", "changes", "num_samples"),
    [
        (verdict.no_support, {"ess": 1e-300}, 1),
        (verdict.too_few, {"ess": 100.0}, 1),
        (verdict.too_few, {"ess": 30.0, "num_particles": 60}, 1),
        (verdict.too_few, {"ess": 100.0, "num_particles": 200}, 1),
        (verdict.too_few, {"ess": 100.0, "num_particles": 201}, 1),
        (verdict.heavy_tail, {"pareto": JUST_LIGHT}, 1),
        (verdict.heavy_tail, {"pareto": NONE}, 1),
        (verdict.heavy_tail, {"pareto": HEAVY._replace(tail=501), "normalized": mostly(0.011)[1]}, 1),
        (verdict.heavy_tail, {"pareto": HEAVY._replace(tail=501), "normalized": mostly(0.009)[0]}, 1),
        (verdict.missing_mass, {"log_mean_weight": math.log(0.8), "log_mean_weight_se": 0.25 / 4.9}, 1),
        (verdict.missing_mass, {"log_mean_weight": -0.9e-3, "log_mean_weight_se": 0.0}, 1),
        (verdict.missing_mass, {"log_mean_weight": 5.0}, 1),
        (verdict.missing_mass, {"log_mean_weight": -5.0, "densities_normalized": False}, 1),
        # (1.25 - 1 - 0.001) / 1.25 - 15 / 1000 is 0.1842, and 1.001 / (1 - 15 / 1000) is 1.01624.
        (verdict.excess_mass, {"log_mean_weight": math.log(1.25), "log_mean_weight_se": 0.1842 / 4.9}, 1),
        (verdict.excess_mass, {"log_mean_weight": math.log(1.01623), "log_mean_weight_se": 0.0}, 1),
        (verdict.excess_mass, {"log_mean_weight": 5.0, "densities_normalized": False}, 1),
        (verdict.repeats, {}, 500),
        (verdict.repeats, {"pareto": JUST_LIGHT}, 500),
        (verdict.repeats, {"pareto": NONE}, 500),
    ],
)
def test_a_rule_says_nothing_up_to_its_threshold(rule, changes, num_samples):
    assert rule(numbers(**changes), num_samples) is None


@pytest.mark.parametrize("num_particles", [100, 1000, 10_000])
@pytest.mark.parametrize("expected_outside", [0.5, 1, 3, 8])
def test_particles_that_miss_a_small_gap_of_the_model_are_no_excess(num_particles, expected_outside):
    rng = np.random.default_rng(0)
    outside = expected_outside / num_particles
    for _ in range(200):
        inside = rng.random(num_particles) >= outside
        weights = Weights({"x": np.where(inside, -math.log1p(-outside), -np.inf)})
        assert verdict.excess_mass(weights, 1) is None


def test_what_no_rule_judges_is_good():
    assert judge(numbers(), 500) == ("good", f"effective sample size 500 of 1000 particles. {MISSED}")


def test_the_gravest_rule_decides():
    everything = {
        "ess": 99.0,
        "pareto": HEAVY,
        "log_mean_weight": math.log(0.8),
        "log_mean_weight_se": 0.001,
    }
    cured: list[dict[str, object]] = [{}, {"ess": 500.0}, {"pareto": LIGHT}, {"log_mean_weight": 0.0}]
    starts = ["effective sample size 99", "Pareto k-hat", "the mean raw weight", "effective sample size 500"]
    for change, start in zip(cured, starts, strict=True):
        everything.update(change)
        assert judge(numbers(**everything), 1000).advice.startswith(start)


# ---------------------------------------------------------------- what is said


@pytest.mark.parametrize(
    ("changes", "num_samples", "advice"),
    [
        (
            {"ess": 0.0},
            10,
            "no particle has positive weight; site 'b' leaves the fewest. Widen the guide so that it covers "
            "the model, or top up with particles of the model.",
        ),
        (
            {"ess": 50.0},
            1000,
            "effective sample size 50 of 1000 particles, largest weight 0.012. Site 'c' costs most. About "
            "20,000 guide samples, a guide closer to the model, or a top-up of 950 would give 1000 "
            f"effective ones. {MISSED}",
        ),
        (
            {"pareto": HEAVY},
            1000,
            "Pareto k-hat 0.65 is above 0.65: a few particles stand for a tail that the guide hardly "
            "reaches. Site 'c' costs most: widen the guide there, bring it closer to the model, or top up by "
            f"500. {MISSED}",
        ),
        (
            {"log_mean_weight": math.log(0.75)},
            1000,
            "the mean raw weight is 0.75, not 1: about 25% of the model's mass lies where no particle is. "
            "Widen the guide at site 'b'.",
        ),
        (
            {"log_mean_weight": math.log(3.0)},
            1000,
            "the mean raw weight is 3, not 1: values of site 'a' are not drawn from the density that they "
            "are scored with, as where they underflow, or that density is not normalized. Draw the site from "
            "another distribution.",
        ),
        (
            {},
            1000,
            "effective sample size 500 of 1000 particles, about 400 of 1000 draws are distinct. Site 'c' "
            "costs most. About 2,000 guide samples, a guide closer to the model, or a top-up of 500 would "
            f"give 1000 effective ones. {MISSED}",
        ),
        (
            {"pareto": HEAVY._replace(tail=501), "normalized": mostly(0.009)[0]},
            400,
            "effective sample size 500 of 1000 particles, about 160 of 400 draws are distinct. Pareto k-hat "
            "0.65 is above 0.65, so few particles have much of the weight. Site 'c' costs most: widen the "
            f"guide there, or bring it closer to the model. {MISSED}",
        ),
    ],
)
def test_the_sentence_names_the_fault_the_site_and_the_remedy(changes, num_samples, advice):
    assert judge(numbers(**changes), num_samples).advice == advice


def part(mean, error, missed_mass):
    """The part of a model that has a normalizing constant."""
    log_se = error / mean
    return SimpleNamespace(
        densities_normalized=True,
        log_mean_weight=math.log(mean),
        log_mean_weight_se=log_se,
        missed_mass=missed_mass,
        chains=None,
    )


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, MISSED),
        ({"missed_mass": 0.0}, "Up to 0.00% of the model may lie where no particle is."),
        (
            {"densities_normalized": False},
            "The model has no known normalizing constant, so it may lie where no particle is.",
        ),
        (
            {"densities_normalized": False, "unnormalized": ("f",), "normalized_part": part(0.5, 0.09, 0.7)},
            "The model has no known normalizing constant; without 'f' it has one, and about 50% lies where "
            "no particle is.",
        ),
        (
            {"densities_normalized": False, "unnormalized": ("f",), "normalized_part": part(0.5, 0.11, 0.7)},
            "The model has no known normalizing constant; without 'f' it has one, and up to 70.00% may lie "
            "where no particle is.",
        ),
        (
            {"densities_normalized": False, "unnormalized": ("f", "g"), "normalized_part": part(1, 0.1, 0.2)},
            "The model has no known normalizing constant; without 'f', 'g' it has one, and up to 20.00% may "
            "lie where no particle is.",
        ),
    ],
)
def test_what_may_be_missed_is_said_of_every_model(changes, said):
    weights = numbers(**changes)
    assert verdict.missed(weights) == said
    assert judge(weights, 500).advice.endswith(said)


@pytest.mark.parametrize(
    ("changes", "num_samples", "unused"),
    [
        ({"ess": 89.0, "normalized": mostly(0.009)[0]}, 1, True),  # too few
        ({"ess": 89.0, "normalized": mostly(0.011)[0]}, 1, False),
        ({"ess": 90.0, "normalized": mostly(0.009)[0]}, 1, False),  # as many as the tail has
        ({"ess": 300.0, "pareto": HEAVY._replace(tail=301), "normalized": mostly(0.009)[0]}, 301, True),
        ({"ess": 300.0, "pareto": HEAVY._replace(tail=301), "normalized": mostly(0.009)[0]}, 300, False),
        ({"ess": 89.0, "pareto": NONE, "normalized": mostly(0.009)[0]}, 1, False),
    ],
)
def test_k_hat_is_not_used_where_the_tail_is_most_of_the_weight_and_there_are_too_few(
    changes, num_samples, unused
):
    said = verdict.k_hat_unused(numbers(**changes), num_samples)
    assert bool(said) is unused
    assert not unused or said.endswith("weights that it is fitted to are most of the weight")


@pytest.mark.parametrize(
    ("changes", "widen"),
    [
        ({}, False),
        ({"log_mean_weight": math.log(0.51)}, False),
        ({"log_mean_weight": math.log(0.49)}, True),
        ({"log_mean_weight": math.log(0.49), "densities_normalized": False}, False),
        ({"pareto": HEAVY}, True),
        ({"pareto": HEAVY, "normalized": mostly(0.009)[0]}, False),
    ],
)
def test_too_few_ask_for_a_wider_guide_where_more_particles_would_not_do(changes, widen):
    # An ESS of 50 is below the tail of 90, so only what most particles weigh tells of an uncovered tail.
    advice = judge(numbers(ess=50.0, **changes), 1000).advice
    assert ("widen the guide" in advice) is widen
    assert ("20,000 guide samples" in advice) is not widen


@pytest.mark.parametrize(
    ("ess", "num_samples", "needed", "wanted"),
    [
        (500.0, 1000, "2,000", 1000),
        (499.9, 1000, "2,100", 1000),
        (81.0, 1000, "13,000", 1000),
        (11.0, 1000, "91,000", 1000),
        (10.0, 1000, "100,000", 1000),
        (9.9, 1000, "110,000", 1000),
        (40.0, 7, "2,500", 100),
        (40.0, 101, "2,600", 101),
    ],
)
def test_the_number_of_guide_samples_is_rounded_up_to_two_digits(ess, num_samples, needed, wanted):
    said = verdict.remedy(numbers(ess=ess), num_samples, widen=False)
    assert said == (
        f"Site 'c' costs most. About {needed} guide samples, a guide closer to the model, or a top-up of "
        f"{math.ceil(wanted - ess):,} would give {wanted} effective ones."
    )


def test_the_guide_is_to_be_wider_where_as_many_particles_would_be_enough():
    enough, short = numbers(ess=250.0), numbers(ess=250.0 * (1 - 1e-6))
    assert "widen the guide" in verdict.remedy(enough, 250, widen=False)
    assert "About 1,100 guide samples" in verdict.remedy(short, 250, widen=False)


def test_where_all_weights_are_equal_no_site_is_named():
    equal, uneven = numbers(ess=N * (1 - 0.9e-9)), numbers(ess=N * (1 - 1.1e-9))
    assert verdict.remedy(equal, 2000, widen=False) == (
        "2000 guide samples or more would give as many effective ones."
    )
    assert verdict.remedy(uneven, 2000, widen=False).startswith("Site 'c' costs most. About 2,100 guide")


@pytest.mark.parametrize(
    ("mass", "text"),
    [
        (0.0099, " 0.99% of the model's mass (± 0.50%) could not be simulated."),
        (
            0.0101,
            " 1.01% of the model's mass (± 0.50%) could not be simulated. What is predicted there is not "
            "known.",
        ),
    ],
)
def test_the_failed_mass_ends_the_advice_of_any_verdict_that_rests_on_simulations(mass, text):
    for changes in ({}, {"ess": 50.0}, {"pareto": HEAVY}, {"ess": 200.0}):
        plain = judge(numbers(**changes), 300)
        assert judge(numbers(failed_mass=(mass, 0.005), **changes), 300) == (
            plain.verdict,
            plain.advice + text,
        )


# ---------------------------------------------------------------- weights themselves


def some_equal(count, n=N, last=1.0):
    """Weights of which so many are equal, but for the last of them, and the others zero."""
    ratio = np.zeros(n)
    ratio[:count] = 1.0
    ratio[count - 1] = last
    with np.errstate(divide="ignore"):
        return Weights({"x": np.log(ratio)}, densities_normalized=False)


@pytest.mark.parametrize(
    ("weights", "num_samples", "expected"),
    [
        (some_equal(100), 100, "good"),
        (some_equal(100, last=0.9), 10, "unreliable"),
        (some_equal(101), 102, "low"),
        (some_equal(101), 101, "good"),
        (some_equal(30, 60), 30, "good"),
        (some_equal(30, 60, last=0.9), 10, "unreliable"),
    ],
)
def test_weights_are_judged_at_the_thresholds_of_their_effective_sample_size(weights, num_samples, expected):
    assert weights.judge(num_samples).verdict == expected


@pytest.mark.parametrize(("missing", "expected"), [(0.9e-3, "good"), (1.1e-3, "unreliable")])
def test_equal_raw_weights_may_miss_one_by_rounding_alone(missing, expected):
    assert Weights({"x": np.full(2000, math.log1p(-missing))}).judge(1000).verdict == expected


@pytest.mark.parametrize(("deviation", "expected"), [(4.9, "good"), (5.1, "unreliable")])
def test_the_mean_raw_weight_may_be_five_standard_errors_below_one(deviation, expected):
    # Half of the raw weights are m (1 - r), half are m (1 + r), so that the mean m has the relative
    # standard error r / sqrt(N): ESS is N / (1 + r^2).
    r = 0.5
    mean = 1 / (1 + deviation * r / math.sqrt(10_000))
    ratio = mean * np.where(np.arange(10_000) % 2, 1 - r, 1 + r)
    weights = Weights({"x": np.log(ratio)})
    assert weights.log_mean_weight_se == pytest.approx(r / 100)
    assert weights.judge(1000).verdict == expected


def test_sites_without_support_are_named_in_their_order_of_emptiness():
    half = np.where(np.arange(100) < 50, 0.0, -np.inf)
    weights = Weights({"a": half, "b": np.where(np.arange(100) < 60, -np.inf, 0.0)})
    assert "site 'b' leaves the fewest" in weights.advice


# ---------------------------------------------------------------- draws of a posterior


def of_posterior(widened=None, **changes):
    """The numbers of draws of a posterior, half of which are independent."""
    chains = SimpleNamespace(latents=("a", "b"), widened=lambda *_: widened)
    return numbers(**{"chains": chains, "relative_efficiency": 0.5, "densities_normalized": False, **changes})


@pytest.mark.parametrize(("ess", "expected"), [(800 * BELOW_ONE, "unreliable"), (800.0, "good")])
def test_draws_of_a_posterior_need_four_hundred_effective_ones_that_are_independent(ess, expected):
    assert judge(of_posterior(ess=ess), 1).verdict == expected


@pytest.mark.parametrize(("efficiency", "expected"), [(0.5 * BELOW_ONE, "unreliable"), (0.5, "good")])
def test_few_draws_of_a_posterior_need_half_of_them(efficiency, expected):
    few = of_posterior(ess=500.0, num_particles=500, relative_efficiency=efficiency)
    assert judge(few, 1).verdict == expected


def test_the_mean_raw_ratio_of_a_posterior_is_no_fault():
    for log_mean in (-3.0, 3.0):
        assert judge(of_posterior(ess=900.0, log_mean_weight=log_mean), 1).verdict == "good"


def test_a_posterior_that_gets_wider_is_named_with_what_that_does_to_errors():
    wider = Widened("tau", 3.49, 4.43)
    said = judge(of_posterior(wider, ess=900.0), 1).advice
    assert said == (
        "effective sample size 900 of 1000 particles, which counts as 450 since draws of a chain depend on "
        "each other. The posterior under the model is wider at site 'tau' (standard deviation 3.49 of the "
        "draws, 4.43 with weights), where the draws do not reach its tails, and errors may be larger "
        "than they are said to be."
    )
    assert "No latent with another prior" in judge(of_posterior(ess=900.0), 1).advice


def test_the_remedy_of_a_posterior_is_no_wider_guide():
    for changes in ({"ess": 0.0}, {"ess": 10.0}, {"ess": 900.0, "pareto": HEAVY}):
        verdict_, advice = judge(of_posterior(**changes), 1)
        assert verdict_ == "unreliable"
        assert "guide" not in advice
        assert "under this prior" in advice
