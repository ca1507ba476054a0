import math

import numpy as np
import pandas as pd
import pytest

from arviz_resampler import Weights, WeightWarning
from arviz_resampler.analysis.estimates import FEW, UNKNOWN, Estimate
from arviz_resampler.analysis.report import Doubts, number_columns, show

GOOD = Weights({"x": np.zeros(1000)})
BAD = Weights({"x": np.where(np.arange(1000) < 5, 0.0, -100.0)}, densities_normalized=False)


def number(n=100.0, value=0.5, mcse=0.1, lower=0.3, upper=0.7):
    return Estimate(value, mcse, n, lower, upper)


def shown(name, found, reliable=True):
    table, notes = show(pd.DataFrame([number_columns(name, found, reliable)]))
    return table[name].iloc[0], notes


def test_a_number_has_its_columns_in_order():
    assert number_columns("sd", number(), True) == {
        "sd": 0.5,
        "mcse_sd": 0.1,
        "lower_sd": 0.3,
        "upper_sd": 0.7,
        "n_effective_sd": 100.0,
        "reliable_sd": True,
    }


def test_a_number_is_shown_with_its_error_and_a_mark_if_it_is_not_reliable():
    assert shown("mean", number()) == ("0.50 ± 0.10", [])
    assert shown("mean", number(), reliable=False) == (
        "0.50 ± 0.10*",
        ["* not reliable: the error may be larger"],
    )
    assert shown("mean", UNKNOWN, reliable=False) == ("NaN", [])


@pytest.mark.parametrize(
    ("name", "found", "text"),
    [
        ("mean", number(FEW * 0.999, 0.0, math.nan, 0.0, 0.0123), "< 0.012"),
        ("mean", number(FEW * 0.999, 0.001, 0.001, 0.0, 0.0123), "< 0.012"),
        ("mean", number(FEW, 0.001, 0.001, 0.0, 0.0123), "0.0010 ± 0.0010"),
        ("mean", number(FEW * 0.999, 1.0, math.nan, 0.98765, 1.0), "> 0.98765"),
        ("sd", number(FEW * 0.999, 0.001, 0.001, 0.0, 0.0123), "0.0010 ± 0.0010"),
        ("difference", number(0.0, 0.0, math.nan, -0.25, 0.5), "-0.25 to 0.5"),
        ("mean", number(0.0, 3.0, math.nan, math.nan, math.nan), "3 ± ?"),
    ],
)
def test_a_fraction_of_which_few_particles_tell_is_shown_as_a_bound(name, found, text):
    assert shown(name, found)[0] == text


def test_other_columns_are_shown_as_they_are_and_those_of_a_number_not():
    row = {"first": 0.123456, "verdict": "good", **number_columns("mean", number(), True)}
    assert list(show(pd.DataFrame([row]))[0].iloc[0]) == ["0.123", "good", "0.50 ± 0.10"]


@pytest.mark.parametrize(("n", "needed", "reliable"), [(29.9, 30, False), (30, 30, True), (49, 50, False)])
def test_a_number_is_reliable_from_its_threshold_on(n, needed, reliable):
    doubts = Doubts({"a": GOOD})
    assert doubts.ask("mean", number(n), "a", needed=needed) is reliable


def test_a_number_is_not_reliable_where_the_weights_are_not():
    doubts = Doubts({"a": GOOD, "b": BAD})
    assert doubts.ask("mean", number(), "a")
    assert not doubts.ask("mean", number(), "b")
    with pytest.warns(
        WeightWarning, match=r"^1 of 2 numbers are not reliable. The weights of variant 'b' are unr"
    ):
        doubts.warn()


def test_one_warning_names_the_worst_number_and_counts_the_others():
    doubts = Doubts({"": GOOD})
    for n in (20.0, 4.0, 100.0, 12.0):
        doubts.ask(f"mean at {n}", number(n), "")
    assert not doubts.ask("nothing", UNKNOWN, "")
    with pytest.warns(
        WeightWarning, match=r"^3 of 4 numbers .* The error of the mean at 4.0 is .* from 4 eff"
    ) as said:
        doubts.warn()
    assert len(said) == 1


def test_nothing_is_said_where_all_numbers_are_reliable():
    doubts = Doubts({"a": GOOD})
    doubts.ask("mean", number(), "a")
    doubts.warn()
