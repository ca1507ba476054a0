import math

import numpy as np
import pytest
import torch

from arviz_resampler import ArgumentError
from arviz_resampler.arguments import (
    as_count,
    as_dims,
    as_integer,
    as_mapping,
    as_names,
    as_optional,
    as_probability,
    as_seed,
)


@pytest.mark.parametrize("three", [3, np.int64(3), np.uint8(3), np.array(3), torch.tensor(3)])
def test_integers_of_any_library_are_integers(three):
    assert as_count("n", three) == as_optional("n", three) == as_seed(three) == 3
    assert type(as_count("n", three)) is int


BAD = (
    *(3.0, 3.7, np.float64(3.0), "3", None, [3], (3,), {3}, True, np.True_, 3j),
    *(
        torch.tensor(3.0),
        torch.tensor(True),
        torch.tensor([3]),
        torch.tensor([1, 2]),
        np.array([3]),
        np.array(3.0),
    ),
)


@pytest.mark.parametrize("bad", BAD, ids=repr)
def test_anything_else_is_refused_and_never_rounded(bad):
    with pytest.raises(ArgumentError, match="n must be a positive integer, got"):
        as_count("n", bad)
    if bad is not None:
        with pytest.raises(ArgumentError, match="random_seed must be"):
            as_seed(bad)


def test_the_ends_of_a_range_of_integers_belong_to_it():
    assert [as_integer("n", value, 0, 2, "0, 1 or 2") for value in range(3)] == [0, 1, 2]
    for value in (-1, 3):
        with pytest.raises(ArgumentError, match="n must be 0, 1 or 2, got"):
            as_integer("n", value, 0, 2, "0, 1 or 2")
    with pytest.raises(ArgumentError):
        as_count("n", 0)
    assert as_optional("n", 0) == 0
    assert as_count("n", 2**63 - 1) == 2**63 - 1
    with pytest.raises(ArgumentError):
        as_count("n", 2**63)


def test_a_seed_may_have_any_size():
    assert as_seed(2**128) == 2**128
    with pytest.raises(ArgumentError):
        as_seed(-1)
    assert as_seed(None) is None
    first, second = as_seed(np.random.default_rng(0)), as_seed(np.random.default_rng(0))
    assert first == second == np.random.default_rng(0).integers(2**63)


def test_mappings_have_names_for_keys():
    assert as_mapping("observed", None) == {}
    assert as_mapping("observed", {"y": 1}) == {"y": 1}
    with pytest.raises(ArgumentError, match="observed must be a mapping"):
        as_mapping("observed", [("y", 1)])
    with pytest.raises(ArgumentError, match="the keys of coords must be strings, got 5"):
        as_mapping("coords", {"a": 1, 5: [1, 2]})


@pytest.mark.parametrize("bad", [3, b"y", [1], [["y"]], [None], {"y": 1}.items()], ids=repr)
def test_names_are_strings(bad):
    assert as_names("predictive", "y") == ["y"]
    assert as_names("predictive", ("y", "z")) == ["y", "z"]
    assert as_names("predictive", None) == []
    with pytest.raises(ArgumentError, match="predictive must be a name or several names"):
        as_names("predictive", bad)


def test_dims_are_names_or_none_by_site():
    given = {"y": "school", "z": [None, "feature"], "w": None}
    assert as_dims(given) == {"y": ["school"], "z": [None, "feature"]}
    assert as_dims(None) == {}
    for bad in (5, [5], b"ab", {"school"}):
        with pytest.raises(ArgumentError, match="dims must hold a name, several names or None for site 'y'"):
            as_dims({"y": bad})


@pytest.mark.parametrize("bad", [0.0, 1.0, 95, -0.1, math.nan, "0.95", None, True])
def test_a_probability_lies_between_zero_and_one(bad):
    assert as_probability("ci_prob", np.float32(0.5)) == 0.5
    with pytest.raises(ArgumentError, match="ci_prob must be a number between 0 and 1, got"):
        as_probability("ci_prob", bad)
