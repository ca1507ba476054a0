"""ArviZ itself, on what the resampler returns: the plots hold lines, and the tables hold the draws.

The first part is for ArviZ 0.x, the second for ArviZ 1.x.
"""

import copy
import pickle

import arviz as az
import matplotlib.pyplot as plt
import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch
import xarray as xr
from schema import check_container, groups_of

from arviz_resampler import Resampler
from arviz_resampler.containers.installed import major_version

OLD = major_version() == 0
old = pytest.mark.skipif(not OLD, reason="InferenceData and plot_ppc are ArviZ 0.x")
new = pytest.mark.skipif(OLD, reason="DataTree and plot_ppc_dist are ArviZ 1.x")

# ArviZ 0.23 with matplotlib 3.11 and pandas 3, and ArviZ 1.3 with zarr 3, whatever is plotted or saved.
pytestmark = [
    pytest.mark.filterwarnings("ignore:Passing a dict or None as alias_mapping"),
    pytest.mark.filterwarnings("ignore:The (inplace|copy) keyword:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Consolidated metadata is currently not part in the Zarr"),
]

NUM_DRAWS = 100
SCHOOLS = list("abcdefgh")
Y = torch.linspace(-2.0, 2.0, 8)
C = torch.tensor([0.0, 1.0, 2.0, 3.0, 0.0, 1.0, 2.0, 5.0])


def latents(scale):
    def program():
        mu = pyro.sample("mu", dist.Normal(0.0, scale))
        return mu, pyro.sample("tau", dist.LogNormal(0.0, 0.5))

    return program


def simulator(y=None, c=None):
    def program():
        mu, tau = latents(3.0)()
        with pyro.plate("school", 8):
            pyro.sample("y", dist.Normal(mu, tau), obs=y)
            pyro.sample("c", dist.Poisson(mu.clamp(-2, 2).exp()), obs=c)

    return program


def variants(*data):
    resampler = Resampler(
        latents(3.0), simulator(*data), num_guide_samples=4000, random_seed=0, coords={"school": SCHOOLS}
    )
    return {
        name: resampler.sample_prior_predictive(latents(scale), NUM_DRAWS, name=name)
        for name, scale in (("wide", 2.0), ("narrow", 1.0))
    }


@pytest.fixture(scope="module")
def with_data():
    return variants(Y, C)


@pytest.fixture(scope="module")
def without_data():
    return variants()


@pytest.fixture
def prior(request, with_data, without_data):
    """One variant, with data or without them: a parameter of the test."""
    return {"data": with_data, "no data": without_data}[request.param]["wide"]


either = pytest.mark.parametrize("prior", ["data", "no data"], indirect=True)


@pytest.fixture(autouse=True)
def _no_figures_left():
    plt.close("all")
    yield
    plt.close("all")


def all_axes():
    return [axes for number in plt.get_fignums() for axes in plt.figure(number).axes]


def lines(axes):
    """The lines of a panel with two points or more, all of them finite, as arrays (2, points)."""
    found = [np.array([line.get_xdata(), line.get_ydata()], dtype=float) for line in axes.lines]
    return [line for line in found if line.shape[1] > 1 and np.isfinite(line).all()]


def marks(axes):
    """How many points of scatter plots in a panel are finite."""
    return sum(
        int(np.isfinite(np.ma.filled(c.get_offsets(), np.nan)).all(axis=1).sum()) for c in axes.collections
    )


def values(container, group, name):
    return np.asarray(groups_of(container)[group][name])


# ---------------------------------------------------------------- ArviZ 0.x: predictive plots


@old
@either
@pytest.mark.parametrize("kind", ["kde", "cumulative", "scatter"])
def test_plot_ppc_draws_every_draw_and_their_mean_with_data_and_without(prior, kind):
    panels = az.plot_ppc(prior, group="prior", kind=kind, num_pp_samples=20, random_seed=1)
    assert [axes.get_xlabel() for axes in np.ravel(panels)] == ["y", "c"]
    for axes in np.ravel(panels):
        assert len(lines(axes)) == 20 + 1


