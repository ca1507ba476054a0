import pytest

from arviz_resampler.programs.axes import describe_axes, match_axes
from arviz_resampler.sites import name_axes


def test_axes_without_a_plate_are_counted_by_site():
    assert name_axes("x", ["school", None, None]) == ("school", "x_dim_0", "x_dim_1")
    assert name_axes("x", [None, "school", None]) == ("x_dim_0", "school", "x_dim_1")


def test_axes_are_shown_with_their_names():
    assert describe_axes(["school", None], [8, 2]) == "(school=8, 2)"


@pytest.mark.parametrize(
    ("dims", "shape", "wanted", "order"),
    [
        (("a", "b"), (2, 3), [("a", 2), ("b", 3)], (0, 1)),
        (("a", "b"), (2, 3), [("b", 3), ("a", 2)], (1, 0)),
        (("a", "b"), (3, 3), [("b", 3), ("a", 3)], (1, 0)),
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
