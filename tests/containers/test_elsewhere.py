"""Draws of containers, datasets, tables and mappings, particles first."""

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr

from arviz_resampler import ArgumentError
from arviz_resampler.containers import OF_POSTERIOR, OF_PRIOR, read_draws
from arviz_resampler.containers.container import major_version
from arviz_resampler.containers.inference_data import inference_data

Y = np.arange(24.0).reshape(2, 4, 3)  # chain, draw, school
MU = np.arange(8.0).reshape(2, 4)


def dataset():
    return xr.Dataset(
        {"mu": (("chain", "draw"), MU), "theta": (("chain", "school", "draw"), Y.transpose(0, 2, 1))},
        coords={"school": ["a", "b", "c"]},
    )


def container(**groups):
    return xr.DataTree.from_dict({"prior": dataset(), **groups})


def test_chains_stand_one_after_the_other_and_axes_keep_their_names():
    found = read_draws(dataset(), OF_PRIOR)
    assert found.num_chains == 2
    assert found.num_draws == 8
    np.testing.assert_array_equal(found.variables["mu"].values, np.arange(8.0))
    np.testing.assert_array_equal(found.variables["theta"].values, Y.reshape(8, 3))
    assert found.variables["theta"].dims == ("school",)
    assert found.coords["school"].tolist() == ["a", "b", "c"]
    assert found.ids is None
    assert not found.grouped


def test_the_groups_of_a_container_tell_latents_predictions_and_data():
    tree = container(
        prior_predictive=xr.Dataset({"y": (("chain", "draw", "school"), Y)}),
        observed_data=xr.Dataset({"y": ("school", [1.0, 2.0, 3.0])}),
        constant_data=xr.Dataset({"x": ("school", [7.0, 8.0, 9.0])}),
        log_prior=xr.Dataset({"theta": (("chain", "draw", "school"), -Y)}),
        log_likelihood=xr.Dataset({"y": (("chain", "draw", "school"), Y), "n": (("chain", "draw"), MU)}),
    )
    found = read_draws(tree, OF_PRIOR)
    assert list(found.variables) == ["mu", "theta"]
    assert list(found.predictive) == ["y"]
    assert found.observed["y"].values.tolist() == [1.0, 2.0, 3.0]
    assert found.constant["x"].values.tolist() == [7.0, 8.0, 9.0]
    np.testing.assert_array_equal(found.log_prior["theta"], -Y.sum(2).reshape(-1))
    np.testing.assert_array_equal(found.log_likelihood, (Y.sum(2) + MU).reshape(-1))
    assert found.grouped


@pytest.mark.skipif(major_version() > 0, reason="ArviZ 1.x has no InferenceData")
def test_an_inference_data_is_read_like_a_tree():
    idata = inference_data({}, {"posterior": dataset()})
    found = read_draws(idata, OF_POSTERIOR)
    np.testing.assert_array_equal(found.variables["theta"].values, Y.reshape(8, 3))


def test_names_that_this_package_had_to_change_are_those_of_the_sites_again():
    tree = xr.DataTree.from_dict({"prior": dataset().rename(theta="draw_site", school="group_plate")})
    tree.attrs["renamed"] = '{"draw": "draw_site", "dim group": "group_plate"}'
    found = read_draws(tree, OF_PRIOR)
    assert list(found.variables) == ["mu", "draw"]
    assert found.variables["draw"].dims == ("group",)


@pytest.mark.parametrize("dim", ["particle", "sample", "draw", "run"])
def test_one_dim_numbers_the_draws_by_its_name_or_because_all_have_it(dim):
    given = xr.Dataset({"mu": (dim, np.arange(3.0)), "y": (("time", dim), np.arange(6.0).reshape(2, 3))})
    found = read_draws(given.assign_coords({dim: [10, 20, 30]}), OF_PRIOR)
    np.testing.assert_array_equal(found.variables["y"].values, [[0, 3], [1, 4], [2, 5]])
    assert found.ids.tolist() == [10, 20, 30]