@old
@either
def test_plot_ppc_cumulative_shows_the_draws_of_the_container(prior):
    panel = az.plot_ppc(
        prior, group="prior", kind="cumulative", var_names=["y"], num_pp_samples=NUM_DRAWS, mean=False
    )
    shown = sorted(tuple(line[0, -8:]) for line in lines(panel))
    draws = np.sort(values(prior, "prior_predictive", "y")[0], axis=1)
    np.testing.assert_allclose(shown, sorted(map(tuple, draws)))


@old
@either
def test_plot_ppc_scatter_has_finite_points(prior):
    panel = az.plot_ppc(prior, group="prior", kind="scatter", var_names=["y"], num_pp_samples=5)
    assert len(lines(panel)) == 5 + 1
    assert all(np.isfinite(line).all() for line in lines(panel))


@old
@pytest.mark.parametrize("kind", ["kde", "cumulative", "scatter"])
def test_plot_ppc_can_draw_the_observations(with_data, kind):
    panels = az.plot_ppc(with_data["wide"], group="prior", kind=kind, num_pp_samples=20, observed=True)
    for axes, data in zip(panels, (Y, C), strict=True):
        assert len(lines(axes)) == 20 + 2
        if kind != "kde":
            black = [line for line in axes.lines if line.get_color() == "k"]
            assert any(np.allclose(np.sort(line.get_xdata())[-8:], np.sort(data)) for line in black)


@old
def test_plot_ppc_draws_the_observations_of_the_chosen_coordinates(with_data):
    panel = az.plot_ppc(
        with_data["wide"],
        group="prior",
        kind="cumulative",
        var_names=["y"],
        coords={"school": ["c", "g"]},
        num_pp_samples=NUM_DRAWS,
        observed=True,
        mean=False,
    )
    shown = {tuple(line[0, -2:].round(5)) for line in lines(panel)}
    draws = np.sort(values(with_data["wide"], "prior_predictive", "y")[0][:, [2, 6]], axis=1)
    assert shown == {tuple(row.round(5)) for row in [*draws, Y.numpy()[[2, 6]].astype(float)]}


@old
def test_plot_ppc_refuses_to_draw_observations_where_there_are_none(without_data):
    with pytest.raises(TypeError, match="observed_data"):
        az.plot_ppc(without_data["wide"], group="prior", observed=True)


@old
@pytest.mark.parametrize("kind", ["p_value", "u_value", "t_stat"])
def test_plot_bpv_has_finite_lines_with_data_and_is_refused_without(with_data, without_data, kind):
    for axes in np.ravel(az.plot_bpv(with_data["wide"], group="prior", kind=kind)):
        assert lines(axes)
    with pytest.raises(TypeError, match="observed_data"):
        az.plot_bpv(without_data["wide"], group="prior", kind=kind)


# ---------------------------------------------------------------- ArviZ 0.x: the stand-in


@old
def test_nobody_but_plot_ppc_finds_observations_that_are_not_there(without_data):
    prior = without_data["wide"]
    az.plot_ppc(prior, group="prior", num_pp_samples=3)
    assert "observed_data" not in prior.groups()
    assert "observed_data" not in prior
    assert "observed_data" not in dir(prior)
    assert not hasattr(prior, "observed_data")
    with pytest.raises(AttributeError, match="observed_data"):
        _ = prior.observed_data
    with pytest.raises(KeyError):
        prior["observed_data"]


@old
def test_plot_ppc_of_a_posterior_without_observations_is_refused_as_ever(without_data):
    both = without_data["wide"].copy()
    both.add_groups(posterior_predictive=both.prior_predictive)
    with pytest.raises(TypeError, match="observed_data"):
        az.plot_ppc(both)


