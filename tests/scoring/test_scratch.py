"""Memory is used again once nobody looks at it, and only then."""

import pickle

import pytest
import torch

from arviz_resampler.scoring import scratch
from arviz_resampler.scoring.scratch import ScratchBuffers

HOST = torch.device("cpu")
counted = pytest.mark.skipif(not scratch._COUNTED, reason="nobody counts who holds an array")
DTYPES = [torch.float64, torch.float32, torch.int16]


def test_arrays_have_their_length_and_dtype_and_share_nothing():
    arrays = ScratchBuffers().take(7, DTYPES, HOST)
    assert [array.dtype for array in arrays] == DTYPES
    assert [len(array) for array in arrays] == [7, 7, 7]
    for i, array in enumerate(arrays):
        array.fill_(i)
    assert [array.tolist() for array in arrays] == [[0] * 7, [1] * 7, [2] * 7]
    assert all(array.data_ptr() % array.element_size() == 0 for array in arrays)


@counted
def test_memory_that_nobody_holds_is_used_again():
    buffers = ScratchBuffers()
    (array,) = buffers.take(100, [torch.float64], HOST)
    where = array.data_ptr()
    view = array[3:5]
    del array
    assert buffers.take(100, [torch.float64], HOST)[0].data_ptr() != where  # the view looks at it
    del view
    where = buffers.take(100, [torch.float64], HOST)[0].data_ptr()
    assert buffers.take(100, [torch.float64], HOST)[0].data_ptr() == where


def test_memory_is_fresh_where_it_cannot_be_told_who_holds_it(monkeypatch):
    monkeypatch.setattr(scratch, "_COUNTED", False)
    buffers = ScratchBuffers()
    first = buffers.take(100, [torch.float64], HOST)[0].fill_(1.0)
    second = buffers.take(100, [torch.float64], HOST)[0].fill_(2.0)
    assert float(first.sum()) == 100.0
    assert float(second.sum()) == 200.0
    assert buffers._blocks == []  # nothing is kept, so nothing can be handed out twice


def test_the_offset_is_made_once_for_the_same_sites():
    buffers, made = ScratchBuffers(), []

    def make():
        made.append(1)
        return torch.zeros(3)

    first = buffers.offset(frozenset("ab"), make)
    assert buffers.offset(frozenset("ba"), make) is first
    assert buffers.offset(frozenset("a"), make) is not first
    assert len(made) == 2


def test_a_copy_starts_without_memory():
    buffers = ScratchBuffers()
    buffers.take(100, [torch.float64], HOST)
    assert pickle.loads(pickle.dumps(buffers))._blocks == []
