"""Values that stay on disk: what is read, and when."""

import copy
import operator
import pickle

import numpy as np
import pytest
import torch

from arviz_resampler.particles.disk import ReadOnlyError, StoredArray, StoredTensor
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

        def noted(self, key, what, *more, plain=plain, name=name):
            found.append((name, len(what)))
            return plain(self, key, what, *more)

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


# ---------------------------------------------------------------- as in memory


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """Values in a store, and in memory."""
    path = tmp_path_factory.mktemp("disk") / "s"
    values = np.random.default_rng(1).normal(size=(60, 3)).astype("float32")
    store = Store.create(
        path, {KEY: ArraySpec((3,), "float32", ("a",))}, batch_size=10, num_batches=6, attrs={}
    )
    for number in range(6):
        store.write(number, {KEY: values[number * 10 : (number + 1) * 10]}, {})
    return StoredTensor.of(StoredArray(store, KEY, range(6)), torch.float32), torch.from_numpy(values)


SLICES = [slice(None), slice(13, 52), slice(-4, None), slice(20, 30), slice(7, 7)]
INDICES = [
    *(0, -1, 5, 38, -39, -60, 59, 60, -61, True, False, None, np.int64(4), torch.tensor(3)),
    *(slice(2, 9), slice(None, None, 2), slice(-3, None), slice(5, 2)),
    *([1, 2], [-1, -2], [True, False], [], [True] * 60, [True, False, True] * 13, np.array([1, 2])),
    *(torch.tensor([3, 4]), torch.tensor([-1]), torch.tensor([60]), torch.tensor([-61]), torch.tensor([1.5])),
    *(torch.arange(60) > 20, torch.ones(7, dtype=torch.bool), torch.tensor([[1, 2], [3, 4]])),
    *((1, 2), (slice(3, 9), 1), (..., 2), (torch.tensor([1, 2]), torch.tensor([0, 2]))),
]


def outcome(call):
    try:
        found = call()
    except Exception as error:
        return type(error)
    return found.load() if isinstance(found, StoredTensor) else found


def alike(one, other):
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        return one.dtype == other.dtype and torch.equal(one, other)
    return one == other


@pytest.mark.parametrize("rows", SLICES, ids=str)
@pytest.mark.parametrize("index", INDICES, ids=str)
def test_an_index_stands_for_what_it_stands_for_in_memory(pair, rows, index):
    stored, memory = (tensor[rows] for tensor in pair)
    assert isinstance(stored, StoredTensor)
    assert alike(outcome(lambda: stored[index]), outcome(lambda: memory[index]))


@pytest.mark.parametrize("index", [[0, 59, 3], [], [60], [-1]], ids=str)
def test_rows_are_chosen_by_the_numbers_that_there_are(pair, index):
    index = torch.tensor(index, dtype=torch.int64)
    for select in (
        lambda x: x.index_select(0, index),
        lambda x: x.index_select(dim=0, index=index),
        lambda x: torch.index_select(x, 0, index),
        lambda x: x.index_select(0, index[:1].reshape(())) if len(index) else x[:0],
    ):
        assert alike(*(outcome(lambda x=x, select=select: select(x)) for x in pair))


def test_copies_read_the_same_rows(pair):
    stored, memory = pair
    for again in (copy.copy, copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x)), torch.clone, torch.cat):
        found = again([stored[15:40]] if again is torch.cat else stored[15:40])
        assert torch.equal(found[3:9].clone(), memory[18:24])
    summed = (torch.func.vmap(torch.sum)(tensor) for tensor in pair)
    assert torch.equal(*summed)


def test_nothing_changes_what_is_in_a_store(pair):
    stored, memory = pair
    for change in (
        lambda: stored.add_(1),
        lambda: stored.__setitem__(0, 5.0),
        lambda: torch.add(memory, 1, out=stored),
        lambda: setattr(stored, "data", memory),
        stored.requires_grad_,
        lambda: torch.aminmax(memory, dim=0, out=(memory[0], stored)),
        lambda: torch._foreach_add_([memory, stored], 1),
        lambda: torch.nn.functional.relu(stored, inplace=True),
    ):
        with pytest.raises(ReadOnlyError, match="values in a store are read-only"):
            change()
    assert torch.equal(stored.clone(), memory)


AUGMENTED = ("iadd", "isub", "imul", "itruediv", "ifloordiv", "imod", "ipow")
ON_BITS = ("iand", "ior", "ixor", "ilshift", "irshift")


@pytest.mark.parametrize("name", [*AUGMENTED, *ON_BITS])
def test_an_augmented_assignment_to_what_is_in_a_store_is_refused(store, values, name):
    dtype = torch.int64 if name in ON_BITS else torch.float32
    tensor, assign = stored(store, dtype=dtype), getattr(operator, name)
    with pytest.raises(ReadOnlyError, match="values in a store are read-only"):
        assign(tensor, 2)
    other = torch.ones(tensor.shape, dtype=dtype)
    assert assign(other, tensor) is other
    assert np.array_equal(tensor.numpy(), values)


def test_a_stored_number_is_turned_into_others(store, values):
    tensor = stored(store, dtype=torch.int64)
    assert torch.equal(~tensor, ~torch.from_numpy(values).long())
    assert (int(tensor[2, 0, 1]), range(50)[tensor[2, 0, 1]]) == (13, 13)
