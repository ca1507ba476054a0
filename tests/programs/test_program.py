"""Reading Pyro programs: structure, shapes, support and scores, with the right answer or a refusal."""

import functools
import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pyro
import pyro.distributions as dist
import pytest
import torch
import xarray as xr
from pyro import poutine
from pyro.distributions.distribution import COERCIONS
from pyro.infer.autoguide import AutoDelta, AutoDiagonalNormal, AutoMultivariateNormal, AutoNormal
from pyro.infer.reparam import LocScaleReparam, TransformReparam
from pyro.nn import PyroModule, PyroParam, PyroSample, pyro_method
from torch import tensor
from torch.distributions import constraints

from arviz_resampler import DrawWarning, MismatchError, ProgramError, ProgramWarning, Resampler, WeightError
from arviz_resampler.mapping import functorch


def normal(name, sd=1.0, mean=0.0):
    return pyro.sample(name, dist.Normal(mean, sd))


def resampler(guide, simulator=None, n=5000, **options):
    return Resampler(guide, simulator, num_guide_samples=n, random_seed=0, progressbar=False, **options)


def assert_mean(values, mean, sd, weights, draws):
    """A mean of draws within five standard errors: sd^2 (1 / S + 1 / ESS)."""
    assert abs(float(values.mean()) - mean) < 5 * sd * math.sqrt(1 / draws + 1 / weights.ess)


# ------------------------------------------------------------------ structure


def two_latents(sd):
    def program():
        normal("a", sd)
        normal("b", sd)

    return program


def test_a_latent_that_only_the_model_has_is_named_with_the_closest_known_name():
    with pytest.raises(MismatchError, match=r"'Mu' of the model .* 'mu'.* Did you mean 'mu'"):
        resampler(lambda: normal("mu")).weigh(lambda: normal("Mu"))


def test_a_hyperprior_that_was_never_drawn_is_refused():
    def model():
        pyro.sample("x", dist.Normal(normal("hyper"), 1.0))

    with pytest.raises(MismatchError, match="'hyper'"):
        resampler(lambda: normal("x", 3.0)).weigh(model)


def test_a_latent_that_the_model_leaves_out_is_an_error_with_both_lists():
    with pytest.raises(MismatchError, match=r"does not mention 'b'.*model has 'a'.*guide has 'a', 'b'"):
        resampler(two_latents(2.0)).weigh(lambda: normal("a"))


def test_a_partial_model_keeps_the_guide_where_it_says_nothing():
    cache = resampler(two_latents(2.0), partial=True, n=20_000)
    model = functools.partial(normal, "a")
    draws, weights = cache.sample(model, 4000), cache.weigh(model)
    assert abs(draws["a"].std() - 1.0) < 5 * math.sqrt(1 / 8000 + 1 / weights.ess)
    assert abs(draws["b"].std() / 2 - 1.0) < 5 * math.sqrt(1 / 8000 + 1 / weights.ess)
    assert list(weights.log_ratio_by_site) == ["a"]


def test_the_order_of_sites_does_not_matter():
    def reordered():
        normal("b", 1.5)
        normal("a", 1.5)

    cache = resampler(two_latents(2.0))
    first, second = cache.weigh(two_latents(1.5)), cache.weigh(reordered)
    assert (first.log_ratio == second.log_ratio).all()


def program(noise, sd=2.0):
    def run():
        x = normal("x", sd)
        with pyro.plate("n", 3):
            normal("y", noise, x)

    return run


def test_a_whole_program_can_be_guide_simulator_and_model():
    cache = resampler(lambda: normal("x", 2.0), program(1.0))
    assert cache.weigh(program(1.0)).ess == pytest.approx(5000)
    assert resampler(program(1.0)).weigh(program(1.0)).ess == pytest.approx(5000)


def test_a_model_can_change_the_conditionals_of_the_simulator():
    cache = resampler(lambda: normal("x", 2.0), program(2.0), n=50_000)
    draws, weights = cache.sample(program(1.0, 1.0), 3000), cache.weigh(program(1.0, 1.0))
    noise = draws["y"] - draws["x"][:, None]
    assert abs(noise.var() - 1) < 5 * math.sqrt(2 / 9000 + 2 / weights.ess)
    assert abs(draws["x"].var() - 1) < 5 * math.sqrt(2 / 3000 + 2 / weights.ess)
    assert set(weights.log_ratio_by_site) == {"x", "y"}


def test_simulated_sites_that_the_model_leaves_out_keep_the_simulator():
    cache = resampler(lambda: normal("x", 2.0), program(2.0), n=50_000)
    draws = cache.sample(lambda: normal("x", 1.0), 3000)
    noise = draws["y"] - draws["x"][:, None]
    assert abs(noise.std() / 2 - 1) < 5 * math.sqrt(1 / 18_000 + 1 / 20_000)


def test_a_site_that_the_simulator_drops_stays():
    cache = resampler(two_latents(2.0), lambda: normal("y", 1.0, normal("a", 2.0)))
    draws = cache.sample(two_latents(1.0), 100)
    assert set(draws) == {"a", "b", "y"}


def test_a_guide_without_latents_is_refused():
    for guide in (lambda: tensor(1.0), lambda: pyro.deterministic("d", tensor(1.0))):
        with pytest.raises(ProgramError, match="no latent sample site"):
            resampler(guide)


def test_sequential_sites_and_plates_are_separate_sites():
    def chain(sd):
        x = normal("x_0", sd)
        for t in pyro.markov(range(1, 4)):
            x = normal(f"x_{t}", sd, x)
        for i in pyro.plate("seq", 2):
            normal(f"s_{i}", sd)

    cache = resampler(lambda: chain(2.0), n=50_000)
    assert list(cache.sites) == ["x_0", "x_1", "x_2", "x_3", "s_0", "s_1"]
    assert all(site.dims == () for site in cache.sites.values())
    draws, weights = cache.sample(lambda: chain(1.6), 3000), cache.weigh(lambda: chain(1.6))
    step = draws["x_3"] - draws["x_2"]
    assert abs(step.std() / 1.6 - 1) < 5 * math.sqrt(1 / 6000 + 1 / weights.ess)


def test_a_user_plate_called_particles_is_a_plate_like_any_other():
    def guide():
        with pyro.plate("particles", 3):
            normal("x")

    cache = resampler(guide)
    assert cache.sites["x"].dims == ("particles",)
    assert cache.weigh(guide).ess == pytest.approx(5000)


def test_a_site_and_a_plate_may_have_one_name():
    def first():
        normal("x")
        with pyro.plate("x", 2):
            normal("y")

    def second():
        with pyro.plate("y", 2):
            normal("y")
        normal("x")

    for guide in (first, second):
        draws = resampler(guide).sample(guide, 5)
        assert (draws["x"].shape, draws["y"].shape) == ((5,), (5, 2))


def test_two_sites_of_one_name_are_refused():
    def guide():
        normal("x")
        normal("x")

    with pytest.raises(ProgramError, match="the guide has two sites named 'x'"):
        resampler(guide)
    with pytest.raises(ProgramError, match="the model has two sites named 'x'"):
        resampler(lambda: normal("x")).weigh(guide)


