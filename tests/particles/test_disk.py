"""Values that stay on disk: what is read, and when."""

import copy
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from arviz_resampler.particles.disk import StoredArray, StoredTensor
from arviz_resampler.storage import ArraySpec, Store

KEY = ("values", "y")


@pytest.fixture(scope="module")
def values():
    return np.arange(30 * 6, dtype=np.float32).reshape(30, 2, 3)


@pytest.fixture(scope="module")
def store(values, tmp_path_factory):
    path = tmp_path_factory.mktemp("disk") / "s"
    made = Store.create(
        path, {KEY: ArraySpec((2, 3), "float32", ("a", "b"))}, batch_size=5, num_batches=6, attrs={}
    )
    for number in range(6):
        made.write(number, {KEY: values[5 * number : 5 * number + 5]}, {})
    return made


@pytest.fixture
def reads(store, monkeypatch):
    """What is read from the store: rows, or batches."""
    found = []
    for name in ("read", "rows"):
        plain = getattr(Store, name)

        def noted(self, key, what, plain=plain, name=name):
            found.append((name, len(what)))
            return plain(self, key, what)

        monkeypatch.setattr(Store, name, noted)
    return found


def stored(store, batches=range(6), dtype=torch.float32):
    return StoredTensor.of(StoredArray(store, KEY, list(batches)), dtype)


def test_shape_dtype_and_device_are_known_without_reading(store, reads):
    tensor = stored(store)
    assert (tensor.shape, tensor.dtype, tensor.device.type, len(tensor)) == (
        (30, 2, 3),
        torch.float32,
        "cpu",
        30,
    )
    assert (tensor.dim(), tensor.numel(), tensor.ndim, tensor.size(0)) == (3, 180, 3, 30)
    assert tensor.is_floating_point()
    assert tensor.detach() is tensor.cpu() is tensor
    assert "30, 2, 3" in repr(tensor)
    assert tensor[3:20][2:].shape == (15, 2, 3)
    assert reads == []


def test_rows_are_read_alone_and_a_slice_by_its_batches(store, values, reads):
    tensor = stored(store)
    assert torch.equal(tensor.index_select(0, torch.tensor([29, 0, 0])), torch.from_numpy(values[[29, 0, 0]]))
    assert torch.equal(tensor[6:11].clone(), torch.from_numpy(values[6:11]))
    assert reads == [("rows", 3), ("read", 2)]


ENDS = st.tuples(st.integers(0, 30), st.integers(0, 30))


@settings(deadline=None, max_examples=60)
@given(ENDS, st.lists(st.integers(-3, 4), max_size=5), st.data())
def test_an_index_stands_for_what_it_stands_for_in_memory(store, values, ends, rows, data):
    start, stop = ends
    tensor, plain = stored(store)[start:stop], torch.from_numpy(values)[start:stop]
    assert torch.equal(tensor.clone(), plain)
    rows = [row for row in rows if -len(plain) <= row < len(plain)]
    assert torch.equal(tensor[rows], plain[rows])
    assert torch.equal(tensor[torch.tensor(rows, dtype=torch.int64)], plain[rows])
    mask = torch.tensor([data.draw(st.booleans()) for _ in range(len(plain))], dtype=torch.bool)
    assert torch.equal(tensor[mask], plain[mask])
    for index in (slice(None, None, 2), (slice(0, 2), 1), (..., 0), None):
        assert torch.equal(tensor[index], plain[index])
    if len(plain):
        assert torch.equal(tensor[-1], plain[-1])
        assert torch.equal(tensor[0], plain[0])


def test_a_row_that_there_is_not_is_an_error(store):
    for tensor in (stored(store), stored(store)[3:9]):
        for index in (len(tensor), -len(tensor) - 1):
            with pytest.raises(IndexError):
                tensor[index]
            with pytest.raises(IndexError):
                tensor[[0, index]]


def test_all_else_is_done_with_the_values(store, values):
    tensor, plain = stored(store), torch.from_numpy(values)
    assert torch.equal(tensor + 1, plain + 1)
    assert torch.equal(1 + tensor, plain + 1)
    assert torch.equal(torch.cat([tensor, plain]), torch.cat([plain, plain]))
    assert torch.equal(torch.stack([tensor, tensor]).sum(), 2 * plain.sum())
    assert torch.equal(tensor.reshape(30, -1), plain.reshape(30, -1))
    assert torch.equal(torch.vmap(lambda row: row.sum())(tensor), plain.sum((1, 2)))
    assert torch.equal(tensor.to(torch.float64), plain.double())
    np.testing.assert_array_equal(tensor.numpy(), values)
    np.testing.assert_array_equal(np.asarray(tensor), values)
    assert type(tensor.clone()) is torch.Tensor
    assert tensor.tolist() == values.tolist()


def test_batches_count_in_the_order_in_which_they_are_given(store, values):
    tensor = stored(store, [4, 1])
    expected = torch.from_numpy(np.concatenate([values[20:25], values[5:10]]))
    assert torch.equal(tensor.clone(), expected)
    assert torch.equal(tensor[[9, 0]], expected[[9, 0]])


def test_values_have_another_dtype_than_they_are_stored_in_where_that_is_asked(store, values):
    tensor = stored(store, dtype=torch.int64)
    assert tensor.dtype == tensor.clone().dtype == tensor[[1]].dtype == torch.int64
    assert tensor[0].tolist() == values[0].tolist()


def test_a_copy_is_itself_and_a_pickle_has_the_path(store, values):
    tensor = stored(store)[4:9]
    assert copy.deepcopy(tensor) is tensor
    data = pickle.dumps(tensor)
    assert len(data) < 2000
    assert torch.equal(pickle.loads(data).clone(), torch.from_numpy(values[4:9]))
