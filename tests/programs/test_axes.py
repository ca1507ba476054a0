"""Rules of axes: plates by name, then what is left in order."""

from typing import NamedTuple

import pytest
import torch

from arviz_resampler.programs.axes import arrange, describe_axes, match_axes, plate_axes, plates_around


class Frame(NamedTuple):
    """A plate around a site, as Pyro's stack has it."""

    name: str
    dim: int | None
    size: int


def test_vectorized_plates_are_found_by_dim_and_loops_are_not():
    stack = (Frame("school", -1, 8), Frame("step", None, 3), Frame("year", -2, 5))
    assert plates_around(stack) == {-1: ("school", 8), -2: ("year", 5)}
    assert plates_around(()) == {}


@pytest.mark.parametrize(
    ("batch", "plates", "axes"),
    [
        ((), {-1: ("a", 3)}, []),
        ((3,), {-1: ("a", 3)}, [("a", 3)]),
        ((1,), {-1: ("a", 3)}, [(None, 1)]),  # the same for all of the plate
        ((3, 4), {-2: ("a", 3), -1: ("b", 4)}, [("a", 3), ("b", 4)]),
        ((3, 3), {-2: ("a", 3), -1: ("b", 3)}, [("a", 3), ("b", 3)]),
        ((2, 4), {-1: ("b", 4)}, [(None, 2), ("b", 4)]),
        ((4,), {-1: ("b", 4), -2: ("a", 3)}, [("b", 4)]),
    ],
)
def test_axes_of_a_batch_are_named_by_the_plates_that_they_fill(batch, plates, axes):
    assert plate_axes(batch, plates) == axes


@pytest.mark.parametrize(
    ("dims", "shape", "wanted", "order"),
    [
        (("a", "b"), (2, 3), [("a", 2), ("b", 3)], (0, 1)),
        (("a", "b"), (2, 3), [("b", 3), ("a", 2)], (1, 0)),
        (("a", "b"), (3, 3), [("b", 3), ("a", 3)], (1, 0)),  # plates of one size, in another order
        (("x_dim_0",), (3,), [("g", 3)], (0,)),
        (("g",), (3,), [(None, 1), (None, 3)], (0,)),
        (("a", "b"), (3, 3), [("b", 3), (None, 3)], (1, 0)),
        (("a", "b"), (2, 3), [("c", 2), ("d", 3)], (0, 1)),
        (("one", "a"), (1, 4), [("a", 4)], (1, 0)),
        ((), (), [(None, 1)], ()),
    ],
)
def test_axes_are_matched_by_name_and_then_in_order(dims, shape, wanted, order):
    assert match_axes(dims, shape, wanted) == order


@pytest.mark.parametrize(
    ("dims", "shape", "wanted"),
    [
        (("g",), (4,), [("g", 6)]),
        (("g",), (4,), []),
        ((), (), [("g", 4)]),
        (("x_dim_0",), (6,), [("a", 2), ("b", 3)]),
        (("a", "b"), (2, 3), [("c", 3), ("d", 2)]),
    ],
)
def test_axes_of_other_sizes_are_not_matched(dims, shape, wanted):
    assert match_axes(dims, shape, wanted) is None


VALUES = torch.arange(2 * 3 * 3).reshape(2, 3, 3)  # two particles, plates a and b of one size


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ([("a", 3), ("b", 3)], VALUES),
        ([("b", 3), ("a", 3)], VALUES.mT),
        ([(None, 3), (None, 3)], VALUES),
        ([(None, 3), ("a", 3)], VALUES.mT),
        ([("b", 3), (None, 3)], VALUES.mT),
        ([("a", 3), (None, 1), ("b", 3)], VALUES[:, :, None]),
        ([("b", 3), (None, 1), ("a", 3)], VALUES.mT[:, :, None]),
    ],
)
def test_plates_of_one_size_go_by_their_names(wanted, expected):
    placed = arrange(VALUES, ("a", "b"), (3, 3), wanted)
    assert placed is not None
    assert torch.equal(placed, expected)


def test_values_of_other_sizes_cannot_be_arranged():
    assert arrange(VALUES, ("a", "b"), (3, 3), [("a", 3)]) is None
    assert arrange(VALUES, ("a", "b"), (3, 3), [("a", 3), ("b", 4)]) is None


def test_values_in_order_are_handed_on_as_they_are():
    assert arrange(VALUES, ("a", "b"), (3, 3), [("a", 3), ("b", 3)]) is VALUES


def test_axes_are_shown_with_their_names():
    assert describe_axes(["school", None], [8, 2]) == "(school=8, 2)"