# ------------------------------------------------------------------ roles, data and deterministics


def with_data(data, sd=2.0):
    def run():
        mu = normal("mu", sd)
        with pyro.plate("n", len(data)):
            pyro.sample("y", dist.Normal(mu, 1.0), obs=data)

    return run


def test_what_carries_data_is_sampled_and_its_data_kept():
    data = torch.full((6,), 10.0)
    cache = resampler(lambda: normal("mu", 2.0), with_data(data), n=20_000)
    draws, weights = cache.sample(lambda: normal("mu"), 3000), cache.weigh(lambda: normal("mu"))
    # y - mu is standard normal whatever the data.
    assert abs((draws["y"] - draws["mu"][:, None]).std() - 1) < 5 * math.sqrt(1 / 36_000 + 1 / weights.ess)
    assert cache.sites["y"].role == "predictive"
    assert list(weights.log_ratio_by_site) == ["mu"]
    assert cache.pipeline.observed["y"].tolist() == [10.0] * 6


def test_a_program_with_data_can_be_guide_simulator_and_model_at_once():
    run = with_data(torch.zeros(4))
    for cache in (resampler(run), resampler(run, run)):
        with pytest.warns(ProgramWarning, match="'y' of the model carries obs= and is left out"):
            weights = cache.weigh(run)
        assert weights.ess == pytest.approx(5000)


def test_a_simulator_with_other_noise_than_the_guide_corrects_for_it():
    def full(noise):
        def run():
            x = normal("x", 2.0)
            pyro.sample("y", dist.Normal(x, noise), obs=tensor(0.0))

        return run

    cache = resampler(full(2.0), full(1.0), n=50_000)
    draws, weights = cache.sample(lambda: normal("x"), 3000), cache.weigh(lambda: normal("x"))
    assert abs((draws["y"] - draws["x"]).std() - 1) < 5 * math.sqrt(1 / 6000 + 1 / weights.ess)


@pytest.mark.parametrize(
    ("options", "roles"),
    [
        ({}, {"mu": "latent", "z": "predictive", "y": "predictive", "d": "deterministic"}),
        ({"predictive": ["y"]}, {"mu": "latent", "z": "latent", "y": "predictive", "d": "deterministic"}),
        ({"predictive": "d"}, {"mu": "latent", "z": "latent", "y": "latent", "d": "predictive"}),
        (
            {"observed": {"y": tensor(1.0)}},
            {"mu": "latent", "z": "latent", "y": "predictive", "d": "deterministic"},
        ),
    ],
)
def test_roles_follow_from_the_programs_and_from_what_the_user_names(options, roles):
    def simulator():
        z = normal("z", 1.0, normal("mu"))
        pyro.deterministic("d", 2 * z)
        normal("y", 1.0, z)

    cache = resampler(lambda: normal("mu"), simulator, n=100, **options)
    assert {name: site.role for name, site in cache.sites.items()} == roles


def test_unknown_predictive_and_observed_names_are_refused_with_the_known_ones():
    for options in ({"predictive": ["yy"]}, {"observed": {"yy": tensor(0.0)}}):
        with pytest.raises(ValueError, match=r"'yy'.*'x', 'y'.*Did you mean 'y'"):
            resampler(lambda: normal("x"), lambda: normal("y", 1.0, normal("x")), n=10, **options)


def test_data_of_another_shape_than_the_site_are_refused():
    def simulator():
        mu = normal("mu")
        with pyro.plate("n", 3):
            pyro.sample("y", dist.Normal(mu, 1.0), obs=torch.zeros(4))

    with pytest.raises(ProgramError, match=r"'y' of the simulator has obs= of shape \(4,\).*\(3,\)"):
        resampler(lambda: normal("mu"), simulator)


@pytest.mark.parametrize("vectorize", [True, False])
def test_data_that_depend_on_draws_are_no_observed_data(vectorize):
    def guide():
        x = normal("x")
        pyro.sample("y", dist.Normal(x, 1.0), obs=2 * x)

    with pytest.warns(ProgramWarning, match="'y' has obs= that depends on what was drawn"):
        cache = resampler(guide, n=2000, vectorize=vectorize)
    assert "y" not in cache.pipeline.observed
    assert cache.sites["y"].role == "predictive"
    y, x = (cache.pipeline.particles.columns[name].value for name in ("y", "x"))
    assert abs((y - x).std() - 1) < 5 * math.sqrt(1 / 4000)


def test_a_mask_of_missing_data_leaves_one_predictive_site():
    data, seen = tensor([9.0, 9.0, 0.0]), tensor([True, True, False])

    def run(noise=1.0):
        mu = normal("mu", 2.0)
        with pyro.plate("n", 3):
            pyro.sample("y", dist.Normal(mu, noise), obs=data, obs_mask=seen)

    for cache in (resampler(lambda: normal("mu", 2.0), run, n=20_000), resampler(run, run, n=20_000)):
        assert {name: site.role for name, site in cache.sites.items()} == {"mu": "latent", "y": "predictive"}
        assert cache.pipeline.observed["y"][:2].tolist() == [9.0, 9.0]
        assert math.isnan(cache.pipeline.observed["y"][2])
        with pytest.warns(ProgramWarning, match="'y'"):
            assert cache.weigh(run).ess == pytest.approx(20_000)
    draws = cache.sample(lambda: normal("mu", 0.5, 1.0), 2000)
    weights = cache.weigh(lambda: normal("mu", 0.5, 1.0))
    assert_mean(draws["y"], 1.0, 0.5, weights, 2000)


def test_a_model_without_the_mask_is_scored_at_the_whole_site():
    data, seen = tensor([9.0, 0.0]), tensor([True, False])

    def run(noise, masked):
        mu = normal("mu", 2.0)
        options = {"obs": data, "obs_mask": seen} if masked else {}
        with pyro.plate("n", 2):
            pyro.sample("y", dist.Normal(mu, noise), **options)

    cache = resampler(lambda: normal("mu", 2.0), lambda: run(2.0, True), n=50_000)
    draws, weights = cache.sample(lambda: run(1.0, False), 3000), cache.weigh(lambda: run(1.0, False))
    assert abs((draws["y"] - draws["mu"][:, None]).std() - 1) < 5 * math.sqrt(1 / 12_000 + 1 / weights.ess)


def test_deterministics_of_the_model_are_computed_anew():
    def run(sign, sd):
        def inner():
            u = normal("u", sd)
            loc = pyro.deterministic("loc", sign * u)
            pyro.sample("x", dist.Normal(loc, sd))
            return loc

        return inner

    cache = resampler(run(0.5, 3.0), n=50_000)
    draws = cache.sample(run(-2.0, 1.0), 500)
    torch.testing.assert_close(draws["loc"], -2 * draws["u"])


