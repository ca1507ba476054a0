"""Simulations that exist, as particles: any container, any density of their latents."""

import shutil

import numpy as np
import pandas as pd
import pyro
import pyro.distributions as dist
import pytest
import torch
import xarray as xr
from scipy.stats import norm, qmc

from arviz_resampler import ArgumentError, MismatchError, ProgramError, Resampler, family

EFFECTS = torch.tensor([28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0])
SCHOOLS = list("abcdefgh")


def prior(location=5.0, spread=5.0):
    def program():
        mu = pyro.sample("mu", dist.Normal(0.0, location))
        tau = pyro.sample("tau", dist.HalfNormal(spread))
        with pyro.plate("school", 8):
            return pyro.sample("theta", dist.Normal(mu, tau))

    return program


def simulator():
    mu = pyro.sample("mu", dist.Normal(0.0, 5.0))
    tau = pyro.sample("tau", dist.HalfNormal(5.0))
    with pyro.plate("school", 8):
        theta = pyro.sample("theta", dist.Normal(mu, tau))
        pyro.sample("y", dist.Normal(theta, 10.0), obs=EFFECTS)


@pytest.fixture(scope="module")
def cache():
    return Resampler(
        prior(),
        simulator,
        num_guide_samples=4000,
        random_seed=0,
        coords={"school": SCHOOLS},
        progressbar=False,
    )


@pytest.fixture(scope="module")
def container(cache):
    return cache.sample_prior_predictive(prior(), 4000, scheme="systematic")


def of(draws, **options):
    return Resampler.from_simulations(draws, random_seed=0, progressbar=False, **options)


def box(n=4096, d=2, seed=0):
    return qmc.scale(qmc.LatinHypercube(d, seed=seed).random(n), [-4.0] * d, [4.0] * d)


def two(mean=0.5):
    def program():
        pyro.sample("a", dist.Normal(mean, 1.0))
        pyro.sample("b", dist.Normal(mean, 1.0))

    return program


def columns(design):
    return {"a": design[:, 0], "b": design[:, 1], "y": design.sum(1)}


# ---------------------------------------------------------------- containers


def test_what_a_resampler_returned_goes_back_in_with_the_weights_that_it_had(cache, container):
    again = of(container, guide=prior())
    model = prior(2.0, 2.0)
    # A systematic choice from equal weights is each particle once, so nothing is left to chance.
    for name in ("mu", "tau", "theta"):
        expected, _ = torch.sort(cache.pipeline.particles.columns[name].value, 0)
        assert torch.equal(torch.sort(again.pipeline.particles.columns[name].value, 0)[0], expected)
    assert again.weigh(model).ess == pytest.approx(cache.weigh(model).ess, rel=1e-5)
    assert again.weigh(model).log_mean_weight == pytest.approx(cache.weigh(model).log_mean_weight, abs=1e-5)
    for site, own in cache.sites.items():
        assert (again.sites[site].role, again.sites[site].dims, again.sites[site].shape) == (
            own.role,
            own.dims,
            own.shape,
        )


def test_dims_coords_and_data_come_along(cache, container):
    again = of(container, guide=prior()).sample_prior_predictive(prior(3.0), 50)
    assert again.prior_predictive["y"].dims == ("chain", "draw", "school")
    assert again.prior["theta"]["school"].values.tolist() == SCHOOLS
    np.testing.assert_array_equal(again.observed_data["y"], container.observed_data["y"])


def test_numbers_of_draws_that_repeat_others_are_said_to_have_errors_that_are_too_small(cache):
    drawn = cache.sample_prior_predictive(prior(2.0, 2.0), 1000, scheme="multinomial")
    with pytest.warns(match="of 1000 draws repeat others"):
        of(drawn, guide=prior(2.0, 2.0))


def test_names_of_dims_that_are_no_plates_are_kept(container):
    renamed = xr.Dataset(
        {
            name: container.prior[name].rename({"school": "class"})
            if name == "theta"
            else container.prior[name]
            for name in ("mu", "tau", "theta")
        }
    )
    found = of(renamed, guide=prior())
    assert found.sites["theta"].dims == ("school",)
    drawn = found.sample_prior_predictive(prior(), 10)
    assert drawn.prior["theta"].dims == ("chain", "draw", "class")
    assert drawn.prior["theta"]["class"].values.tolist() == SCHOOLS


