"""Arrays that are read when somebody looks at them."""

import numpy as np
import pytest
import torch
import xarray as xr

from arviz_resampler.containers import lazy, on_disk


class Rows:
    """Counts the rows that are read."""

    def __init__(self, values):
        self.values, self.read = values, []
        self.shape, self.dtype = tuple(values.shape), values.dtype

    def __getitem__(self, index):
        self.read.append(len(range(len(self.values))[index]) if isinstance(index, slice) else len(index))
        return self.values[index]


@pytest.fixture
def rows():
    return Rows(torch.arange(60.0).reshape(10, 2, 3))


def variable(rows):
    return xr.Dataset({"y": (("particle", "a", "b"), lazy(rows))}, {"a": ["u", "v"]})["y"]


def test_nothing_is_read_before_values_are_used(rows):
    array = variable(rows)
    part = array.isel(particle=slice(2, 8)).sel(a="v").transpose("b", "particle")
    assert (part.shape, part.dtype, array.nbytes) == ((3, 6), np.dtype("float32"), 240)
    assert rows.read == []
    np.testing.assert_array_equal(part.values, rows.values[2:8, 1].T)
    assert rows.read == [6]


@pytest.mark.parametrize(
    "index",
    [
        {"particle": 3},
        {"particle": -1, "b": 0},
        {"particle": [7, 1, 1]},
        {"particle": slice(None, None, -3)},
        {"particle": slice(4, 4)},
        {"particle": [], "a": 1},
        {"particle": np.array([2, 9]), "b": [2, 0]},
        {"a": [1], "b": slice(None, None, 2)},
    ],
    ids=str,
)
@pytest.mark.parametrize("most", [1, 50, 10**6])
def test_an_index_gives_what_it_gives_in_memory(rows, index, most, monkeypatch):
    monkeypatch.setattr(on_disk, "_MOST", most)
    plain = xr.DataArray(rows.values.numpy(), dims=("particle", "a", "b"))
    np.testing.assert_array_equal(variable(rows).isel(index).values, plain.isel(index).values)


def test_points_and_masks_give_what_they_give_in_memory(rows):
    plain = xr.DataArray(rows.values.numpy(), dims=("particle", "a", "b"))
    points = {"particle": xr.DataArray([0, 5, 9], dims="p"), "b": xr.DataArray([2, 1, 0], dims="p")}
    np.testing.assert_array_equal(variable(rows).isel(points).values, plain.isel(points).values)
    found = variable(rows)
    np.testing.assert_array_equal(found.where(found > 30).values, plain.where(plain > 30).values)


def test_no_more_is_read_at_a_time_than_there_is_room_for(rows, monkeypatch):
    monkeypatch.setattr(on_disk, "_MOST", 3 * 24)  # bytes of three rows
    np.testing.assert_array_equal(variable(rows).isel(a=0).values, rows.values[:, 0])
    assert rows.read == [3, 3, 3, 1]


def test_numbers_that_numpy_does_not_have_are_read_as_floats():
    rows = Rows(torch.arange(4.0).to(torch.bfloat16))
    array = xr.Dataset({"y": ("particle", lazy(rows))})["y"]
    assert array.dtype == np.float32
    assert array.values.tolist() == [0.0, 1.0, 2.0, 3.0]