def test_a_deterministic_that_only_the_model_has_is_drawn_too():
    def model():
        x = normal("x")
        with pyro.plate("g", 2):
            pyro.deterministic("scaled", x * tensor([1.0, 10.0]), event_dim=0)

    draws = resampler(lambda: normal("x", 2.0)).sample(model, 50)
    torch.testing.assert_close(draws["scaled"], draws["x"][:, None] * tensor([1.0, 10.0]))


def test_shapes_of_deterministics_follow_the_particles_wherever_their_axis_went():
    grid = torch.linspace(0, 1, 5)

    def guide():
        a, b = normal("a", 2.0), normal("b", 2.0)
        with pyro.plate("n", 4):
            y = normal("y")
        pyro.deterministic("curve", a + b * grid[:4])
        pyro.deterministic("total", y.sum(-1))
        pyro.deterministic("pair", torch.stack([a, b]))
        pyro.deterministic("constant", grid)
        pyro.deterministic("number", tensor(3.0))
        pyro.deterministic("event", torch.stack([y, 2 * y], -1), event_dim=1)

    cache = resampler(guide)
    draws = cache.sample(guide, 30)
    a, b, y = draws["a"], draws["b"], draws["y"]
    torch.testing.assert_close(draws["curve"], a[:, None] + b[:, None] * grid[:4])
    torch.testing.assert_close(draws["total"], y.sum(-1))
    torch.testing.assert_close(draws["pair"], torch.stack([a, b], -1))
    torch.testing.assert_close(draws["constant"], grid.expand(30, 5))
    torch.testing.assert_close(draws["number"], torch.full((30,), 3.0))
    torch.testing.assert_close(draws["event"], torch.stack([y, 2 * y], -1))


@pytest.mark.parametrize("n", [3, 5, 5000])
def test_a_vector_without_a_plate_gets_its_own_axis(n):
    # Three and five particles: as many as the vector has entries.
    x = torch.linspace(0, 1, 5)

    def guide():
        a, b = normal("a", 2.0), normal("b", 2.0)
        pyro.deterministic("curve", a + b * x)

    cache = resampler(guide, n=n)
    values = {name: c.value for name, c in cache.pipeline.particles.columns.items()}
    torch.testing.assert_close(values["curve"], values["a"][:, None] + values["b"][:, None] * x)
    score_curve = cache.pipeline.score(guide).columns["curve"].value
    torch.testing.assert_close(score_curve, values["curve"])


# ------------------------------------------------------------------ shapes


def test_nested_and_crossed_plates_keep_their_axes_and_no_others():
    def guide():
        normal("top")
        with pyro.plate("group", 2, dim=-2):
            normal("mid")
            with pyro.plate("member", 3, dim=-1):
                normal("low")
        with pyro.plate("member", 3, dim=-1):
            normal("side")
            pyro.sample("vector", dist.Normal(torch.zeros(5), 1.0).to_event(1))

    cache = resampler(guide)
    shapes = {name: tuple(value.shape) for name, value in cache.sample(guide, 7).items()}
    assert shapes == {"top": (7,), "mid": (7, 2), "low": (7, 2, 3), "side": (7, 3), "vector": (7, 3, 5)}
    assert cache.sites["low"].dims == ("group", "member")
    assert cache.sites["vector"].dims == ("member", "vector_dim_0")


def test_plates_without_a_dim_keep_the_layout_that_pyro_gives_them():
    def guide():
        with pyro.plate("outer", 2), pyro.plate("inner", 3):
            normal("z")

    cache = resampler(guide)
    assert cache.sample(guide, 7)["z"].shape == (7, 3, 2)
    assert cache.sites["z"].dims == ("inner", "outer")


def test_a_model_may_place_its_plates_elsewhere():
    means = tensor([0.0, 0.5, 1.0])

    def guide():
        with pyro.plate("a", 2, dim=-1), pyro.plate("b", 3, dim=-2):
            normal("z", 1.5)

    def model():
        with pyro.plate("a", 2, dim=-3), pyro.plate("b", 3, dim=-1):
            pyro.sample("z", dist.Normal(means, 1.2))

    cache = resampler(guide, n=20_000)
    draws, weights = cache.sample(model, 3000)["z"], cache.weigh(model)
    assert draws.shape == (3000, 3, 2)
    for b in range(3):
        assert_mean(draws[:, b], float(means[b]), 1.2, weights, 3000)


def three(how, mean=0.0, sd=1.5):
    def program():
        loc = torch.full((3,), mean)
        if how == "event":
            pyro.sample("z", dist.Normal(loc, sd).to_event(1))
        elif how == "undeclared":
            pyro.sample("z", dist.Normal(loc, sd))
        elif how == "matrix":
            pyro.sample("z", dist.MultivariateNormal(loc, sd**2 * torch.eye(3)))
        else:
            with pyro.plate("g", 3, dim=-2 if how == "plate -2" else -1):
                pyro.sample("z", dist.Normal(mean, sd))

    return program


WAYS = ["event", "undeclared", "matrix", "plate", "plate -2"]


@pytest.mark.parametrize("model", WAYS)
@pytest.mark.parametrize("guide", WAYS)
@pytest.mark.parametrize("n", [3, 20_000])
def test_three_numbers_are_three_numbers_however_they_are_declared(guide, model, n):
    cache = resampler(three(guide), n=n)
    weights = cache.weigh(three(model, 0.5, 1.2))
    z = cache.pipeline.particles.columns["z"].value.double().reshape(n, 3)
    exact = (z / 1.5) ** 2 / 2 - ((z - 0.5) / 1.2) ** 2 / 2 + math.log(1.5 / 1.2)
    torch.testing.assert_close(torch.tensor(weights.log_ratio), exact.sum(1), rtol=1e-5, atol=1e-5)


def test_plates_of_size_one_stay():
    def guide():
        with pyro.plate("one", 1):
            normal("x")
        with pyro.plate("four", 4, dim=-2), pyro.plate("uno", 1, dim=-1):
            normal("z")

    draws = resampler(guide).sample(guide, 6)
    assert draws["x"].shape == (6, 1)
    assert draws["z"].shape == (6, 4, 1)


@pytest.mark.parametrize("size", [1, 6])
def test_a_plate_of_another_size_is_refused_by_site_and_sizes(size):
    def prior(size):
        def program():
            with pyro.plate("g", size):
                normal("zeta")

        return program

    with pytest.raises(MismatchError, match=rf"'zeta' has axes \(g={size}\) in the model, but \(g=4\)"):
        resampler(prior(4)).weigh(prior(size))


def test_plates_and_events_of_any_kind_score_a_matrix():
    def prior(eta):
        return lambda: pyro.sample("L", dist.LKJCholesky(2, tensor(eta)))

    cache = resampler(prior(1.0), n=20_000)
    draws, weights = cache.sample(prior(4.0), 3000)["L"], cache.weigh(prior(4.0))
    # The correlation of LKJ(eta) in two dimensions has variance 1 / (2 eta + 1).
    r = draws[:, 1, 0]
    assert draws.shape == (3000, 2, 2)
    assert abs(r.var() - 1 / 9) < 5 * 0.14 * math.sqrt(1 / 3000 + 1 / weights.ess)


