"""Posteriors by Pyro's NUTS in containers, alone and beside a prior, with either generation of ArviZ."""

import functools
import warnings

import arviz as az
import matplotlib.pyplot as plt
import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch
import xarray as xr
from pyro.infer import HMC, MCMC, NUTS, Predictive
from pyro.infer.mcmc.rwkernel import RandomWalkKernel
from schema import groups_of

from arviz_resampler import ArgumentError, NameWarning, ProgramError, ProgramWarning, Resampler, posterior
from arviz_resampler.containers.installed import major_version

OLD = major_version() == 0
old = pytest.mark.skipif(not OLD, reason="InferenceData is ArviZ 0.x")

# ArviZ 0.23 with matplotlib 3.11 and pandas 3, whatever is plotted.
pytestmark = [
    pytest.mark.filterwarnings("ignore:Passing a dict or None as alias_mapping"),
    pytest.mark.filterwarnings("ignore:The (inplace|copy) keyword:DeprecationWarning"),
]

ROWS, COLUMNS = ["r1", "r2"], ["c1", "c2", "c3"]
Y = torch.tensor([[0.5, 1.0, -1.0], [0.0, 2.0, 1.5]])
TERMS = ["bmi", "bp"]
X = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [-1.0, 2.0]])
OUT = torch.tensor([3.0, -2.0, 1.0, -7.0])


def crossed(y=Y):
    """Two plates that cross, an effect in each, a vector, and a computed site."""
    mu = pyro.sample("mu", dist.Normal(0.0, 2.0))
    b = pyro.sample("b", dist.Normal(torch.zeros(2), 1.0).to_event(1))
    rows, columns = pyro.plate("row", 2, dim=-2), pyro.plate("column_", 3, dim=-1)
    with rows:
        a = pyro.sample("a", dist.Normal(mu, 1.0))
    with columns:
        c = pyro.sample("c", dist.Normal(0.0, 1.0))
    with rows, columns:
        mean = pyro.deterministic("mean", a + c + b.sum(-1))
        pyro.sample("y", dist.Normal(mean, 1.0), obs=y)


def coefficients():
    return pyro.sample("beta", dist.Normal(torch.zeros(2), 5.0).to_event(1))


def regression(y=OUT):
    beta = coefficients()
    with pyro.plate("patient", 4):
        pyro.sample("y", dist.Normal(X @ beta, 1.0), obs=y)


def run(model, num_samples=20, kernel=NUTS, warmup=100, **options):
    pyro.set_rng_seed(0)
    mcmc = MCMC(kernel(model), num_samples, warmup, disable_progbar=True, **options)
    mcmc.run()
    return mcmc


@pytest.fixture(scope="module")
def mcmc():
    return run(crossed)


@pytest.fixture(scope="module")
def regressed():
    return run(regression, 200)


@pytest.fixture(scope="module")
def resampler():
    return Resampler(
        coefficients,
        regression,
        num_guide_samples=2000,
        random_seed=0,
        dims={"beta": ["term"], "dose": ["patient"]},
        coords={"term": TERMS, "patient": list("ABCD")},
        constant_data={"dose": [1.0, 2.0, 3.0, 4.0]},
    )


@pytest.fixture
def both(resampler, regressed):
    """Prior and posterior in one container."""
    made = resampler.sample_prior_predictive(coefficients, 100)
    after = resampler.posterior(regressed)
    if OLD:
        made.extend(after)
    else:
        made["posterior"], made["sample_stats"] = after["posterior"], after["sample_stats"]
    return made


@pytest.fixture(autouse=True)
def _no_figures_left():
    plt.close("all")
    yield
    plt.close("all")


# ---------------------------------------------------------------- from a model