@old
@pytest.mark.parametrize("join", ["left", "right"])
def test_a_prior_extended_by_a_posterior_keeps_the_observations_of_the_posterior(without_data, join):
    prior = without_data["wide"].copy()
    az.plot_ppc(prior, group="prior", num_pp_samples=3)
    posterior = az.from_dict(
        posterior={"mu": np.zeros((2, 10))},
        posterior_predictive={"y": np.ones((2, 10, 8))},
        observed_data={"y": Y.numpy()},
    )
    prior.extend(posterior, join=join)
    np.testing.assert_array_equal(prior.observed_data["y"], Y)
    assert "posterior" in prior.groups()
    panel = az.plot_ppc(
        prior, group="prior", kind="cumulative", num_pp_samples=3, observed=True, mean=False, var_names="y"
    )
    assert any(np.allclose(line[0, -8:], Y) for line in lines(panel))


@old
def test_a_posterior_extended_by_a_prior_keeps_its_observations(without_data):
    posterior = az.from_dict(posterior={"mu": np.zeros((2, 10))}, observed_data={"y": Y.numpy()})
    posterior.extend(without_data["wide"])
    np.testing.assert_array_equal(posterior.observed_data["y"], Y)
    assert {"prior", "prior_predictive", "sample_stats_prior"} <= set(posterior.groups())


@old
def test_data_that_come_later_take_the_place_of_the_stand_in(without_data):
    prior = without_data["wide"].copy()
    prior.add_groups(observed_data=xr.Dataset({"y": ("school", Y.double().numpy())}))
    panel = az.plot_ppc(prior, group="prior", kind="cumulative", num_pp_samples=3, observed=True, mean=False)
    assert len(lines(panel)) == 3 + 1
    del prior.observed_data
    assert len(lines(az.plot_ppc(prior, group="prior", num_pp_samples=3, var_names=["y"]))) == 3 + 1


@old
@pytest.mark.parametrize(
    ("copier", "left"),
    [
        (lambda prior: prior.copy(), NUM_DRAWS),
        (copy.copy, NUM_DRAWS),
        (copy.deepcopy, NUM_DRAWS),
        (lambda prior: pickle.loads(pickle.dumps(prior)), NUM_DRAWS),
        (lambda prior: prior.isel(draw=slice(0, 10)), 10),
        (lambda prior: prior.sel(draw=slice(0, 9), school=["a", "b"]), 10),
        (lambda prior: prior.map(lambda group: group + 0, groups=["prior_predictive"]), NUM_DRAWS),
    ],
    ids=["copy()", "copy.copy", "copy.deepcopy", "pickle", "isel", "sel", "map"],
)
def test_a_copy_or_a_part_can_be_plotted_without_data(without_data, copier, left):
    other = copier(without_data["wide"])
    assert other is not without_data["wide"]
    assert other.prior.sizes["draw"] == left
    assert other.attrs == without_data["wide"].attrs
    assert other.groups() == without_data["wide"].groups()
    for axes in np.ravel(az.plot_ppc(other, group="prior", num_pp_samples=10)):
        assert len(lines(axes)) == 10 + 1


@old
@pytest.mark.parametrize("copier", [copy.deepcopy, lambda prior: pickle.loads(pickle.dumps(prior))])
def test_a_deep_copy_has_its_own_arrays_and_the_same_content(with_data, copier):
    prior = with_data["wide"]
    other = copier(prior)
    for name, group in groups_of(prior).items():
        xr.testing.assert_identical(other[name], group)
    other.prior["mu"].values[:] = 0
    assert prior.prior["mu"].values.any()


# ---------------------------------------------------------------- ArviZ 0.x: priors side by side


@old
def test_plot_density_shows_two_variants_by_their_labels(with_data):
    panels = az.plot_density(
        list(with_data.values()), group="prior", data_labels=list(with_data), var_names=["mu", "tau"]
    )
    for axes in np.ravel(panels):
        assert len(lines(axes)) >= 2
    texts = [text.get_text() for text in np.ravel(panels)[0].get_legend().get_texts()]
    assert texts == ["wide", "narrow"]
    wide, narrow = (np.ptp(line[0]) for line in lines(np.ravel(panels)[0]) if line.shape[1] > 2)
    assert wide > narrow


