"""Names of folders for names of sites."""

import re
from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st
from store_cases import AWKWARD

from arviz_resampler.storage.names import escape


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("theta_1.loc-x", "theta_1.loc-x"),
        ("", "%"),
        (".", "%2E"),
        ("..", "%2E."),
        ("a/b", "a%2Fb"),
        ("zarr.json", "%7Aarr.json"),
        ("__x", "%5F_x"),
        ("Ä", "%C3%84"),
        ("100%", "100%25"),
    ],
)
def test_a_name_stays_where_it_is_safe_and_is_escaped_where_it_is_not(name, expected):
    assert escape(name) == expected


def check(name):
    found = escape(name)
    assert re.fullmatch(r"[A-Za-z0-9_%-][A-Za-z0-9_.%-]{0,254}", found)
    assert not found.startswith("__")
    assert found != "zarr.json"
    if "%-" not in found:
        assert unquote_to_bytes(found) == name.encode("utf-8", "surrogatepass") or not name


@pytest.mark.parametrize("name", AWKWARD)
def test_an_awkward_name_becomes_a_safe_one(name):
    check(name)


@given(st.text(st.characters()))
def test_any_name_becomes_a_safe_one_that_can_be_told_back(name):
    check(name)


@given(st.sets(st.text(st.sampled_from("aA/%-.2F_ö"), max_size=8)))
def test_different_names_stay_different(names):
    assert len({escape(name) for name in names}) == len(names)


def test_awkward_names_stay_different():
    assert len({escape(name) for name in AWKWARD}) == len(AWKWARD)


def test_long_names_that_begin_alike_stay_different():
    names = ["x" * 500 + str(i) for i in range(100)]
    found = {escape(name) for name in names}
    assert len(found) == 100
    assert all(name.startswith("x" * 120 + "%-") and len(name) <= 255 for name in found)


def test_a_name_that_is_taken_is_escaped_further():
    assert escape("ab", {"ab"}) == "%61b"
    assert escape("ab", {"ab", "%61b"}) == "%61%62"
    assert re.fullmatch("ab%-[0-9a-f]{64}", escape("ab", {"ab", "%61b", "%61%62"}))
