import re

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr

from arviz_resampler import ArgumentError
from arviz_resampler.containers.alignment import align, as_labels, axes_of

SQUARE = np.arange(9.0).reshape(3, 3)
DIMS = ("time", "school")
COORDS = {"time": np.array([1, 2, 3]), "school": np.array(["a", "b", "c"])}


def place(values, dims, coords):
    return align("y", values, dims, (3,) * len(dims), coords).values


def test_arrays_without_names_stay_as_they_are():
    for values in (SQUARE, SQUARE.tolist(), torch.tensor(SQUARE), np.ma.masked_array(SQUARE)):
        assert axes_of(values) == []
        np.testing.assert_array_equal(place(values, DIMS, COORDS), SQUARE)


def test_dims_of_a_data_array_are_put_in_order_by_name():
    given = xr.DataArray(SQUARE, dims=("school", "time"))
    np.testing.assert_array_equal(place(given, DIMS, {}), SQUARE.T)
    np.testing.assert_array_equal(place(given, ("school", "time"), {}), SQUARE)


def test_dims_without_names_go_by_position():
    np.testing.assert_array_equal(place(xr.DataArray(SQUARE), DIMS, {}), SQUARE)
    named = pd.DataFrame(SQUARE, index=pd.RangeIndex(3, name="row"), columns=pd.RangeIndex(3, name="column"))
    np.testing.assert_array_equal(place(named, DIMS, {}), SQUARE)


@pytest.mark.parametrize("dims", [("school", "year"), ("pupil", "year")])
def test_dims_that_are_others_are_refused(dims):
    with pytest.raises(ArgumentError, match=re.escape(f"data 'y' has the dims {dims}, but its site has")):
        place(xr.DataArray(SQUARE, dims=dims), DIMS, {})


def test_labels_are_put_in_order():
    given = xr.DataArray(SQUARE, dims=DIMS, coords={"school": ["c", "a", "b"]})
    np.testing.assert_array_equal(place(given, DIMS, COORDS), SQUARE[:, [1, 2, 0]])
    series = pd.Series([10.0, 20.0, 30.0], index=["c", "a", "b"])
    assert place(series, ("school",), COORDS).tolist() == [20.0, 30.0, 10.0]
    frame = pd.DataFrame(SQUARE, index=[3, 2, 1], columns=["b", "a", "c"])
    np.testing.assert_array_equal(place(frame, DIMS, COORDS), SQUARE[::-1][:, [1, 0, 2]])


def test_a_frame_that_lies_the_other_way_is_known_by_its_labels():
    frame = pd.DataFrame(SQUARE, index=["b", "a", "c"], columns=[1, 2, 3])
    np.testing.assert_array_equal(place(frame, DIMS, COORDS), SQUARE[[1, 0, 2]].T)
    by_name = pd.DataFrame(
        SQUARE, index=pd.RangeIndex(3, name="school"), columns=pd.RangeIndex(3, name="time")
    )
    np.testing.assert_array_equal(place(by_name, DIMS, {}), SQUARE.T)


@pytest.mark.parametrize("labels", [["a", "b", "d"], ["a", "a", "b"]])
def test_labels_that_are_others_are_refused(labels):
    for given in (
        pd.Series([1.0, 2.0, 3.0], index=labels),
        xr.DataArray([1.0, 2.0, 3.0], dims="school", coords={"school": labels}),
    ):
        with pytest.raises(ArgumentError, match="data 'y' has other labels along dim 'school' than coords"):
            place(given, ("school",), COORDS)


def test_without_labels_on_either_side_the_position_counts():
    filtered = pd.Series([1.0, 2.0, 3.0, 4.0])[[0, 2, 3]]
    assert place(filtered, ("school",), {}).tolist() == [1.0, 3.0, 4.0]
    counted = pd.Series([1.0, 2.0, 3.0])  # a RangeIndex is a count
    assert place(counted, ("school",), COORDS).tolist() == [1.0, 2.0, 3.0]


def test_data_of_another_number_of_axes_are_left_for_the_check_of_shapes():
    assert place(xr.DataArray(np.zeros(3), dims="x"), DIMS, COORDS).shape == (3,)