@old
@pytest.mark.parametrize(
    ("group", "name", "coords"),
    [
        ("prior", "mu", {}),
        ("prior_predictive", "y", {"school": ["b"]}),
        ("prior_predictive", "c", {"school": "b"}),
    ],
)
def test_plot_posterior_shows_latents_and_predictions(with_data, group, name, coords):
    panel = az.plot_posterior(with_data["wide"], group=group, var_names=[name], coords=coords)
    texts = " ".join(text.get_text() for text in panel.texts)
    assert "mean" in texts
    assert "nan" not in texts
    assert lines(panel)


@old
@pytest.mark.parametrize("kind", ["scatter", "kde"])
def test_plot_pair_shows_the_draws(with_data, kind):
    panel = az.plot_pair(with_data["wide"], group="prior", var_names=["mu", "tau"], kind=kind)
    if kind == "kde":
        assert panel.collections
        assert np.isfinite([panel.get_xlim(), panel.get_ylim()]).all()
    else:
        (points,) = (collection.get_offsets() for collection in panel.collections)
        shown = np.stack([values(with_data["wide"], "prior", name)[0] for name in ("mu", "tau")], axis=1)
        np.testing.assert_allclose(points, shown)


@old
def test_plot_dist_comparison_needs_no_posterior(with_data):
    az.plot_dist_comparison(with_data["wide"], var_names=["mu", "tau"])
    assert len(all_axes()) >= 2
    assert all(lines(axes) for axes in all_axes())


@old
@pytest.mark.parametrize("kind", ["forestplot", "ridgeplot"])
def test_plot_forest_shows_two_variants_as_datasets(with_data, kind):
    (axes,) = az.plot_forest(
        [prior["prior"] for prior in with_data.values()],
        model_names=list(with_data),
        kind=kind,
        combined=True,
    )
    assert {label.get_text() for label in axes.get_yticklabels()} == {"mu", "tau"}
    assert {text.get_text() for text in axes.get_legend().get_texts()} == {"wide", "narrow"}
    spans = [np.ptp(line[0]) for line in lines(axes)]
    spans += [np.ptp(path.vertices[:, 0]) for c in axes.collections for path in c.get_paths()]
    assert len(spans) >= 4
    assert np.isfinite(spans).all()
    assert min(spans) > 0


@old
@pytest.mark.parametrize("plot", ["plot_trace", "plot_violin", "plot_autocorr", "plot_ess"])
def test_plots_without_a_group_take_the_dataset(with_data, plot):
    getattr(az, plot)(with_data["wide"]["prior"], var_names=["mu"])
    assert all_axes()
    assert any(lines(axes) or axes.collections for axes in all_axes())


# ---------------------------------------------------------------- ArviZ 0.x: tables and files


@old
@either
def test_summary_is_of_the_draws(prior):
    table = az.summary(prior, group="prior", round_to="none")
    assert list(table.index) == ["mu", "tau"]
    mu = values(prior, "prior", "mu")
    np.testing.assert_allclose(table.loc["mu", ["mean", "sd"]].astype(float), [mu.mean(), mu.std(ddof=1)])
    assert np.isfinite(table.loc["mu", "ess_bulk"])


@old
@either
def test_summary_falls_back_to_the_prior_where_there_is_no_posterior(prior):
    assert list(az.summary(prior, kind="stats").index) == ["mu", "tau"]
    table = az.summary(prior, group="sample_stats_prior", kind="stats")
    assert list(table.index) == ["lp", "log_importance_ratio", "particle"]


@old
@either
def test_extract_and_convert_to_dataset_find_the_draws(prior):
    draws = az.extract(prior, group="prior_predictive", num_samples=10)
    assert draws["y"].sizes == {"school": 8, "sample": 10}
    assert np.isin(draws["y"], values(prior, "prior_predictive", "y")).all()
    xr.testing.assert_identical(az.convert_to_dataset(prior, group="prior"), prior["prior"])


