"""Whole batches and scattered rows."""

import os

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from arviz_resampler import errors
from arviz_resampler.storage import ArraySpec
from arviz_resampler.storage.layout import DTYPES

SHAPES = [(), (1,), (8,), (8, 3), (3, 0), (0,), (2, 3, 4)]


def spec(shape, dtype, shared=False):
    return ArraySpec(shape, dtype, tuple(f"d{i}" for i in range(len(shape))), shared)


def assert_same(found, expected):
    assert found.dtype == expected.dtype
    assert found.shape == expected.shape
    assert found.tobytes() == expected.tobytes()


@pytest.mark.parametrize("dtype", sorted(DTYPES))
@pytest.mark.parametrize("shared", [False, True])
def test_each_dtype_comes_back_bit_by_bit(make, dtype, shared):
    rng = np.random.default_rng(0)
    arrays = {
        ("values", f"{shape}"): ArraySpec(
            shape, dtype, tuple(f"{shape}{i}" for i in range(len(shape))), shared
        )
        for shape in SHAPES
    }
    store, _ = make(arrays, done=0)
    values = {}
    for key, one in arrays.items():
        raw = rng.integers(0, 256, (20, *one.shape, np.dtype(dtype).itemsize), dtype=np.uint8)
        values[key] = raw.view(dtype)[..., 0] if dtype != "bool" else raw[..., 0] > 127
    for b in range(4):
        store.write(b, {key: value[b * 5 : b * 5 + 5] for key, value in values.items()}, {})
    store.check(range(4))
    for key, value in values.items():
        assert_same(store.read(key, range(4)), value)
        assert_same(store.read(key, [3, 1]), np.concatenate([value[15:], value[5:10]]))
        assert_same(store.read(key, []), value[:0])
        assert_same(store.read(key, [1, 2, 3], range(3, 11)), value[8:16])
        assert_same(store.read(key, [1, 2], range(6, 6)), value[:0])
        assert_same(store.rows(key, [19, 0, 7, 7]), value[[19, 0, 7, 7]])


def test_nan_and_infinities_come_back(make):
    store, _ = make({("values", "y"): spec((), "float64")}, num=1, done=0)
    values = np.array([np.nan, np.inf, -np.inf, -0.0, 5e-324])
    store.write(0, {("values", "y"): values}, {})
    assert_same(store.rows(("values", "y"), range(5)), values)


def test_a_chunk_is_the_array_as_it_lies_in_memory(make):
    store, values = make()
    assert (store.path / "values/y/c/2/0/0").read_bytes() == values["values", "y"][10:15].tobytes()
    assert (store.path / "values/mu/c/3").read_bytes() == values["values", "mu"][15:].tobytes()


def test_arrays_in_another_order_of_axes_or_bytes_are_stored_alike(make):
    store, _ = make({("values", "y"): spec((3,), "float32")}, num=3, done=0)
    value = np.arange(15, dtype="f4").reshape(5, 3)
    store.write(0, {("values", "y"): value}, {})
    store.write(1, {("values", "y"): np.asfortranarray(value)}, {})
    store.write(2, {("values", "y"): value.astype(">f4")}, {})
    assert_same(store.read(("values", "y"), range(3)), np.concatenate([value] * 3))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), wide=st.booleans(), shared=st.booleans())
def test_rows_are_what_numpy_takes(make, data, wide, shared):
    # Rows beyond a page are read one by one where they are few, narrow ones with their chunk.
    key = ("values", "y")
    shape = (1500,) if wide else (2,)
    store, _ = make(
        {key: spec(shape, "float32", shared)}, size=6, num=5, done=0, name=f"{wide}-{shared}.zarr"
    )
    values = np.random.default_rng(0).normal(size=(30, *shape)).astype("f4")
    for b in set(range(5)) - set(store.done()):
        store.write(b, {key: values[b * 6 : b * 6 + 6]}, {})
    kind = data.draw(st.sampled_from(["i8", "u1", "i4"]))
    index = np.array(data.draw(st.lists(st.integers(0, 29), max_size=40)), dtype=kind)
    assert_same(store.rows(key, index), values[index])


@pytest.mark.parametrize("index", [[20], [-1], [0, 2**62], np.array([2**64 - 1], np.uint64)])
def test_rows_out_of_range_are_refused(make, index):
    store, _ = make()
    with pytest.raises(errors.ArgumentError, match="rows must be numbers from 0 to 19, got"):
        store.rows(("values", "y"), index)


@pytest.mark.parametrize("index", [[0.0], [True], 3, [[0]], ["a"]])
def test_rows_that_are_no_numbers_are_refused(make, index):
    store, _ = make()
    with pytest.raises(errors.ArgumentError, match="rows must be given by their numbers in one dimension"):
        store.rows(("values", "y"), index)


def test_few_wide_rows_are_read_alone_and_each_chunk_is_opened_once(make, monkeypatch):
    key, offsets, opened = ("values", "y"), [], []
    store, values = make({key: spec((2000,), "float64")}, size=10, num=3)
    preadv, open_file = os.preadv, os.open

    def reading(descriptor, buffers, offset):
        offsets.append(offset)
        return preadv(descriptor, buffers, offset)

    def opening(path, *args):
        opened.append(path)
        return open_file(path, *args)

    monkeypatch.setattr(os, "preadv", reading)
    monkeypatch.setattr(os, "open", opening)
    index = [25, 3, 21, 3]
    assert_same(store.rows(key, index), values[key][index])
    assert sorted(offsets) == [16000, 48000, 48000, 80000]
    assert len(opened) == 2


def test_an_array_that_is_not_in_the_store_is_refused(make):
    store, _ = make()
    for call in (lambda k: store.rows(k, [0]), lambda k: store.read(k, [0])):
        with pytest.raises(errors.ArgumentError, match="has no site 'z' of group 'values': it has site '"):
            call(("values", "z"))


def test_a_batch_that_the_store_does_not_have_is_refused(make):
    store, _ = make()
    for call in (
        lambda: store.read(("values", "y"), [4]),
        lambda: store.record(-1),
        lambda: store.check([9]),
    ):
        with pytest.raises(errors.ArgumentError, match=r"have numbers from 0 to 3, got (4|-1|9)"):
            call()
