import math

import numpy as np
import pytest

from arviz_resampler import ArgumentError
from arviz_resampler.tuning.ranges import Range, in_columns


def test_two_whole_numbers_give_whole_numbers_only():
    own = Range.checked("degree", (np.int64(1), 8))
    assert own.integer
    assert own.grid(9) == [1, 2, 3, 4, 5, 6, 7, 8]
    assert {type(value) for value in own.grid(3)} == {int}
    assert own.value(3.0) == 3
    assert type(own.value(3.0)) is int
    assert not Range.checked("degree", (1, 8.0)).integer


@pytest.mark.parametrize(
    ("low", "high", "log"),
    [(0.1, 10.0, True), (0.1, 9.9, False), (1, 100, True), (0.0, 1e6, False), (-1.0, 100.0, False)],
)
def test_a_range_of_two_decades_or_more_is_divided_by_ratios(low, high, log):
    own = Range.checked("scale", (low, high))
    assert own.log == log
    middle = math.sqrt(low * high) if log else (low + high) / 2
    # Four digits of what is spanned are kept.
    assert own.at(0.5) == pytest.approx(middle, abs=1e-3 * (middle if log else high - low))


@pytest.mark.parametrize("ends", [(0.05, 40.0), (-3.0, 500.0), (1e-300, 1e300), (1, 7)])
def test_share_is_the_inverse_of_at_and_the_ends_are_kept(ends):
    own = Range.checked("x", ends)
    assert (own.at(0.0), own.at(1.0)) == ends
    for share in np.linspace(0, 1, 7 if own.integer else 11):
        assert own.share(own.at(share)) == pytest.approx(share, abs=1e-3)


@pytest.mark.parametrize(
    "given",
    [3.0, None, "ab", ("1", "2"), (1.0,), (1.0, 2.0, 3.0), (True, 2), (1.0, 2j), (2.0, 1.0), (0.0, math.inf)],
)
def test_what_is_no_range_is_refused_with_what_was_given(given):
    with pytest.raises(ArgumentError, match="the range of 'scale' must") as refused:
        Range.checked("scale", given)
    assert repr(given) in str(refused.value)


@pytest.mark.parametrize("given", [0.5, 11.0, math.nan, "3", None, True])
def test_what_is_no_value_of_the_range_is_refused_with_what_was_given(given):
    with pytest.raises(ArgumentError, match=r"scale must be a number from 1.0 to 10.0, got") as refused:
        Range.checked("scale", (1.0, 10.0)).value(given)
    assert repr(given) in str(refused.value)
    with pytest.raises(ArgumentError, match="an integer from 1 to 10"):
        Range.checked("scale", (1, 10)).value(given)


def test_values_are_rounded_to_what_can_be_read_and_stay_inside():
    assert Range.checked("x", (0.05, 40.0)).rounded(3.48712345) == 3.487
    assert Range.checked("x", (0.0, 1.0)).rounded(0.123456) == 0.123
    assert Range.checked("x", (0.12345, 0.98765)).rounded(0.987649) == 0.9876
    assert Range.checked("x", (0.12345, 0.98765)).rounded(0.98769) == 0.98765


@pytest.mark.parametrize("ends", [(-1e308, 1e308), (0, 10**400), (0.0, float("inf")), (-(10**400), 0)])
def test_ranges_that_a_float_cannot_span_are_refused(ends):
    with pytest.raises(ArgumentError, match=r"the range of 's' (must be finite|is too wide for a float)"):
        Range.checked("s", ends)


def test_a_range_as_wide_as_a_float_can_span_is_one():
    own = Range.checked("s", (-8e307, 8e307))
    assert own.at(0.5) == 0.0
    assert own.share(own.at(0.75)) == pytest.approx(0.75)


def test_a_column_has_underscores_where_another_one_has_its_name():
    assert in_columns({"scale": 1, "ess": 2}, ["ess", "loss"]) == {"scale": 1, "ess_": 2}
    assert in_columns({"ess": 1, "ess_": 2}, ["ess"]) == {"ess__": 1, "ess_": 2}