def test_a_sampler_that_disagrees_with_its_density_is_said():
    with pytest.warns(DrawWarning, match="'L' is not drawn as its density says"):
        resampler(lambda: pyro.sample("L", dist.LKJCholesky(3, tensor(1.0))), n=100)


@pytest.mark.parametrize("depth", [None, 0, 1, 4])
def test_the_nesting_of_plates_is_accepted_and_not_needed(depth):
    def guide():
        with pyro.plate("g", 3):
            normal("x")

    assert resampler(guide, max_plate_nesting=depth).sample(guide, 5)["x"].shape == (5, 3)


# ------------------------------------------------------------------ support and scores


def one(name, fn):
    return lambda: pyro.sample(name, fn)


NARROWER = [
    (dist.Uniform(0.0, 1.0), 0.5, 0.2887),
    (dist.Exponential(2.0), 0.5, 0.5),
    (dist.Gamma(2.0, 2.0), 1.0, 0.7071),
    (dist.HalfNormal(1.0), 0.7979, 0.6028),
    (dist.Beta(2.0, 2.0), 0.5, 0.2236),
    (dist.LogNormal(-0.5, 0.5), 0.6873, 0.3663),
    (dist.Weibull(1.0, 2.0), 0.8862, 0.4633),
    (
        dist.TransformedDistribution(dist.Exponential(2.0), [dist.transforms.AffineTransform(1.0, 1.0)]),
        1.5,
        0.5,
    ),
]


@pytest.mark.parametrize(("fn", "mean", "sd"), NARROWER, ids=lambda v: getattr(v, "__class__", v).__name__)
@pytest.mark.parametrize("validate", [True, False])
def test_particles_outside_the_support_get_weight_zero(fn, mean, sd, validate):
    cache = resampler(lambda: normal("x", 2.0), n=50_000)
    with pyro.validation_enabled(validate):
        weights, draws = cache.weigh(one("x", fn)), cache.sample(one("x", fn), 3000)["x"]
    x = cache.pipeline.particles.columns["x"].value
    inside = (x >= 1) if sd == 0.5 and mean == 1.5 else fn.support.check(x)
    assert weights.num_supported == int(inside.sum())
    assert_mean(draws, mean, sd, weights, 3000)
    assert abs(weights.log_mean_weight) < 5 * weights.log_mean_weight_se


def test_fewer_categories_in_the_model_leave_the_others_out():
    cache = resampler(one("k", dist.Categorical(torch.ones(5) / 5)))
    draws = cache.sample(one("k", dist.Categorical(tensor([0.5, 0.25, 0.25]))), 2000)["k"]
    assert set(draws.tolist()) == {0, 1, 2}
    assert abs((draws == 0).float().mean() - 0.5) < 5 * 0.5 * math.sqrt(1 / 2000 + 1 / 2500)


def test_discrete_latents_are_scored_and_never_enumerated():
    def prior(p):
        return lambda: pyro.sample("k", dist.Bernoulli(p), infer={"enumerate": "parallel"})

    cache = resampler(prior(0.5))
    assert cache.sites["k"].discrete
    assert abs(cache.sample(prior(0.8), 2000)["k"].mean() - 0.8) < 5 * 0.4 * math.sqrt(1 / 2000 + 1 / 3000)


@pytest.mark.parametrize(
    ("guide", "model"),
    [(dist.Poisson(5.0), dist.Normal(5.0, 2.0)), (dist.Normal(5.0, 2.0), dist.Poisson(5.0))],
)
def test_counts_and_densities_are_not_resampled_from_one_to_the_other(guide, model):
    # A density at whole numbers would give weights that look fine and mean nothing.
    with pytest.raises(MismatchError, match=r"'x' was drawn from a (discrete|continuous) distribution"):
        resampler(one("x", guide)).weigh(one("x", model))


def test_a_support_that_depends_on_another_site_is_checked_for_each_particle():
    def model():
        b = pyro.sample("b", dist.Uniform(0.5, 1.0))
        pyro.sample("x", dist.Uniform(torch.zeros(()), b))

    def guide():
        pyro.sample("b", dist.Uniform(0.0, 2.0))
        pyro.sample("x", dist.Uniform(0.0, 2.0))

    draws = resampler(guide, n=20_000).sample(model, 500)
    assert (draws["x"] <= draws["b"]).all()
    assert draws["b"].min() >= 0.5


def test_parameters_that_are_invalid_only_outside_the_support_do_not_matter():
    def model():
        x = pyro.sample("x", dist.Uniform(0.0, 1.0))
        pyro.sample("y", dist.Normal(0.0, x.sqrt()))

    def guide():
        normal("x")
        normal("y", 2.0)

    weights = resampler(guide).weigh(model)
    assert 0 < weights.num_supported < 5000


def test_a_density_that_is_not_a_number_is_refused_by_site_count_and_value():
    def model():
        x = normal("x")
        pyro.sample("y", dist.Normal(0.0, x.sqrt()))

    cache = resampler(two_named("x", "y"))
    negative = int((cache.pipeline.particles.columns["x"].value < 0).sum())
    with pytest.raises(
        WeightError, match=rf"site 'y' is NaN for {negative} of 5000.*'scale' of Normal is nan"
    ):
        cache.weigh(model)


def two_named(first, second):
    def guide():
        normal(first)
        normal(second)

    return guide


def test_an_invalid_parameter_of_a_model_is_refused_by_site():
    with pytest.raises(ProgramError, match="site 'x' of the model: parameter 'scale' of Normal is -1"):
        resampler(lambda: normal("x")).weigh(lambda: normal("x", -1.0))


def test_improper_distributions_are_refused():
    flat = one("scale", dist.ImproperUniform(constraints.positive, (), ()))
    with pytest.raises(ProgramError, match="'scale' of the guide has an improper"):
        resampler(flat)
    with pytest.raises(ProgramError, match="'scale' of the model has an improper"):
        resampler(one("scale", dist.LogNormal(0.0, 1.0))).weigh(flat)


def test_a_point_mass_is_refused_on_a_continuous_site_and_fine_on_a_discrete_one():
    with pytest.raises(MismatchError, match="'x' is a point mass"):
        resampler(lambda: normal("x")).weigh(one("x", dist.Delta(tensor(1.0))))
    cache = resampler(one("k", dist.Poisson(2.0)))
    assert set(cache.sample(one("k", dist.Delta(tensor(3.0))), 50)["k"].tolist()) == {3.0}


def test_a_point_mass_in_the_guide_stays_what_it_is():
    def guide():
        normal("x", 2.0)
        pyro.sample("fixed", dist.Delta(tensor(4.0)))

    def other():
        normal("x")
        normal("fixed")

    assert resampler(guide).weigh(guide).ess == pytest.approx(5000)
    with pytest.raises(MismatchError, match="'fixed' is a point mass"):
        resampler(guide).weigh(other)


