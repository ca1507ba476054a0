"""What is known and said of programs that cannot be mapped."""

import random
import re

import numpy as np
import pytest
import torch

from arviz_resampler.mapping.random_mode import UnmappableError
from arviz_resampler.programs import fallback
from arviz_resampler.programs.fallback import duration

ONE = {"a": torch.tensor([1.0, 2.0]), "b": torch.tensor([3])}


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (5e-7, "0.5 µs"),
        (2.5e-4, "250 µs"),
        (0.0123, "12.3 ms"),
        (1.5, "1.5 s"),
        (119.0, "119 s"),
        (121.0, "2.02 min"),
        (7200.0, "120 min"),
        (7.2e4, "20 h"),
    ],
)
def test_durations_are_told_in_three_digits(seconds, text):
    assert duration(seconds) == text


def test_what_particles_take_one_after_the_other_is_said_for_one_and_for_all():
    assert fallback.taking(2e-3, 500) == "2 ms a particle, 1 s for 500"


def test_ten_minutes_are_spent_without_a_word():
    assert not fallback.takes_long(0.6, 1000)
    assert fallback.takes_long(0.6, 1001)


@pytest.mark.parametrize("draw", [random.random, np.random.rand, np.random.randn])
def test_random_numbers_that_know_nothing_of_particles_show_in_the_state(draw):
    before = fallback.other_randomness()
    assert fallback.same_state(before, fallback.other_randomness())
    draw()
    assert not fallback.same_state(before, fallback.other_randomness())


@pytest.mark.parametrize(
    ("other", "odd"),
    [
        (ONE, ""),
        ({**ONE, "c": ONE["a"]}, ""),  # sites that a run has besides are no matter
        ({"b": ONE["b"]}, "a"),
        ({**ONE, "a": ONE["a"].double()}, "a"),
        ({**ONE, "b": torch.tensor([3, 3])}, "b"),
        ({**ONE, "b": torch.tensor([4])}, "b"),
        ({**ONE, "a": ONE["a"] * (1 + 5e-5)}, ""),  # a sum in another order
        ({**ONE, "a": ONE["a"] * (1 + 5e-4)}, "a"),
    ],
)
def test_runs_differ_at_the_first_site_that_is_not_the_same(other, odd):
    assert fallback.differs(ONE, other) == odd


def test_missing_values_are_the_same():
    nan = {"a": torch.tensor([torch.nan, 1.0])}
    assert fallback.differs(nan, {"a": nan["a"].clone()}) == ""


def test_a_run_may_differ_from_the_first_once_and_no_more():
    runs = iter([2.0, 2.0])
    assert fallback.unsteady({"a": torch.tensor(1.0)}, lambda: {"a": torch.tensor(next(runs))}) == ""
    runs = iter([2.0, 3.0])
    odd = fallback.unsteady({"a": torch.tensor(1.0)}, lambda: {"a": torch.tensor(next(runs))})
    assert odd.startswith("two runs of one particle from the same seed differ at site 'a'")


def test_a_reason_names_the_line_where_there_is_one():
    assert fallback.reason_of(UnmappableError("no")) == "no"
    with pytest.raises(UnmappableError) as caught:
        raise UnmappableError("no")
    assert re.fullmatch(
        r'no \(test_fallback\.py:\d+ in `raise UnmappableError\("no"\)`\)', fallback.reason_of(caught.value)
    )
