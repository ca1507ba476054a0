import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr

from arviz_resampler import ArgumentError
from arviz_resampler.containers.data import read_data
from arviz_resampler.sites import Site

SITE = Site("y", "predictive", ("time", "school"), (3, 3), 2, "float32", False)
COUNTS = Site("n", "predictive", ("school",), (3,), 1, "int64", True)
SITES = {"y": SITE, "n": COUNTS}
SQUARE = np.arange(9.0).reshape(3, 3)


def read(observed=None, constant=None, dims=None, coords=None):
    return read_data(observed or {}, constant or {}, SITES, dims or {}, coords or {})


def test_observed_data_are_put_in_the_order_of_their_site():
    given = xr.DataArray(SQUARE, dims=("school", "time"))
    np.testing.assert_array_equal(read({"y": given}).observed["y"], SQUARE.T)


def test_names_that_the_user_gives_a_site_are_those_that_count():
    given = xr.DataArray(SQUARE, dims=("pupil", "year"))
    found = read({"y": given}, dims={"y": ["year", "pupil"]})
    np.testing.assert_array_equal(found.observed["y"], SQUARE.T)


def test_labels_of_a_data_array_become_coords_unless_there_are_some():
    given = xr.DataArray(SQUARE, dims=("time", "school"), coords={"school": ["c", "a", "b"]})
    found = read({"y": given})
    assert found.coords["school"].tolist() == ["c", "a", "b"]
    np.testing.assert_array_equal(found.observed["y"], SQUARE)
    found = read({"y": given}, coords={"school": ["a", "b", "c"]})
    assert found.coords["school"].tolist() == ["a", "b", "c"]
    np.testing.assert_array_equal(found.observed["y"], SQUARE[:, [1, 2, 0]])


def test_dims_of_constant_data_come_along():
    size = xr.DataArray([3.0, 1.0, 2.0], dims="school", coords={"school": ["c", "a", "b"]})
    found = read(constant={"size": size}, coords={"school": ["a", "b", "c"]})
    assert list(found.dims["size"]) == ["school"]
    assert found.constant["size"].tolist() == [1.0, 2.0, 3.0]


MISSING = [1.0, np.nan, 3.0]


@pytest.mark.parametrize(
    "given",
    [
        np.ma.masked_array([1.0, -999.0, 3.0], [False, True, False]),
        np.ma.masked_array([1, -999, 3], [False, True, False]),
        pd.Series([1, None, 3], dtype="Int64"),
        pd.Series([1.0, None, 3.0]),
        pd.array([1, None, 3], dtype="Int64"),
        [1, None, 3],
        torch.tensor([1.0, np.nan, 3.0]).bfloat16(),
        torch.tensor([1.0, np.nan, 3.0], requires_grad=True),
    ],
    ids=lambda given: type(given).__name__,
)
def test_missing_values_of_any_kind_are_nan(given):
    found = read({"n": given}, {"c": given})
    np.testing.assert_array_equal(found.observed["n"], MISSING)
    np.testing.assert_array_equal(found.constant["c"], MISSING)


def test_integers_beyond_int64_keep_their_value():
    found = read({"n": np.array([2**64 - 1, 1, 1], np.uint64)}).observed["n"]
    assert found.tolist() == [float(2**64 - 1), 1.0, 1.0]
    whole = read({"n": np.array([2**63 - 1, 1, 1], np.uint64)}).observed["n"]
    assert whole.dtype == np.int64
    assert whole.tolist() == [2**63 - 1, 1, 1]


def test_data_are_copies():
    values = np.arange(3.0)
    found = read(constant={"c": values})
    values[0] = 77.0
    assert found.constant["c"].tolist() == [0.0, 1.0, 2.0]


@pytest.mark.parametrize("bad", [[{}, 1, 2], [[1.0], 2, 3], [object()] * 3])
def test_what_is_no_array_of_numbers_is_refused_by_name(bad):
    with pytest.raises(ArgumentError, match="'n' cannot be read as an array of numbers"):
        read({"n": bad})


def test_labels_of_one_dim_are_those_of_all_data():
    backwards = pd.Series([3.0, 2.0, 1.0], index=["c", "b", "a"])
    forwards = xr.DataArray([1, 2, 3], dims="school", coords={"school": ["a", "b", "c"]})
    found = read({"n": backwards}, {"size": forwards})  # what is shown comes from the array
    assert found.observed["n"].tolist() == found.constant["size"].tolist() == [1, 2, 3]
    assert found.coords["school"].tolist() == ["a", "b", "c"]
    found = read({"n": backwards}, {"size": backwards[::-1]}, dims={"size": ["school"]})
    assert found.observed["n"].tolist() == found.constant["size"].tolist() == [3, 2, 1]
    assert found.coords == {}  # labels of pandas are not shown
    with pytest.raises(ArgumentError, match="data 'size' has other labels along dim 'school'"):
        read({"n": backwards}, {"size": backwards.rename({"a": "x"})}, dims={"size": ["school"]})


def test_constant_data_are_put_in_the_order_of_coords():
    coords = {"school": ["a", "b", "c"]}
    size = pd.Series([3, 2, 1], index=["c", "b", "a"])
    table = xr.DataArray([size], dims=("item", "school"), coords={"school": size.index})
    found = read(
        {},
        {"size": size, "table": table},
        dims={"size": ["school"], "table": [None, "school"]},
        coords=coords,
    )
    assert found.constant["size"].tolist() == [1, 2, 3]
    assert found.constant["table"].tolist() == [[1, 2, 3]]


@pytest.mark.parametrize("named", ["chain", "chain_plate"])
def test_a_plate_that_gets_another_name_is_found_by_both(named):
    site = Site("y", "predictive", ("chain",), (3,), 1, "float32", False)
    for given in (
        pd.Series([3.0, 2.0, 1.0], index=["c", "b", "a"]),
        xr.DataArray([3.0, 2.0, 1.0], dims="chain", coords={"chain": ["c", "b", "a"]}),
    ):
        found = read_data({"y": given}, {}, {"y": site}, {}, {named: ["a", "b", "c"]})
        assert found.observed["y"].tolist() == [1.0, 2.0, 3.0]
        assert list(found.coords) == ["chain_plate"]


def test_a_plate_of_two_sizes_has_labels_for_each():
    sites = {
        name: Site(name, "predictive", ("school",), (size,), 1, "float32", False)
        for name, size in zip("vw", (2, 3), strict=True)
    }
    labels = ["c", "b", "a"]
    given = xr.DataArray([1.0, 2.0, 3.0], dims="school", coords={"school": labels})
    found = read_data({"w": given}, {}, sites, {}, {})
    assert found.coords["w_school"].tolist() == labels


def test_labels_are_taken_in_once():
    labels = np.array(["a", "b", "c"])
    found = read(coords={"school": labels, "time": (year for year in (1, 2, 3))})
    labels[0] = "x"
    assert found.coords["school"].tolist() == ["a", "b", "c"]
    assert found.coords["time"].tolist() == [1, 2, 3]