def test_axes_are_put_in_the_order_of_the_program():
    def program():
        with pyro.plate("row", 2, dim=-2), pyro.plate("column", 3, dim=-1):
            pyro.sample("x", dist.Normal(torch.arange(6.0).reshape(2, 3), 0.1))

    draws = np.arange(6.0).reshape(2, 3) + 0.1 * np.random.default_rng(0).standard_normal((500, 2, 3))
    turned = xr.Dataset({"x": (("column", "draw", "row"), draws.transpose(2, 0, 1))})
    found = of(turned, guide=program)
    assert found.weigh(program).ess == 500.0
    np.testing.assert_allclose(found.pipeline.particles.columns["x"].value, draws, atol=1e-6)


def test_whole_numbers_that_were_stored_as_floats_are_whole_numbers_again():
    def program():
        z = pyro.sample("z", dist.Categorical(torch.tensor([0.2, 0.3, 0.5])))
        pyro.sample("x", dist.Normal(torch.tensor([0.0, 1.0, 2.0])[z], 1.0))

    rng = np.random.default_rng(0)
    z = rng.choice(3, 1000, p=[0.2, 0.3, 0.5])
    table = pd.DataFrame({"z": z.astype(float), "x": z + rng.standard_normal(1000)})
    assert of(table, guide=program).weigh(program).ess == 1000.0
    table.loc[3, "z"] = 0.5
    with pytest.raises(MismatchError, match="site 'z' is discrete in the guide, but 1 of 1000 draws are not"):
        of(table, guide=program)


def test_a_family_is_a_density_too():
    def make(scale=1.0):
        return lambda: pyro.sample("mu", dist.Normal(0.0, scale))

    guide = family(make, scale=(0.5, 5.0))
    cache = Resampler(guide, num_guide_samples=2000, random_seed=0, progressbar=False)
    values = cache.pipeline.particles.columns["mu"].value
    again = of({"mu": values}, guide=guide)
    assert again.weigh(make(0.7)).ess == pytest.approx(cache.weigh(make(0.7)).ess, rel=1e-6)


# ---------------------------------------------------------------- densities


def test_a_uniform_box_gives_the_mean_and_probability_of_a_normal_prior():
    z = []
    for seed in range(50):
        draws = columns(np.random.default_rng(seed).uniform(-4, 4, (2000, 2)))
        weights = of(draws, box={"a": (-4, 4), "b": (-4, 4)}).weigh(two())
        inside = norm.cdf(4, 0.5) - norm.cdf(-4, 0.5)
        exact = 0.5 + (norm.pdf(-4, 0.5) - norm.pdf(4, 0.5)) / inside
        z.append((weights.mean(draws["a"]) - exact) / weights.mcse(draws["a"]))
    # Fifty means of unit variance: their variance has a standard error of a fifth.
    assert np.var(z) < 2.0
    assert abs(np.mean(z)) < 4 / np.sqrt(50)


def test_errors_of_a_space_filling_design_are_not_too_small():
    z = []
    for seed in range(50):
        draws = columns(box(2000, seed=seed))
        weights = of(draws, box={"a": (-4, 4), "b": (-4, 4)}).weigh(two(0.0))
        z.append(weights.mean(draws["a"]) / weights.mcse(draws["a"]))
    assert np.var(z) < 1 + 3 * np.sqrt(2 / 50)


def test_mass_outside_the_box_is_seen_in_the_mean_ratio():
    weights = of(columns(box()), box={"a": (-4, 4), "b": (-4, 4)}).weigh(two(4.0))
    # A quarter of the model is within the box.
    assert np.exp(weights.log_mean_weight) == pytest.approx(0.25, abs=5 * 0.25 * weights.log_mean_weight_se)
    assert weights.verdict == "unreliable"
    assert "of the model's mass lies where no particle is" in weights.advice


