"""Stores as plain xarray and zarr open them; any warning is an error."""

import json

import numpy as np
import pytest
import xarray as xr
import zarr
from store_cases import AWKWARD

from arviz_resampler.storage import ArraySpec

ARRAYS = {
    ("values", "school"): ArraySpec((8,), "float32", ("school",)),
    ("log_q", "school"): ArraySpec((), "float64", ()),
    ("values", "particle"): ArraySpec((), "int64", ()),
    ("values", "a/b"): ArraySpec((8, 3), "bool", ("school", "Größe")),
    ("values", ""): ArraySpec((2, 0), "float16", ("two", "none")),
    ("values", "design"): ArraySpec((4,), "complex64", ("j",), shared=True),
}
DATA = {
    ("observed", "school"): (("school",), np.arange(8.0)),
    ("observed", "n"): ((), np.array(3)),
    ("observed", "nothing"): (("none",), np.zeros(0, "float32")),
}


@pytest.fixture
def shared(make):
    return make(ARRAYS, data=DATA)


def by_site(dataset):
    assert not dataset.coords
    return {variable.attrs["site"]: variable for variable in dataset.variables.values()}


def check(dataset, group, values):
    found = by_site(dataset)
    assert found.keys() == {name for g, name in ARRAYS if g == group}
    for name, variable in found.items():
        assert variable.dims == ("particle", *ARRAYS[group, name].dims)
        assert variable.dtype == ARRAYS[group, name].dtype
        np.testing.assert_array_equal(variable.values, values[group, name])


def test_a_group_is_opened_lazily_with_true_values_and_dims(shared):
    store, values = shared
    for group in ("values", "log_q"):
        with xr.open_zarr(store.path, group=group) as dataset:
            assert all(v.chunks is not None for v in dataset.variables.values())
            check(dataset, group, values)
    with xr.open_zarr(store.path, group="values", chunks=None) as dataset:
        assert not any(v._in_memory for v in dataset.variables.values())
        check(dataset, "values", values)


def test_the_tree_is_opened_with_the_attributes(shared):
    store, values = shared
    with xr.open_datatree(store.path, engine="zarr") as tree:
        assert set(tree.children) == {"values", "log_q", "observed"}
        assert tree.attrs == {"schema": 1, "batch_size": 5, "num_batches": 4, "seed": 1}
        check(tree["values"].to_dataset(), "values", values)
        check(tree["log_q"].to_dataset(), "log_q", values)
        found = by_site(tree["observed"].to_dataset())
        for (_, name), (dims, array) in DATA.items():
            assert found[name].dims == dims
            np.testing.assert_array_equal(found[name].values, array)


def test_the_metadata_are_those_that_zarr_writes_itself(shared):
    store, _ = shared
    ours = json.loads((store.path / "zarr.json").read_text())
    (store.path / "records").rename(store.path.with_name("records"))
    with pytest.warns(UserWarning, match="^Consolidated metadata is currently not part"):
        zarr.consolidate_metadata(store.path)
    store.path.with_name("records").rename(store.path / "records")
    if zarr.__version__ >= "3.1":  # names no order of single bytes
        assert json.loads((store.path / "zarr.json").read_text()) == ours
    assert store.open(store.path).arrays == store.arrays


def test_a_batch_that_is_missing_shows_the_fill_value(make):
    store, values = make(ARRAYS, done=3)
    with xr.open_zarr(store.path, group="values") as dataset:
        found = by_site(dataset)
        assert np.isnan(found["school"].values[15:]).all()
        assert (found["particle"].values[15:] == 0).all()
        np.testing.assert_array_equal(found["school"].values[:15], values["values", "school"])


def test_data_come_back_by_group(shared):
    store, _ = shared
    found = store.data("observed")
    assert list(found) == ["school", "n", "nothing"]
    for (_, name), (dims, array) in DATA.items():
        assert found[name][0] == dims
        np.testing.assert_array_equal(found[name][1], array)
        assert found[name][1].dtype == array.dtype
    assert store.data("values") == {}


def test_arrays_keep_their_order(shared):
    store, _ = shared
    names = [name for group, name in store.arrays if group == "values"]
    assert names == ["school", "particle", "a/b", "", "design"]


def test_a_site_of_any_name_is_opened(make):
    arrays = {("values", name): ArraySpec((), "int8", ()) for name in [*AWKWARD, "dim of ä"]}
    arrays["values", "y"] = ArraySpec((2,), "int8", ("dim of ä",))
    store, values = make(arrays)
    with xr.open_zarr(store.path, group="values") as dataset:
        found = by_site(dataset)
        assert found.keys() == {name for _, name in arrays}
        for name, variable in found.items():
            np.testing.assert_array_equal(variable.values, values["values", name])
    assert store.open(store.path).arrays == arrays
