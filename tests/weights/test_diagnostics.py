"""The record of diagnostics, the pages that list its fields, and the numbers that stand in it."""

import math
import re
from pathlib import Path

import numpy as np
import pytest

from arviz_resampler import Diagnostics, Weights
from arviz_resampler.weights import verdict
from arviz_resampler.weights.diagnostics import k_hat_text

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "container.md"


@pytest.fixture
def weights():
    log_ratio = np.random.default_rng(0).normal(size=2000)
    log_ratio[::4] = -np.inf
    return Weights({"x": log_ratio}, failed=np.arange(2000) % 5 == 1)


def test_the_page_of_the_container_lists_the_fields_in_their_order_and_no_others():
    rows = PAGE.read_text().split("## By container")[1].split("Attributes of the whole")[0]
    names = [
        name for row in re.findall(r"^\|(.*?)\|", rows, re.MULTILINE) for name in re.findall(r"`(.*?)`", row)
    ]
    assert [name for name in names if name != "n_unique"] == list(Diagnostics._fields)
    assert names.count("n_unique") == 1


def test_the_docstring_describes_the_fields_in_their_order_and_no_others():
    assert re.findall(r"^ {4}(\w+) : ", Diagnostics.__doc__, re.MULTILINE) == list(Diagnostics._fields)


def test_the_record_holds_the_numbers_of_the_weights(weights):
    found = weights.diagnostics(300)
    failed_mass, failed_mass_se = weights.failed_mass
    assert failed_mass > 0
    assert found == Diagnostics(
        verdict=weights.judge(300).verdict,
        advice=weights.judge(300).advice,
        ess=weights.ess,
        ess_fraction=weights.ess / 2000,
        ess_entropy=weights.ess_entropy,
        max_weight=weights.max_weight,
        num_guide_samples=2000,
        num_supported=1500,
        expected_distinct=weights.expected_distinct(300),
        pareto_k=weights.pareto.k,
        pareto_k_reason="",
        good_k=weights.pareto.threshold,
        tail_length=weights.pareto.tail,
        log_mean_weight=weights.log_mean_weight,
        log_mean_weight_se=weights.log_mean_weight_se,
        missed_mass=weights.missed_mass,
        failed_mass=failed_mass,
        failed_mass_se=failed_mass_se,
    )


def test_the_record_is_of_the_number_of_draws(weights):
    few, many = weights.diagnostics(100), weights.diagnostics(10_000)
    assert (few.verdict, many.verdict) == ("good", "low")
    assert few.expected_distinct < 100 < many.expected_distinct
    different = {name for name in Diagnostics._fields if getattr(few, name) != getattr(many, name)}
    assert different == {"verdict", "advice", "expected_distinct"}


def test_the_text_of_weights_is_made_of_the_record(weights):
    found, text = weights.diagnostics(1000), repr(weights)
    assert text.startswith(f"Weights: {found.verdict}\n")
    assert f"{found.ess:.1f} of 2000 ({found.ess_fraction:.1%})" in text
    assert f"{found.pareto_k:.2f} (good below {found.good_k:.2f})" in text
    assert text.endswith(found.advice) == (found.verdict != "good")
    assert f"missed mass    {verdict.missed(weights)}" in text


def test_k_hat_that_was_not_used_is_not_printed():
    narrow = Weights({"x": -0.5 * (np.linspace(-5, 5, 4000) / 0.05) ** 2})
    assert narrow.ess < narrow.pareto.tail
    assert not math.isnan(narrow.pareto.k)
    assert "not used: the" in repr(narrow)
    assert f"{narrow.pareto.k:.2f}" not in repr(narrow)
    assert k_hat_text(Weights({"x": np.zeros(50)}).diagnostics(10)) == "none: the largest weights are equal"


def test_every_field_can_stand_in_a_file(weights):
    # What is neither text nor a number is no attribute that netCDF takes.
    assert {type(value) for value in weights.diagnostics(10)} <= {str, int, float}
