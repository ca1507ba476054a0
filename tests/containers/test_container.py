"""The container: groups, dims, dtypes, names and attributes, with either generation of ArviZ."""

import functools
import json
import subprocess
import sys

import arviz as az
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pyro
import pyro.distributions as dist
import pytest
import torch
import xarray as xr
from schema import check_container, groups_of

import arviz_resampler
from arviz_resampler import ArgumentError, DrawWarning, NameWarning, ProgramWarning, Resampler
from arviz_resampler.containers import arrays, labels
from arviz_resampler.containers.installed import major_version

OLD = major_version() == 0
old = pytest.mark.skipif(not OLD, reason="InferenceData and plot_ppc are ArviZ 0.x")

# What plot_ppc_dist of ArviZ 1.x says of containers as small as these.
_HINTS = "ignore:(num_samples is larger|Variables . in '(predictive|observed|observed_data)' look)"
shown = pytest.mark.filterwarnings(_HINTS)

# Dims of containers, of datasets of this package, and of the plots of either ArviZ.
RESERVED = [
    *("chain", "draw", "sample", "pred_id", "particle", "model", "variant"),
    *("column", "variable", "label", "plot_axis", "kde_dim", *(() if OLD else ("group",))),
]
S = 40
SCHOOLS = ["oak", "elm", "ash"]


def normal(name, loc=0.0, scale=1.0):
    return pyro.sample(name, dist.Normal(loc, scale))


def prior():
    normal("mu")


def schools(data=None):
    """A simulator with a latent and a predictive site in a plate, and a predictive vector."""

    def program():
        mu = normal("mu")
        with pyro.plate("school", 3):
            theta = normal("theta", mu)
            pyro.sample("y", dist.Normal(theta, 1.0), obs=data)
            v = dist.Normal(mu[..., None] * torch.ones(4), 1.0).to_event(1)
            pyro.sample("v", v, obs=None if data is None else torch.zeros(3, 4))

    return program


def build(guide=prior, simulator=None, *, model=None, container="auto", **options):
    """A checked container, as datasets by group, and its root attributes."""
    resampler = Resampler(
        guide, simulator, num_guide_samples=400, random_seed=0, progressbar=False, **options
    )
    made = resampler.sample_prior_predictive(model or guide, S, container=container)
    return check_container(made), made.attrs


def reload(made, path):
    """The container after a file of its own kind."""
    if isinstance(made, xr.DataTree):
        made.to_netcdf(path, engine="h5netcdf")
        with xr.open_datatree(path, engine="h5netcdf") as tree:
            return tree.load()
    made.to_netcdf(str(path), engine="h5netcdf")
    with az.rc_context({"data.load": "eager"}):
        return az.from_netcdf(str(path), engine="h5netcdf")


def plot_predictive(made, **options):
    """The prior predictive plot of the ArviZ that is installed, as lines by panel."""
    plt.close("all")
    if OLD:
        az.plot_ppc(made, group="prior", **options)
    else:
        if options.pop("kind", None) == "cumulative":
            options["kind"] = "ecdf"
        az.plot_ppc_dist(made, group="prior_predictive", num_samples=S, **options)
    found = [
        [
            np.array([line.get_xdata(), line.get_ydata()], dtype=float)
            for line in axes.lines
            if len(line.get_xdata()) > 1
        ]
        for axes in plt.gcf().axes
    ]
    plt.close("all")
    return [[line for line in panel if np.isfinite(line).all()] for panel in found]


# ---------------------------------------------------------------- groups, dims, attributes


@pytest.mark.parametrize("container", ["auto", "datatree"])
def test_every_site_is_in_the_group_of_its_role_under_the_names_of_its_plates(container):
    groups, _ = build(simulator=schools(torch.zeros(3)), container=container)
    dims = {g: {n: v.dims for n, v in group.data_vars.items()} for g, group in groups.items()}
    assert dims == {
        "prior": {"mu": ("chain", "draw"), "theta": ("chain", "draw", "school")},
        "prior_predictive": {
            "y": ("chain", "draw", "school"),
            "v": ("chain", "draw", "school", "v_dim_0"),
        },
        "sample_stats_prior": dict.fromkeys(("lp", "log_importance_ratio", "particle"), ("chain", "draw")),
        "observed_data": {"y": ("school",), "v": ("school", "v_dim_0")},
    }
    assert groups["prior"].sizes == {"chain": 1, "draw": S, "school": 3}


def test_without_data_or_a_simulator_there_are_no_empty_groups():
    assert set(build()[0]) == {"prior", "sample_stats_prior"}
    assert set(build(simulator=schools())[0]) == {"prior", "prior_predictive", "sample_stats_prior"}


