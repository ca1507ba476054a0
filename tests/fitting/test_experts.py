"""Quantiles of experts, and their linear pool."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from arviz_resampler import ArgumentError, pooled, quantiles


def y(ds):
    return ds.y


def test_the_pool_of_one_expert_is_the_expert():
    pool = pooled(y, [{0.05: 2.0, 0.5: 8.0, 0.95: 30.0}])
    assert [(round(t.prob, 12), t.value) for t in pool.values()] == [(0.05, 2.0), (0.5, 8.0), (0.95, 30.0)]


def test_the_pool_of_normals_is_their_mixture():
    levels = (0.1, 0.5, 0.9)
    experts = {
        "a": {p: float(norm(0, 1).ppf(p)) for p in levels},
        "b": {p: float(norm(2, 3).ppf(p)) for p in levels},
    }
    pool = pooled(y, experts, weights=[3, 1])
    for target in pool.values():
        expected = 0.75 * norm(0, 1).cdf(target.value) + 0.25 * norm(2, 3).cdf(target.value)
        assert target.prob == pytest.approx(expected, abs=1e-12)
    assert len(pool) == 6


@given(
    st.lists(
        st.lists(st.floats(-100, 100), min_size=2, max_size=4, unique=True).filter(
            lambda values: min(np.diff(sorted(values))) > 1e-3
        ),
        min_size=1,
        max_size=3,
    )
)
def test_a_pool_rises_with_its_values_and_stays_between_its_experts(experts):
    given_ = [dict(zip(np.linspace(0.1, 0.9, len(v)).tolist(), sorted(v), strict=True)) for v in experts]
    pool = list(pooled(y, given_).values())
    values, levels = [t.value for t in pool], [t.prob for t in pool]
    assert values == sorted(values)
    assert all(a <= b + 1e-12 for a, b in itertools.pairwise(levels))
    assert all(0 < level < 1 for level in levels)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: quantiles(y, {0.05: 9.0, 0.5: 4.0}), "got 9 at 0.05 and 4 at 0.5"),
        (lambda: quantiles(y, {0.05: 4.0, 0.5: 4.0}), "quantiles must rise with their probabilities"),
        (lambda: quantiles(y, {0.0: 4.0}), "prob must be a number between 0 and 1, got 0.0"),
        (lambda: quantiles(y, {"a": 4.0}), "prob must be a number between 0 and 1, got 'a'"),
        (lambda: quantiles(y, [0.5, 4.0]), "quantiles must be values by their probabilities"),
        (lambda: pooled(y, []), "experts must be the quantiles of one expert or more"),
        (lambda: pooled(y, {0.5: 1.0, 0.9: 2.0}), "experts must be the quantiles of one expert or more"),
        (lambda: pooled(y, [{0.5: 1.0}]), "an expert needs two quantiles or more"),
        (lambda: pooled(y, [{0.1: 1.0, 0.9: 2.0}], weights=[1, 2]), "there are 1 experts, but 2 weights"),
        (lambda: pooled(y, [{0.1: 1.0, 0.9: 2.0}], weights=[0]), "a weight of an expert must be a positive"),
    ],
)
def test_quantiles_that_cannot_be_are_refused_in_words(make, message):
    with pytest.raises(ArgumentError, match=message):
        make()


def test_quantiles_that_are_close_together_are_all_there():
    found = quantiles(y, {0.5: 0.0, 0.99999991: 1.0, 0.99999995: 2.0})
    assert {name: (t.prob, t.value) for name, t in found.items()} == {
        "0.5": (0.5, 0.0),
        "0.99999991": (0.99999991, 1.0),
        "0.99999995": (0.99999995, 2.0),
    }
    pool = pooled(y, [{0.1: 1.0, 0.9: 1.00000002}, {0.1: 1.00000001, 0.9: 5.0}])
    assert [t.value for t in pool.values()] == [1.0, 1.00000001, 1.00000002, 5.0]