@old
@either
@pytest.mark.parametrize(("dim", "sizes"), [("draw", (1, 2 * NUM_DRAWS)), ("chain", (2, NUM_DRAWS))])
def test_concat_joins_containers_along_draws_and_chains(prior, with_data, without_data, dim, sizes):
    pair = with_data if "observed_data" in prior.groups() else without_data
    joined = az.concat(pair["wide"], pair["narrow"], dim=dim)
    assert joined.groups() == prior.groups()
    for group in ("prior", "prior_predictive", "sample_stats_prior"):
        assert (joined[group].sizes["chain"], joined[group].sizes["draw"]) == sizes
        assert joined[group].indexes["draw"].is_unique
    both = xr.concat([pair["wide"].prior["mu"], pair["narrow"].prior["mu"]], dim)
    np.testing.assert_array_equal(joined.prior["mu"], both)
    assert joined.attrs["name"] == ["wide", "narrow"]
    assert joined.sample_stats_prior.attrs["combined_ess"][0] == prior.sample_stats_prior.attrs["ess"]


@old
@either
def test_to_dataframe_has_a_row_for_each_draw(prior):
    frame = prior.to_dataframe()
    assert len(frame) == NUM_DRAWS
    np.testing.assert_array_equal(frame[("prior", "mu")], values(prior, "prior", "mu")[0])
    np.testing.assert_array_equal(
        frame[("prior_predictive", "y[1]", "b")], values(prior, "prior_predictive", "y")[0, :, 1]
    )
    assert not frame.isna().to_numpy().any()


@old
@either
def test_methods_on_all_groups_of_the_prior_work(prior):
    assert prior.isel(draw=[0, 1]).sample_stats_prior.sizes["draw"] == 2
    assert prior.mean(("chain", "draw"), groups="prior_groups").prior["mu"].ndim == 0
    check_container(prior.sel(school=["c", "a"], draw=slice(0, 4)).assign_coords(draw=range(5)), own=False)


@old
@either
@pytest.mark.parametrize("engine", ["h5netcdf"])
def test_an_inference_data_survives_netcdf(prior, engine, tmp_path):
    az.to_netcdf(prior, tmp_path / "prior.nc", engine=engine)
    with az.rc_context({"data.load": "eager"}):
        back = az.from_netcdf(tmp_path / "prior.nc", engine=engine)
    assert back.groups() == prior.groups()
    for name, group in groups_of(prior).items():
        xr.testing.assert_identical(back[name], group)
    assert back.attrs == prior.attrs
    check_container(back, own=False)


@old
@either
def test_an_inference_data_becomes_a_data_tree_and_comes_back(prior):
    tree = prior.to_datatree()
    check_container(tree)
    back = az.from_datatree(tree)
    for name, group in groups_of(prior).items():
        xr.testing.assert_identical(back[name], group)


# ---------------------------------------------------------------- ArviZ 1.x: predictive plots

discrete = pytest.mark.filterwarnings("ignore:Variables c in '(observed|predictive)' look discrete")


@new
@either
@discrete
def test_plot_ppc_dist_draws_every_draw_with_data_and_without(prior):
    az.plot_ppc_dist(prior, group="prior_predictive", num_samples=20)
    assert len(all_axes()) == 2
    assert [len(lines(axes)) for axes in all_axes()] == [20, 20]


@new
@either
def test_plot_ppc_dist_shows_the_draws_of_the_container(prior):
    az.plot_ppc_dist(prior, group="prior_predictive", var_names=["y"], kind="ecdf", num_samples=NUM_DRAWS)
    (axes,) = all_axes()
    shown = sorted((line[0].min(), line[0].max()) for line in lines(axes))
    draws = values(prior, "prior_predictive", "y")[0]
    np.testing.assert_allclose(shown, sorted(zip(draws.min(axis=1), draws.max(axis=1), strict=True)))