def test_deterministic_sites_are_prior_and_an_axis_of_one_stays():
    def guide():
        x = pyro.sample("x", dist.Normal(torch.zeros(1), 1.0).to_event(1))
        with pyro.plate("single", 1):
            normal("z")
        pyro.deterministic("double", 2 * x, event_dim=1)

    prior_group = build(guide)[0]["prior"]
    assert prior_group["x"].shape == (1, S, 1)
    assert prior_group["z"].dims == ("chain", "draw", "single")
    np.testing.assert_array_equal(prior_group["double"].values, 2 * prior_group["x"].values)


def test_root_attributes_name_the_variant_the_seed_and_the_scheme():
    resampler = Resampler(prior, num_guide_samples=400, random_seed=7)
    made = resampler.sample_prior_predictive(prior, S, name="vague", scheme="systematic")
    assert (made.attrs["name"], made.attrs["random_seed"], made.attrs["scheme"]) == ("vague", 7, "systematic")
    assert ("arviz_version" in made.attrs) == OLD
    assert resampler.sample_prior_predictive(prior, S, random_seed=3).attrs["random_seed"] == 3


def test_root_attributes_name_the_libraries_and_their_versions():
    _, attrs = build()
    assert (attrs["creation_library"], attrs["inference_library"]) == ("arviz_resampler", "pyro")
    assert attrs["creation_library_version"] == arviz_resampler.__version__
    assert attrs["inference_library_version"] == pyro.__version__
    if OLD:
        assert attrs["arviz_version"] == az.__version__
    assert attrs["format_version"] == 1


@pytest.mark.parametrize("model", [prior, lambda: normal("mu"), functools.partial(normal, "mu")])
def test_a_variant_without_a_name_is_called_after_its_program(model):
    _, attrs = build(model=model)
    assert attrs["name"] == getattr(model, "__name__", "partial")


def test_stats_point_at_the_particles_of_the_draws_and_their_densities():
    resampler = Resampler(lambda: normal("mu", 0.0, 2.0), num_guide_samples=4000, random_seed=0)
    groups = check_container(resampler.sample_prior_predictive(prior, S))
    stats, mu = groups["sample_stats_prior"], groups["prior"]["mu"].values
    log_p = dist.Normal(0.0, 1.0).log_prob(torch.as_tensor(mu)).numpy()
    log_q = dist.Normal(0.0, 2.0).log_prob(torch.as_tensor(mu)).numpy()
    np.testing.assert_allclose(stats["lp"], log_p, atol=1e-5)
    np.testing.assert_allclose(stats["log_importance_ratio"], log_p - log_q, atol=1e-5)
    _, first, inverse = np.unique(stats["particle"], return_index=True, return_inverse=True)
    np.testing.assert_array_equal(mu.ravel()[first][inverse.ravel()], mu.ravel())


def test_draws_are_weighted_once():
    num_draws = 2000
    guide = functools.partial(normal, "x", 0.0, 5.0)
    resampler = Resampler(guide, num_guide_samples=40_000, random_seed=0)
    made = resampler.sample_prior_predictive(lambda: normal("x"), num_draws)
    groups = check_container(made)
    names = [name for group in groups.values() for name in group.data_vars]
    assert not [name for name in names if "weight" in name]
    square = groups["prior"]["x"].values ** 2
    # Var x^2 is 2 under the target; the particles add sum(W^2 h^2), here about 2 / ESS.
    error = np.sqrt(2 / num_draws + 2 / groups["sample_stats_prior"].attrs["ess"])
    assert abs(square.mean() - 1) < 5 * error


# ---------------------------------------------------------------- which container


def test_auto_builds_what_the_installed_arviz_has():
    made = Resampler(prior, num_guide_samples=400, random_seed=0).sample_prior_predictive(prior, S)
    assert isinstance(made, az.InferenceData if OLD else xr.DataTree)


def test_a_data_tree_can_be_had_with_either_generation():
    resampler = Resampler(prior, num_guide_samples=400, random_seed=0)
    made = resampler.sample_prior_predictive(prior, S, container="datatree")
    assert isinstance(made, xr.DataTree)
    check_container(made)


def test_inference_data_is_built_by_arviz_0_and_refused_with_arviz_1():
    resampler = Resampler(prior, num_guide_samples=400, random_seed=0)
    if OLD:
        made = resampler.sample_prior_predictive(prior, S, container="inferencedata")
        assert isinstance(made, az.InferenceData)
    else:
        with pytest.raises(ArgumentError, match=r"needs ArviZ 0.x, but ArviZ 1\..*'datatree' or 'auto'"):
            resampler.sample_prior_predictive(prior, S, container="inferencedata")