def test_a_factor_in_the_model_is_a_soft_constraint():
    def model():
        x = normal("x")
        pyro.factor("near two", -0.5 * (x - 2) ** 2)

    cache = resampler(lambda: normal("x", 3.0), n=20_000)
    draws, weights = cache.sample(model, 3000)["x"], cache.weigh(model)
    # A normal times a normal: mean one, variance a half.
    assert_mean(draws, 1.0, 0.7071, weights, 3000)
    assert not weights.densities_normalized


@pytest.mark.parametrize("constant", [-1e6, 0.0, 300.0])
def test_a_constant_factor_changes_no_draw(constant):
    def model():
        normal("x")
        pyro.factor("constant", tensor(constant))

    cache = resampler(lambda: normal("x", 2.0))
    assert torch.equal(cache.sample(model, 500)["x"], cache.sample(lambda: normal("x"), 500)["x"])


def test_a_factor_in_the_guide_is_refused_unless_it_is_the_same_for_all():
    def tilted():
        x = normal("x", 2.0)
        pyro.factor("tilt", -x, has_rsample=True)

    def constant():
        x = normal("x", 2.0)
        pyro.factor("tilt", 0 * x, has_rsample=True)

    with pytest.raises(ProgramError, match="'tilt'"):
        resampler(tilted)
    assert resampler(constant).weigh(lambda: normal("x", 2.0)).ess == pytest.approx(5000)


def test_a_factor_of_an_auxiliary_transform_counts_in_the_guide():
    def guide():
        u = pyro.sample("u", dist.Normal(0.0, 1.0), infer={"is_auxiliary": True})
        x = pyro.sample("x", dist.Delta(u.exp()))
        pyro.factor("jacobian", -u, has_rsample=True)
        return x

    cache = resampler(guide)
    # The guide draws x ~ LogNormal(0, 1).
    assert cache.weigh(one("x", dist.LogNormal(0.0, 1.0))).ess == pytest.approx(5000, rel=1e-6)
    assert set(cache.sites) == {"x"}


def test_a_factor_in_the_simulator_is_said_to_do_nothing():
    def simulator():
        x = normal("x")
        pyro.factor("f", -(x**2))
        normal("y", 1.0, x)

    with pytest.warns(ProgramWarning, match="'f' in the simulator does not act"):
        resampler(lambda: normal("x"), simulator)


@pytest.mark.parametrize(
    "change",
    [
        lambda p: poutine.scale(p, scale=3.0),
        lambda p: poutine.mask(p, mask=False),
        lambda p: poutine.mask(p, mask=tensor([True, False])),
    ],
)
def test_scale_and_mask_do_not_change_what_a_guide_draws(change):
    def prior(sd):
        def program():
            with pyro.plate("n", 2):
                normal("x", sd)

        return program

    cache = resampler(change(prior(2.0)), n=20_000)
    assert cache.weigh(prior(2.0)).ess == pytest.approx(20_000)


def test_a_masked_distribution_draws_as_if_it_were_not():
    masked = one("x", dist.Normal(torch.zeros(2), 2.0).mask(tensor([True, False])).to_event(1))
    plain = one("x", dist.Normal(torch.zeros(2), 2.0).to_event(1))
    assert resampler(masked).weigh(plain).ess == pytest.approx(5000)


@pytest.mark.parametrize("power", [0.5, 2.0])
def test_scale_in_a_model_counts_as_written(power):
    model = poutine.scale(functools.partial(normal, "x"), scale=power)
    cache = resampler(lambda: normal("x", 3.0), n=20_000)
    draws, weights = cache.sample(model, 3000)["x"], cache.weigh(model)
    # A power of a normal is a normal: variance 1 / power.
    assert abs(draws.var() * power - 1) < 5 * math.sqrt(2 / 3000 + 2 / weights.ess)
    assert not weights.densities_normalized


def hierarchy(scale=1.0):
    def run():
        mu = normal("mu", scale)
        with pyro.plate("g", 3):
            pyro.sample("theta", dist.Normal(mu, 1.0))

    return run


def test_reparametrized_models_are_refused_by_name():
    decentered = poutine.reparam(hierarchy(), config={"theta": LocScaleReparam(0.0)})
    with pytest.raises(MismatchError, match=r"'theta_decentered'.*poutine.reparam of 'theta'"):
        resampler(hierarchy(2.0)).weigh(decentered)
    base = poutine.reparam(one("x", dist.LogNormal(0.0, 1.0)), config={"x": TransformReparam()})
    with pytest.raises(MismatchError, match="'x_base'"):
        resampler(one("x", dist.LogNormal(0.0, 2.0)), partial=True).weigh(base)


def test_the_same_reparametrization_in_guide_and_model_scores_as_the_original():
    def decentered(scale):
        return poutine.reparam(hierarchy(scale), config={"theta": LocScaleReparam(0.0)})

    plain = resampler(hierarchy(2.0), n=20_000).weigh(hierarchy(1.0))
    cache = resampler(decentered(2.0), n=20_000)
    assert cache.sites["theta"].role == "deterministic"
    assert cache.weigh(decentered(2.0)).ess == pytest.approx(20_000)
    # The same prior of mu alone differs: both have ESS / N = 0.661 up to 1 %.
    assert cache.weigh(decentered(1.0)).ess == pytest.approx(plain.ess, rel=0.05)


@pytest.mark.parametrize("kind", [AutoNormal, AutoDiagonalNormal, AutoMultivariateNormal])
def test_automatic_guides_are_guides(kind):
    def model():
        normal("mu", 1.0)
        pyro.sample("tau", dist.LogNormal(0.0, 0.5))
        with pyro.plate("g", 2):
            normal("z", 1.0)

    guide = kind(model, init_scale=1.2)
    guide()
    cache = resampler(guide, n=50_000)
    weights, draws = cache.weigh(model), cache.sample(model, 3000)
    assert set(draws) == {"mu", "tau", "z"}
    assert draws["z"].shape == (3000, 2)
    assert abs(weights.log_mean_weight) < 5 * weights.log_mean_weight_se
    assert_mean(draws["mu"], 0.0, 1.0, weights, 3000)
    assert_mean(draws["tau"].log(), 0.0, 0.5, weights, 3000)
    assert not any("latent" in site or "unconstrained" in site for site in weights.log_ratio_by_site)
    assert cache.weigh(guide).ess == pytest.approx(50_000)


def test_an_automatic_point_mass_is_refused():
    guide = AutoDelta(hierarchy())
    guide()
    with pytest.raises(MismatchError, match="'mu' is a point mass"):
        resampler(guide).weigh(hierarchy())


# ------------------------------------------------------------------ modules, params, side effects


def test_modules_with_samples_and_params_are_programs():
    class Prior(PyroModule):
        def __init__(self, sd):
            super().__init__()
            self.a = PyroSample(dist.Normal(0.0, sd))
            self.shift = PyroParam(tensor(0.5))

        def forward(self):
            return self.a + self.shift

    cache = resampler(Prior(2.0), n=20_000)
    draws, weights = cache.sample(Prior(1.0), 3000)["a"], cache.weigh(Prior(1.0))
    assert abs(draws.std() - 1) < 5 * math.sqrt(1 / 6000 + 1 / weights.ess)
    assert len(pyro.get_param_store()) == 0