def test_both_ends_of_a_box_belong_to_it():
    draws = {"a": np.linspace(-1, 1, 101)}
    found = of(draws, box={"a": (-1, 1)})
    assert found.weigh(lambda: pyro.sample("a", dist.Normal(0.0, 0.2))).num_supported == 101


def test_limits_may_be_those_of_each_element():
    rng = np.random.default_rng(0)
    draws = {"x": rng.uniform([0.0, 10.0], [1.0, 20.0], (500, 2))}
    found = of(draws, box={"x": (np.array([0.0, 10.0]), [1.0, 20.0])})
    model = lambda: pyro.sample("x", dist.Normal(torch.tensor([0.5, 15.0]), 0.1).to_event(1))  # noqa: E731
    ratio = found.weigh(model).log_ratio
    x = torch.tensor(draws["x"]).float()
    expected = dist.Normal(torch.tensor([0.5, 15.0]), 0.1).log_prob(x).sum(1) + np.log(10.0)
    np.testing.assert_allclose(ratio, expected, rtol=1e-4)


@pytest.mark.parametrize("together", [True, False])
def test_a_log_density_is_taken_as_it_is_given(together):
    draws = columns(box())
    each = {name: norm.logpdf(draws[name], 0, 2) for name in "ab"}
    log_q = each["a"] + each["b"] if together else each
    found = of(draws, latents=["a", "b"], log_q=log_q).weigh(two())
    expected = sum(norm.logpdf(draws[name], 0.5, 1) - norm.logpdf(draws[name], 0, 2) for name in "ab")
    np.testing.assert_allclose(found.log_ratio, expected, atol=1e-4)
    assert list(found.log_ratio_by_site) == (["a & b"] if together else ["a", "b"])


@pytest.mark.parametrize("order", ["xyz", "zyx", "abc"])
def test_labels_of_coords_replace_others_but_do_not_move_those_of_the_draws(order):
    values = np.random.default_rng(0).uniform(-5, 5, (100, 3))
    draws = xr.Dataset({"a": (("particle", "k"), values)}, {"k": list("xyz")})
    make = lambda: of(draws, box={"a": (-5.0, 5.0)}, coords={"k": list(order)})  # noqa: E731
    if order == "zyx":
        with pytest.raises(
            ArgumentError, match="labels of dim 'k' in another order than the draws: z and x at position 0"
        ):
            make()
        return
    found = make().weighted(lambda: pyro.sample("a", dist.Uniform(-5.0, 5.0).expand([3]).to_event(1)))[0]
    assert found["k"].values.tolist() == list(order)
    np.testing.assert_allclose(found["a"].values.reshape(-1, 3), values, rtol=1e-6)


@pytest.mark.parametrize("together", [True, False])
def test_a_log_density_goes_with_the_rows_of_a_table_whose_chains_are_mixed(together):
    a = np.random.default_rng(0).normal(0, 2, 2000)
    table = pd.DataFrame({"chain": np.tile(range(4), 500), "draw": np.repeat(range(500), 4), "a": a})
    log_q = norm.logpdf(a, 0, 2)
    found = of(table, latents="a", log_q=log_q if together else {"a": log_q})
    weights = found.weigh(lambda: pyro.sample("a", dist.Normal(0.5, 1.0)))
    there = a.reshape(500, 4).T.reshape(-1)  # chain after chain
    expected = norm.logpdf(there, 0.5, 1) - norm.logpdf(there, 0, 2)
    np.testing.assert_allclose(weights.log_ratio, expected, atol=1e-4)


def test_a_model_of_some_latents_whose_density_is_known_together_is_refused():
    found = of(columns(box()), latents=["a", "b"], log_q=np.zeros(4096), partial=True)
    with pytest.raises(MismatchError, match="a density at 'a' but not at 'b': the density that the"):
        found.weigh(lambda: pyro.sample("a", dist.Normal(0.0, 1.0)))