def test_a_run_of_nuts_has_the_names_of_the_plates_and_the_draws_of_pyro(mcmc):
    groups = groups_of(posterior(mcmc, crossed, coords={"row": ROWS, "column_": COLUMNS}))
    assert set(groups) == {"posterior", "sample_stats", "observed_data"}
    found = groups["posterior"]
    assert {name: variable.dims[2:] for name, variable in found.data_vars.items()} == {
        "mu": (),
        "b": ("b_dim_0",),
        "a": ("row",),
        "c": ("column_",),
    }
    assert found["row"].values.tolist() == ROWS
    drawn = mcmc.get_samples(group_by_chain=True)
    for name, values in drawn.items():
        np.testing.assert_array_equal(found[name].values.ravel(), values.double().numpy().ravel())
    assert groups["observed_data"]["y"].dims == ("row", "column_")
    np.testing.assert_array_equal(groups["observed_data"]["y"], Y)


@pytest.mark.parametrize("num_samples", [2, 30])
def test_divergences_are_those_of_the_run_however_short(num_samples):
    # Steps far too long for a density this narrow.
    narrow = functools.partial(NUTS, step_size=1e4, adapt_step_size=False)
    made = run(lambda: pyro.sample("x", dist.Normal(0.0, 1e-3)), num_samples, narrow)
    stats = groups_of(posterior(made, lambda: pyro.sample("x", dist.Normal(0.0, 1e-3))))["sample_stats"]
    numbers = made._diagnostics[0]["divergences"]
    assert numbers
    assert np.flatnonzero(stats["diverging"].values[0]).tolist() == numbers
    assert stats.attrs["acceptance_rate"] == made._diagnostics[0]["acceptance rate"]


def test_chains_are_kept():
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "num_chains=3 is more than available_cpu")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("pyro.infer.mcmc.api.mp.cpu_count", lambda: 2)  # chains one after the other
            made = run(coefficients, 5, num_chains=3)
    groups = groups_of(posterior(made, coefficients))
    assert groups["posterior"]["beta"].shape == (3, 5, 2)
    assert groups["sample_stats"]["diverging"].shape == (3, 5)
    np.testing.assert_allclose(groups["posterior"]["beta"], made.get_samples(group_by_chain=True)["beta"])


def test_other_kernels_say_what_they_know():
    hmc = groups_of(posterior(run(coefficients, 5, HMC), coefficients))
    assert not hmc["sample_stats"]["diverging"].any()
    walk = groups_of(posterior(run(coefficients, 5, RandomWalkKernel), coefficients))
    assert set(walk) == {"posterior"}


def test_predictive_and_deterministic_sites_of_predictive_join_the_latents(mcmc):
    samples = mcmc.get_samples()
    predicted = Predictive(functools.partial(crossed, None), samples)()
    groups = groups_of(posterior({**samples, **predicted}, crossed))
    assert set(groups["posterior"].data_vars) == {"mu", "b", "a", "c", "mean"}
    assert groups["posterior_predictive"]["y"].dims == ("chain", "draw", "row", "column_")
    np.testing.assert_array_equal(groups["posterior_predictive"]["y"][0], predicted["y"])
    a, c, b = (groups["posterior"][name] for name in "acb")
    np.testing.assert_allclose(groups["posterior"]["mean"], a + c + b.sum("b_dim_0"), rtol=1e-5)


def test_padded_draws_of_predictive_are_those_of_its_sites():
    pyro.set_rng_seed(0)
    drawn = Predictive(functools.partial(crossed, None), num_samples=7)()
    assert drawn["mu"].shape == (7, 1, 1)
    found = groups_of(posterior(drawn, crossed))["posterior"]
    np.testing.assert_array_equal(found["mu"][0], drawn["mu"].ravel())


def test_dims_coords_and_constant_data_are_the_users(regressed):
    groups = groups_of(
        posterior(
            regressed,
            regression,
            dims={"beta": "term", "x": ["patient", "term"]},
            coords={"term": TERMS},
            constant_data={"x": X},
        )
    )
    assert groups["posterior"]["beta"].dims == ("chain", "draw", "term")
    assert groups["constant_data"]["x"].dims == ("patient", "term")
    assert groups["constant_data"]["term"].values.tolist() == TERMS