@pytest.mark.filterwarnings("ignore:the .* draws random numbers outside its sites")
def test_random_numbers_of_another_thread_are_those_of_each_particle():
    with ThreadPoolExecutor(1) as pool:

        def program():
            pyro.sample("x", dist.Normal(0.0, 1.0))
            pyro.deterministic("d", pool.submit(torch.randn, 3).result())

        for guide, simulator in ((program, None), (lambda: pyro.sample("x", dist.Normal(0.0, 1.0)), program)):
            with pytest.warns(
                ProgramWarning, match="one particle at a time: random numbers of another thread"
            ):
                cache = resampler(guide, simulator, n=200)
            values = cache.pipeline.particles.columns["d"].value
            assert len(values.unique()) == 600


@pytest.mark.filterwarnings("ignore:the .* draws random numbers outside its sites")
def test_what_a_thread_computes_without_random_numbers_is_mapped():
    with ThreadPoolExecutor(1) as pool:

        def program():
            x = pyro.sample("x", dist.Normal(0.0, 1.0))
            y = torch.nn.functional.dropout(torch.ones(20), 0.5)  # numbers that no mode sees
            pyro.sample("y", dist.Normal(y.sum() + pool.submit(torch.zeros, ()).result() + x, 1.0))

        cache = resampler(program, n=200, vectorize=True)
    assert cache.pipeline.particles.columns["y"].value.std() > 2.0