@pytest.mark.parametrize(
    ("given", "close"), [("inference_data", "inferencedata"), ("DataTree", "datatree"), (None, None)]
)
def test_an_unknown_container_is_named_with_the_closest_one(given, close):
    resampler = Resampler(prior, num_guide_samples=400, random_seed=0)
    with pytest.raises(ArgumentError, match="container must be one of 'auto'") as caught:
        resampler.sample_prior_predictive(prior, S, container=given)
    assert repr(given) in str(caught.value)
    assert ("Did you mean" in str(caught.value)) == (close is not None)
    assert close is None or f"Did you mean {close!r}?" in str(caught.value)


def test_neither_the_import_nor_a_data_tree_needs_arviz_or_matplotlib():
    code = """
import sys
import pyro, pyro.distributions as dist
import arviz_resampler
assert "arviz" not in sys.modules and "matplotlib" not in sys.modules
def prior():
    pyro.sample("mu", dist.Normal(0.0, 1.0))
resampler = arviz_resampler.Resampler(prior, num_guide_samples=200, random_seed=0)
tree = resampler.sample_prior_predictive(prior, 10, container="datatree")
assert tree["prior"]["mu"].shape == (1, 10)
assert "arviz" not in sys.modules and "matplotlib" not in sys.modules
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


# ---------------------------------------------------------------- memory


def test_sorting_a_container_in_place_leaves_the_cache_and_other_containers_alone():
    data = torch.tensor([3.0, 1.0, 2.0])
    resampler = Resampler(
        prior,
        schools(data),
        num_guide_samples=400,
        random_seed=0,
        constant_data={"x": np.array([3.0, 1.0, 2.0])},
    )
    first = groups_of(resampler.sample_prior_predictive(prior, S))
    before = {name: value.clone() for name, value in resampler.sample(prior, 400).items()}
    kept = {name: group.copy(deep=True) for name, group in first.items()}
    second = groups_of(resampler.sample_prior_predictive(prior, S))
    for group in second.values():
        for variable in group.data_vars.values():
            variable.values.reshape(-1).sort()
    assert list(second["observed_data"]["y"].values) == [1.0, 2.0, 3.0]
    third = groups_of(resampler.sample_prior_predictive(prior, S))
    for name in kept:
        xr.testing.assert_identical(first[name], kept[name])
        xr.testing.assert_identical(third[name], kept[name])
    for name, value in resampler.sample(prior, 400).items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)
    assert list(data) == [3.0, 1.0, 2.0]


@old
def test_plot_ecdf_of_arviz_0_which_sorts_in_place_does_not_reach_the_cache():
    resampler = Resampler(prior, num_guide_samples=400, random_seed=0)
    made = resampler.sample_prior_predictive(prior, S)
    unsorted = made.prior["mu"].values.copy()
    az.plot_ecdf(made.prior["mu"].values.ravel(), eval_points=np.linspace(-3, 3))
    plt.close("all")
    assert (np.diff(made.prior["mu"].values) >= 0).all()
    np.testing.assert_array_equal(resampler.sample_prior_predictive(prior, S).prior["mu"], unsorted)


# ---------------------------------------------------------------- dtypes


@pytest.mark.parametrize(
    "distribution",
    [
        dist.Poisson(3.0),
        dist.Bernoulli(0.5),
        dist.Binomial(5, torch.tensor(0.5)),
        dist.Geometric(0.5),
        dist.Categorical(torch.ones(3)),
        dist.OneHotCategorical(torch.ones(3)),
        dist.Multinomial(4, torch.ones(3)),
    ],
    ids=lambda d: type(d).__name__,
)
def test_discrete_sites_are_int64_as_latents_and_as_predictions(distribution):
    def guide():
        pyro.sample("k", distribution)

    def simulator():
        guide()
        pyro.sample("n", distribution)

    groups, _ = build(guide, simulator)
    assert groups["prior"]["k"].dtype == np.int64
    assert groups["prior_predictive"]["n"].dtype == np.int64
    assert len(np.unique(groups["prior"]["k"])) > 1


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [
        (torch.bool, np.int64),
        (torch.uint8, np.int64),
        (torch.int32, np.int64),
        (torch.int64, np.int64),
        (torch.float16, np.float64),
        (torch.float32, np.float64),
        (torch.float64, np.float64),
    ],
)
def test_deterministic_sites_become_int64_or_float64_without_a_loss(dtype, expected):
    def guide():
        x = normal("x")
        pyro.deterministic("z", (4 * x.abs()).to(dtype))

    groups, _ = build(guide)
    assert groups["prior"]["z"].dtype == expected
    x = torch.as_tensor(groups["prior"]["x"].values).float()
    np.testing.assert_array_equal(groups["prior"]["z"].values, (4 * x.abs()).to(dtype).numpy())


@pytest.mark.parametrize("discrete", [True, False])
def test_tensors_of_bfloat16_and_with_gradients_become_plain_arrays(discrete):
    tensor = torch.tensor([1.0, 2.0], dtype=torch.bfloat16, requires_grad=True)
    array = arrays.plain("x", tensor, discrete)
    assert array.dtype == (np.int64 if discrete else np.float64)
    assert array.tolist() == [1, 2]


def test_counts_beyond_32_bits_are_exact():
    def guide():
        with pyro.plate("n", 2):
            pyro.sample("k", dist.Poisson(torch.tensor(2.0**40, dtype=torch.float64)))

    resampler = Resampler(guide, num_guide_samples=400, random_seed=0)
    groups = check_container(resampler.sample_prior_predictive(guide, S))
    drawn = resampler.sample(guide, S)["k"]
    assert groups["prior"]["k"].values.min() > 2**39
    assert groups["prior"]["k"].values[0].tolist() == [[int(v) for v in row] for row in drawn.tolist()]


def test_counts_that_no_integer_holds_stay_floats():
    array = arrays.plain("n", torch.tensor([1e30, 2.0]), True)
    assert array.dtype == np.float64
    np.testing.assert_allclose(array, [1e30, 2.0])
    assert arrays.plain("n", np.array([2**63 - 1]), True).tolist() == [2**63 - 1]


@pytest.mark.parametrize("scale", [1e-40, 1e37])
@shown
def test_values_at_the_ends_of_float32_are_plotted_as_float64(scale):
    def simulator():
        mu = normal("mu")
        with pyro.plate("n", 8):
            e = normal("e", mu)
        pyro.deterministic("y", e * scale)

    resampler = Resampler(prior, simulator, num_guide_samples=400, random_seed=0, predictive=["y"])
    made = resampler.sample_prior_predictive(prior, S)
    assert check_container(made)["prior_predictive"]["y"].dtype == np.float64
    assert len(plot_predictive(made)[0]) >= S


def test_complex_values_are_refused_by_name():
    def guide():
        x = normal("x")
        pyro.deterministic("wave", torch.complex(x, x))

    with pytest.raises(ArgumentError, match="'wave' has dtype complex64"):
        build(guide)


# ---------------------------------------------------------------- names


def plated(site, plate, size=3):
    def program():
        normal("x")
        with pyro.plate(plate, size):
            normal(site)

    return program


def two_sizes():
    with pyro.plate("n", 3):
        normal("a")
    with pyro.plate("n", 4):
        normal("b")


def slash_with_event():
    pyro.sample("layer/w", dist.Normal(torch.zeros(2), 1.0).to_event(1))


RENAMES = {
    "site draw": (lambda: normal("draw"), {}, {"draw": "draw_site"}),
    "site chain": (lambda: normal("chain"), {}, {"chain": "chain_site"}),
    "site sample": (lambda: normal("sample"), {}, {"sample": "sample_site"}),
    "site model": (lambda: normal("model"), {}, {"model": "model_site"}),
    "slash": (lambda: normal("layer/weight"), {}, {"layer/weight": "layer.weight"}),
    "slash and event": (
        slash_with_event,
        {},
        {"layer/w": "layer.w", "dim layer/w_dim_0": "layer.w_dim_0"},
    ),
    "same after cleaning": (
        lambda: [normal("a/b"), normal("a.b")],
        {},
        {"a/b": "a.b_"},
    ),
    "renamed to a name that is taken": (
        lambda: [normal("draw"), normal("draw_site")],
        {},
        {"draw": "draw_site_"},
    ),
    "plate draw": (plated("z", "draw"), {}, {"dim draw": "draw_plate"}),
    "plate a/b": (plated("z", "a/b"), {}, {"dim a/b": "a.b"}),
    "plate of two sizes": (two_sizes, {}, {"dim n of a": "a_n", "dim n of b": "b_n"}),
    "dims like a site": (plated("z", "n"), {"z": ["x"]}, {"x": "x_site"}),
    "dims like their own site": (plated("z", "n"), {"z": ["z"]}, {"z": "z_site"}),
    "dims reserved": (plated("z", "n"), {"z": ["sample"]}, {"dim sample": "sample_plate"}),
}


@pytest.mark.parametrize("case", RENAMES)
def test_a_name_that_arviz_cannot_hold_is_changed_with_one_warning(case, tmp_path):
    program, dims, renamed = RENAMES[case]
    resampler = Resampler(program, num_guide_samples=400, random_seed=0, dims=dims)
    with pytest.warns(NameWarning) as caught:
        made = resampler.sample_prior_predictive(program, S)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    for old_name, new_name in renamed.items():
        assert f"{old_name!r} is {new_name!r}" in str(caught[0].message)
    assert json.loads(made.attrs["renamed"]) == renamed
    groups = check_container(made)
    # The values are there, and stay there.
    back = check_container(reload(made, tmp_path / "names.nc"), own=False)
    for name, value in resampler.sample(program, S).items():
        stored = groups["prior"][renamed.get(name, name)]
        np.testing.assert_array_equal(stored.values[0], value.numpy().astype(float))
        xr.testing.assert_identical(back["prior"][stored.name], stored)
    table = az.summary(made, group="prior", kind="stats")
    assert len(table) == sum(variable[0, 0].size for variable in groups["prior"].data_vars.values())


@pytest.mark.parametrize("plate", RESERVED)
@shown
def test_plates_with_names_that_arviz_reserves_can_be_plotted(plate):
    def simulator():
        mu = normal("mu")
        with pyro.plate(plate, 4):
            normal("y", mu)

    resampler = Resampler(prior, simulator, num_guide_samples=400, random_seed=0)
    with pytest.warns(NameWarning, match=f"'dim {plate}' is '{plate}_plate'") as caught:
        made = resampler.sample_prior_predictive(prior, S)
    assert len(caught) == 1
    assert check_container(made)["prior_predictive"]["y"].dims == ("chain", "draw", f"{plate}_plate")
    (panel,) = plot_predictive(made)
    assert len(panel) == S + OLD


@old
def test_a_plate_called_group_keeps_its_name_where_arviz_has_none():
    def program():
        with pyro.plate("group", 4):
            normal("y", normal("mu"))

    resampler = Resampler(program, num_guide_samples=400, random_seed=0, predictive="y")
    made = check_container(resampler.sample_prior_predictive(program, S))
    assert made["prior_predictive"]["y"].dims == ("chain", "draw", "group")
    table = az.summary(made["prior_predictive"], kind="stats")
    assert list(table.index) == [f"y[{i}]" for i in range(4)]


def test_the_reserved_names_are_those_that_are_tried_out():
    assert sorted(labels.RESERVED) == sorted(RESERVED)


@pytest.mark.parametrize("name", RESERVED)
def test_sites_with_names_that_arviz_reserves_can_be_summarized_and_plotted(name):
    program = functools.partial(normal, name)
    resampler = Resampler(program, num_guide_samples=400, random_seed=0)
    with pytest.warns(NameWarning) as caught:
        made = resampler.sample_prior_predictive(program, S)
    assert len(caught) == 1
    check_container(made)
    assert list(az.summary(made, group="prior", kind="stats").index) == [f"{name}_site"]
    if OLD:
        assert az.plot_density(made, group="prior")[0][0].lines
    else:
        az.plot_dist(made, group="prior")
        assert plt.gcf().axes[0].lines
    plt.close("all")


def test_a_site_named_like_a_plate_of_another_program_keeps_its_values():
    def simulator():
        mu = normal("mu")
        with pyro.plate("school", 3):
            normal("y", mu)

    def guide():
        normal("mu")

    def model():
        mu = normal("mu")
        pyro.deterministic("school", 2 * mu)

    resampler = Resampler(guide, simulator, num_guide_samples=400, random_seed=0)
    with pytest.warns(NameWarning, match="'school' is 'school_site'") as caught:
        groups = check_container(resampler.sample_prior_predictive(model, S))
    assert len(caught) == 1
    np.testing.assert_array_equal(groups["prior"]["school_site"], 2 * groups["prior"]["mu"])
    assert groups["prior_predictive"]["y"].dims == ("chain", "draw", "school")


def test_a_new_name_for_a_plate_makes_way_for_a_plate_that_has_it():
    def program():
        with pyro.plate("draw", 3):
            normal("a")
        with pyro.plate("draw_plate", 2):
            normal("b")

    resampler = Resampler(program, num_guide_samples=400, random_seed=0)
    with pytest.warns(NameWarning):
        groups = check_container(resampler.sample_prior_predictive(program, S))
    assert groups["prior"]["a"].dims == ("chain", "draw", "draw_plate_")
    assert groups["prior"]["b"].dims == ("chain", "draw", "draw_plate")


@pytest.mark.parametrize("names", [("layer.weight", "w_x"), ("a b", "a[0]"), ("größe", "Σ"), ("0x", "_x")])
def test_unusual_names_that_arviz_can_hold_stay_as_they_are(names, tmp_path):
    def program():
        for name in names:
            normal(name)

    resampler = Resampler(program, num_guide_samples=400, random_seed=0)
    made = resampler.sample_prior_predictive(program, S)
    assert "renamed" not in made.attrs
    assert list(check_container(made)["prior"].data_vars) == list(names)
    back = check_container(reload(made, tmp_path / "names.nc"), own=False)
    assert set(back["prior"].data_vars) == set(names)


def test_observed_data_are_renamed_with_their_site():
    def simulator():
        mu = normal("mu")
        with pyro.plate("draw", 3):
            pyro.sample("net/y", dist.Normal(mu, 1.0), obs=torch.arange(3.0))

    with pytest.warns(NameWarning) as caught:
        groups, _ = build(simulator=simulator)
    assert len(caught) == 1
    assert groups["observed_data"]["net.y"].dims == ("draw_plate",)
    assert groups["observed_data"]["net.y"].values.tolist() == [0.0, 1.0, 2.0]


# ---------------------------------------------------------------- coords and dims


@pytest.mark.parametrize(
    "labels",
    [SCHOOLS, np.array(SCHOOLS), pd.Index(SCHOOLS), tuple(SCHOOLS), pd.Categorical(SCHOOLS)],
    ids=lambda labels: type(labels).__name__,
)
def test_labels_of_a_plate_reach_latents_predictions_and_data_alike(labels, tmp_path):
    resampler = Resampler(
        prior,
        schools(torch.zeros(3)),
        num_guide_samples=400,
        random_seed=0,
        coords={"school": labels},
        dims={"x": ["school"]},
        constant_data={"x": [1.0, 2.0, 3.0]},
    )
    made = resampler.sample_prior_predictive(prior, S)
    for groups in (check_container(made), check_container(reload(made, tmp_path / "coords.nc"), own=False)):
        found = (groups["prior"]["theta"], groups["prior_predictive"]["y"])
        for variable in (*found, groups["observed_data"]["y"], groups["constant_data"]["x"]):
            assert variable.coords["school"].values.tolist() == SCHOOLS
            assert variable.sel(school="ash").sizes.get("school") is None


def test_labels_of_several_types_become_text_that_a_file_can_hold(tmp_path):
    resampler = Resampler(
        prior, schools(), num_guide_samples=400, random_seed=0, coords={"school": [1, "b", None]}
    )
    made = resampler.sample_prior_predictive(prior, S)
    back = check_container(reload(made, tmp_path / "coords.nc"), own=False)
    assert back["prior_predictive"].coords["school"].values.tolist() == ["1", "b", "None"]


@pytest.mark.parametrize("labels", [["a", "b"], [["a", "b", "c"]]])
def test_labels_of_the_wrong_number_are_refused_when_the_resampler_is_built(labels):
    with pytest.raises(ArgumentError, match="'school', which has size 3"):
        Resampler(prior, schools(), num_guide_samples=400, coords={"school": labels})


def test_labels_of_an_unknown_dim_are_refused_with_the_closest_one():
    with pytest.raises(ArgumentError, match=r"'shcool'.*'school', 'v_dim_0'.*Did you mean 'school'\?"):
        Resampler(prior, schools(), num_guide_samples=400, coords={"shcool": SCHOOLS})


def test_labels_may_be_given_under_the_own_name_of_a_plate_that_is_renamed():
    for key in ("draw", "draw_plate"):
        with pytest.warns(NameWarning):
            groups, _ = build(plated("z", "draw"), coords={key: SCHOOLS})
        assert groups["prior"].coords["draw_plate"].values.tolist() == SCHOOLS
        assert groups["prior"].coords["draw"].values.tolist() == list(range(S))


def test_labels_of_a_plate_of_two_sizes_go_by_the_names_of_its_sites():
    with pytest.warns(NameWarning):
        groups, _ = build(two_sizes, coords={"a_n": SCHOOLS})
    assert groups["prior"]["a"].coords["a_n"].values.tolist() == SCHOOLS
    with pytest.raises(ArgumentError, match="'n', which no site has; there are 'a_n', 'b_n'"):
        build(two_sizes, coords={"n": SCHOOLS})


@pytest.mark.parametrize("given", [["time"], "time", ("time",)])
def test_dims_may_name_the_axes_of_an_event_alone(given):
    groups, _ = build(simulator=schools(), dims={"v": given}, coords={"time": [10, 20, 30, 40]})
    assert groups["prior_predictive"]["v"].dims == ("chain", "draw", "school", "time")
    assert groups["prior_predictive"]["v"].coords["time"].values.tolist() == [10, 20, 30, 40]


def test_dims_may_name_all_axes():
    groups, _ = build(simulator=schools(torch.zeros(3)), dims={"v": ["place", "time"]})
    assert groups["prior_predictive"]["v"].dims == ("chain", "draw", "place", "time")
    assert groups["observed_data"]["v"].dims == ("place", "time")
    assert groups["prior_predictive"]["y"].dims == ("chain", "draw", "school")


def test_sites_with_the_same_dims_share_them():
    groups, _ = build(simulator=schools(), dims={"v": ["time"], "x": ["time"]}, constant_data={"x": range(4)})
    assert groups["constant_data"]["x"].dims == ("time",)


def test_dims_of_an_unknown_site_are_refused_with_the_closest_one():
    with pytest.raises(ArgumentError, match=r"'thta', which is no site.*Did you mean 'theta'\?"):
        Resampler(prior, schools(), num_guide_samples=400, dims={"thta": ["school"]})


@pytest.mark.parametrize(
    ("dims", "message"),
    [
        ({"v": ["a", "b", "c"]}, r"3 names to 'v'.*\('school', 'v_dim_0'\).*\(3, 4\).*the 1 of its event"),
        ({"v": []}, r"0 names to 'v'"),
        ({"y": ["a", "b"]}, r"2 names to 'y', .*name all of them$"),
        ({"v": ["a", "a"]}, r"the axes of 'v' must have different names"),
        ({"v": ["school"]}, r"the axes of 'v' must have different names"),
        ({"v": ["a/b", "a.b"]}, r"the axes of 'v' must have different names"),
        ({"v": ["s", "t"], "y": ["t"]}, r"the name 't' to axes of sizes \[3, 4\]"),
        ({"v": ["t", "school"]}, r"the name 'school' to axes of sizes \[3, 4\]"),
    ],
)
def test_dims_that_do_not_fit_are_refused_when_the_resampler_is_built(dims, message):
    with pytest.raises(ArgumentError, match=message):
        Resampler(prior, schools(), num_guide_samples=400, dims=dims)


# ---------------------------------------------------------------- data


def test_observed_data_of_an_argument_replace_those_of_the_program():
    groups, _ = build(simulator=schools(torch.zeros(3)), observed={"y": [1.0, 2.0, 3.0]})
    assert groups["observed_data"]["y"].values.tolist() == [1.0, 2.0, 3.0]
    assert not groups["observed_data"]["v"].values.any()


@pytest.mark.parametrize(
    "given",
    [
        [1, 2, 3],
        np.array([1, 2, 3], dtype=np.int8),
        torch.tensor([1.0, 2.0, 3.0], dtype=torch.bfloat16, requires_grad=True),
        pd.Series([1, 2, 3], index=SCHOOLS),
        np.array([[1.0], [2.0], [3.0]]),
    ],
    ids=["list", "int8", "bfloat16", "Series", "column"],
)
def test_observed_data_take_the_kind_and_shape_of_their_site(given):
    y = build(simulator=schools(), observed={"y": given})[0]["observed_data"]["y"]
    assert y.dtype == np.float64
    assert y.dims == ("school",)
    assert y.values.tolist() == [1.0, 2.0, 3.0]


@pytest.mark.parametrize("given", [[1, 2, 3], [1.0, 2.0, 3.0], torch.tensor([1, 2, 3], dtype=torch.uint8)])
def test_observed_counts_are_integers_like_their_draws(given):
    def simulator():
        mu = normal("mu")
        with pyro.plate("school", 3):
            pyro.sample("n", dist.Poisson(mu.exp()))

    groups, _ = build(simulator=simulator, observed={"n": given})
    assert groups["observed_data"]["n"].dtype == groups["prior_predictive"]["n"].dtype == np.int64
    assert groups["observed_data"]["n"].values.tolist() == [1, 2, 3]


@shown
@pytest.mark.parametrize("masked", [False, True])
def test_missing_observations_stay_missing_and_plots_leave_them_out(masked):
    def simulator():
        mu = normal("mu")
        with pyro.plate("school", 4):
            normal("y", mu)
            pyro.sample("n", dist.Poisson(mu.exp()))

    given = np.ma.masked_array([1, 2, 3, 4], mask=[0, 1, 0, 0]) if masked else [1.0, np.nan, 3.0, 4.0]
    resampler = Resampler(
        prior, simulator, num_guide_samples=400, random_seed=0, observed={"y": given, "n": given}
    )
    made = resampler.sample_prior_predictive(prior, S)
    groups = check_container(made)
    for name in ("y", "n"):
        np.testing.assert_array_equal(groups["observed_data"][name], [1.0, np.nan, 3.0, 4.0])
    assert groups["prior_predictive"]["n"].dtype == np.int64
    for panel in plot_predictive(made, kind="cumulative"):
        assert len(panel) >= S


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([1.0, 2.0], r"'y' has shape \(2,\), but site 'y' has shape \(3,\)"),
        ([[1.0, 2.0, 3.0]] * 3, r"'y' has shape \(3, 3\)"),
        (4.0, r"'y' has shape \(\)"),
        (["a", "b", "c"], "'y' has dtype <U1"),
        ([1j, 2, 3], "'y' has dtype complex128"),
        ([{}, 2, 3], "'y' cannot be read as an array of numbers"),
        ([[1.0], 2, 3], "'y' cannot be read as an array of numbers"),
    ],
)
def test_observed_data_that_do_not_fit_are_refused_when_the_resampler_is_built(given, message):
    with pytest.raises(ArgumentError, match=message):
        Resampler(prior, schools(), num_guide_samples=400, observed={"y": given})


def test_observed_data_of_no_site_are_kept_where_nothing_is_predicted():
    with pytest.warns(ProgramWarning, match="belong to no site"):
        groups, _ = build(observed={"weight": [1, 2]})
    assert groups["observed_data"]["weight"].dims == ("weight_dim_0",)


def test_constant_data_are_kept_with_their_dims():
    groups, _ = build(
        simulator=schools(), constant_data={"x": [1, 2, 3], "flag": True}, dims={"x": ["school"]}
    )
    assert groups["constant_data"]["x"].dims == ("school",)
    assert groups["constant_data"]["x"].dtype == np.int64
    assert groups["constant_data"]["flag"].shape == ()


def test_constant_data_named_like_a_site_of_another_shape_are_refused():
    with pytest.raises(ArgumentError, match=r"data 'y' has shape \(2,\), but site 'y' has shape \(3,\)"):
        Resampler(prior, schools(), num_guide_samples=400, constant_data={"y": [1, 2]})


def test_constant_data_under_a_dim_of_another_size_are_refused():
    with pytest.raises(ArgumentError, match=r"the name 'school' to axes of sizes \[2, 3\]"):
        Resampler(
            prior,
            schools(),
            num_guide_samples=400,
            constant_data={"x": [1, 2]},
            dims={"x": ["school"]},
        )


def test_a_model_whose_prediction_has_another_shape_than_its_data_is_refused():
    def program(size):
        def fn():
            pyro.deterministic("y", normal("mu")[..., None] * torch.ones(size), event_dim=1)

        return fn

    resampler = Resampler(
        prior, program(3), num_guide_samples=400, random_seed=0, observed={"y": torch.zeros(3)}
    )
    with pytest.raises(ArgumentError, match=r"data 'y' has shape \(3,\), but site 'y' has shape \(5,\)"):
        resampler.sample_prior_predictive(program(5), S)


# ---------------------------------------------------------------- draws that are hard to plot


@shown
def test_draws_that_are_not_finite_are_kept_counted_and_warned_about(tmp_path):
    def simulator():
        mu = normal("mu")
        growth = pyro.deterministic("growth", (200 * mu).exp())
        with pyro.plate("n", 8):
            noise = normal("noise")
        pyro.deterministic("y", torch.where(torch.arange(8) < 4, growth + noise, noise))

    resampler = Resampler(
        prior,
        simulator,
        num_guide_samples=400,
        random_seed=0,
        predictive=["y"],
        observed={"y": torch.zeros(8)},
    )
    with pytest.warns(DrawWarning) as caught:
        made = resampler.sample_prior_predictive(prior, S)
    assert len(caught) == 1
    groups = check_container(made)
    y = groups["prior_predictive"]["y"].values[0]
    count = int((~np.isfinite(y)).any(axis=1).sum())
    assert 0 < count < S
    assert f"{count} draws of 'y'" in str(caught[0].message)
    assert f"{count} draws of 'growth'" in str(caught[0].message)
    assert groups["prior_predictive"].attrs["num_not_finite_y"] == count
    assert groups["prior"].attrs["num_not_finite_growth"] == count
    assert "num_not_finite_mu" not in groups["prior"].attrs
    np.testing.assert_array_equal(y, resampler.sample(prior, S)["y"].numpy())
    (panel,) = plot_predictive(made, **({"kind": "cumulative"} if OLD else {}))
    assert len(panel) >= S - count
    back = check_container(reload(made, tmp_path / "inf.nc"), own=False)
    xr.testing.assert_identical(back["prior_predictive"], groups["prior_predictive"])


def test_discrete_draws_that_are_not_finite_stay_floats():
    array = arrays.plain("n", torch.tensor([1.0, torch.nan, torch.inf]), True)
    np.testing.assert_array_equal(array, [1.0, np.nan, np.inf])


@shown
@pytest.mark.parametrize("discrete", [True, False])
def test_constant_draws_are_plotted_by_the_cumulative_kind(discrete):
    def simulator():
        mu = normal("mu")
        value = (mu > 0).long() if discrete else mu.clamp(-0.5, 0.5)
        pyro.deterministic("y", value[..., None] * torch.ones(8, dtype=value.dtype), event_dim=1)

    resampler = Resampler(prior, simulator, num_guide_samples=400, random_seed=0, predictive=["y"])
    made = resampler.sample_prior_predictive(prior, S)
    y = check_container(made)["prior_predictive"]["y"]
    assert y.dtype == (np.int64 if discrete else np.float64)
    assert not y.std("y_dim_0").values.any()
    (panel,) = plot_predictive(made, kind="cumulative")
    assert len(panel) == S + OLD
