"""Draws of containers, datasets, tables and mappings, particles first."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr

from arviz_resampler import ArgumentError
from arviz_resampler.containers import OF_POSTERIOR, OF_PRIOR, Labels, by_draw, read_draws
from arviz_resampler.containers.inference_data import inference_data
from arviz_resampler.containers.installed import major_version
from arviz_resampler.sites import Site

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


@pytest.mark.parametrize("dims", [["chain", "draw"], ["draw", "chain"]])
def test_chain_and_draw_are_told_apart_by_their_names_in_whatever_order_they_are_said(dims):
    given = dataset().transpose("draw", ...).assign_attrs(sample_dims=dims)
    for tree in (given, xr.DataTree.from_dict({"posterior": given})):
        found = read_draws(tree, OF_POSTERIOR, chains=True)
        assert found.num_chains == 2
        np.testing.assert_array_equal(found.variables["mu"].values, np.arange(8.0))


def test_other_names_of_chains_and_draws_are_those_that_a_dataset_says():
    given = dataset().rename(chain="walker", draw="step").assign_attrs(sample_dims=["walker", "step"])
    found = read_draws(given, OF_POSTERIOR, chains=True)
    assert (found.num_chains, found.num_draws) == (2, 8)
    np.testing.assert_array_equal(found.variables["theta"].values, Y.reshape(8, 3))


@pytest.mark.skipif(major_version() == 0, reason="from_dict of ArviZ 0.x has no sample_dims")
def test_arviz_may_be_given_draws_first():
    import arviz as az

    tree = az.from_dict({"posterior": {"mu": MU.T}}, sample_dims=["draw", "chain"])
    found = read_draws(tree, OF_POSTERIOR, chains=True)
    assert found.num_chains == 2
    np.testing.assert_array_equal(found.variables["mu"].values, np.arange(8.0))


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
            "'prior' and group 'prior_predictive' must be of .* there are 2 chains of 4 and 2 chains of 2",
        ),
        (
            container(sample_stats_prior=xr.Dataset({"log_weight": (("chain", "draw"), MU)})),
            "group 'sample_stats_prior' has 'log_weight'",
        ),
        (
            container(log_prior=xr.Dataset({"mu": (("chain", "draw"), MU[:, :2])})),
            "group 'prior' and group 'log_prior' must be of .* but there are 2 chains of 4 and 2 chains of 2",
        ),
    ],
)
def test_what_cannot_be_read_as_draws_is_refused(given, message):
    with pytest.raises(ArgumentError, match=message):
        read_draws(given, OF_PRIOR)


def test_chains_of_different_lengths_are_refused_even_if_there_are_as_many_draws():
    with pytest.raises(ArgumentError, match="'a' has 8 in chains of 4, 'b' has 8 in chains of 2"):
        read_draws({"a": MU, "b": MU.reshape(4, 2)}, OF_POSTERIOR, chains=True)


# ---------------------------------------------------------------- labels of draws

N = np.arange(6.0)
ORDER = np.array([3, 0, 5, 1, 4, 2])
IDS = np.array([f"r{i}" for i in range(6)])


def array(values, ids, dim="particle"):
    return xr.DataArray(values, dims=dim, coords={dim: ids})


@pytest.mark.parametrize(
    "make",
    [array, lambda values, ids: pd.Series(values, index=ids)],
    ids=["DataArray", "Series"],
)
def test_variables_of_a_mapping_go_by_the_labels_of_their_draws(make):
    found = read_draws({"a": make(N, IDS), "b": make(N[ORDER] * 10, IDS[ORDER])}, OF_PRIOR)
    np.testing.assert_array_equal(found.variables["a"].values, N)
    np.testing.assert_array_equal(found.variables["b"].values, N * 10)
    assert found.ids.tolist() == IDS.tolist()
    with pytest.raises(
        ArgumentError, match="'a' and 'b' have different labels of 'particle': r0 and q at po"
    ):
        read_draws({"a": make(N, IDS), "b": make(N, ["q", *IDS[1:]])}, OF_PRIOR)


def test_the_count_of_pandas_gives_way_to_labels_and_is_one_where_the_others_are_the_same_numbers():
    counted = pd.Series(N)
    found = read_draws({"a": counted, "b": counted.iloc[ORDER] * 10}, OF_PRIOR)
    np.testing.assert_array_equal(found.variables["b"].values, N * 10)
    assert found.ids is None
    found = read_draws({"a": counted, "x": N, "b": pd.Series(N, IDS), "c": pd.Series(N, IDS)}, OF_PRIOR)
    for name in "axbc":
        np.testing.assert_array_equal(found.variables[name].values, N)
    assert found.ids.tolist() == IDS.tolist()


@pytest.mark.parametrize("beside", [N, pd.Series(N)], ids=["ndarray", "Series"])
def test_an_array_without_labels_beside_labeled_draws_of_several_orders_is_refused(beside):
    given = {"a": pd.Series(N, IDS), "b": pd.Series(N[ORDER], IDS[ORDER]), "x": beside}
    for names in ("abx", "xab", "axb"):
        with pytest.raises(
            ArgumentError, match="'x' goes by position, but 'a' and 'b', which have labels, have"
        ):
            read_draws({name: given[name] for name in names}, OF_PRIOR)


def with_coords(given):
    return given.assign_coords(chain=[0, 1], draw=np.arange(4))


@pytest.mark.parametrize(
    "change", [{"draw": [2, 0, 3, 1]}, {"chain": [1, 0]}, {"chain": [1, 0], "draw": [3, 2, 1, 0]}]
)
@pytest.mark.parametrize(("groups", "prefix"), [(OF_PRIOR, "prior"), (OF_POSTERIOR, "posterior")])
def test_groups_go_by_the_labels_of_their_draws(change, groups, prefix):
    main = with_coords(dataset()[["mu"]])
    other = main.sel(change)
    tree = xr.DataTree.from_dict(
        {
            prefix: main,
            f"{prefix}_predictive": other.rename(mu="y"),
            "log_prior": -other,
            "log_likelihood": other.rename(mu="y") * 2,
        }
    )
    found = read_draws(tree, groups)
    flat = MU.reshape(-1)
    np.testing.assert_array_equal(found.variables["mu"].values, flat)
    np.testing.assert_array_equal(found.predictive["y"].values, flat)
    np.testing.assert_array_equal(found.log_prior["mu"], -flat)
    np.testing.assert_array_equal(found.log_likelihood, 2 * flat)


def test_groups_of_other_draws_or_chains_are_refused():
    main = with_coords(dataset()[["mu"]])
    later = main.assign_coords(draw=np.arange(2, 6)).rename(mu="y")
    with pytest.raises(
        ArgumentError,
        match="group 'prior' and group 'prior_predictive' have different labels of 'draw': 0 and 2",
    ):
        read_draws(xr.DataTree.from_dict({"prior": main, "prior_predictive": later}), OF_PRIOR)
    turned = xr.Dataset({"y": (("chain", "draw"), MU.T)})
    with pytest.raises(
        ArgumentError,
        match="'prior_predictive' must be of the same draws, but there are 2 chains of 4 and 4 chains of 2",
    ):
        read_draws(xr.DataTree.from_dict({"prior": main, "prior_predictive": turned}), OF_PRIOR)


def test_log_densities_are_of_the_posterior_where_there_is_one():
    tree = container(
        posterior=xr.Dataset({"mu": (("chain", "draw"), np.ones((1, 3)))}),
        log_likelihood=xr.Dataset({"y": (("chain", "draw"), np.ones((1, 3)))}),
    )
    assert read_draws(tree, OF_PRIOR).log_likelihood is None
    assert read_draws(tree, OF_POSTERIOR).log_likelihood.tolist() == [1.0, 1.0, 1.0]


def test_a_log_density_goes_by_the_labels_and_dims_that_it_has():
    found = read_draws(with_coords(dataset()), OF_PRIOR)
    flat = MU.reshape(-1)
    values = with_coords(dataset())["mu"]
    for given in (
        values.T,
        values.sel(draw=[3, 1, 0, 2], chain=[1, 0]),
        MU,
        flat,
        values.to_series().iloc[::-1],
    ):
        np.testing.assert_array_equal(by_draw(given, found, "log_q="), flat)
    assert by_draw(MU.T, found, "log_q=").shape == (4, 2)  # that a later check refuses
    with pytest.raises(
        ArgumentError,
        match="the draws and log_q= must be of the same draws, but there are 2 chains of 4 and 4",
    ):
        by_draw(xr.DataArray(MU.T, dims=("chain", "draw")), found, "log_q=")
    table = read_draws(pd.DataFrame({"mu": N}, index=IDS), OF_PRIOR)
    column = pd.Series(N[ORDER], IDS[ORDER], name="q")
    for given in (column, column.to_frame(), N, pd.Series(N)):
        np.testing.assert_array_equal(by_draw(given, table, "log_q="), N)
    with pytest.raises(
        ArgumentError, match="the draws and log_q= have different labels of 'particle': r0 and x0"
    ):
        by_draw(pd.Series(N, [f"x{i}" for i in range(6)]), table, "log_q=")


def test_a_log_density_that_is_no_number_is_refused():
    with pytest.raises(ArgumentError, match=r"log_q= must be a number for each draw, .* got str"):
        by_draw("x", read_draws({"mu": N}, OF_PRIOR), "log_q=")


# ---------------------------------------------------------------- labels of other dims


def test_labels_of_dims_have_the_order_that_they_have_first():
    schools = Y[0]  # draw, school
    first = xr.DataArray(schools, dims=("draw", "school"), coords={"school": ["a", "b", "c"]})
    found = read_draws({"a": first, "b": first[:, [2, 0, 1]] * 10}, OF_PRIOR)
    np.testing.assert_array_equal(found.variables["b"].values, schools * 10)
    assert found.coords["school"].tolist() == ["a", "b", "c"]
    other = dataset()[["theta"]].isel(school=[1, 2, 0]).rename(theta="y")
    found = read_draws(container(prior_predictive=other), OF_PRIOR)
    np.testing.assert_array_equal(found.predictive["y"].values, Y.reshape(8, 3))


def test_counted_labels_in_another_order_are_labels_too():
    counted = xr.DataArray(Y[0], dims=("draw", "school"), coords={"school": [0, 1, 2]})
    found = read_draws({"a": counted, "b": counted[:, ::-1]}, OF_PRIOR)
    np.testing.assert_array_equal(found.variables["b"].values, Y[0])
    assert found.coords == {}


def test_other_labels_of_a_dim_are_refused():
    other = dataset()[["theta"]].assign_coords(school=["a", "b", "d"]).rename(theta="y")
    with pytest.raises(
        ArgumentError,
        match="group 'prior' and group 'prior_predictive' have different labels of 'school': c and d",
    ):
        read_draws(container(prior_predictive=other), OF_PRIOR)


def test_a_dim_of_two_sizes_has_no_labels():
    other = xr.Dataset({"y": (("chain", "draw", "school"), np.ones((2, 4, 5)))}, {"school": list("vwxyz")})
    found = read_draws(container(prior_predictive=other), OF_PRIOR)
    assert found.coords == {}
    assert found.predictive["y"].dims == ("school",)


# ---------------------------------------------------------------- chains in one dim or in columns

CHAINS = xr.Dataset(
    {"mu": (("chain", "draw"), MU), "theta": (("chain", "draw", "school"), Y)},
    coords={"chain": [0, 1], "draw": [0, 1, 2, 3], "school": ["a", "b", "c"]},
)
MIXED = np.array([5, 2, 7, 0, 3, 6, 1, 4])


@pytest.mark.parametrize("dims", [("chain", "draw"), ("draw", "chain")])
@pytest.mark.parametrize("plain", [False, True])
def test_chains_that_were_stacked_are_chains_again(dims, plain):
    stacked = CHAINS.stack(sample=dims).isel(sample=MIXED)
    if plain:  # names of the levels stand beside the dim
        stacked = stacked.reset_index("sample")
    found = read_draws(stacked, OF_POSTERIOR, chains=True)
    assert (found.num_chains, found.num_draws, found.ids) == (2, 8, None)
    np.testing.assert_array_equal(found.variables["mu"].values, MU.reshape(-1))
    np.testing.assert_array_equal(found.variables["theta"].values, Y.reshape(8, 3))
    found = read_draws({"mu": stacked["mu"]}, OF_POSTERIOR, chains=True)
    np.testing.assert_array_equal(found.variables["mu"].values, MU.reshape(-1))
    assert found.num_chains == 2


@pytest.mark.parametrize(
    "names",
    [
        ("chain", "draw"),
        (".chain", ".draw"),
        ("chain__", "draw__"),
        (".chain", ".iteration"),
        ("chain__", "iter__"),
    ],
)
def test_columns_that_say_chain_and_draw_are_no_variables(names):
    table = CHAINS[["mu"]].to_dataframe().rename_axis(list(names))
    series = table["mu"].iloc[MIXED]
    for given in (table.reset_index().iloc[MIXED], table.iloc[MIXED], {"mu": series}):
        found = read_draws(given, OF_POSTERIOR, chains=True)
        assert list(found.variables) == ["mu"]
        assert (found.num_chains, found.ids) == (2, None)
        np.testing.assert_array_equal(found.variables["mu"].values, MU.reshape(-1))


def test_draws_may_be_counted_over_all_chains():
    columns = {"chain__": np.repeat([1, 2], 4), "draw__": np.arange(1, 9), "mu": MU.reshape(-1)}
    for more in ({}, {"iter__": np.tile([1, 2, 3, 4], 2)}):
        found = read_draws(pd.DataFrame(columns | more).iloc[MIXED], OF_POSTERIOR, chains=True)
        assert (found.num_chains, list(found.variables)) == (2, ["mu"])
        np.testing.assert_array_equal(found.variables["mu"].values, MU.reshape(-1))


def test_a_posterior_that_is_a_part_of_its_chains_is_refused_but_simulations_have_none():
    part = CHAINS[["mu"]].stack(sample=("chain", "draw")).isel(sample=MIXED[:5])
    table = part["mu"].to_dataframe()[["mu"]]
    flat = part[["mu"]].reset_index("sample").reset_coords(["chain", "draw"])
    for given in (part, table, table.reset_index(), flat, {"mu": part["mu"]}):
        with pytest.raises(ArgumentError, match="the 5 draws are not all draws of 2 chains, each once"):
            read_draws(given, OF_POSTERIOR, chains=True)
        found = read_draws(given, OF_PRIOR)
        assert (found.num_chains, list(found.variables)) == (1, ["mu"])
        assert found.ids.tolist() == ["1, 1", "0, 2", "1, 3", "0, 0", "0, 3"]
        np.testing.assert_array_equal(found.variables["mu"].values, MU.reshape(-1)[MIXED[:5]])


def test_simulations_may_have_a_draw_of_a_chain_twice():
    found = read_draws(pd.DataFrame({"chain": [0, 0, 1], "draw": [3, 3, 3], "mu": N[:3]}), OF_PRIOR)
    assert (list(found.variables), found.ids) == (["mu"], None)


def test_latents_that_are_called_chain_and_draw_are_latents():
    found = read_draws(pd.DataFrame({"chain": N + 0.5, "draw": N / 7}), OF_PRIOR)
    assert list(found.variables) == ["chain", "draw"]


# ---------------------------------------------------------------- arrays beside draws in the order of chains

BY_DRAW = CHAINS["mu"].stack(sample=("draw", "chain"))  # 0, 4, 1, 5, ...
FLAT = BY_DRAW.values


@pytest.mark.parametrize(
    "beside",
    [FLAT, FLAT.tolist(), torch.from_numpy(FLAT), pd.Series(FLAT), xr.DataArray(FLAT, dims="sample")],
    ids=["ndarray", "list", "Tensor", "Series", "DataArray"],
)
@pytest.mark.parametrize(
    "labeled",
    [
        BY_DRAW,
        BY_DRAW.to_series(),
        BY_DRAW.reset_index("sample"),
        CHAINS["mu"].T,
        CHAINS["mu"].T.drop_vars(["chain", "draw"]),
    ],
    ids=["stacked", "Series", "levels", "draws first", "draws first without labels"],
)
def test_arrays_without_labels_are_in_the_order_in_which_labeled_draws_came(labeled, beside):
    for given in ({"a": labeled, "b": beside}, {"b": beside, "a": labeled}):
        found = read_draws(given, OF_PRIOR)
        np.testing.assert_array_equal(found.variables["a"].values, found.variables["b"].values)
    found = read_draws({"a": labeled, "b": beside}, OF_PRIOR)
    np.testing.assert_array_equal(found.variables["b"].values, MU.reshape(-1))


def test_draws_of_other_labels_are_in_the_order_in_which_those_of_chains_came():
    given = {"a": pd.Series(FLAT, [f"r{i}" for i in range(8)]), "b": BY_DRAW, "c": FLAT, "d": CHAINS["mu"].T}
    for names in ("abcd", "dcba", "bcad"):
        found = read_draws({name: given[name] for name in names}, OF_PRIOR)
        for one in found.variables.values():
            np.testing.assert_array_equal(one.values, found.variables["a"].values)


def test_arrays_of_chains_have_the_chains_in_the_order_of_the_labels_beside_them():
    turned = CHAINS["mu"].sel(chain=[1, 0], draw=[2, 0, 3, 1])
    for labeled in (turned.stack(sample=("chain", "draw")), turned.stack(sample=("draw", "chain"))):
        for given in ({"a": labeled, "b": turned.values}, {"b": turned.values, "a": labeled.to_series()}):
            found = read_draws(given, OF_POSTERIOR, chains=True)
            np.testing.assert_array_equal(found.variables["a"].values, MU.reshape(-1))
            np.testing.assert_array_equal(found.variables["b"].values, MU.reshape(-1))


def test_an_array_of_chains_beside_draws_first_and_chains_first_is_of_the_same_draws():
    given = {"a": CHAINS["mu"], "b": CHAINS["mu"].T, "c": MU}
    for names in ("abc", "cba", "bac"):
        found = read_draws({name: given[name] for name in names}, OF_POSTERIOR, chains=True)
        for one in found.variables.values():
            np.testing.assert_array_equal(one.values, MU.reshape(-1))
    with pytest.raises(ArgumentError, match="'c' goes by position, but 'a' and 'b'"):
        read_draws(given | {"c": FLAT}, OF_PRIOR)


def test_a_group_without_labels_is_in_the_order_in_which_the_draws_of_a_chain_came():
    main = xr.Dataset(
        {"mu": ("sample", N[ORDER])}, {"chain": ("sample", 0 * ORDER), "draw": ("sample", ORDER)}
    )
    other = xr.Dataset({"y": ("sample", N[ORDER])})
    found = read_draws(xr.DataTree.from_dict({"prior": main, "prior_predictive": other}), OF_PRIOR)
    np.testing.assert_array_equal(found.variables["mu"].values, N)
    np.testing.assert_array_equal(found.predictive["y"].values, N)


TABLE = BY_DRAW.to_series().reset_index()  # with columns chain and draw


@pytest.mark.parametrize(
    "draws",
    [
        TABLE,
        TABLE.set_index(["chain", "draw"]),
        TABLE.set_axis([f"r{i}" for i in range(8)]),
        CHAINS[["mu"]].stack(sample=("draw", "chain")),
        CHAINS[["mu"]].stack(sample=("draw", "chain")).reset_index("sample").reset_coords(["chain", "draw"]),
        CHAINS[["mu"]].transpose("draw", "chain"),
        {"mu": BY_DRAW},
    ],
    ids=["columns", "index", "columns and ids", "stacked", "variables", "draws first", "mapping"],
)
def test_a_log_density_without_labels_is_in_the_order_in_which_the_draws_came(draws):
    found = read_draws(draws, OF_PRIOR)
    flat = MU.reshape(-1)
    np.testing.assert_array_equal(found.variables["mu"].values, flat)
    index = draws.index if isinstance(draws, pd.DataFrame) else None
    for given in (
        FLAT,
        FLAT.tolist(),
        torch.from_numpy(FLAT),
        pd.Series(FLAT),
        pd.Series(FLAT, index),
        pd.DataFrame({"q": FLAT}, index),
        xr.DataArray(FLAT, dims="sample"),
        BY_DRAW,
        MU,
        CHAINS["mu"].T,
    ):
        np.testing.assert_array_equal(by_draw(given, found, "log_q="), flat)


# ---------------------------------------------------------------- weights


@pytest.mark.parametrize("name", ["log_weight", "log_weights", "log_w", "importance_weights"])
def test_weights_are_found_wherever_they_stand(name):
    weights = (("chain", "draw"), MU)
    stats = xr.Dataset({name: weights})
    for given in (
        dataset().assign({name: weights}),
        dataset().assign_coords({name: weights}),
        container(sample_stats=stats),
        container(sample_stats_prior=stats),
        pd.DataFrame({"mu": N, name: N}),
        {"mu": N, name: N},
        {"mu": array(N, IDS).assign_coords({name: ("particle", N)})},
    ):
        with pytest.raises(ArgumentError, match=f"'{name}': draws with weights"):
            read_draws(given, OF_PRIOR)


@pytest.mark.parametrize("name", ["weight", "weights"])
def test_a_weight_is_one_beside_the_draws_or_in_statistics_but_may_be_a_variable(name):
    weights = (("chain", "draw"), MU)
    for given in (
        dataset().assign_coords({name: weights}),
        container(sample_stats=xr.Dataset({name: weights})),
        container(prior_predictive=dataset().assign_coords({name: weights})),
    ):
        with pytest.raises(ArgumentError, match=f"'{name}': draws with weights"):
            read_draws(given, OF_PRIOR)
    for given in (pd.DataFrame({name: N}), {name: N}, dataset().assign({name: weights})):
        assert name in read_draws(given, OF_PRIOR).variables


def test_what_is_weighed_is_data():
    found = read_draws(container(constant_data=xr.Dataset({"log_weight": ("animal", [1.0])})), OF_PRIOR)
    assert list(found.constant) == ["log_weight"]


# ---------------------------------------------------------------- names, dtypes, ids


@pytest.mark.parametrize(
    "shapes",
    [
        {"chain": (), "draw": ("x",)},
        {"sample": ("draw",), "y": ("draw", "chain")},
        {"mu": ("mu",)},
        {"theta": ("rate of a/b",), "a/b": ("rate of a/b",)},
        {"rate": ("of a/b",), "b": ("a/b of b",)},
    ],
)
def test_own_names_come_back_whatever_they_are(shapes):
    sites = {
        name: Site(name, "latent", dims, (3,) * len(dims), len(dims), "float64", False)
        for name, dims in shapes.items()
    }
    check_names(sites)


def test_plates_of_two_sizes_come_back():
    sizes = {"theta": 3, "a/b": 2, "c of a/b": 5}
    for plate in ("school", "rate of a/b", "of"):
        check_names(
            {name: Site(name, "latent", (plate,), (n,), 1, "float64", False) for name, n in sizes.items()}
        )


def check_names(sites):
    labels = Labels(sites, {}, {}, {})
    arrays = {name: np.random.default_rng(0).normal(size=(4, *site.shape)) for name, site in sites.items()}
    tree = xr.DataTree.from_dict({"prior": labels.dataset(arrays, sampled=True)})
    tree.attrs["renamed"] = json.dumps(labels.renamed)
    found = read_draws(tree, OF_PRIOR)
    assert {name: one.dims for name, one in found.variables.items()} == {
        name: site.dims for name, site in sites.items()
    }
    for name, values in arrays.items():
        np.testing.assert_array_equal(found.variables[name].values, values)


def test_data_have_the_names_of_the_sites_too():
    tree = container(
        observed_data=xr.Dataset({"chain_site": ("draw_plate", [1.0])}),
        constant_data=xr.Dataset({"x": ("draw_plate", [2.0])}),
    )
    tree.attrs["renamed"] = '{"chain": "chain_site", "dim draw": "draw_plate"}'
    found = read_draws(tree, OF_PRIOR)
    assert found.observed["chain"].dims == ("draw",)
    assert found.constant["x"].dims == ("draw",)


def test_what_others_call_renamed_is_nothing_here():
    for attr in ("yes", 3, "[1]"):
        tree = container()
        tree.attrs["renamed"] = attr
        assert list(read_draws(tree, OF_PRIOR).variables) == ["mu", "theta"]


@pytest.mark.parametrize(
    ("dtype", "wanted"),
    [
        (">f8", "float64"),
        (">f4", "float32"),
        (">i4", "int32"),
        (np.longdouble, "float64"),
        ("float16", "float32"),
        ("uint8", "uint8"),
        ("uint16", "int64"),
        ("uint32", "int64"),
        ("uint64", "int64"),
        ("bool", "bool"),
    ],
)
def test_values_have_dtypes_that_torch_has(dtype, wanted):
    values = np.array([1, 0, 1]).astype(dtype)
    for given in ({"a": values}, pd.DataFrame({"a": values}), xr.Dataset({"a": ("particle", values)})):
        found = read_draws(given, OF_PRIOR).variables["a"].values
        assert found.dtype == wanted
        assert found.dtype.isnative
        assert found.tolist() == [1, 0, 1]
        torch.tensor(found)


def test_whole_numbers_that_are_too_large_are_refused():
    with pytest.raises(ArgumentError, match="'a' has 18446744073709551615, which is too large"):
        read_draws({"a": np.array([2**64 - 1], np.uint64)}, OF_PRIOR)


def test_ids_that_are_times_are_texts():
    times = pd.date_range("2020-01-01", periods=6)
    for given in (pd.DataFrame({"a": N}, index=times), xr.Dataset({"a": ("run", N)}, {"run": times})):
        assert read_draws(given, OF_PRIOR).ids.tolist() == [f"2020-01-0{i}" for i in range(1, 7)]


def test_ids_that_are_there_twice_are_refused():
    twice = ["p", "q", "p", "q"]
    for given in (
        pd.DataFrame({"a": N[:4]}, index=twice),
        {"a": pd.Series(N[:4], twice)},
        xr.Dataset({"a": ("particle", N[:4])}, {"particle": twice}),
    ):
        with pytest.raises(ArgumentError, match="two draws have the label p of 'particle'"):
            read_draws(given, OF_PRIOR)


def test_a_variable_of_some_of_the_dims_of_draws_is_refused():
    with pytest.raises(
        ArgumentError, match=r"'y' has dims \('draw',\), but draws are numbered by 'chain', 'draw'"
    ):
        read_draws(dataset().assign(y=("draw", np.zeros(4))), OF_PRIOR)


def test_an_array_with_a_name_is_a_variable():
    found = read_draws(dataset()["mu"], OF_PRIOR)
    assert list(found.variables) == ["mu"]
    assert found.num_chains == 2
    with pytest.raises(ArgumentError, match="draws must be an InferenceData"):
        read_draws(dataset()["mu"].rename(None), OF_PRIOR)