@pytest.mark.parametrize("vectorize", [True, False])
@pytest.mark.parametrize("inside", ["all", "sites"])
def test_programs_may_be_in_inference_mode(inside, vectorize):
    def sites():
        loc = torch.ones(3) * 2
        x = pyro.sample("x", dist.Normal(loc, 1.0).to_event(1))
        loc += x
        return pyro.sample("y", dist.Normal(loc, 1.0).to_event(1))

    @torch.inference_mode(inside == "all")
    def program():
        with torch.inference_mode():
            y = sites()
        pyro.sample("z", dist.Normal(y.sum(), 1.0))

    cache = resampler(program, n=100, vectorize=vectorize)
    columns = cache.pipeline.particles.columns
    x, y, z = (columns[name].value for name in "xyz")
    expected = dist.Normal(2.0 + x, 1.0).to_event(1).log_prob(y)
    torch.testing.assert_close(columns["y"].log_q.float(), expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(columns["z"].log_q.float(), dist.Normal(y.sum(-1), 1.0).log_prob(z))
    assert cache.weigh(program).ess == pytest.approx(100)


@pytest.mark.filterwarnings("ignore:site")
@pytest.mark.parametrize("batch_size", [None, 1])
@pytest.mark.parametrize("vectorize", ["auto", False])
def test_what_is_missing_has_the_dtype_of_the_parameters(vectorize, batch_size):
    zero = torch.zeros((), dtype=torch.float64)

    def guide():
        return pyro.sample("a", dist.Normal(zero, 1.0))

    def simulator():
        b = pyro.sample("b", dist.Normal(zero, 1.0 - guide()))
        pyro.deterministic("c", torch.eye(2, dtype=torch.float64) @ torch.stack([b, b]))
        pyro.sample("n", dist.Independent(dist.Poisson(b.exp().expand(2)), 1))

    cache = resampler(guide, simulator, n=60, vectorize=vectorize, batch_size=batch_size)
    columns = cache.pipeline.particles.columns
    invalid = columns["a"].value > 1
    assert invalid.any()
    for name in "bcn":
        assert columns[name].value.dtype == torch.float64
        assert columns[name].value.isnan().reshape(60, -1).all(-1).equal(invalid)


class Scaled(PyroModule):
    """A parameter with a constraint, read by methods that are no call of the module."""

    def __init__(self, scale):
        super().__init__()
        self.scale = PyroParam(tensor(scale), constraint=dist.constraints.positive)

    @pyro_method
    def half(self):
        return self.scale / 2

    @pyro_method
    def model(self):
        a = pyro.sample("a", dist.Normal(0.0, self.half()))
        pyro.sample("y", dist.Normal(a, self.scale))


@pytest.mark.parametrize("vectorize", ["auto", False])
def test_constrained_params_of_modules_keep_their_values_whichever_method_is_the_program(vectorize):
    module = Scaled(3.0)
    kept = module.scale_unconstrained
    for _ in range(2):
        cache = resampler(module.model, n=300, vectorize=vectorize)
        assert module.scale_unconstrained is kept
        assert module.scale.item() == pytest.approx(3.0)
        assert cache.weigh(module.model).ess == pytest.approx(300)
        columns = cache.pipeline.particles.columns
        a, y = columns["a"].value, columns["y"].value
        for name, expected in (("a", dist.Normal(0.0, 1.5)), ("y", dist.Normal(a, 3.0))):
            torch.testing.assert_close(columns[name].log_q.float(), expected.log_prob({"a": a, "y": y}[name]))
    assert len(pyro.get_param_store()) == 0


def test_params_of_one_name_belong_to_the_module_of_each_guide():
    modules = [Scaled(1.0), Scaled(3.0)]
    cache = resampler([module.model for module in modules], n=600)
    a = cache.pipeline.particles.columns["a"].value
    wide = dist.Normal(0.0, 1.0)
    weights = cache.weigh(lambda: pyro.sample("a", wide) + pyro.sample("y", wide))
    y = cache.pipeline.particles.columns["y"].value
    each = [dist.Normal(0.0, s / 2).log_prob(a) + dist.Normal(a, s).log_prob(y) for s in (1.0, 3.0)]
    log_q = torch.logsumexp(torch.stack(each), 0) - math.log(2)
    expected = wide.log_prob(a) + wide.log_prob(y) - log_q
    np.testing.assert_allclose(weights.log_ratio, expected, atol=1e-4)
    assert [round(module.scale.item(), 5) for module in modules] == [1.0, 3.0]


def test_a_param_with_a_constraint_that_starts_at_random_is_one_value():
    def program():
        scale = pyro.param("scale", lambda: torch.rand(()) + 0.5, constraint=dist.constraints.positive)
        pyro.deterministic("scale_", scale)
        pyro.sample("x", dist.Normal(0.0, scale))

    def reads():
        pyro.deterministic("again", pyro.param("scale"))
        pyro.sample("x", dist.Normal(0.0, 1.0))

    columns = resampler(program, reads, n=50, batch_size=10).pipeline.particles.columns
    values = torch.cat([columns["scale_"].value, columns["again"].value])
    torch.testing.assert_close(values, values[:1].expand(100))


def test_the_param_store_is_left_as_it_was():
    pyro.param("trained", tensor(2.5))
    pyro.get_param_store()["trained"]

    def prior(start):
        def program():
            loc = pyro.param("loc", tensor(start))
            sd = pyro.param("trained", tensor(100.0))
            pyro.sample("x", dist.Normal(loc, sd))

        return program

    cache = resampler(prior(0.0), n=20_000)
    draws, weights = cache.sample(prior(2.0), 3000)["x"], cache.weigh(prior(2.0))
    assert list(pyro.get_param_store().keys()) == ["trained"]
    # A trained value counts, an initial value is that of the program which states it.
    assert_mean(draws, 2.0, 2.5, weights, 3000)
    assert abs(draws.std() / 2.5 - 1) < 5 * math.sqrt(1 / 6000 + 1 / weights.ess)


def test_a_param_without_a_value_is_named():
    with pytest.raises(ProgramError, match="nowhere"):
        resampler(lambda: pyro.param("nowhere"))


def test_params_are_the_same_in_every_batch_and_program():
    def guide():
        loc = pyro.param("loc", lambda: torch.randn(()))
        pyro.deterministic("loc seen", loc)
        pyro.sample("x", dist.Normal(loc, 1.0))

    def simulator():
        guide()
        pyro.deterministic("loc there", pyro.param("loc"))

    columns = resampler(guide, simulator, n=100, batch_size=10).pipeline.particles.columns
    assert len(columns["loc seen"].value.unique()) == 1
    assert torch.equal(columns["loc seen"].value, columns["loc there"].value)
    assert len(pyro.get_param_store()) == 0


def test_data_that_pyro_only_broadcasts_are_left_out_and_the_site_is_drawn():
    data = torch.randn(20, 1)

    def program(sd):
        def run():
            z = pyro.sample("z", dist.Normal(tensor([0.0]), tensor([sd])))
            with pyro.plate("data", len(data)):
                pyro.sample("x", dist.Normal(z * z, tensor([0.1])), obs=data)

        return run

    with pytest.warns(
        ProgramWarning,
        match=r"'x' has obs= of shape \(20, 1\), but its draws have shape \(20,\): the site is",
    ):
        cache = resampler(program(5.0), n=2000)
    found = cache.pipeline.particles.columns
    assert found["x"].value.shape == (2000, 20)
    error = (found["x"].value - found["z"].value ** 2) / 0.1
    assert abs(error.mean()) < 5 / math.sqrt(error.numel())
    assert not cache.pipeline.observed
    with pytest.warns(ProgramWarning, match="carries obs="):
        weights = cache.weigh(program(3.0))
    z = found["z"].value
    expected = dist.Normal(0.0, 3.0).log_prob(z) - dist.Normal(0.0, 5.0).log_prob(z)
    np.testing.assert_allclose(weights.log_ratio, expected[:, 0], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("vectorize", [True, False])
def test_a_value_that_changes_after_it_was_drawn_is_kept_as_it_was_drawn(vectorize):
    def guide():
        x = normal("x", 2.0)
        x += 1
        normal("y", 1.0, x)

    cache = resampler(guide, n=2000, vectorize=vectorize)
    x, y = (cache.pipeline.particles.columns[name].value for name in ("x", "y"))
    assert abs(x.mean()) < 5 * 2 / math.sqrt(2000)
    assert abs((y - x).mean() - 1) < 5 / math.sqrt(2000)
    assert (cache.weigh(guide).log_ratio == 0).all()


def test_validation_is_as_it_was_after_a_run_and_after_a_failure():
    def broken():
        normal("x")
        raise KeyError("broken")

    for flag in (True, False):
        with pyro.validation_enabled(flag):
            resampler(lambda: normal("x"))
            with pytest.raises(
                ProgramError, match=r"test_program\.py:\d+.*after site 'x'.*KeyError: 'broken'"
            ):
                resampler(broken)
            assert dist.is_validation_enabled() == flag


# ------------------------------------------------------------------ numbers


def test_draws_that_left_the_range_of_their_dtype_carry_no_weight():
    with pytest.warns(DrawWarning, match=r"'x' of the guide has no finite density for \d+ of 5000"):
        cache = resampler(one("x", dist.LogNormal(0.0, 60.0)))
    weights = cache.weigh(one("x", dist.LogNormal(0.0, 20.0)))
    assert weights.num_supported < 5000
    assert weights.ess > 100


def test_an_infinite_density_takes_no_draw_and_is_said():
    x = torch.linspace(0, 1, 101)

    def guide():
        pyro.sample("x", dist.Uniform(0.0, 1.0))

    cache = resampler(guide, n=101)
    cache.pipeline.particles.columns["x"].value.copy_(x)
    with pytest.warns(DrawWarning, match="infinite for 1 of 101"):
        weights = cache.weigh(one("x", dist.Gamma(0.5, 1.0)))
    assert weights.num_supported == 100


def test_thousands_of_dims_in_double_precision():
    def prior(mean):
        loc = torch.full((4000,), mean, dtype=torch.float64)
        return one("x", dist.Normal(loc, 1.0).to_event(1))

    cache = resampler(prior(0.0), n=2000)
    assert cache.sites["x"].dtype == "float64"
    weights = cache.weigh(prior(0.01))
    x = cache.pipeline.particles.columns["x"].value
    exact = 0.01 * x.sum(1) - 0.2
    torch.testing.assert_close(torch.tensor(weights.log_ratio), exact, rtol=1e-9, atol=1e-9)


def test_a_million_particles_are_weighed_in_place():
    cache = resampler(lambda: normal("x", 2.0), n=1_000_000)
    weights = cache.weigh(lambda: normal("x"))
    # ESS / N = sqrt(2 * 4 - 1) / 4; its relative error at this N is below 0.2 %.
    assert weights.ess / 1e6 == pytest.approx(math.sqrt(7) / 4, rel=0.01)


def test_handlers_around_a_call_see_nothing_of_its_programs():
    def program():
        level = pyro.param("level", torch.tensor(1.0))
        with pyro.plate("school", 3):
            pyro.sample("theta", dist.Normal(level, 1.0))
        pyro.factor("none", torch.zeros(()))

    with poutine.trace() as trace, poutine.scale(scale=7.0):
        resampler = Resampler(program, num_guide_samples=10, random_seed=0)
        weights = resampler.weigh(program)
        resampler.sample(program, num_samples=5)
    assert not [name for name in trace.trace.nodes if name not in ("_INPUT", "_RETURN")]
    assert (weights.log_ratio == 0).all()


# ------------------------------------------------------------------ classes of the user's own


class Own(dist.TorchDistribution):
    """A normal vector as one writes it for one draw."""

    arg_constraints = {}  # noqa: RUF012 - as torch has it
    support = constraints.real_vector

    def __init__(self, loc):
        self.loc = loc
        super().__init__(torch.Size(), loc.shape, validate_args=False)

    def sample(self, sample_shape=()):
        return self.loc + torch.randn(self.shape(sample_shape))


class ByEntry(Own):
    def log_prob(self, value):
        return sum(-0.5 * (value[t] - self.loc[t]) ** 2 for t in range(len(self.loc)))


class AsNumber(Own):
    def log_prob(self, value):
        return torch.tensor(sum(-0.5 * float(v - m) ** 2 for v, m in zip(value, self.loc, strict=True)))


class OneSign(Own):
    def sample(self, sample_shape=()):
        out = super().sample(sample_shape)
        return out if (out[..., 0] > 0).all() else -out

    def log_prob(self, value):
        return dist.Normal(self.loc, 1.0).log_prob(value).sum(-1)


@pytest.mark.parametrize("n", [4, 5, 60])  # four is also the size of the event
@pytest.mark.parametrize("kind", [ByEntry, AsNumber])
@pytest.mark.parametrize("drawn", [True, False])
def test_a_class_of_the_users_own_is_asked_for_one_value(kind, drawn, n):
    def program():
        x = pyro.sample("x", dist.Normal(0.0, 1.0))
        pyro.sample("y", kind(torch.arange(4.0) + (x if drawn else 0.0)))

    columns = Resampler(program, num_guide_samples=n, random_seed=0).pipeline.particles.columns
    x = columns["x"].value[:, None] if drawn else 0.0
    expected = -0.5 * ((columns["y"].value - torch.arange(4.0) - x) ** 2).sum(-1)
    torch.testing.assert_close(columns["y"].log_q.float(), expected, rtol=1e-5, atol=1e-5)


def test_what_a_class_of_the_users_own_asks_of_a_draw_is_not_asked_of_all():
    def program():
        pyro.sample("y", OneSign(torch.zeros(2) + pyro.sample("x", dist.Normal(0.0, 1.0))))

    columns = Resampler(program, num_guide_samples=100, random_seed=0).pipeline.particles.columns
    assert (columns["y"].value[:, 0] > 0).all()


@pytest.mark.parametrize("title", ["Normal", "Laplace", "StudentT", "Gamma"])
def test_a_class_of_the_users_own_may_have_a_name_that_torch_has(title):
    methods = {
        "arg_constraints": {"loc": constraints.real},
        "log_prob": lambda self, value: -((value - self.loc) ** 2).sum(-1) - self.loc.sum(-1),
    }
    kind = type(title, (Own,), methods)

    def program():
        pyro.sample("y", kind(torch.ones(()).expand(3)))  # entries that are the same memory

    columns = Resampler(program, num_guide_samples=20, random_seed=0).pipeline.particles.columns
    expected = -((columns["y"].value - 1.0) ** 2).sum(-1) - 3.0
    torch.testing.assert_close(columns["y"].log_q.float(), expected, rtol=1e-5, atol=1e-5)


# ------------------------------------------------------------------ data of many kinds

DATA = {
    "masked": np.ma.masked_values([4.0, -999.0, 3.0], -999.0),
    "masked integers": np.ma.masked_values([4, -999, 3], -999),
    "pandas with NA": pd.Series([4, None, 3], dtype="Int64"),
    "pandas": pd.Series([4.0, None, 3.0], index=["a", "b", "c"]),
    "xarray": xr.DataArray([4.0, np.nan, 3.0], dims="school"),
    "list with None": [4.0, None, 3.0],
    "tuple": (4, math.nan, 3),
    "list of tensors": [tensor(4.0), tensor(math.nan), tensor(3.0)],
    "backwards": np.array([3.0, np.nan, 4.0])[::-1],
    "big-endian": np.array([4.0, np.nan, 3.0], ">f4"),
    "half": tensor([4.0, math.nan, 3.0], dtype=torch.bfloat16),
}


def school_data(data):
    def program():
        mu = normal("mu", 10.0)
        with pyro.plate("school", 3):
            pyro.sample("y", dist.Normal(mu, 1.0), obs=data)

    return program


@pytest.mark.parametrize("vectorize", ["auto", False])
@pytest.mark.parametrize("role", ["guide", "simulator"])
@pytest.mark.parametrize("data", DATA.values(), ids=DATA)
def test_missing_values_in_obs_are_nan_whatever_holds_them(data, role, vectorize):
    guide = school_data(data) if role == "guide" else lambda: normal("mu", 10.0)
    cache = resampler(guide, school_data(data), n=100, vectorize=vectorize)
    found = cache.sample_prior_predictive(lambda: normal("mu", 5.0), 10)["observed_data"]["y"]
    np.testing.assert_array_equal(np.asarray(found), [4.0, np.nan, 3.0])
    with pytest.warns(ProgramWarning, match="carries obs="):
        assert np.isfinite(cache.weigh(school_data(data)).ess)


def test_obs_is_the_same_as_observed():
    data = np.ma.masked_values([0.1, -999.0, 1e9 + 1], -999.0)
    inside = resampler(lambda: normal("mu", 10.0), school_data(data), n=100)
    outside = resampler(lambda: normal("mu", 10.0), school_data(None), n=100, observed={"y": data})
    sets = [
        r.sample_prior_predictive(lambda: normal("mu", 5.0), 10)["observed_data"] for r in (inside, outside)
    ]
    np.testing.assert_array_equal(np.asarray(sets[0]["y"]), np.asarray(sets[1]["y"]))


@pytest.mark.parametrize(
    "data", [["a", "b", "c"], pd.date_range("2020", periods=3), [1j, 2j, 3j], [[1], [2, 3]]]
)
def test_obs_that_are_no_numbers_are_refused_by_site(data):
    with pytest.raises(ProgramError, match=r"the simulator failed .* at site 'y'.*ArgumentError: 'y' "):
        resampler(lambda: normal("mu", 10.0), school_data(data), n=100)


# ------------------------------------------------------------------ distributions built outside the map


class Shifted(dist.Normal):
    """A distribution of the user's own that draws in its constructor."""

    def __init__(self):
        super().__init__(torch.randn(()), 1.0)


def test_a_distribution_whose_parameters_all_share_is_no_one_s_own():
    found = {}

    def program():
        x = normal("x")
        for name, fn in (("shared", dist.Gamma(torch.tensor(2.0), rate=3)), ("own", dist.Normal(x, 1.0))):
            found[name] = functorch.unmapped(next(iter(vars(fn).values()))).dim(), fn.batch_shape
        pyro.sample("y", fn)

    resampler(program, n=50)
    assert found == {"shared": (0, ()), "own": (1, ())}
    assert not COERCIONS


def test_parameters_of_a_shared_distribution_can_be_changed_in_place():
    def program():
        x = normal("x")
        fn = dist.Normal(torch.zeros(2), 1e-3)
        fn.loc[1] += x
        pyro.sample("y", fn.to_event(1))

    found = resampler(program, n=100, vectorize=True).pipeline.particles.columns
    torch.testing.assert_close(found["y"].value[:, 1], found["x"].value, rtol=0.0, atol=0.01)


def test_a_constructor_of_the_user_s_own_draws_for_each_particle():
    def simulator():
        pyro.deterministic("shift", normal("x") + Shifted().loc)

    found = resampler(lambda: normal("x"), simulator, n=100, vectorize=True).pipeline.particles.columns
    assert len((found["shift"].value - found["x"].value).unique()) == 100


def test_an_error_of_a_constructor_is_shown_as_the_program_s_own():
    with pytest.raises(ProgramError, match=r"test_program.py.* in .*Categorical.*ValueError: Either"):
        resampler(lambda: pyro.sample("x", dist.Categorical()), n=100)
    assert not COERCIONS
