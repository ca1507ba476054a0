"""The scalars of an array of particles, also of one that is larger than memory."""

import numpy as np
import pytest
import xarray as xr

from arviz_resampler.analysis import elements, quantities
from arviz_resampler.analysis.elements import Elements
from arviz_resampler.analysis.quantities import evaluate


@pytest.fixture
def dataset():
    rng = np.random.default_rng(0)
    y = rng.normal(size=(40, 3, 4)).astype(np.float32)
    y[7, 1, 2] = np.nan
    return xr.Dataset(
        {"y": (("particle", "a", "b"), y), "mu": ("particle", rng.normal(size=40))},
        {"particle": np.arange(40), "a": ["u", "v", "w"]},
    )


@pytest.mark.parametrize("most", [1, 40 * 4 * 2, 40 * 4 * 3, 10**9])
def test_columns_are_the_same_however_many_are_read_together(dataset, monkeypatch, most):
    monkeypatch.setattr(elements, "MOST", most)
    found = Elements("y", dataset["y"])
    labels = list(found)
    assert labels[:5] == ["y[u, 0]", "y[u, 1]", "y[u, 2]", "y[u, 3]", "y[v, 0]"]
    for order in (labels, labels[::-1]):
        columns = np.stack([found[label] for label in order], 1)
        expected = dataset["y"].values.reshape(40, 12)
        np.testing.assert_array_equal(columns, expected if order is labels else expected[:, ::-1])
    assert columns.dtype == np.float64


STATISTICS = {
    "of each particle": lambda ds: (ds.y > 0.5).mean("b"),
    "of all particles": lambda ds: ds.mu - ds.mu.mean("particle"),
    "of their order": lambda ds: ds.mu.copy(data=ds.mu.values.argsort().argsort()),
    "above the mean": lambda ds: ds.mu > ds.mu.mean("particle"),
    "transposed": lambda ds: ds.y.fillna(0.0).transpose("b", "particle", "a"),
    "without coords": lambda ds: (ds.mu + 1).drop_vars("particle"),
}


@pytest.mark.parametrize("name", STATISTICS)
@pytest.mark.filterwarnings("ignore:.*leave the event", "ignore:the statistic .* is computed from 'y'")
def test_a_statistic_of_a_large_dataset_is_that_of_all_particles(dataset, monkeypatch, name):
    whole = evaluate(dataset, [], {name: STATISTICS[name]})[name]
    for most in (1, dataset.nbytes // 7, dataset.nbytes // 2):
        monkeypatch.setattr(quantities, "MOST", most)
        parts = evaluate(dataset, [], {name: STATISTICS[name]})[name]
        assert list(parts) == list(whole)
        for label in whole:
            np.testing.assert_array_equal(parts[label], whole[label])


@pytest.mark.parametrize("place", [0, 20, 30, 38, 39])
@pytest.mark.filterwarnings("ignore:the statistic .* is computed from")
def test_what_a_statistic_makes_of_missing_values_is_seen_in_every_part(dataset, monkeypatch, place):
    z = dataset.mu.copy(data=np.arange(40.0))
    z[place] = np.nan
    monkeypatch.setattr(quantities, "MOST", 1)  # parts of 16 particles, of 40
    filled = evaluate(dataset.assign(z=z), [], {"s": lambda ds: ds.z.fillna(ds.z.mean("particle"))})["s"]["s"]
    assert filled[place] == np.delete(np.arange(40.0), place).mean()


def test_a_statistic_of_each_particle_sees_some_at_a_time(dataset, monkeypatch):
    monkeypatch.setattr(quantities, "MOST", dataset.nbytes // 4)
    seen = []

    def statistic(ds):
        seen.append(ds.sizes["particle"])
        return ds.mu

    evaluate(dataset[["mu"]], [], {"m": statistic})
    assert max(seen) == 40  # this one is small
    seen.clear()
    evaluate(dataset.drop_vars("y").assign(z=dataset.y.fillna(0.0)), [], {"m": statistic})
    assert max(seen) == 16


def test_missing_values_are_found_by_parts(dataset, monkeypatch):
    monkeypatch.setattr(quantities, "MOST", 1)
    assert np.flatnonzero(quantities._nan(dataset["y"])).tolist() == [7]
    always = dataset["y"].copy()
    always[:, 0, 0] = np.nan  # of a site that has none there
    assert np.flatnonzero(quantities._nan(always)).tolist() == [7]