def test_a_container_with_the_group_log_prior_says_itself_what_it_was_drawn_from():
    rng = np.random.default_rng(0)
    a = rng.normal(0, 2, (4, 500))
    tree = xr.DataTree.from_dict(
        {
            "prior": xr.Dataset({"a": (("chain", "draw"), a), "twice": (("chain", "draw"), 2 * a)}),
            "log_prior": xr.Dataset({"a": (("chain", "draw"), norm.logpdf(a, 0, 2))}),
        }
    )
    found = of(tree)
    assert found.sites["twice"].role == "deterministic"
    weights = found.weigh(lambda: pyro.sample("a", dist.Normal(0.0, 1.0)))
    np.testing.assert_allclose(
        weights.log_ratio, norm.logpdf(a.ravel()) - norm.logpdf(a.ravel(), 0, 2), atol=1e-5
    )


def test_neighbors_tell_the_density_of_few_dimensions_alone():
    draws = columns(np.random.default_rng(0).normal(0, 2, (3000, 2)))
    with pytest.warns(match="estimated from their neighbors"):
        found = of(draws, latents=["a", "b"], density="neighbors")
    weights = found.weigh(two())
    assert weights.mean(draws["a"]) == pytest.approx(0.5, abs=5 * weights.mcse(draws["a"]))
    assert not weights.densities_normalized
    four = {name: np.random.default_rng(i).normal(size=500) for i, name in enumerate("abcd")}
    with pytest.raises(
        ArgumentError, match="have 4 dimensions, and a density from neighbors is biased above 3"
    ):
        of(four, latents=list("abcd"), density="neighbors")
    with pytest.warns(match="too small in 5 dimensions"):
        of(four, latents=list("abcd"), density="neighbors", allow_biased=True)


# ---------------------------------------------------------------- failures, ids, more simulations


def test_a_simulation_that_failed_keeps_its_weight_and_its_id():
    table = pd.DataFrame(columns(box(2000)), index=range(1000, 3000))
    table.loc[1003, "y"] = np.nan
    with pytest.warns(match="the run of 1 of 2000 particles failed.*Particle 1003: NaN in the simulations"):
        found = of(table, box={"a": (-4, 4), "b": (-4, 4)})
    weights = found.weigh(two())
    assert weights.normalized[3] > 0
    assert weights.failed_mass[0] == pytest.approx(weights.normalized[3])
    assert found.failures.index.tolist() == [1003]
    assert found.weighted(two())[0]["particle"].values.tolist() == list(range(1000, 3000))


def test_a_prediction_that_is_missing_in_all_draws_is_no_failure():
    y = np.zeros((50, 2))
    y[:, 1] = np.nan
    found = of({"a": np.linspace(-1, 1, 50), "y": y}, box={"a": (-1, 1)})
    assert found.failures.empty


@pytest.mark.parametrize("ids", [None, range(1000, 5096), [f"run{i}" for i in range(4096)]])
def test_what_to_simulate_next_is_wanted_and_taken(ids):
    table = pd.DataFrame(columns(box()), index=ids)
    found, model = of(table, box={"a": (-4, 4), "b": (-4, 4)}), two(0.0)
    before = found.weigh(model).ess
    wanted = found.wanted(model, ess=3000)
    count = wanted.sizes["particle"]
    assert not set(wanted["particle"].values) & set(table.index)
    done = found.extend({"y": wanted["a"] + wanted["b"]})
    assert done.num_added == count
    assert found.weigh(model).ess > max(before, 2850)
    particles, weights = found.weighted(model)
    assert particles["particle"].values[[0, -1]].tolist() == [table.index[0], wanted["particle"].values[-1]]
    np.testing.assert_allclose(particles["y"], particles["a"] + particles["b"], atol=1e-5)
    assert float(weights.sum()) == pytest.approx(1.0)


def test_a_top_up_needs_a_simulator_or_results():
    found = of(columns(box()), box={"a": (-4, 4), "b": (-4, 4)})
    with pytest.raises(ArgumentError, match="pass simulator=, or simulate what wanted returns"):
        found.top_up(two(2.0), ess=2000)

    def after():
        a, b = pyro.sample("a", dist.Normal(0.0, 1.0)), pyro.sample("b", dist.Normal(0.0, 1.0))
        pyro.sample("y", dist.Normal(a + b, 0.1))

    assert found.top_up(two(2.0), ess=2000, simulator=after).ess_after > 1900


