import functools
import math
import pickle
import random

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch
from torch import tensor

from arviz_resampler import ArgumentError, ProgramWarning, Resampler, WeightError, WeightWarning


def normal(mean=0.0, sd=1.0, name="x"):
    return lambda: pyro.sample(name, dist.Normal(mean, sd))


# ------------------------------------------------------------------ the usages that Pyro's users know


def test_two_latents_resample_to_a_narrower_prior():
    def guide():
        pyro.sample("mu", dist.Normal(0, 100))
        pyro.sample("sigma", dist.LogNormal(0, 10))

    def model():
        pyro.sample("mu", dist.Normal(0, 10))
        pyro.sample("sigma", dist.LogNormal(0, 1))

    resampler = Resampler(guide, num_guide_samples=10_000)
    weights = resampler.weigh(model)
    # ESS / N of one site is s sqrt(2 g^2 - s^2) / g^2 with s / g = 0.1, twice: 0.0199, so about 200.
    assert 120 < weights.ess < 300
    draws = resampler.sample(model, 100)
    assert {name: value.shape for name, value in draws.items()} == {"mu": (100,), "sigma": (100,)}
    error = math.sqrt(1 / 100 + 1 / weights.ess)
    assert abs(draws["mu"].mean()) < 5 * 10 * error
    assert abs(draws["sigma"].log().mean()) < 5 * error


def test_a_simulator_carries_its_sites_along():
    def guide():
        return pyro.sample("mu", dist.Normal(0, 10))

    def simulator():
        pyro.sample("x", dist.Normal(guide(), 1))

    draws = Resampler(guide, simulator, num_guide_samples=50_000).sample(normal(5, 2, "mu"), 200)
    assert set(draws) == {"mu", "x"}
    error = math.sqrt(1 / 200)
    assert abs(draws["mu"].mean() - 5) < 5 * 2 * error
    assert abs(draws["x"].mean() - 5) < 5 * math.sqrt(5) * error
    assert abs((draws["x"] - draws["mu"]).std() - 1) < 5 * math.sqrt(1 / 400)


def test_stable_draws_move_little_with_the_prior_and_others_do_not_hold_still():
    resampler = Resampler(normal(0, 3), num_guide_samples=10_000)
    stable = [resampler.sample(normal(0, s), 500, stable=True)["x"] for s in (1.0, 1.01)]
    loose = [resampler.sample(normal(0, s), 500, stable=False)["x"] for s in (1.0, 1.01)]
    assert (stable[0] == stable[1]).float().mean() > 0.9
    assert (loose[0] == loose[1]).float().mean() < 0.1


@pytest.mark.parametrize("stable", [True, False])
def test_moments_of_a_dirichlet_and_its_simulation_are_right(stable):
    # The test that Pyro has of its own Resampler.
    def guide():
        return pyro.sample("p", dist.Dirichlet(torch.ones(2)))

    def simulator():
        p = guide()
        with pyro.plate("n", 3):
            pyro.sample("x", dist.Categorical(p))

    def model():
        return pyro.sample("p", dist.Dirichlet(tensor([2.0, 1.5])))

    resampler = Resampler(guide, simulator, num_guide_samples=200_000, random_seed=0)
    draws = resampler.sample(model, 100_000, stable=stable)
    assert draws["p"].shape == (100_000, 2)
    assert draws["x"].shape == (100_000, 3)
    direct = dist.Dirichlet(tensor([2.0, 1.5]))
    assert (draws["p"].mean(0) - direct.mean).abs().max() < 0.01
    assert (draws["p"].std(0) - direct.variance.sqrt()).abs().max() < 0.01
    assert (draws["x"].float().mean() - direct.mean[1]).abs() < 0.01


def random_walk(spread):
    """The priors of Pyro's prior predictive tutorial."""

    def prior():
        pyro.sample("df", dist.LogNormal(0.0, spread))
        pyro.sample("p_scale", dist.LogNormal(0.0, spread))
        pyro.sample("m_scale", dist.LogNormal(0.0, spread))

    return prior


def walk(steps, spread):
    df = pyro.sample("df", dist.LogNormal(0.0, spread))
    p_scale = pyro.sample("p_scale", dist.LogNormal(0.0, spread))
    m_scale = pyro.sample("m_scale", dist.LogNormal(0.0, spread))
    with pyro.plate("dt", steps):
        noise = pyro.sample("noise", dist.StudentT(df, 0, p_scale))
        trend = pyro.deterministic("trend", noise.cumsum(dim=-1))
        pyro.sample("obs", dist.Normal(trend, m_scale))