def test_names_that_arviz_reserves_are_those_of_a_prior():
    def odd():
        with pyro.plate("draw", 2):
            pyro.sample("a/b", dist.Normal(0.0, 1.0))

    resampler = Resampler(odd, num_guide_samples=400, random_seed=0)
    with pytest.warns(NameWarning, match="'a/b' is 'a.b'"):
        before = groups_of(resampler.sample_prior_predictive(odd, 10))["prior"]
    for make in (resampler.posterior, lambda samples: posterior(samples, odd)):
        with pytest.warns(NameWarning, match="'dim draw' is 'draw_plate'"):
            after = groups_of(make({"a/b": np.ones((5, 2))}))["posterior"]
        assert after["a.b"].dims == before["a.b"].dims == ("chain", "draw", "draw_plate")


def test_a_discrete_site_that_mcmc_sums_over_is_said():
    def mixture():
        mean = pyro.sample("mean", dist.Normal(torch.zeros(2), 3.0).to_event(1))
        with pyro.plate("case", 3):
            z = pyro.sample("z", dist.Categorical(torch.tensor([0.5, 0.5])))
            pyro.sample("y", dist.Normal(mean[..., z], 1.0), obs=torch.tensor([0.0, 4.0, 5.0]))

    made = run(mixture, 4, functools.partial(NUTS, max_plate_nesting=1), warmup=5)
    with pytest.warns(ProgramWarning, match="the samples lack 'z', which is discrete"):
        groups = groups_of(posterior(made, mixture))
    assert set(groups["posterior"].data_vars) == {"mean"}


def test_the_posterior_of_a_reparametrized_model_has_its_sites():
    from pyro.infer.reparam import LocScaleReparam

    def centered():
        mu = pyro.sample("mu", dist.Normal(0.0, 1.0))
        with pyro.plate("school", 3):
            pyro.sample("theta", dist.Normal(mu, 1.0))

    model = pyro.poutine.reparam(centered, {"theta": LocScaleReparam(0.0)})
    found = groups_of(posterior(run(model, 4), model))["posterior"]
    assert found["theta_decentered"].dims == ("chain", "draw", "school")


@pytest.mark.filterwarnings("error")
def test_neither_random_numbers_nor_parameters_are_touched(mcmc):
    before = torch.get_rng_state()
    posterior(mcmc, crossed)
    assert torch.equal(torch.get_rng_state(), before)


def test_what_does_not_fit_the_model_is_refused(mcmc, regressed):
    with pytest.raises(ArgumentError, match="'beta', which is no site of the model; there are 'a', 'b'"):
        posterior(regressed, crossed)
    with pytest.raises(ArgumentError, match="the samples lack 'beta', a latent site of the model"):
        posterior({"y": np.ones((5, 4))}, regression)
    with pytest.raises(ArgumentError, match=r"the MCMC has no samples: call its run\(\) first"):
        posterior(MCMC(NUTS(crossed), num_samples=5), crossed)
    with pytest.raises(ProgramError, match="the model failed"):
        posterior(mcmc, lambda: crossed(1 / 0))
    with pytest.raises(ArgumentError, match="model must run without arguments"):
        posterior(mcmc, lambda data: None)
    with pytest.raises(ArgumentError, match="container must be one of"):
        posterior(mcmc, crossed, container="dict")


# ---------------------------------------------------------------- from a Resampler, beside its prior


def test_names_labels_and_data_are_those_of_the_prior(resampler, regressed):
    before = groups_of(resampler.sample_prior_predictive(coefficients, 100))
    after = groups_of(resampler.posterior(regressed))
    assert after["posterior"]["beta"].dims == before["prior"]["beta"].dims
    assert after["posterior"]["term"].equals(before["prior"]["term"])
    assert after["observed_data"].identical(before["observed_data"])
    assert after["constant_data"].identical(before["constant_data"])
    predicted = resampler.posterior({"beta": np.ones((2, 5, 2)), "y": np.ones((2, 5, 4))})
    assert groups_of(predicted)["posterior_predictive"]["patient"].equals(
        before["prior_predictive"]["patient"]
    )