@pytest.mark.parametrize(
    ("given", "labels"),
    [
        (["a", "b"], ["a", "b"]),
        (("a", 1), ["a", "1"]),
        (pd.Index(["a", "b"]), ["a", "b"]),
        (pd.MultiIndex.from_product([["n", "s"], [1, 2]]), ["n, 1", "n, 2", "s, 1", "s, 2"]),
        ([(1, 2), (3, 4)], ["1, 2", "3, 4"]),
        (torch.tensor([0.5, 1.0]).bfloat16(), [0.5, 1.0]),
        (torch.tensor([0.5, 1.0], requires_grad=True), [0.5, 1.0]),
        (xr.DataArray([3, 4]), [3, 4]),
        (range(3), [0, 1, 2]),
        ((name for name in "ab"), ["a", "b"]),
        (np.array([1j, 2j]), ["1j", "2j"]),
        (np.array([1, 2], np.float16), [1.0, 2.0]),
    ],
)
def test_labels_of_any_kind_become_an_array_that_files_take(given, labels):
    found = as_labels("school", given)
    assert found.tolist() == labels
    assert found.dtype.kind != "O"


def test_labels_are_copied():
    given = np.arange(3)
    labels = as_labels("school", given)
    given[0] = 77
    assert labels.tolist() == [0, 1, 2]


def test_axes_of_size_one_do_not_hide_the_labels_of_others():
    backwards = pd.Series([1.0, 2.0, 3.0], index=["c", "b", "a"])
    for given in (
        backwards,
        xr.DataArray(backwards, dims="school"),
        xr.DataArray([backwards], dims=("draw", "school"), coords={"school": backwards.index}),
    ):
        found = align("y", given, ("group", "school"), (1, 3), COORDS)
        assert found.values.tolist() == [[3.0, 2.0, 1.0]]
        assert found.labels["school"].tolist() == ["a", "b", "c"]


def test_one_axis_that_is_known_tells_where_the_other_goes():
    by_label = pd.DataFrame(SQUARE, index=["a", "b", "c"])
    by_name = pd.DataFrame(SQUARE, index=pd.Index([7, 8, 9], name="school"))
    for given in (by_label, by_name, xr.DataArray(SQUARE, dims=("school", "dim_1"))):
        np.testing.assert_array_equal(
            place(given, DIMS, {"school": COORDS["school"]} if given is by_label else {}), SQUARE.T
        )


def test_two_axes_of_one_name_are_refused():
    twice = pd.DataFrame(
        SQUARE, index=pd.Index([1, 2, 3], name="time"), columns=pd.Index([1, 2, 3], name="time")
    )
    with pytest.raises(ArgumentError, match="has the dims"):
        place(twice, DIMS, {})


def test_a_range_index_that_does_not_count_from_zero_has_labels():
    backwards = pd.Series([1.0, 2.0, 3.0])[::-1]
    assert place(backwards, ("school",), {"school": np.arange(3)}).tolist() == [1.0, 2.0, 3.0]


@pytest.mark.parametrize(
    ("index", "wanted"),
    [
        (
            pd.date_range("2020", periods=3),
            np.array(["2020-01-03", "2020-01-02", "2020-01-01"], "datetime64[D]"),
        ),
        (pd.Index([np.nan, 1.0, 2.0]), np.array([2.0, 1.0, np.nan])),
        (pd.CategoricalIndex(["a", "b", "c"]), np.array(["c", "b", "a"])),
        (pd.Index([1, 2, 3]), np.array([3.0, 2.0, 1.0])),
    ],
)
def test_labels_of_any_kind_are_matched(index, wanted):
    assert place(pd.Series([1.0, 2.0, 3.0], index=index), ("school",), {"school": wanted}).tolist() == [
        3,
        2,
        1,
    ]


def test_labels_that_repeat_do_where_they_are_those_of_the_site():
    twice = np.array(["a", "a", "b"])
    assert place(pd.Series([1.0, 2.0, 3.0], index=twice), ("school",), {"school": twice}).tolist() == [
        1,
        2,
        3,
    ]


@pytest.mark.parametrize("given", ["abc", {"a", "b"}, {"a": 1}, 3, None, [[1], [1, 2]], np.zeros(2, "i4,i4")])
def test_what_has_no_order_is_no_sequence_of_labels(given):
    with pytest.raises(ArgumentError, match="coords of dim 'school' must be a sequence of labels"):
        as_labels("school", given)