def test_the_random_walk_of_the_tutorial_runs_as_written():
    simulator = functools.partial(walk, 100, 2.0)
    resampler = Resampler(random_walk(2.0), simulator, num_guide_samples=20_000, random_seed=1)
    draws = resampler.sample(random_walk(1.0), num_samples=20)
    assert draws["trend"].shape == (20, 100)
    assert draws["obs"].shape == (20, 100)
    torch.testing.assert_close(draws["trend"], draws["noise"].cumsum(-1))
    assert resampler.sites["obs"].role == "predictive"
    assert resampler.sites["trend"].role == "deterministic"


# ------------------------------------------------------------------ laws of draws


@pytest.mark.parametrize("scheme", ["stable", "multinomial", "stratified", "systematic", "residual"])
@pytest.mark.parametrize(("mean", "sd"), [(0.0, 1.0), (4.0, 3.0)])
def test_draws_have_the_mean_and_spread_of_the_model(scheme, mean, sd):
    resampler = Resampler(normal(0, 10), num_guide_samples=100_000, random_seed=2)
    model = normal(mean, sd)
    prior = resampler.sample_prior_predictive(model, 4000, scheme=scheme, container="datatree")
    x = prior["prior"]["x"].values.ravel()
    # No scheme has more variance than independent draws: sd^2 (1 / S + 1 / ESS).
    error = sd * math.sqrt(1 / 4000 + 1 / resampler.weigh(model).ess)
    assert abs(x.mean() - mean) < 5 * error
    assert abs(x.std() - sd) < 5 * error


def test_float32_particles_are_drawn_from_by_float64_weights():
    def guide():
        pyro.sample("x", dist.Normal(torch.zeros(2000), 1.0).to_event(1))

    def model():
        pyro.sample("x", dist.Normal(torch.full((2000,), 0.02), 1.0).to_event(1))

    resampler = Resampler(guide, num_guide_samples=20_000, random_seed=0)
    weights = resampler.weigh(model)
    x = resampler.pipeline.particles.columns["x"].value.double()
    exact = (0.02 * x - 0.0002).sum(1).numpy()
    # Two densities near -2800 rounded to float32 would be off by 2e-4 each.
    assert weights.log_ratio.dtype == np.float64
    np.testing.assert_allclose(weights.log_ratio, exact, atol=2e-4)
    assert weights.ess / 20_000 == pytest.approx(math.exp(-2000 * 0.02**2), rel=0.1)


def test_more_draws_than_particles_are_possible():
    resampler = Resampler(normal(), num_guide_samples=50, random_seed=0)
    with pytest.warns(WeightWarning, match="low"):
        assert resampler.sample(normal(), 300)["x"].shape == (300,)


def test_one_particle_is_every_draw():
    resampler = Resampler(normal(), num_guide_samples=1, random_seed=0)
    with pytest.warns(WeightWarning):
        assert len(resampler.sample(normal(), 5)["x"].unique()) == 1


def test_no_particle_in_the_support_is_an_error_and_not_a_draw():
    def model():
        pyro.sample("x", dist.Uniform(20.0, 21.0))

    resampler = Resampler(normal(), num_guide_samples=100, random_seed=0)
    assert resampler.weigh(model).num_supported == 0
    for stable in (True, False):
        with pytest.raises(WeightError, match="no particle has positive weight; site 'x'"):
            resampler.sample(model, 10, stable=stable)


@pytest.mark.parametrize("sd", [1e-3, 30.0])
def test_weights_below_good_are_warned_about_once_a_call(sd):
    resampler = Resampler(normal(0, 1), num_guide_samples=2000, random_seed=0)
    with pytest.warns(WeightWarning, match=r"unreliable.*'x'") as caught:
        resampler.sample(normal(0, sd), 100)
    assert len(caught) == 1


# ------------------------------------------------------------------ randomness


def state():
    return torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()


def same(before, after):
    return torch.equal(before[0], after[0]) and (before[1] == after[1]).all() and before[2] == after[2]