def test_what_all_draws_share_is_constant():
    found = read_draws(dataset().assign(x=("school", [1.0, 2.0, 3.0])), OF_PRIOR)
    assert list(found.variables) == ["mu", "theta"]
    assert found.constant["x"].values.tolist() == [1.0, 2.0, 3.0]


def test_a_table_has_a_variable_in_each_column_and_ids_in_its_index():
    table = pd.DataFrame({"mu": [1.0, 2.0], "n": [3, 4]}, index=["r1", "r2"])
    found = read_draws(table, OF_PRIOR)
    assert {name: v.values.tolist() for name, v in found.variables.items()} == {"mu": [1.0, 2.0], "n": [3, 4]}
    assert found.ids.tolist() == ["r1", "r2"]
    assert read_draws(table.reset_index(drop=True), OF_PRIOR).ids is None


def test_a_mapping_has_draws_first_or_chains_and_draws():
    found = read_draws({"mu": torch.from_numpy(MU), "theta": Y.tolist()}, OF_POSTERIOR, chains=True)
    np.testing.assert_array_equal(found.variables["theta"].values, Y.reshape(8, 3))
    assert found.variables["theta"].dims == ("theta_dim_0",)
    assert found.num_chains == 2
    flat = read_draws({"theta": Y.reshape(8, 3), "z": dataset()["theta"]}, OF_PRIOR)
    np.testing.assert_array_equal(flat.variables["z"].values, Y.reshape(8, 3))
    assert flat.coords["school"].tolist() == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (3, "draws must be an InferenceData, .* got int"),
        ({}, "the draws have no variable"),
        (xr.Dataset(), "the draws have no variable"),
        ({"a": 1.0}, r"'a' must have draws as its first axis, got shape \(\)"),
        ({"a": []}, "there are no draws"),
        (xr.Dataset({"a": ("particle", [])}), "there are no draws"),
        ({"a": [1.0, 2.0], "b": [1.0]}, "same number of draws and chains: 'a' has 2, 'b' has 1"),
        ({"a": [[1.0, 2.0], [1.0]]}, "'a' has chains, or draws, of unequal length: 2, 1"),
        ({"a": [1.0], "log_weight": [0.0]}, "the draws have 'log_weight': draws with weights"),
        (pd.DataFrame({"a": [1.0], "log_weights": [0.0]}), "the draws have 'log_weights'"),
        (pd.DataFrame([[1.0, 2.0]], columns=["a", "a"]), r"shape \(1, 2\) with columns 'a', 'a'"),
        (pd.DataFrame({"a": []}), r"got shape \(0, 1\)"),
        (pd.DataFrame({"a": ["x"]}), "'a'"),
        (xr.Dataset({"a": (("i", "j"), Y[0])}), "the dims are 'i', 'j'. Call it 'particle'"),
        (
            xr.DataTree.from_dict({"posterior": dataset()}),
            "no group 'prior'; it has 'posterior'. Did you mean",
        ),
        (
            container(prior_predictive=xr.Dataset({"y": (("chain", "draw"), MU[:, :2])})),
            "group 'prior' has 8 draws, 'prior_predictive' has 4",
        ),
        (
            container(sample_stats_prior=xr.Dataset({"log_weight": (("chain", "draw"), MU)})),
            "group 'sample_stats_prior' has 'log_weight'",
        ),
        (
            container(log_prior=xr.Dataset({"mu": (("chain", "draw"), MU[:, :2])})),
            "group 'log_prior' has 4 draws of 'mu', but there are 8",
        ),
    ],
)
def test_what_cannot_be_read_as_draws_is_refused(given, message):
    with pytest.raises(ArgumentError, match=message):
        read_draws(given, OF_PRIOR)


def test_chains_of_different_lengths_are_refused_even_if_there_are_as_many_draws():
    with pytest.raises(ArgumentError, match="'a' has 8 in chains of 4, 'b' has 8 in chains of 2"):
        read_draws({"a": MU, "b": MU.reshape(4, 2)}, OF_POSTERIOR, chains=True)
