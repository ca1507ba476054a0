"""Where targets lie on the axes of variables."""

import numpy as np
import pytest
import xarray as xr

from arviz_resampler import between, mean, probability, quantile, sd
from arviz_resampler.fitting.marks import lines_of
from arviz_resampler.fitting.targets import as_targets

DATASET = xr.Dataset({"y": (("particle", "k"), np.random.default_rng(0).normal(40.0, 10.0, (500, 8)))})


@pytest.mark.parametrize(
    ("target", "values"),
    [
        (quantile(lambda ds: ds.y, 0.5, 41.0), [41.0]),
        (mean(lambda ds: ds.y, 40.0), [40.0]),
        (between(lambda ds: ds.y, 0.9, 20.0, 60.0), [20.0, 60.0]),
        (probability(lambda ds: ds.y > 50, 0.05), [50.0]),
        (probability(lambda ds: ds.y <= 33.5, 0.3), [33.5]),
        (sd(lambda ds: ds.y, 10.0), []),
    ],
)
def test_targets_of_a_variable_itself_have_lines(target, values):
    found = lines_of(DATASET, as_targets({"t": target}))
    assert [line.value for line in found.get("y", [])] == values
    assert all(line.kind == "target" for line in found.get("y", []))


@pytest.mark.parametrize(
    "target",
    [
        quantile(lambda ds: ds.y.std("k"), 0.5, 12.0),
        quantile(lambda ds: 2 * ds.y, 0.5, 80.0),
        probability(lambda ds: ds.y.max("k") > 60, 0.05),
        probability(lambda ds: abs(ds.y - 40) > 10, 0.05),
        probability(lambda ds: ds.y > 1000, 0.05),
    ],
)
def test_targets_of_anything_else_have_none(target):
    assert not any(lines_of(DATASET, as_targets({"t": target})).values())