@pytest.mark.parametrize("stable", [True, False])
def test_a_seed_gives_the_same_bits_and_leaves_the_generators_alone(stable):
    def noisy():
        pyro.sample("x", dist.Normal(0.0, 2.0))
        pyro.deterministic("np", tensor(np.random.rand()))
        pyro.deterministic("py", tensor(random.random()))

    before = state()
    with (
        pytest.warns(ProgramWarning, match="the guide draws random numbers outside its sites"),
        pytest.warns(ProgramWarning, match="random numbers of NumPy or Python"),
    ):
        first, second = (
            Resampler(noisy, num_guide_samples=200, random_seed=5, progressbar=False).sample(
                normal(), 50, stable
            )
            for _ in range(2)
        )
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert same(before, state())


def test_without_a_seed_the_seed_of_pyro_rules():
    draws = []
    for _ in range(2):
        pyro.set_rng_seed(77)
        draws.append(Resampler(normal(0, 2), num_guide_samples=500).sample(normal(), 50, False)["x"])
    other = Resampler(normal(0, 2), num_guide_samples=500).sample(normal(), 50, False)["x"]
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], other)


def test_stable_draws_use_no_global_randomness():
    resampler = Resampler(normal(0, 2), num_guide_samples=500)
    before = state()
    first = resampler.sample(normal(), 50)["x"]
    assert same(before, state())
    torch.rand(100)
    assert torch.equal(resampler.sample(normal(), 50)["x"], first)


def test_a_seed_is_an_integer_of_any_size_or_comes_from_a_generator():
    def draws(seed):
        resampler = Resampler(normal(0, 2), num_guide_samples=500, random_seed=seed)
        idata = resampler.sample_prior_predictive(normal(), 50)
        return resampler.sample(normal(), 50)["x"], idata.attrs["random_seed"]

    first, attribute = draws(3)
    assert attribute == 3
    for same_seed in (np.int64(3), np.uint8(3), tensor(3)):
        assert torch.equal(draws(same_seed)[0], first)
    large, attribute = draws(3 + 2**64)
    assert attribute == str(3 + 2**64)  # netCDF has no integers of more than 64 bits
    assert not torch.equal(large, first)
    drawn = np.random.default_rng(0).integers(2**63)
    assert torch.equal(draws(np.random.default_rng(0))[0], draws(drawn)[0])


@pytest.mark.parametrize("seed", [None, 3])
def test_independent_draws_are_fresh_at_each_call(seed):
    resampler = Resampler(normal(0, 2), num_guide_samples=5000, random_seed=seed)
    first, second = (resampler.sample(normal(), 50, stable=False)["x"] for _ in range(2))
    assert not torch.equal(first, second)


def test_a_random_seed_repeats_and_changes_the_choice_of_particles():
    resampler = Resampler(normal(0, 2), num_guide_samples=5000, random_seed=0)

    def chosen(scheme, seed):
        prior = resampler.sample_prior_predictive(
            normal(), 50, scheme=scheme, random_seed=seed, container="datatree"
        )
        return prior["sample_stats_prior"]["particle"].values.tolist()

    for scheme in ("stable", "systematic"):
        assert chosen(scheme, 1) == chosen(scheme, 1)
        assert chosen(scheme, 1) != chosen(scheme, 2)


def test_the_first_draws_stay_when_more_are_asked_for():
    resampler = Resampler(normal(0, 2), num_guide_samples=5000, random_seed=0)
    assert torch.equal(resampler.sample(normal(), 1000)["x"][:100], resampler.sample(normal(), 100)["x"])


# ------------------------------------------------------------------ side effects


def test_a_resampler_pickles_without_its_programs():
    offset = torch.ones(1, requires_grad=True)

    def guide():
        pyro.sample("x", dist.Normal(0 * offset.sum(), 2.0))

    resampler = Resampler(guide, num_guide_samples=10_000, random_seed=0)
    draws = resampler.sample(normal(), 100)["x"]
    packed = pickle.dumps(resampler)
    # Values and one log density: 12 bytes a particle.
    assert len(packed) < 12 * 10_000 + 5000
    assert torch.equal(pickle.loads(packed).sample(normal(), 100)["x"], draws)


def test_no_autograd_graph_is_kept():
    scale = torch.tensor(2.0, requires_grad=True)

    def guide():
        x = pyro.sample("x", dist.Normal(0.0, scale))
        pyro.deterministic("twice", 2 * x * scale)
        pyro.deterministic("scale", scale)

    resampler = Resampler(guide, num_guide_samples=100, random_seed=0)
    draws = resampler.sample(guide, 10)
    assert not any(value.requires_grad for value in draws.values())
    assert not any(c.value.requires_grad for c in resampler.pipeline.particles.columns.values())


