"""Targets as they are given: kinds, checks and words."""

import math

import pytest

from arviz_resampler import ArgumentError, between, mean, probability, quantile, quantiles, sd
from arviz_resampler.fitting.targets import as_targets


def y(ds):
    return ds.y


def test_targets_say_in_words_what_they_are_about():
    made = [
        probability(y, 0.05),
        quantile(y, 0.5, 12.0),
        mean(y, 8),
        sd(y, 20.0),
        between(y, 0.9, -30, 50),
    ]
    assert [each.words for each in made] == [
        "probability",
        "quantile 0.5",
        "mean",
        "sd",
        "probability of -30 to 50",
    ]


def test_tuples_keep_statistic_value_and_tolerance():
    found = as_targets({"a": (y, 0.05), "b": (y, 8, 0.5)})
    assert [(t.kind, t.value, t.tolerance) for t in found.values()] == [
        ("value", 0.05, None),
        ("value", 8.0, 0.5),
    ]


def test_several_quantiles_are_targets_of_their_own():
    found = as_targets({"effect": quantiles(y, {0.05: 2, 0.5: 8, 0.95: 30}), "spread": sd(y, 3.0)})
    assert {name: (t.prob, t.value) for name, t in found.items()} == {
        "effect[0.05]": (0.05, 2.0),
        "effect[0.5]": (0.5, 8.0),
        "effect[0.95]": (0.95, 30.0),
        "spread": (None, 3.0),
    }


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: probability(y, 0.0), "value must be a number between 0 and 1, got 0.0"),
        (lambda: probability(y, 1.0), "value must be a number between 0 and 1, got 1.0"),
        (lambda: quantile(y, 1.5, 3.0), "prob must be a number between 0 and 1, got 1.5"),
        (lambda: quantile(y, 0.5, math.inf), "value must be a finite number, got inf"),
        (lambda: mean(y, "8"), "value must be a finite number, got '8'"),
        (lambda: mean(y, True), "value must be a finite number, got True"),
        (lambda: sd(y, 0.0), "value must be a positive number, got 0.0"),
        (lambda: mean(y, 1.0, tolerance=0.0), "tolerance must be a positive number, got 0.0"),
        (lambda: between(y, 0.9, 5.0, 5.0), "an interval goes from low to high, got low=5.0 and high=5.0"),
        (lambda: mean(3.0, 1.0), "a statistic must be a function of the particle dataset"),
        (lambda: as_targets({}), "a target is needed"),
        (lambda: as_targets([(y, 0.5)]), "targets must be a mapping"),
        (
            lambda: as_targets({"a": quantile(y, 0.2, 3.0), "b": quantile(y, 0.8, 1.0)}),
            "got 3 at 0.2 for 'a' and 1 at 0.8 for 'b'",
        ),
        (lambda: as_targets({"a": 0.5}), "target 'a' must be a statistic with its value"),
        (lambda: as_targets({"a": (0.5, y)}), "target 'a' must be a statistic with its value"),
        (lambda: as_targets({"a": (y, 1.0, 2.0, 3.0)}), "target 'a' must be a statistic with its value"),
        (lambda: as_targets({"a": (y, None)}), "the value of target 'a' must be a finite number, got None"),
    ],
)
def test_what_is_no_target_is_refused_in_words(make, message):
    with pytest.raises(ArgumentError, match=message.replace("(", r"\(").replace("[", r"\[")):
        make()