@new
def test_plot_ppc_dist_can_draw_the_observations(with_data):
    az.plot_ppc_dist(
        with_data["wide"],
        group="prior_predictive",
        var_names=["y"],
        kind="ecdf",
        num_samples=20,
        visuals={"observed_dist": {}},
    )
    (axes,) = all_axes()
    assert len(lines(axes)) == 20 + 1
    assert any(np.allclose(line[0, [0, -1]], Y[[0, -1]]) for line in lines(axes))


@new
def test_plot_ppc_dist_keeps_two_variants_apart(with_data):
    az.plot_ppc_dist(with_data, group="prior_predictive", var_names=["y"], num_samples=20, cols=["model"])
    wide, narrow = (np.ptp(np.concatenate(lines(axes), axis=1)[0]) for axes in all_axes())
    assert wide > narrow


@new
@either
def test_plot_ppc_rootogram_takes_counts(prior):
    az.plot_ppc_rootogram(prior, group="prior_predictive", var_names=["c"])
    assert sum(len(lines(axes)) for axes in all_axes()) >= 5


@new
@either
def test_plot_ppc_interval_has_a_finite_interval_for_each_observation(prior):
    az.plot_ppc_interval(prior, group="prior_predictive", var_names=["y"])
    assert sum(len(lines(axes)) for axes in all_axes()) >= 8


@new
@either
def test_plot_ppc_tstat_has_a_finite_line(prior):
    az.plot_ppc_tstat(prior, group="prior_predictive", var_names=["y"])
    assert sum(len(lines(axes)) for axes in all_axes()) >= 1


# ---------------------------------------------------------------- ArviZ 1.x: priors side by side


@new
@pytest.mark.parametrize("plot", ["plot_dist", "plot_forest", "plot_ridge"])
def test_two_variants_stand_side_by_side(with_data, plot):
    getattr(az, plot)(with_data, group="prior", var_names=["mu", "tau"])
    found = [line for axes in all_axes() for line in lines(axes)]
    assert len(found) >= 4


@new
def test_plot_pair_takes_two_variants(with_data):
    az.plot_pair(with_data, group="prior", var_names=["mu", "tau"])
    assert sum(marks(axes) for axes in all_axes()) >= 2 * NUM_DRAWS


@new
def test_plot_prior_posterior_shows_both(with_data):
    both = with_data["wide"].copy()
    both["posterior"] = with_data["narrow"]["prior"].copy()
    az.plot_prior_posterior(both, var_names=["mu"])
    (axes,) = all_axes()
    assert len(lines(axes)) == 2


@new
@pytest.mark.parametrize("plot", ["plot_trace", "plot_autocorr", "plot_ess", "plot_ecdf_pit"])
def test_diagnostic_plots_take_the_group_prior(with_data, plot):
    getattr(az, plot)(with_data["wide"], group="prior", var_names=["mu"])
    assert any(lines(axes) for axes in all_axes())


# ---------------------------------------------------------------- ArviZ 1.x: tables and files


@new
@either
def test_summary_of_a_tree_is_of_the_draws(prior):
    table = az.summary(prior, group="prior", round_to="none")
    assert list(table.index) == ["mu", "tau"]
    mu = values(prior, "prior", "mu")
    np.testing.assert_allclose(table.loc["mu", ["mean", "sd"]].astype(float), [mu.mean(), mu.std(ddof=1)])


@new
@either
def test_extract_of_a_tree_finds_the_draws(prior):
    draws = az.extract(prior, group="prior_predictive", num_samples=10)
    assert draws["y"].sizes == {"school": 8, "sample": 10}
    assert np.isin(draws["y"], values(prior, "prior_predictive", "y")).all()


