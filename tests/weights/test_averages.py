import numpy as np
import pandas as pd
import pytest
import torch

from arviz_resampler import ArgumentError, WeightError
from arviz_resampler.weights import averages


@pytest.mark.parametrize("part", [1, 700, 10**6])
def test_means_by_parts_are_those_of_all_at_once(monkeypatch, part):
    rng = np.random.default_rng(0)
    weights = rng.exponential(size=500)
    weights[::7] = 0.0
    weights[:50] = 0.0  # a part without weight
    weights /= weights.sum()
    values = rng.normal(3.0, 2.0, size=(500, 4, 3)).astype(np.float32)
    values[:, 0, 0], values[:, 0, 1], values[:, 1, 1] = 1.0, 0.0, 5.0
    values[0, 2, 2], values[7, 3, 0] = np.nan, np.inf  # of particles without weight
    values[100, 3, 1], values[101, 3, 2] = np.nan, np.inf
    whole = averages.means(weights, values)
    monkeypatch.setattr(averages, "MOST", 1)
    monkeypatch.setattr(averages, "_PART", part)
    for found, expected in zip(averages.means(weights, values), whole, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-10)


def compared_by_parts(monkeypatch, weights, values):
    whole = averages.means(weights, values)
    monkeypatch.setattr(averages, "MOST", 1)
    monkeypatch.setattr(averages, "_PART", 4000)
    for found, expected in zip(averages.means(weights, values), whole, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-9)
    on_device = averages.means_on_device(torch.from_numpy(weights), torch.from_numpy(values))
    for found, expected in zip(on_device, whole, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-9)
    return whole


def test_a_value_far_off_without_much_weight_leaves_the_means_by_parts_exact(monkeypatch):
    rng = np.random.default_rng(0)
    r = rng.normal(0.3, 0.5, 20_000)
    r[0] = 1.0
    log_ratio = -(((r - 0.1) / 0.05) ** 2) / 2 + ((r - 0.3) / 0.5) ** 2 / 2
    weights = np.exp(log_ratio - log_ratio.max())
    weights /= weights.sum()
    assert 0 < weights[0] < 1e-70
    compared_by_parts(monkeypatch, weights, np.exp(np.outer(r, np.arange(41))))


@pytest.mark.parametrize("scale", [1e-300, 1e-200, 1e-80, 1e80, 1e200, 1e300])
def test_values_of_any_size_have_by_parts_the_errors_that_they_have_at_once(monkeypatch, scale):
    values = np.random.default_rng(0).normal(3.0, 2.0, size=(500, 3)) * [scale, 1.0, 0.0]
    _, mcse, n_effective = compared_by_parts(monkeypatch, np.full(500, 1 / 500), values)
    assert 0.08 < mcse[0] / scale < 0.1
    assert n_effective[0] > 100


def test_the_values_of_the_heaviest_particle_may_be_far_off(monkeypatch):
    weights, values = np.full(500, 1 / 500), np.random.default_rng(0).normal(size=(500, 2))
    values[0] = 1e9, np.inf
    mean, mcse, n_effective = compared_by_parts(monkeypatch, weights, values)
    np.testing.assert_array_equal([mean[1], mcse[1], n_effective[1]], [np.inf, np.nan, 0.0])


def test_an_event_of_next_to_no_weight_is_no_event_that_was_never_seen(monkeypatch):
    weights, values = np.array([1e-200, 0.5, 0.5]), np.array([[1.0], [0.0], [0.0]])
    mean, mcse, _ = compared_by_parts(monkeypatch, weights, values)
    assert mean[0] == 1e-200
    assert mcse[0] > 0


VALUES = np.random.default_rng(1).normal(3.0, 2.0, size=(500, 3)).astype(np.float32)
MISSING = np.zeros(VALUES.shape, bool)
MISSING[3, 1], MISSING[0, 2] = True, True
KINDS = {
    "masked": np.ma.array(VALUES, mask=MISSING),
    "masked nowhere": np.ma.array(VALUES),
    "tensor": torch.from_numpy(VALUES),
    "tensor of a short type": torch.from_numpy(VALUES).bfloat16(),
    "tensor with a gradient": torch.tensor(VALUES, requires_grad=True),
    "truth values": torch.from_numpy(VALUES > 3),
    "objects": np.array([[v or None for v in row] for row in np.where(MISSING, 0.0, VALUES)]),
    "by labels": pd.Series(VALUES[:, 0], index=np.linspace(5.0, 0.0, 500)),
    "with NA": pd.Series(np.arange(500)).astype("Int64").where(np.arange(500) != 7),
}


@pytest.mark.parametrize("kind", KINDS)
def test_values_of_any_kind_have_by_parts_the_means_that_they_have_at_once(monkeypatch, kind):
    weights = np.full(500, 1 / 500)
    whole = averages.means(weights, KINDS[kind])
    if kind in ("masked", "objects"):
        assert np.isnan(whole[0]).tolist() == [False, True, True]
    monkeypatch.setattr(averages, "MOST", 1)
    monkeypatch.setattr(averages, "_PART", 700)
    for found, expected in zip(averages.means(weights, KINDS[kind]), whole, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-10)
    for unweighted in (0, 3):  # what has no weight may be missing
        weights[unweighted] = 0.0
    weights /= weights.sum()
    if kind in ("masked", "objects"):
        assert np.isfinite(averages.means(weights, KINDS[kind])[0]).all()


def test_what_is_no_value_of_each_particle_is_refused_by_parts_too(monkeypatch):
    monkeypatch.setattr(averages, "MOST", 1)
    with pytest.raises(ArgumentError, match=r"the 4 particles as the first axis, got shape \(3, 2\)"):
        averages.means(np.full(4, 0.25), np.zeros((3, 2)))
    with pytest.raises(ArgumentError, match=r"the 4 particles as the first axis, got shape \(3, 2\)"):
        averages.means(np.full(4, 0.25), torch.zeros(3, 2))
    with pytest.raises(ArgumentError, match="dtype"):
        averages.means(np.full(2, 0.5), np.array([["a"], ["b"]]))
    with pytest.raises(WeightError, match="nothing to average"):
        averages.means(np.zeros(3), np.zeros((3, 2)))


@pytest.mark.parametrize(("values", "mean"), [([1.0, np.inf, 2.0], np.inf), ([1.0, np.inf, -np.inf], np.nan)])
def test_a_mean_of_infinite_values_has_no_error(values, mean):
    found, mcse, n_effective = averages.means(np.full(3, 1 / 3), np.array(values))
    np.testing.assert_array_equal([found, mcse, n_effective], [mean, np.nan, 0.0])
