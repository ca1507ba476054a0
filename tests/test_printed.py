import copy
import math
import pickle

import pandas as pd
import pytest

from arviz_resampler.markup import badge
from arviz_resampler.printed import PrintedTable, html_table, with_error


def show(table):
    return pd.DataFrame({"mean": [f"{row.mean:.1f}" for row in table.itertuples()]}, table.index), [
        "A <note>."
    ]


@pytest.fixture
def table():
    return PrintedTable(pd.DataFrame({"mean": [0.51, 2.0], "mcse": [0.1, 0.2]}, index=["a", "b"]), show)


def test_a_table_prints_its_short_form_and_notes(table):
    assert repr(table).splitlines() == ["  mean", "a  0.5", "b  2.0", "A <note>."]
    assert str(table) == repr(table)
    assert table._repr_html_().endswith("<p>A &lt;note&gt;.</p></div>")
    assert "<tr><th>a</th><td>0.5</td></tr>" in table._repr_html_()


def test_a_table_in_html_has_all_levels_of_its_index_and_badges_of_verdicts():
    index = pd.MultiIndex.from_tuples([("<x>", 1), ("y", 2)], names=["name", None])
    shown = html_table(pd.DataFrame({"name": [0.51234, 2.0], "verdict": ["good", "low"]}, index))
    assert shown.startswith(
        "<table><thead><tr><th>name</th><th></th><th>name</th><th>verdict</th></tr></thead>"
    )
    assert "<tr><th>&lt;x&gt;</th><th>1</th><td>0.5123</td><td><b" in shown
    assert f"{badge('low')}</td></tr></tbody></table>" in shown


def test_a_table_prints_what_it_holds_now(table):
    table.loc["a", "mean"] = 7.0
    assert repr(table).splitlines()[1] == "a  7.0"


def test_a_table_holds_numbers_and_what_is_selected_prints_them_all(table):
    assert table.loc["a", "mcse"] == 0.1
    for selected in (table.head(1), table[["mean"]], table.copy(), copy.deepcopy(table)):
        assert type(selected) is pd.DataFrame
        assert "0.51" in repr(selected)
    pd.testing.assert_frame_equal(table, pd.DataFrame(table))


def test_a_pickled_table_prints_the_same(table):
    assert repr(pickle.loads(pickle.dumps(table))) == repr(table)


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (0.5128, 0.0123, "0.513 ± 0.012"),
        (123456.0, 2300.0, "123500 ± 2300"),
        (9.96, 0.0999, "9.960 ± 0.100"),
        (1.6e-6, 2.3e-7, "1.6e-06 ± 2.3e-07"),
        (1.6e-8, 2.3e-9, "1.6e-08 ± 2.3e-09"),
        (1e300, 1e299, "1e+300 ± 1e+299"),
        (0.0, 0.0, "0 ± 0"),
        (3.0, 0.0, "3 ± 0"),
        (1.25, math.nan, "1.25 ± ?"),
        (math.nan, 1.0, "nan"),
        (-0.5128, 0.0123, "-0.513 ± 0.012"),
    ],
)
def test_a_number_is_shown_to_two_digits_of_its_error(value, error, text):
    assert with_error(value, error) == text