def test_nothing_here_can_simulate_the_same_again():
    found = of(columns(box()), box={"a": (-4, 4), "b": (-4, 4)})
    for call in (lambda: found.simulate_one(3), lambda: found.extend(5000)):
        with pytest.raises(ArgumentError, match="these particles were simulated elsewhere"):
            call()
    known_at_draws = of(columns(box()), latents=["a", "b"], log_q=np.zeros(4096))
    with pytest.raises(
        ArgumentError, match="known at these draws alone: to add more, say what they were drawn from"
    ):
        known_at_draws.wanted(two())


def test_everything_else_works_as_on_particles_of_a_guide(container):
    found = of(container, guide=prior())
    comparison = found.compare({"narrow": prior(2.0), "wide": prior(4.0)}, num_samples=100)
    assert bool(comparison.contrast("wide", "narrow", lambda ds: ds.mu**2)["difference"].iloc[0] > 0)
    assert comparison["narrow"].prior_predictive["y"].shape == (1, 100, 8)
    assert len(found.sensitivity(prior(2.0), var_names=["mu"])) == 3
    tuner = found.tune(lambda location=2.0: prior(location), location=(1.0, 4.0))
    assert tuner.update(location=3.0).weights.verdict == "good"


# ---------------------------------------------------------------- a store


def test_a_store_has_the_same_weights_draws_and_ids(tmp_path):
    table = pd.DataFrame(columns(box(1000)), index=[f"run{i}" for i in range(1000)])
    limits, path = {"a": (-4, 4), "b": (-4, 4)}, tmp_path / "s.zarr"
    memory, stored = of(table, box=limits), of(table, box=limits, store=path)
    opened, model = Resampler.open(path), two()
    for found in (stored, opened):
        np.testing.assert_array_equal(found.weigh(model).log_ratio, memory.weigh(model).log_ratio)
        assert torch.equal(found.sample(model, 100)["y"], memory.sample(model, 100)["y"])
        assert found.weighted(model)[0]["particle"].values.tolist() == table.index.tolist()
    wanted = stored.wanted(model, ess=900)
    stored.extend({"y": wanted["a"] + wanted["b"]})
    grown = Resampler.open(path)
    assert grown.weigh(model).ess == stored.weigh(model).ess > 850
    ids = grown.weighted(model)[0]["particle"].values
    assert ids[[0, 999]].tolist() == ["run0", "run999"]
    assert ids[-1] == stored.weighted(model)[0]["particle"].values[-1]


def test_a_store_of_an_estimated_density_is_not_taken_for_normalized(tmp_path):
    draws = columns(np.random.default_rng(0).normal(0, 2, (3000, 2)))
    with pytest.warns(match="neighbors"):
        of(draws, latents=["a", "b"], density="neighbors", store=tmp_path / "s.zarr")
    assert not Resampler.open(tmp_path / "s.zarr").weigh(two()).densities_normalized


def test_a_store_that_is_there_is_refused(tmp_path):
    from arviz_resampler import StoreError

    options = {"box": {"a": (-4, 4), "b": (-4, 4)}, "store": tmp_path / "s.zarr"}
    of(columns(box(100)), **options)
    with pytest.raises(StoreError, match="is a store already"):
        of(columns(box(100)), **options)


def added():
    a, b = (pyro.sample(name, dist.Normal(0.5, 1.0)) for name in ("a", "b"))
    pyro.sample("y", dist.Normal(a + b, 1.0))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("options", [{}, {"batch_size": 50}, {"random_seed": 5}, {"num_guide_samples": 200}])