def test_draws_are_copies_of_the_particles():
    resampler = Resampler(normal(0, 2), num_guide_samples=1000, random_seed=0)
    first = resampler.sample(normal(), 10)["x"]
    kept = first.clone()
    first.zero_()
    assert torch.equal(resampler.sample(normal(), 10)["x"], kept)


def test_the_caller_inside_a_plate_or_a_trace_is_not_seen_by_the_programs():
    with pyro.plate("outer", 7), pyro.poutine.trace() as trace:
        draws = Resampler(normal(0, 2), num_guide_samples=500, random_seed=0).sample(normal(), 10)
    assert draws["x"].shape == (10,)
    assert not [name for name in trace.trace.nodes if name == "x"]


# ------------------------------------------------------------------ arguments


@pytest.mark.parametrize("bad", [0, -1, 1.5, "10", True, None])
def test_counts_must_be_positive_integers(bad):
    with pytest.raises(ArgumentError, match="num_guide_samples must be a positive integer, got"):
        Resampler(normal(), num_guide_samples=bad)
    resampler = Resampler(normal(), num_guide_samples=100, random_seed=0)
    with pytest.raises(ArgumentError, match="num_samples must be a positive integer, got"):
        resampler.sample(normal(), bad)
    with pytest.raises(ArgumentError, match="num_samples"):
        resampler.sample_prior_predictive(normal(), bad)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("random_seed", -1),
        ("random_seed", True),
        ("random_seed", "a"),
        ("random_seed", 1.0),
        ("max_plate_nesting", -1),
        ("batch_size", 0),
    ],
)
def test_other_numbers_are_checked_too(name, value):
    with pytest.raises(ArgumentError, match=name):
        Resampler(normal(), num_guide_samples=10, **{name: value})


@pytest.mark.parametrize("number", [np.int64(20), tensor(20)])
def test_whole_numbers_of_other_libraries_are_numbers(number):
    resampler = Resampler(normal(), num_guide_samples=number, random_seed=0)
    assert resampler.sample(normal(), number)["x"].shape == (20,)


def test_programs_must_be_callable_without_arguments():
    with pytest.raises(ArgumentError, match="guide must be a callable, got int"):
        Resampler(3, num_guide_samples=10)
    with pytest.raises(ArgumentError, match=r"guide must run without arguments.*functools\.partial"):
        Resampler(lambda data: None, num_guide_samples=10)
    with pytest.raises(ArgumentError, match="simulator must run without arguments"):
        Resampler(normal(), lambda data: None, num_guide_samples=10)
    with pytest.raises(ArgumentError, match="model must run without arguments"):
        Resampler(normal(), num_guide_samples=10).weigh(lambda data: None)


def test_an_unknown_scheme_is_named_with_the_closest_one():
    resampler = Resampler(normal(), num_guide_samples=100, random_seed=0)
    with pytest.raises(ArgumentError, match=r"'sytematic'.*Did you mean 'systematic'"):
        resampler.sample_prior_predictive(normal(), 10, scheme="sytematic")


def test_the_repr_lists_the_sites():
    text = repr(Resampler(normal(), num_guide_samples=100, random_seed=3))
    assert "100 particles, seed 3" in text
    assert "x" in text
    assert "latent" in text


def test_a_partial_model_without_sites_keeps_the_guide():
    cache = Resampler(normal(), num_guide_samples=500, random_seed=0, partial=True)
    assert cache.weigh(lambda: None).ess == pytest.approx(500)
    prior = cache.sample_prior_predictive(lambda: None, 20, container="datatree")
    assert (prior["sample_stats_prior"]["lp"] == 0).all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_sites_of_any_precision_reach_the_container(dtype):
    def guide():
        pyro.deterministic("d", pyro.sample("x", dist.Normal(0.0, 1.0)).to(dtype))

    cache = Resampler(guide, num_guide_samples=500, random_seed=0)
    prior = cache.sample_prior_predictive(guide, 20, container="datatree")["prior"]
    assert prior["d"].dtype == np.float64
    np.testing.assert_allclose(prior["d"], prior["x"], rtol=1e-2)