def test_a_posterior_of_fewer_sites_of_the_simulator_fits_the_guide():
    def guide():
        return pyro.sample("mu", dist.Normal(0.0, 5.0))

    def simulator():
        mu = guide()
        with pyro.plate("school", 3):
            theta = pyro.sample("theta", dist.Normal(mu, 1.0))
            pyro.sample("y", dist.Normal(theta, 1.0), obs=torch.zeros(3))

    resampler = Resampler(guide, simulator, num_guide_samples=400, random_seed=0)
    assert set(groups_of(resampler.posterior({"mu": np.ones(5)}))["posterior"].data_vars) == {"mu"}
    with pytest.raises(ArgumentError, match="the samples lack 'mu', a latent site of the particles"):
        resampler.posterior({"theta": np.ones((5, 3))})
    with pytest.raises(ArgumentError, match="'tau', which is no site of the particles"):
        resampler.posterior({"mu": np.ones(5), "tau": np.ones(5)})


def test_partial_models_have_partial_posteriors():
    def guide():
        pyro.sample("a", dist.Normal(0.0, 1.0))
        pyro.sample("b", dist.Normal(0.0, 1.0))

    resampler = Resampler(guide, num_guide_samples=400, random_seed=0, partial=True)
    assert set(groups_of(resampler.posterior({"a": np.ones(5)}))["posterior"].data_vars) == {"a"}


def test_the_container_is_the_one_of_the_prior(resampler, regressed):
    assert isinstance(resampler.posterior(regressed), az.InferenceData if OLD else xr.DataTree)
    assert isinstance(resampler.posterior(regressed, container="datatree"), xr.DataTree)


def test_a_table_of_the_posterior_has_the_labels(both):
    table = az.summary(both)
    assert table.index.tolist() == ["beta[bmi]", "beta[bp]"]
    # (X'X + I/25)^-1 X'y by hand: the posterior mean, of two coefficients near 3 and -2.
    means = torch.linalg.solve(X.T @ X + torch.eye(2) / 25, X.T @ OUT)
    draws = groups_of(both)["posterior"]["beta"]
    assert abs(float(draws.sel(term="bmi").mean()) - float(means[0])) < 0.5
    assert abs(float(draws.sel(term="bp").mean()) - float(means[1])) < 0.5


def drawn_by_term(both):
    """The lines of prior and posterior that ArviZ draws of each coefficient."""
    if OLD:
        rows = az.plot_dist_comparison(both, var_names=["beta"])
        return {row[2].get_xlabel().removeprefix("beta\n"): row[2].lines for row in rows}
    shown = az.plot_prior_posterior(both).viz["dist"]["beta"]
    return {term: shown.sel(term=term, group=["prior", "posterior"]).values for term in TERMS}


def test_plots_of_prior_and_posterior_pair_the_coefficients(both):
    draws = groups_of(both)
    shown = drawn_by_term(both)
    assert list(shown) == TERMS
    for term, lines in shown.items():
        for line, group in zip(lines, ("prior", "posterior"), strict=True):
            of = draws[group]["beta"].sel(term=term)
            x, density = np.asarray(line.get_xdata()), np.asarray(line.get_ydata())
            # A density that is drawn is that of these draws, by its mean.
            mean = (x * density).sum() / density.sum()
            assert abs(mean - float(of.mean())) < 0.5 * float(of.std())


@old
def test_extending_keeps_the_data_and_the_groups_of_both(both):
    assert set(both.groups()) >= {"prior", "prior_predictive", "posterior", "sample_stats", "observed_data"}


def test_a_container_comes_back_from_a_file(resampler, regressed, tmp_path):
    made, path = resampler.posterior(regressed), str(tmp_path / "posterior.nc")
    made.to_netcdf(path, engine="h5netcdf")
    with xr.open_datatree(path, engine="h5netcdf") as tree:
        loaded = groups_of(tree.load())
    for name, group in groups_of(made).items():
        xr.testing.assert_equal(loaded[name], group)
    assert loaded["sample_stats"]["diverging"].dtype == bool
    assert loaded["sample_stats"].attrs["acceptance_rate"] > 0.5