@new
@either
@pytest.mark.parametrize("form", ["netcdf", "zarr"])
def test_a_data_tree_survives_netcdf_and_zarr(prior, form, tmp_path):
    path = str(tmp_path / f"prior.{form}")
    if form == "netcdf":
        prior.to_netcdf(path, engine="h5netcdf")
        back = az.from_netcdf(path, engine="h5netcdf")
    else:
        prior.to_zarr(path)
        back = az.from_zarr(path)
    back = back.load()
    xr.testing.assert_identical(back, prior)
    assert ("observed_data" in back.children) == ("observed_data" in prior.children)
    check_container(back, own=False)
    back.close()


@new
@either
def test_a_tree_can_be_copied_pickled_and_sliced(prior):
    for other in (prior.copy(deep=True), copy.deepcopy(prior), pickle.loads(pickle.dumps(prior))):
        xr.testing.assert_identical(other, prior)
        check_container(other, own=False)
    assert prior.isel(draw=slice(0, 10), missing_dims="ignore")["prior"].sizes["draw"] == 10


@pytest.mark.parametrize("container", ["auto", "datatree"])
def test_matching_containers_are_built_from_the_same_datasets(container):
    def program():
        pyro.sample("mu", dist.Normal(0.0, 1.0))

    resampler = Resampler(program, num_guide_samples=500, random_seed=0)
    tree = resampler.sample_prior_predictive(program, 50, container="datatree")
    other = resampler.sample_prior_predictive(program, 50, container=container)
    for name, group in groups_of(tree).items():
        xr.testing.assert_identical(group, groups_of(other)[name])


# ---------------------------------------------------------------- variants from one comparison


@pytest.fixture(scope="module")
def compared():
    resampler = Resampler(
        latents(3.0), simulator(Y, C), num_guide_samples=4000, random_seed=0, coords={"school": SCHOOLS}
    )
    return resampler.compare({"wide": latents(2.0), "narrow": latents(1.0)}, NUM_DRAWS)


@old
def test_plot_density_takes_the_priors_of_a_comparison(compared):
    priors = compared
    az.plot_density(list(priors.values()), group="prior", data_labels=list(priors), var_names=["mu", "tau"])
    assert len(all_axes()) == 2
    legend = all_axes()[0].get_legend()
    assert [text.get_text() for text in legend.get_texts()] == ["wide", "narrow"]
    assert all(len(lines(axes)) >= 2 for axes in all_axes())
    spans = sorted(np.ptp(line[0]) for line in lines(all_axes()[0]) if len(line[0]) > 10)
    assert spans[-1] > 1.3 * spans[0] > 0


@old
@pytest.mark.parametrize("kind", ["forestplot", "ridgeplot"])
def test_plot_forest_takes_the_priors_of_a_comparison(compared, kind):
    (axes,) = az.plot_forest(
        [prior.prior for prior in compared.values()],
        model_names=list(compared),
        kind=kind,
        combined=True,
    )
    assert {text.get_text() for text in axes.get_legend().get_texts()} == {"wide", "narrow"}
    assert len(lines(axes)) + len(axes.collections) >= 4


@new
@pytest.mark.parametrize("plot", ["plot_dist", "plot_forest", "plot_ridge"])
def test_plots_of_several_models_take_the_priors_of_a_comparison(compared, plot):
    collection = getattr(az, plot)(compared, group="prior", var_names=["mu", "tau"])
    assert collection.data["model"].values.tolist() == ["wide", "narrow"]
    assert len([line for axes in all_axes() for line in lines(axes)]) >= 4


@new
def test_plot_pair_takes_the_priors_of_a_comparison(compared):
    az.plot_pair(compared, group="prior", var_names=["mu", "tau"])
    assert sum(marks(axes) for axes in all_axes()) >= 2 * NUM_DRAWS


@new
def test_plot_ppc_dist_takes_the_priors_of_a_comparison(compared):
    az.plot_ppc_dist(compared, group="prior_predictive", var_names=["y"], num_samples=20, cols=["model"])
    wide, narrow = (np.ptp(np.concatenate(lines(axes), axis=1)[0]) for axes in all_axes())
    assert wide > narrow