def test_no_program_goes_on_with_a_store_of_particles_from_elsewhere(tmp_path, dtype, options):
    from arviz_resampler import StoreError

    path, options = tmp_path / "s.zarr", {"num_guide_samples": 100, "random_seed": 0, **options}
    draws = {name: values.astype(dtype) for name, values in columns(box(100)).items()}
    for names in (["a", "b"], ["a", "b", "y"]):
        few = {name: draws[name] for name in names}
        of(few, box={"a": (-4, 4), "b": (-4, 4)}, store=path)
        for call in (
            lambda: Resampler(two(), store=path, **options),
            lambda: Resampler(two(), added, store=path, **options),
            lambda: Resampler.simulate(two(), added, store=path, **options),
            lambda: Resampler.simulate(two(), added, store=path, shard="0/2", **options),
            lambda: Resampler([two(), two(2.0)], store=path, **options),
        ):
            with pytest.raises(StoreError, match="has particles from elsewhere, which no program here"):
                call()
        assert Resampler.open(path).pipeline.particles.num_particles == 100
        shutil.rmtree(path)


# ---------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({}, ArgumentError, "nothing says what the draws were drawn from"),
        ({"box": {"a": (-4, 4)}, "log_q": [0.0]}, ArgumentError, "box= and log_q= are given, but draws"),
        ({"density": "kde"}, ArgumentError, "density must be \"neighbors\" or None, got 'kde'"),
        ({"box": {"aa": (-4, 4)}}, ArgumentError, "the draws lack 'aa', which the box has.*Did you mean 'a'"),
        ({"box": {"a": (4, -4)}}, ArgumentError, r"pair of limits for 'a'.*the lower first; got \(4, -4\)"),
        ({"box": {"a": (0.0, np.inf)}}, ArgumentError, "finite numbers or arrays"),
        ({"box": {"a": 4}}, ArgumentError, "pair of limits for 'a'"),
        (
            {"box": {"a": (-4, 4)}, "latents": ["a", "b"]},
            ArgumentError,
            "latents= names 'a', 'b': 'b' is in one of them only$",
        ),
        (
            {"box": {"n": (0, 5)}},
            ArgumentError,
            "latent 'n' holds whole numbers, for which a box has no density",
        ),
        ({"box": {"a": (-1, 1)}}, MismatchError, "draws have no density at 'a' under the box, for example"),
        (
            {"log_q": np.zeros(50)},
            ArgumentError,
            "it is not known which of 'a', 'b', 'n', 'y' are latents",
        ),
        (
            {"log_q": np.zeros(3), "latents": "a"},
            ArgumentError,
            r"at 'a' has shape \(3,\), but must have shape \(50,\)",
        ),
        ({"log_q": np.zeros((50, 2)), "latents": "a"}, ArgumentError, r"at 'a' has shape \(50, 2\), but"),
        (
            {"log_q": np.full(50, np.nan), "latents": "a"},
            ArgumentError,
            "the log density at 'a' is nan for 50 of 50 draws, the first of which is draw 0",
        ),
        (
            {"log_q": {"b": np.zeros(50)}, "latents": "a"},
            ArgumentError,
            "log_q= has no log density of 'a'; it has 'b'",
        ),
        (
            {"density": "neighbors", "latents": ["n"]},
            ArgumentError,
            "latent 'n' holds whole numbers, which have",
        ),
        ({"guide": prior()}, ArgumentError, "the draws lack 'mu', 'tau', 'theta', which the guide has"),
        ({"guide": two(), "latents": ["a"]}, ArgumentError, "the guide draws 'a', 'b': 'b' is in one of"),
        ({"guide": two(), "vectorize": 3}, ArgumentError, "vectorize must be True, False"),
        (
            {"guide": lambda: (two()(), pyro.factor("f", torch.tensor(0.0)))},
            ProgramError,
            "the guide has pyro.factor site 'f'",
        ),
        (
            {"guide": lambda: pyro.sample("a", dist.Normal(0.0, torch.ones(3)).to_event(1))},
            MismatchError,
            r"site 'a' has axes \(\) in the draws, but \(3\) in the guide",
        ),
    ],
)
def test_draws_that_do_not_fit_what_is_said_of_them_are_refused(options, error, message):
    draws = {**columns(box(50)), "n": np.arange(50)}
    with pytest.raises(error, match=message):
        of(draws, **options)


def test_a_latent_that_is_not_finite_is_named_with_the_draw():
    draws = columns(box(50))
    draws["a"][7] = np.nan
    with pytest.raises(ArgumentError, match=r"latent 'a' is NaN or infinite in 1 of 50 draws.*is draw 7"):
        of(draws, box={"a": (-4, 4), "b": (-4, 4)})


