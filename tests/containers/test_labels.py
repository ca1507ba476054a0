import os
import unicodedata

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import xarray as xr

from arviz_resampler import ArgumentError, NameWarning, Resampler
from arviz_resampler.containers.labels import Labels, as_file_name
from arviz_resampler.sites import Site

ODD = ["$\\mu$", "$x", "/a", " lead", "trail ", ".", "..", "a\nb", "a\tb", "<b>", "-", "*", "", "__a", "a/b"]
ODD += [unicodedata.normalize("NFD", "\u00e9"), "x" * 300, "\u00e9" * 200, "\u200b"]


def site(name, *axes):
    dims, shape = zip(*axes, strict=True)
    return Site(name, "latent", dims, shape, len(axes), "float32", False)


def labels(*sites, **options):
    given = {"coords": {}, "dims": {}, "extra": {}, **options}
    return Labels({s.name: s for s in sites}, **given)


@pytest.mark.parametrize(
    "name", ["mu", "mu_1", "\u00e9", "a.b", "a b", "A", "1", "y[0]", "\u03bc", "_a", "x" * 240]
)
def test_names_that_files_take_stay_as_they_are(name):
    assert as_file_name(name) == name


@pytest.mark.parametrize("name", ODD)
def test_other_names_become_some_that_files_take(name):
    changed = as_file_name(name)
    assert changed
    assert as_file_name(changed) == changed
    assert len(changed.encode()) <= 240


@pytest.mark.parametrize("role", ["site", "plate"])
@pytest.mark.parametrize("name", ODD)
def test_every_name_survives_netcdf_and_zarr(name, role, tmp_path):
    def guide():
        with pyro.plate(name if role == "plate" else "p", 2):
            pyro.sample(name if role == "site" else "x", dist.Normal(0.0, 1.0))

    resampler = Resampler(guide, num_guide_samples=200, random_seed=0)
    if as_file_name(name) == name:
        draws = resampler.sample_prior_predictive(guide, 10, container="datatree")
    else:
        with pytest.warns(NameWarning, match="were changed"):
            draws = resampler.sample_prior_predictive(guide, 10, container="datatree")
    path = os.path.join(tmp_path, "draws.nc")
    draws.to_netcdf(path, engine="h5netcdf")
    with xr.open_datatree(path, engine="h5netcdf") as loaded:
        assert list(loaded["prior"].data_vars) == list(draws["prior"].data_vars)
        xr.testing.assert_equal(loaded["prior"].to_dataset(), draws["prior"].to_dataset())
    if xr.__version__ < "2025":  # does not write with zarr 3
        return
    path = os.path.join(tmp_path, "draws.zarr")
    draws.to_zarr(path, consolidated=False)
    with xr.open_datatree(path, engine="zarr", consolidated=False) as loaded:
        assert list(loaded["prior"].data_vars) == list(draws["prior"].data_vars)


@pytest.mark.parametrize(
    "sites",
    [
        # a_b_c would be c of a_b and b_c of a.
        [site("a", ("b_c", 2)), site("z", ("b_c", 3)), site("a_b", ("c", 4)), site("y", ("c", 5))],
        [site("a", ("b_c", 2)), site("z", ("b_c", 3)), site("a_b", ("c", 2)), site("y", ("c", 5))],
        [site("chain", ("plate", 2)), site("z", ("plate", 3)), site("y", ("chain", 4))],
        [site("a", ("p/q", 2)), site("b", ("p.q", 2))],
        [site("a", ("p/q", 2)), site("b", ("p.q", 3))],
        [site("a", ("x" * 300, 2)), site("b", ("x" * 301, 2))],
    ],
)
def test_dims_that_get_new_names_never_share_one(sites):
    found = labels(*sites).dims
    axes = {(dim, size) for s in sites for dim, size in zip(s.dims, s.shape, strict=True)}
    assert len({dim for dims in found.values() for dim in dims}) == len(axes)


def test_a_plate_that_two_sites_share_stays_one_dim():
    found = labels(site("a", ("p/q", 2)), site("b", ("p/q", 2)))
    assert found.dims == {"a": ("p.q",), "b": ("p.q",)}
    assert found.renamed == {"dim p/q": "p.q"}


def test_none_in_dims_keeps_the_name_of_an_axis():
    y = Site("y", "predictive", ("p", "y_dim_0", "y_dim_1"), (4, 2, 3), 1, "float32", False)
    assert labels(y, dims={"y": [None, "feature"]}).dims["y"] == ("p", "y_dim_0", "feature")
    assert labels(y, dims={"y": ["q", None, None]}).dims["y"] == ("q", "y_dim_0", "y_dim_1")
    assert labels(y, dims={"y": [None, None]}).dims["y"] == ("p", "y_dim_0", "y_dim_1")
    with pytest.raises(ArgumentError, match="dims gives 1 names to 'y'"):
        labels(y, dims={"y": [None]})


def test_labels_are_no_ones_memory():
    given = np.arange(3)
    found = labels(site("a", ("p", 3)), coords={"p": given})
    first, second = (found.dataset({"a": np.zeros((5, 3))}, sampled=True) for _ in range(2))
    given[0] = 77
    for dataset in (first, second):
        assert dataset["p"].values.tolist() == [0, 1, 2]
    assert not np.shares_memory(first["p"].values, second["p"].values)
