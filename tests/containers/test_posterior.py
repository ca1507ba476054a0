"""Groups of a posterior: roles, names, dtypes, attributes, and what is said of their draws."""

import json

import numpy as np
import pytest
import xarray as xr
from schema import groups_of

from arviz_resampler import DrawWarning, NameWarning
from arviz_resampler.containers import Labels, build_posterior
from arviz_resampler.containers.installed import major_version
from arviz_resampler.sites import Site

SITES = {
    "mu": Site("mu", "latent", (), (), 0, "float32", False),
    "n": Site("n", "latent", ("day",), (2,), 1, "float32", True),
    "twice": Site("twice", "deterministic", (), (), 0, "float32", False),
    "y": Site("y", "predictive", ("school",), (3,), 1, "float32", False),
}
DATA = {"y": np.array([1.0, 2.0, 3.0])}


def build(samples, sites=SITES, observed=DATA, container="datatree"):
    return build_posterior(
        Labels(sites, {}, {}, {**observed, "size": np.ones(3)}),
        sites,
        samples,
        latents=(),
        owner="the model",
        observed=observed,
        constant={"size": np.ones(3)},
        container=container,
    )


def test_sites_stand_in_the_groups_of_their_roles():
    made = build({name: np.ones((4, 5, *site.shape)) for name, site in SITES.items()})
    groups = groups_of(made)
    assert {name: set(group.data_vars) for name, group in groups.items()} == {
        "posterior": {"mu", "n", "twice"},
        "posterior_predictive": {"y"},
        "observed_data": {"y"},
        "constant_data": {"size"},
    }
    assert groups["posterior"]["n"].dims == ("chain", "draw", "day")
    assert groups["posterior"]["chain"].values.tolist() == [0, 1, 2, 3]
    assert groups["posterior"]["draw"].values.tolist() == [0, 1, 2, 3, 4]
    assert list(groups["posterior"].attrs["sample_dims"]) == ["chain", "draw"]


def test_what_an_mcmc_drew_is_no_prediction():
    class Chains:
        def get_samples(self, group_by_chain):
            return {"mu": np.ones((1, 5)), "y": np.ones((1, 5, 3))}

        def diagnostics(self):
            return {"divergences": {"chain 0": [2]}, "acceptance rate": {"chain 0": 0.5}}

    groups = groups_of(build(Chains()))
    assert set(groups["posterior"].data_vars) == {"mu", "y"}
    assert "posterior_predictive" not in groups
    stats = groups["sample_stats"]
    assert stats["diverging"].dtype == bool
    assert stats["diverging"].values.tolist() == [[False, False, True, False, False]]
    assert stats.attrs["acceptance_rate"] == 0.5
    assert stats["draw"].equals(groups["posterior"]["draw"])


def test_draws_are_own_arrays_of_int64_and_float64():
    mu = np.ones(5, np.float32)
    groups = groups_of(build({"mu": mu, "n": np.ones((5, 2), np.float32)}))
    assert groups["posterior"]["mu"].dtype == np.float64
    assert groups["posterior"]["n"].dtype == np.int64
    groups["posterior"]["mu"].values[:] = 7.0
    assert (mu == 1.0).all()


def test_root_attributes_are_those_of_a_prior_without_its_draws():
    made = build({"mu": np.ones(5)})
    assert set(made.attrs) == {
        *("created_at", "creation_library", "creation_library_version", "creation_library_language"),
        *("inference_library", "inference_library_version", "format_version"),
    }
    assert made.attrs["creation_library"] == "arviz_resampler"
    assert made.attrs["inference_library"] == "pyro"


def test_names_that_arviz_reserves_are_changed_and_said():
    sites = {"model": Site("model", "latent", ("draw",), (2,), 1, "float32", False)}
    with pytest.warns(NameWarning, match="'dim draw' is 'draw_plate', 'model' is 'model_site'"):
        made = build({"model": np.ones((5, 2))}, sites, {})
    assert groups_of(made)["posterior"]["model_site"].dims == ("chain", "draw", "draw_plate")
    assert json.loads(made.attrs["renamed"]) == {"dim draw": "draw_plate", "model": "model_site"}


def test_draws_that_are_not_finite_are_kept_counted_and_said():
    mu = np.ones((2, 5))
    mu[0, 0], mu[1, 2] = np.nan, np.inf
    with pytest.warns(DrawWarning, match="2 draws of 'mu' are not finite"):
        groups = groups_of(build({"mu": mu}))
    np.testing.assert_array_equal(groups["posterior"]["mu"], mu)
    assert groups["posterior"].attrs["num_not_finite_mu"] == 2


def test_predictions_that_are_the_data_are_said():
    y = np.tile(np.float32([1.0, 2.0, 3.0]), (5, 1))
    with pytest.warns(DrawWarning, match="every draw of 'y' is its data"):
        build({"y": y})
    build({"y": y}, observed={})
    build({"y": y[:1]})
    y[3, 1] = 2.5
    build({"y": y})


def test_the_kind_of_container_is_the_one_that_was_asked_for():
    assert isinstance(build({"mu": np.ones(5)}), xr.DataTree)
    if not major_version():
        made = build({"mu": np.ones(5)}, container="inferencedata")
        assert set(made.groups()) == {"posterior", "observed_data", "constant_data"}
        assert "arviz_version" in made.attrs