def test_values_that_the_dtype_of_the_programs_does_not_hold_are_refused():
    rng = np.random.default_rng(0)
    for values in (
        2_459_000 + rng.normal(0, 0.1, 500),  # a date: rounded by a quarter, more than the spread
        rng.normal(0, 1e-60, 500),  # zero in float32
        rng.normal(0, 1e60, 500),  # infinite
    ):
        with pytest.raises(ArgumentError, match="latent 'a' loses digits in the float32 of the programs"):
            of({"a": values}, log_q=np.zeros(500), latents="a")
        with pytest.raises(ArgumentError, match="latent 'a' loses digits in the float32 of the programs"):
            of({"a": values}, guide=lambda: pyro.sample("a", dist.Normal(0.0, 1.0)))
    with pytest.raises(ArgumentError, match="the box of 'a' loses digits"):
        of({"a": np.linspace(0, 1, 50)}, box={"a": (-1e60, 1e60)})


def test_an_element_that_is_the_same_in_all_draws_may_be_rounded():
    values = np.stack([np.full(50, 0.1), np.linspace(-1, 1, 50)], 1)
    assert of({"a": values}, log_q=np.zeros(50), latents="a").sites["a"].dtype == "float32"
    assert of({"a": [0.1]}, log_q=[0.0], latents="a").sites["a"].dtype == "float32"


def test_values_far_from_zero_are_kept_where_they_are_told_apart():
    values = 1000 + np.random.default_rng(0).normal(0, 1, 500)
    found = of({"a": values}, log_q=norm.logpdf(values, 1000, 1), latents="a")
    assert found.weighted(lambda: pyro.sample("a", dist.Normal(1000.0, 1.0)))[0]["a"].values.std() > 0.9


@pytest.mark.parametrize("odd", [pyro.poutine.scale(scale=0.5), pyro.poutine.mask(mask=False)])
def test_a_guide_that_nothing_is_drawn_from_is_refused(odd):
    def guide():
        with odd:
            pyro.sample("a", dist.Normal(0.0, 1.0))

    with pytest.raises(ProgramError, match=r"the guide has 'a' under poutine.scale or poutine.mask"):
        of({"a": np.linspace(-1, 1, 50)}, guide=guide)


def test_a_latent_that_is_predicted_too_is_a_latent():
    rng = np.random.default_rng(0)
    a = rng.uniform(-1, 1, (1, 500))
    groups = {
        "prior": xr.Dataset({"a": (("chain", "draw"), a)}),
        "prior_predictive": xr.Dataset({"a": (("chain", "draw"), a), "y": (("chain", "draw"), 2 * a)}),
    }
    found = of(xr.DataTree.from_dict(groups), box={"a": (-1, 1)})
    assert {name: site.role for name, site in found.sites.items()} == {"a": "latent", "y": "predictive"}
    groups["prior_predictive"]["a"] = -groups["prior_predictive"]["a"]
    with pytest.raises(ArgumentError, match="latent 'a' is among the predictions, too, with other values"):
        of(xr.DataTree.from_dict(groups), box={"a": (-1, 1)})


def test_a_failed_run_of_whole_numbers_goes_into_a_store_and_truth_values_are_results(tmp_path):
    design = box(1000)
    draws = {"a": design[:, 0], "n": np.round(design.sum(1)).astype(int), "up": design[:, 0] > 0}
    limits = {"a": (-4, 4)}
    for options in ({}, {"store": tmp_path / "s.zarr"}):
        found = of(draws, box=limits, **options)
        model = lambda: pyro.sample("a", dist.Normal(0.0, 0.5))  # noqa: E731
        wanted = found.wanted(model, ess=600)
        counts = np.round(wanted["a"].values)
        counts[0] = np.nan
        found.extend({"n": counts, "up": wanted["a"].values > 0})
        particles = found.pipeline.particles
        assert particles.failed.nonzero().tolist() == [[1000]]
        assert bool(particles.columns["n"].value[1000].isnan())
