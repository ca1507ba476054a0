"""What cannot be mapped runs one particle at a time, as it is written."""

import contextlib
import functools
import itertools
import math
import random

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro import poutine

from arviz_resampler import DrawWarning, MismatchError, ProgramError, ProgramWarning, Resampler, WeightError
from arviz_resampler.programs import fallback

SAID = pytest.mark.filterwarnings("ignore:the .* runs one particle at a time")


def prior(p=0.5):
    return lambda: pyro.sample("late", dist.Bernoulli(p))


def branching():
    late = prior()()
    return pyro.sample("sleep", dist.Normal(8.0 if late else 6.0, 1.0))


def build(guide, simulator=None, n=200, **options):
    return Resampler(guide, simulator, num_guide_samples=n, random_seed=0, progressbar=False, **options)


def values(resampler):
    return {name: column.value for name, column in resampler.pipeline.particles.columns.items()}


def test_a_branch_on_a_value_runs_and_is_said_once_with_line_time_and_what_would_map():
    pattern = (
        r"the simulator runs one particle at a time: a value that differs between particles is read as a "
        r"Python number \(test_ways\.py:\d+ in `return pyro\.sample.*`\)\. That takes .* (µs|ms) a particle, "
        r".* for 1000\. Use tensor functions, torch\.where .* arviz_resampler\.batched"
    )
    with pytest.warns(ProgramWarning, match=pattern) as said:
        cache = build(prior(), branching, 1000, batch_size=300)
    assert len(said) == 1
    draws, weights = cache.sample(prior(0.8), 500)["sleep"], cache.weigh(prior(0.8))
    assert abs(float(draws.mean()) - 7.6) < 5 * 1.3 * math.sqrt(1 / 500 + 1 / weights.ess)


def test_each_particle_has_a_stream_of_its_own_whatever_runs_beside_it():
    def simulator():
        x = prior()().item()
        pyro.sample("y", dist.Poisson(x + np.random.gamma(1.0) + random.random()))

    with pytest.warns(ProgramWarning):
        many, few = build(prior(), simulator, 50), build(prior(), simulator, 20)
    assert all(torch.equal(values(many)[name][:20], values(few)[name]) for name in ("late", "y"))
    assert len(values(many)["y"].unique()) > 2


def test_one_particle_can_be_run_again():
    seen = []

    def simulator():
        x = prior()().item()
        seen.append(np.random.rand() + x)
        pyro.sample("y", dist.Normal(x + seen[-1], 1.0), obs=torch.tensor(0.0))

    with pytest.warns(ProgramWarning):
        cache = build(prior(), simulator, 30)
    noise = seen[-30:]
    for i in (0, 17, 29):
        again = cache.simulate_one(i)
        assert again.keys() == {"late", "y"}
        assert all(torch.equal(again[name], values(cache)[name][i]) for name in again)
        assert seen[-1] == noise[i]
    mapped = build(prior(), lambda: pyro.sample("y", dist.Normal(prior()(), 1.0)))
    assert torch.equal(mapped.simulate_one(5)["y"], values(mapped)["y"][5])


@pytest.mark.parametrize("particle", [-1, 200, 1.0, "x"])
def test_a_particle_that_there_is_not_is_refused(particle):
    with pytest.raises(ValueError, match="particle must be an integer from 0 to 199"):
        build(prior()).simulate_one(particle)


def test_vectorize_false_never_maps_and_says_nothing():
    shapes = []

    def program():
        x = prior()()
        shapes.append(type(x.item()))

    build(program, n=10, vectorize=False)
    assert len(shapes) == 2 + 10  # a look at one particle, twice


def test_vectorize_true_refuses_what_cannot_be_mapped_with_the_line():
    with pytest.raises(ProgramError, match=r"the simulator cannot be mapped over particles: .*test_ways\.py"):
        build(prior(), branching, vectorize=True)
    cache = build(prior(), vectorize=True)
    with pytest.raises(ProgramError, match=r"the model cannot be mapped over particles: .*test_ways\.py"):
        cache.weigh(lambda: float(prior()()))


@pytest.mark.parametrize(("option", "value"), [("vectorize", "yes"), ("on_error", "skip")])
def test_other_ways_are_refused(option, value):
    with pytest.raises(ValueError, match=f"{option} must be .* got '{value}'"):
        build(prior(), **{option: value})


def test_a_model_that_cannot_be_mapped_is_scored_one_at_a_time_and_says_so_once():
    def model(p):
        def program():
            late = pyro.sample("late", dist.Bernoulli(p))
            pyro.sample("sleep", dist.Normal(8.0 if late else 6.0, 2.0))

        return program

    with pytest.warns(ProgramWarning):
        cache = build(prior(), branching)
    with pytest.warns(ProgramWarning, match="the model runs one particle at a time"):
        weights = cache.weigh(model(0.3))
    cache.weigh(model(0.4))  # a warning would be an error
    late, sleep = values(cache)["late"], values(cache)["sleep"]
    center = torch.where(late == 1, 8.0, 6.0)
    expected = dist.Normal(center, 2.0).log_prob(sleep) - dist.Normal(center, 1.0).log_prob(sleep)
    torch.testing.assert_close(torch.tensor(weights.log_ratio_by_site["sleep"]).float(), expected)


@pytest.mark.parametrize("batch_size", [None, 7])
def test_sites_that_differ_between_particles_are_named_with_two_of_them(batch_size):
    def guide():
        if pyro.sample("x", dist.Normal(0.0, 1.0)) > 0:
            pyro.sample("sometimes", dist.Normal(0.0, 1.0))

    with (
        pytest.warns(ProgramWarning),
        pytest.raises(
            ProgramError, match=r"site 'sometimes' of the guide is in particle \d+ and not in particle \d+"
        ),
    ):
        build(guide, n=50, batch_size=batch_size)


def test_shapes_that_differ_between_particles_are_named():
    def guide():
        k = int(pyro.sample("k", dist.Poisson(3.0)))
        pyro.sample("x", dist.Normal(torch.zeros(k), 1.0).to_event(1))

    with pytest.warns(ProgramWarning), pytest.raises(ProgramError, match=r"site 'x' .* every particle must"):
        build(guide)


@SAID
@pytest.mark.parametrize("seed", [torch.manual_seed, np.random.seed, random.seed, pyro.set_rng_seed])
def test_a_program_that_seeds_itself_is_refused_where_particles_would_repeat(seed):
    def simulator():
        x = prior()().item()
        seed(1)
        pyro.sample("y", dist.Normal(x + np.random.rand() + random.random(), 1.0))

    with pytest.raises(ProgramError, match="the simulator sets a seed of its own"):
        build(prior(), simulator)


def test_a_seed_in_a_mapped_program_does_nothing():
    def simulator():
        x = prior()()
        torch.manual_seed(1)
        pyro.sample("y", dist.Normal(x, 1.0))

    found = values(build(prior(), simulator, 2000))
    assert abs((found["y"] - found["late"]).std() - 1) < 5 / math.sqrt(2 * 2000)


def failing(threshold=1.0):
    def guide():
        return pyro.sample("x", dist.Normal(0.0, 1.0))

    def simulator():
        x = guide()
        if x.item() > threshold:
            raise RuntimeError("the solver did not converge")
        pyro.sample("y", dist.Normal(x, 1.0))

    return guide, simulator


def test_a_run_that_raises_is_named_with_particle_latents_line_and_how_to_repeat_it():
    pattern = (
        r"particle (\d+) failed, at x = 1\.\d+: the simulator failed \(test_ways\.py:\d+ in `raise .*did not "
        r"converge.*on_error='mask'; simulate_one\(\1\)"
    )
    with pytest.warns(ProgramWarning), pytest.raises(ProgramError, match=pattern):
        build(*failing())


@SAID
def test_masked_failures_keep_their_weight_and_count_in_the_verdict():
    guide, simulator = failing()
    with pytest.warns(DrawWarning, match="of 500 particles failed") as said:
        cache = build(guide, simulator, 500, on_error="mask")
    x, y = values(cache)["x"], values(cache)["y"]
    failed = x > 1
    assert f"the run of {int(failed.sum())} of 500" in str(said[-1].message)
    assert torch.equal(cache.pipeline.particles.failed, failed)
    assert torch.equal(y.isnan(), failed)
    weights = cache.weigh(lambda: pyro.sample("x", dist.Normal(0.5, 1.0)))
    share, mcse = weights.failed_mass
    # P(x > 1) is 0.3085 under the model; the error is that of the weights.
    assert abs(share - 0.3085) < 5 * mcse
    assert f"{share:.2%} of the model's mass (± {mcse:.2%}) could not be simulated" in weights.advice
    with pytest.raises(ProgramError, match="did not converge"):
        cache.simulate_one(int(failed.nonzero()[0]))


@SAID
def test_a_failure_that_depends_on_values_keeps_what_was_drawn():
    # Three states, one of which has no entry in the table: the map fails as a whole.
    def program():
        a = pyro.sample("a", dist.Normal(0.0, 1.0))
        z = pyro.sample("z", dist.Categorical(torch.tensor([0.45, 0.45, 0.1])))
        pyro.sample("y", dist.Normal(torch.stack([a, -a])[z], 1.0), obs=torch.tensor(0.0))

    with pytest.warns(DrawWarning, match="particles failed"):
        cache = build(program, n=1000, on_error="mask")
    z = values(cache)["z"]
    assert torch.equal(cache.pipeline.particles.failed, z == 2)
    assert abs(float((z == 2).double().mean()) - 0.1) < 5 * math.sqrt(0.09 / 1000)
    fresh = build(lambda: pyro.sample("a", dist.Normal(0.0, 1.0)), n=1000)
    assert torch.equal(values(cache)["a"], values(fresh)["a"])


def test_every_run_that_fails_is_an_error():
    with pytest.raises(ProgramError, match="did not converge"):
        build(*failing(-100.0), on_error="mask")


@SAID
@pytest.mark.parametrize("seed", range(5))
def test_the_look_at_one_particle_may_fail_too(seed):
    guide, simulator = failing(-0.5)  # 69 % fail
    options = {"num_guide_samples": 20, "random_seed": seed, "on_error": "mask", "progressbar": False}
    with pytest.warns(DrawWarning, match="particles failed"):
        Resampler(guide, simulator, **options)


def test_an_exception_that_is_no_error_passes_through():
    class Stop(BaseException):
        pass

    def guide():
        prior()()
        raise Stop

    with pytest.raises(Stop):
        build(guide)
    assert not pyro.poutine.runtime._PYRO_STACK


def test_a_function_that_makes_programs_is_told_from_a_program():
    def make():
        return prior()

    with pytest.raises(
        ProgramError, match=r"the guide draws nothing and returns a function: did you mean make"
    ):
        build(make)
    with pytest.raises(ProgramError, match=r"the model draws nothing .* did you mean make\(\)"):
        build(prior()).weigh(make)


def test_more_time_than_is_spent_without_a_word_is_said_and_refused_for_models(monkeypatch):
    cache = build(prior(), n=50)
    monkeypatch.setattr(fallback, "LONGEST", 1e-9)
    with pytest.warns(ProgramWarning, match=r"the guide takes .* a particle, .* for 20"):
        build(prior(), n=20, vectorize=False)
    with pytest.raises(ProgramError, match=r"the model runs one particle at a time, which takes .* for 50"):
        cache.weigh(lambda: float(prior()()))


def test_random_numbers_outside_sites_are_said_where_densities_depend_on_them():
    def program():
        x = pyro.sample("x", dist.Normal(0.0, 1.0))
        pyro.sample("y", dist.Normal(x + torch.randn(()), 1.0))

    with pytest.warns(ProgramWarning, match="the guide draws random numbers outside its sites"):
        cache = build(program)
    with pytest.warns(ProgramWarning, match="the model draws random numbers outside its sites"):
        cache.weigh(program)


@pytest.mark.parametrize("start", [lambda: torch.randn(3), None])
def test_a_parameter_that_starts_at_random_is_the_same_in_guide_and_model(start):
    def program():
        loc = pyro.param("loc", start if start is not None else torch.zeros(3))
        pyro.sample("x", dist.Normal(loc, 1.0).to_event(1))

    cache = build(program)
    assert (cache.weigh(program).log_ratio == 0).all()
    assert len(pyro.get_param_store()) == 0


def test_a_program_may_ask_whether_densities_are_wanted():
    def guide():
        x = pyro.sample("x", dist.Normal(0.0, 1.0))
        if pyro.poutine.get_mask() is not False:
            pyro.factor("f", x, has_rsample=False)

    cache = build(guide)
    assert cache.weigh(lambda: pyro.sample("x", dist.Normal(0.0, 1.0))).ess == pytest.approx(200)
    assert "f" in cache.weigh(guide).log_ratio_by_site


@SAID
@pytest.mark.parametrize(
    "read",
    [float, lambda x: x.numpy(), lambda x: torch.zeros(1).copy_(x)[0]],
    ids=["float", "numpy", "in place"],
)
def test_a_program_that_catches_errors_does_not_catch_what_a_map_refuses(read):
    def program():
        x = pyro.sample("x", dist.Normal(3.0, 1.0))
        try:
            center = torch.as_tensor(read(x))
        except Exception:
            center = torch.zeros(())
        pyro.sample("y", dist.Normal(center, 1e-3))

    found = values(build(program, n=50))
    assert (found["x"] - found["y"]).abs().max() < 0.01


@SAID
def test_an_error_of_the_programs_own_around_a_refusal_does_not_hide_it():
    class Wrapped(BaseException):
        pass

    def program():
        try:
            x = pyro.sample("x", dist.Normal(3.0, 1.0))
            pyro.sample("y", dist.Normal(float(x), 1e-3))
        except Exception as error:
            raise Wrapped from error

    found = values(build(program, n=50))
    assert (found["x"] - found["y"]).abs().max() < 0.01


@SAID
def test_linear_algebra_that_a_program_sees_to_itself_is_no_failure():
    def program():
        a = pyro.sample("a", dist.Normal(0.0, 1.0))
        matrix = torch.eye(2) + a * (1 - torch.eye(2))
        for jitter in (0.0, 1.0, 3.0, 10.0):
            try:
                scale = torch.linalg.cholesky(matrix + jitter * torch.eye(2))
                break
            except RuntimeError:
                pass
        pyro.sample("b", dist.MultivariateNormal(torch.zeros(2), scale_tril=scale))

    cache = build(program, n=50)
    assert (values(cache)["a"].abs() > 1).any()
    assert (cache.weigh(program).log_ratio == 0).all()


# ------------------------------------------------------------------ programs that keep something


def counts():
    calls = itertools.count()
    return lambda: 100.0 * next(calls)


def draws_of_its_own():
    own = np.random.default_rng(0)
    return lambda: float(own.normal(0.0, 100.0))


@pytest.mark.parametrize("make", [counts, draws_of_its_own])
def test_a_simulator_that_keeps_a_state_runs_for_each_particle(make):
    step = make()
    with pytest.warns(ProgramWarning, match="two runs of one particle from the same seed differ at site 'y'"):
        cache = build(prior(), lambda: pyro.sample("y", dist.Normal(prior()() + step(), 1.0)))
    # The state alone has a standard deviation of 5770 and 100; the rest has 1.1.
    assert values(cache)["y"].std() > 40


@pytest.mark.parametrize("make", [counts, draws_of_its_own])
def test_a_model_that_keeps_a_state_is_said_to_be_of_one_run(make):
    step = make()
    cache = build(lambda: pyro.sample("x", dist.Normal(0.0, 100.0)))
    with pytest.warns(ProgramWarning, match="the density of the model is that of one run: two runs of one"):
        cache.weigh(lambda: pyro.sample("x", dist.Normal(step(), 100.0)))


class Late(torch.nn.Module):
    """A module that makes its layer at first use."""

    def __init__(self):
        super().__init__()
        self.layer = None

    def forward(self):
        x = pyro.sample("x", dist.Normal(0.0, 1.0))
        if self.layer is None:
            self.layer = torch.nn.Linear(1, 1)
        pyro.deterministic("d", self.layer(x.reshape(1)))


def test_what_a_module_makes_at_first_use_is_the_same_for_all_particles_and_afterwards():
    cache = build(Late())
    for _ in range(2):  # another module of the same class, too
        module = Late()
        own = cache.pipeline.score(module).computed["d"].value
        x = values(cache)["x"]
        torch.testing.assert_close(own, module.layer(x[:, None]).detach(), rtol=1e-5, atol=1e-6)


def test_dropout_is_noise_outside_of_sites():
    def guide():
        kept = torch.nn.functional.dropout(torch.ones(4), 0.5).sum()
        return pyro.sample("x", dist.Normal(kept, 1.0))

    with pytest.warns(ProgramWarning, match="the guide draws random numbers outside its sites"):
        cache = build(guide)
    with pytest.warns(ProgramWarning, match="the model draws random numbers outside its sites"):
        cache.weigh(guide)


def test_a_refusal_at_a_site_is_not_caught_by_the_program():
    def model():
        pyro.sample("x", dist.Normal(1.0, 1.0))
        with contextlib.suppress(Exception):
            pyro.sample("typo", dist.Normal(5.0, 0.1))

    cache = build(lambda: pyro.sample("x", dist.Normal(0.0, 5.0)))
    for vectorize in (True, False):
        cache._vectorize = vectorize
        with pytest.raises(MismatchError, match="'typo' of the model was not drawn"):
            cache.weigh(model)


def test_an_invalid_parameter_is_not_a_branch_that_all_particles_take():
    def guide():
        x = pyro.sample("x", dist.Normal(0.0, 1.0))
        try:
            pyro.sample("y", dist.Normal(x, x))
        except Exception:
            pyro.deterministic("z", x)

    with pytest.raises(ProgramError, match="'scale' of Normal"):
        build(guide)


@SAID
@pytest.mark.parametrize("seed", range(3))
def test_a_particle_is_repeated_as_its_batch_drew_it(seed):
    """Some batches are mapped as they stand, others are run again where linear algebra fails."""

    def guide():
        a = pyro.sample("a", dist.Normal(0.0, 1.0))
        try:  # fails for |a| > 2.5, for about 1.2 % of particles
            root = torch.linalg.cholesky(torch.eye(2) + a / 2.5 * (1 - torch.eye(2)))
        except RuntimeError:
            root = torch.eye(2)
        pyro.sample("y", dist.Normal(root[1, 1], 1.0))

    cache = Resampler(guide, num_guide_samples=160, random_seed=seed, batch_size=32, progressbar=False)
    for i in range(0, 160, 8):
        own = cache.simulate_one(i)
        assert all(torch.allclose(own[name], values(cache)[name][i]) for name in ("a", "y"))


def test_values_changed_in_place_are_noticed_in_inference_mode():
    def guide():
        x = pyro.sample("x", dist.Normal(0.0, 1.0))
        x.mul_(3.0)

    outside = build(guide, batch_size=50)
    with torch.inference_mode():
        cache = build(guide, batch_size=50)
        assert torch.equal(values(cache)["x"], values(outside)["x"])
        assert cache.weigh(guide).ess == pytest.approx(200)


@SAID
def test_a_resampler_in_a_program_refuses_what_the_map_around_it_refuses():
    inner = build(lambda: pyro.sample("x", dist.Normal(0.0, 2.0)))

    def guide():
        x = pyro.sample("x", dist.Normal(0.0, 0.3))
        weights = inner.weigh(lambda: pyro.sample("x", dist.Normal(x, 1.0)))
        pyro.deterministic("ess", torch.tensor(weights.ess))

    cache = build(guide, n=10)
    x, ess = values(cache)["x"], values(cache)["ess"]
    own = [inner.weigh(lambda m=m: pyro.sample("x", dist.Normal(m, 1.0))).ess for m in x]
    assert ess.tolist() == pytest.approx(own, rel=1e-5)


def test_a_branch_that_few_particles_take_is_not_passed_over_where_models_end_early():
    def make(scale, branches):
        def model():
            x = pyro.sample("x", dist.Normal(0.0, scale))
            pyro.sample("y", dist.Normal(x, 1.0), obs=torch.tensor(0.0))
            if branches and x > 1:
                pyro.factor("f", -(x**2))

        return model

    cache = build(make(5.0, False))
    with pytest.warns(ProgramWarning, match="'y' of the model carries obs="):
        cache.weigh(make(2.0, False))
    with pytest.raises(ProgramError, match="site 'f' of the model is in particle"):
        cache.weigh(make(2.0, True))


def test_a_site_named_as_a_part_of_another_is_a_site_of_its_own():
    def prior():
        return pyro.sample("x", dist.Normal(0.0, 5.0))

    def simulator():
        pyro.sample("x_observed", dist.Normal(prior(), 1.0), obs=torch.tensor(3.0))

    cache = build(prior, simulator)
    # The measurement error has a standard deviation of 1; its estimate 1 / sqrt(2 N) = 0.05.
    error = values(cache)["x_observed"] - values(cache)["x"]
    assert abs(float(error.std()) - 1) < 5 * 0.05

    def model():
        prior()
        pyro.sample("x_unobserved", dist.Normal(2.0, 1.0))

    with pytest.raises(MismatchError, match="'x_unobserved' of the model was not drawn"):
        cache.weigh(model)


# ------------------------------------------------------------------ what is changed afterwards


@pytest.mark.parametrize("vectorize", [True, False])
@pytest.mark.parametrize("masked", ["guide", "model", "both"])
def test_a_density_under_a_mask_is_that_of_the_parameters_at_the_site(masked, vectorize):
    def make(scale, mask):
        def program():
            state = torch.zeros(3) + pyro.sample("x", dist.Normal(0.0, 1.0))
            for t in range(3):
                with pyro.plate(f"p{t}", 3), poutine.mask(mask=mask):
                    state += pyro.sample(f"z{t}", dist.Normal(state, scale))

        return program

    seen = torch.tensor([True, False, True])
    guide = make(2.0, seen if masked != "model" else True)
    model = make(1.5, seen if masked != "guide" else True)
    cache = build(guide, n=30, vectorize=vectorize)
    found = values(cache)
    level, expected = found["x"][:, None].repeat(1, 3), torch.zeros(30, dtype=torch.float64)
    for t in range(3):
        z = found[f"z{t}"]
        ratio = dist.Normal(level, 1.5).log_prob(z) - dist.Normal(level, 2.0).log_prob(z)
        if masked == "model":  # the guide has drawn all three, and the model has no prior of the second
            ratio[:, 1] = -dist.Normal(level, 2.0).log_prob(z)[:, 1]
        expected += ratio.double().sum(1)
        level = level + z
    log_ratio = cache.weigh(model).log_ratio_by_site
    total = torch.tensor(np.sum([log_ratio[f"z{t}"] for t in range(3)], axis=0))
    torch.testing.assert_close(total, expected, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("vectorize", [True, False])
def test_what_a_model_computes_is_kept_as_it_was_at_the_site(vectorize):
    def model():
        d = pyro.sample("x", dist.Normal(0.0, 1.0)) + 1
        pyro.deterministic("d", d)
        f = -(d.double() ** 2)
        pyro.factor("f", f)
        d.mul_(0.0), f.zero_()

    cache = build(lambda: pyro.sample("x", dist.Normal(0.0, 1.0)), n=30, vectorize=vectorize)
    weighed, x = cache.pipeline.score(model), values(cache)["x"]
    assert torch.equal(weighed.computed["d"].value, x + 1)
    assert torch.equal(weighed.scored["f"], -((x + 1).double() ** 2))


@pytest.mark.parametrize("vectorize", [True, False])
def test_what_simulate_one_returns_is_no_memory_of_the_particles(vectorize):
    cache = build(lambda: pyro.sample("x", dist.Normal(0.0, 1.0)), n=30, vectorize=vectorize)
    before = values(cache)["x"].clone()
    cache.simulate_one(3)["x"].add_(100)
    assert torch.equal(values(cache)["x"], before)


def test_weighing_leaves_the_random_numbers_of_the_caller_alone():
    cache = build(lambda: pyro.sample("x", dist.Normal(0.0, 2.0)))
    numbers = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        expected = torch.randn(3)
        torch.manual_seed(seed)
        with pytest.warns(ProgramWarning, match="random numbers outside its sites"):
            cache.weigh(lambda: pyro.sample("x", dist.Normal(torch.randn(()), 1.0)))
        numbers.append(torch.randn(3))
        assert torch.equal(numbers[-1], expected)
    assert not torch.equal(*numbers)


@pytest.mark.parametrize("vectorize", [True, False])
def test_missing_data_are_kept_in_every_way(vectorize):
    def simulator():
        p = prior()()
        with pyro.plate("row", 3):
            seen = torch.tensor([True, False, True])
            pyro.sample("y", dist.Normal(p, 1.0), obs=torch.tensor([1.0, 2.0, 3.0]), obs_mask=seen)
            pyro.sample("z", dist.Normal(p, 1.0), obs=torch.tensor([1.0, math.nan, 3.0]))

    data = build(prior(), simulator, 30, vectorize=vectorize).pipeline.particles.data
    for name in ("y", "z"):
        assert np.array_equal(data[name].numpy(), [1.0, math.nan, 3.0], equal_nan=True)


@SAID
def test_a_particle_that_failed_is_repeated_as_it_was_drawn():
    """The first particle is among those that fail, and so are some where the map had drawn it."""

    def guide():
        return pyro.sample("a", dist.Normal(0.0, 1.0))

    def simulator():
        c = pyro.sample("c", dist.Normal(guide(), 1.0), infer={"is_auxiliary": False})
        pyro.deterministic("level", torch.arange(4.0)[(2 * c).long().clamp(0, 9)])
        pyro.sample("y", dist.Normal(c, 1.0), obs=torch.tensor(0.0))

    with pytest.warns(DrawWarning, match="the run of .* particles failed"):
        cache = Resampler(guide, simulator, num_guide_samples=200, random_seed=1, on_error="mask")
    failed = cache.pipeline.particles.failed
    assert 3 < failed.sum() < 100
    for i in range(200):
        if failed[i]:
            with pytest.raises(ProgramError, match=r"index \d is out of bounds"):
                cache.simulate_one(i)
        else:
            own = cache.simulate_one(i)
            assert all(torch.equal(own[name], values(cache)[name][i]) for name in ("a", "c"))


def test_random_features_of_a_fixed_seed_are_the_same_for_all_particles():
    def simulator():
        with torch.random.fork_rng():
            torch.manual_seed(0)
            features = torch.randn(3)
        pyro.deterministic("features", features)
        pyro.sample("y", dist.Normal(prior()() + features.sum(), 1.0))

    with pytest.warns(ProgramWarning, match="random numbers come after a seed of the program's own"):
        found = values(build(prior(), simulator, 30))
    torch.manual_seed(0)
    assert torch.equal(found["features"], torch.randn(3).expand(30, 3))
    assert len(found["y"].unique()) == 30


@pytest.mark.parametrize("vectorize", ["auto", False])
def test_linear_algebra_that_failed_is_not_hidden_by_what_comes_after(vectorize):
    def model():
        a = pyro.sample("a", dist.Normal(0.0, 1.0))
        root = torch.linalg.cholesky(torch.eye(2) + a * (1 - torch.eye(2)))
        pyro.factor("f", -torch.nan_to_num(root).sum())

    cache = build(lambda: pyro.sample("a", dist.Normal(0.0, 1.0)), vectorize=vectorize)
    with pytest.raises((ProgramError, WeightError), match=r"linalg\.cholesky"):
        cache.weigh(model)


@SAID
def test_whole_numbers_of_particles_that_failed_are_missing():
    def program():
        x = pyro.sample("x", dist.Normal(0.0, 1.0))
        k = pyro.sample("k", dist.Categorical(torch.ones(3)))
        if x > 1:
            raise ValueError("no solution")
        pyro.deterministic("twice", 2 * k)
        pyro.deterministic("large", k > 1)

    def guide():
        pyro.sample("x", dist.Normal(0.0, 1.0))
        pyro.sample("k", dist.Categorical(torch.ones(3)))

    with pytest.warns(DrawWarning, match="the run of .* particles failed"):
        cache = build(guide, program, vectorize=False, on_error="mask")
    failed = cache.pipeline.particles.failed
    for name in ("twice", "large"):
        own = cache.pipeline.score(program).computed[name].value
        assert torch.equal(own.isnan(), failed)


@SAID
@pytest.mark.parametrize("vectorize", ["auto", False])
@pytest.mark.parametrize("number", [lambda: torch.randn(()), random.random, np.random.rand])
def test_random_numbers_outside_sites_are_said_of_a_guide_that_is_not_mapped(number, vectorize):
    def guide():
        x = pyro.sample("x", dist.Normal(0.0, 1.0))
        pyro.sample("y", dist.Normal(number() if x > -9 else 0.0, 1.0))

    with pytest.warns(ProgramWarning, match="the guide draws random numbers outside its sites"):
        build(guide, n=10, vectorize=vectorize)


# ---------------------------------------------------------------- values that are overwritten

OVERWRITES = {
    ".data": lambda x: x.data.abs_().add_(1.0),
    ".data of a view": lambda x: x[...].data.abs_().add_(1.0),
    ".numpy()": lambda x: np.add(x.numpy(), 1.0, out=x.numpy()),
    "from_numpy": lambda x: torch.from_numpy(x.numpy()).mul_(2.0),
}


@SAID
@pytest.mark.parametrize("vectorize", ["auto", False])
@pytest.mark.parametrize("role", ["guide", "simulator"])
@pytest.mark.parametrize("overwrite", OVERWRITES.values(), ids=OVERWRITES)
def test_a_value_that_is_overwritten_behind_torch_is_refused_by_site(overwrite, role, vectorize):
    def guide():
        return pyro.sample("x", dist.Normal(0.0, 1.0))

    def overwriting():
        overwrite(guide())

    programs = (overwriting,) if role == "guide" else (guide, overwriting)
    with pytest.raises(ProgramError, match=f"site 'x' of the {role} is changed in place through"):
        build(*programs, vectorize=vectorize)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("vectorize", ["auto", False])
def test_a_value_that_few_particles_overwrite_is_refused_too(vectorize, seed):
    def guide():
        pyro.sample("x", dist.Normal(3.0, 1.0)).data.abs_()

    with pytest.raises(ProgramError, match="site 'x' of the guide is changed in place through"):
        Resampler(guide, num_guide_samples=5000, random_seed=seed, vectorize=vectorize, progressbar=False)


@pytest.mark.parametrize("vectorize", ["auto", False])
def test_values_may_be_read_behind_torch_and_missing_ones_are_the_same(vectorize):
    def guide():
        x = pyro.sample("x", dist.Normal(torch.zeros(2), 1.0).to_event(1))
        pyro.sample("y", dist.Normal(x.data.sum(), 1.0))
        return x

    def simulator():
        pyro.sample("z", dist.Normal(guide().sqrt(), 1.0).to_event(1))

    with pytest.warns(DrawWarning, match="their values are NaN"):
        cache = build(guide, simulator, vectorize=vectorize)
    assert cache.weigh(guide).ess == pytest.approx(200)


# ---------------------------------------------------------------- programs that seed themselves

SEEDS = {
    "torch": lambda: (torch.manual_seed(1), torch.randn(()))[1],
    "Pyro": lambda: (pyro.set_rng_seed(1), torch.randn(()))[1],
    "NumPy": lambda: (np.random.seed(1), torch.tensor(np.random.normal()))[1],
    "Python": lambda: (random.seed(1), torch.tensor(random.gauss(0.0, 1.0)))[1],
    "Python, some numbers": lambda: (
        random.seed(1),
        [random.random() for _ in range(1 + int(torch.randint(9, ())))],
        torch.tensor(random.random()),
    )[2],
}
LOOSE = pytest.mark.filterwarnings("ignore:the (guide|model) draws random numbers outside its sites")


def with_noise(noise, sd=1.0):
    def program():
        x = pyro.sample("x", dist.Normal(0.0, sd))
        pyro.sample("y", dist.Normal(x + noise(), 1.0))

    return program


@SAID
@LOOSE
@pytest.mark.parametrize("options", [{}, {"batch_size": 1}, {"vectorize": False, "batch_size": 1}], ids=str)
@pytest.mark.parametrize("role", ["guide", "simulator"])
@pytest.mark.parametrize("noise", SEEDS.values(), ids=SEEDS)
def test_random_numbers_after_a_seed_are_refused_in_batches_of_any_size(noise, role, options):
    programs = (with_noise(noise), None) if role == "guide" else (site_x, with_noise(noise))
    with pytest.raises(ProgramError, match=f"the {role} sets a seed of its own"):
        build(*programs, n=20, **options)


def site_x():
    return pyro.sample("x", dist.Normal(0.0, 1.0))


@SAID
@LOOSE
@pytest.mark.parametrize("vectorize", ["auto", False])
@pytest.mark.parametrize("noise", SEEDS.values(), ids=SEEDS)
def test_a_model_that_seeds_itself_is_told_and_leaves_the_generators_alone(noise, vectorize):
    cache = build(with_noise(lambda: 0.0, 2.0), vectorize=vectorize)
    before = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()
    with pytest.warns(ProgramWarning, match="the model draws random numbers outside its sites"):
        first = cache.weigh(with_noise(noise))
    for weights in (first, cache.weigh(with_noise(noise))):  # the second may be told, too
        assert np.isfinite(weights.log_ratio).all()
        assert torch.equal(torch.get_rng_state(), before[0])
        assert np.array_equal(np.random.get_state()[1], before[1])
        assert random.getstate() == before[2]


@pytest.mark.parametrize("vectorize", ["auto", False])
def test_a_seed_in_a_model_that_draws_nothing_is_no_random_number(vectorize, recwarn):
    cache = build(site_x, vectorize=vectorize)
    cache.weigh(with_noise_free_seed)
    assert not [w for w in recwarn if "random numbers" in str(w.message)]


def with_noise_free_seed():
    torch.manual_seed(1)
    pyro.sample("x", dist.Normal(0.0, 0.5))


@SAID
@pytest.mark.parametrize(
    "constant",
    [
        lambda: torch.randn((), generator=torch.Generator().manual_seed(3)),
        lambda: torch.tensor(np.random.default_rng(3).normal()),
        lambda: torch.tensor(random.Random(3).gauss(0.0, 1.0)),
    ],
    ids=["torch", "NumPy", "Python"],
)
def test_a_generator_that_a_program_makes_gives_a_constant_as_in_plain_pyro(constant):
    def simulator():
        pyro.deterministic("shift", site_x() + constant())

    found = values(build(site_x, simulator, 20))
    torch.testing.assert_close(
        (found["shift"] - found["x"]).double(),
        torch.full((20,), float(constant())).double(),
        rtol=1e-5,
        atol=1e-5,
    )


@LOOSE
@pytest.mark.parametrize(
    ("role", "options"), [("simulator", {}), ("guide", {}), ("simulator", {"batch_size": 1})]
)
def test_a_generator_that_goes_on_gives_each_particle_other_numbers(role, options):
    generator = torch.Generator().manual_seed(3)
    noise = functools.partial(torch.randn, (), generator=generator)
    programs = (with_noise(noise), None) if role == "guide" else (site_x, with_noise(noise))
    with pytest.warns(ProgramWarning, match="keeps a state, or draws from a generator of its own"):
        found = values(build(*programs, n=20, **options))
    assert len(found["y"].unique()) == 20


@pytest.mark.parametrize("turned", [False, True])
def test_a_computed_value_of_some_particles_is_refused_of_a_model_as_of_a_guide(turned):
    """Whichever of them comes first."""

    def program():
        x = pyro.sample("x", dist.Normal(0.0, 1.0))
        if (x > 0) != turned:
            pyro.deterministic("y", x)

    message = r"site 'y' of the {} is in particle \d+ and not in particle \d+: every particle"
    with pytest.raises(ProgramError, match=message.format("guide")):
        build(program, n=20, vectorize=False)
    cache = build(lambda: pyro.sample("x", dist.Normal(0.0, 1.0)), n=20, vectorize=False)
    with pytest.raises(ProgramError, match=message.format("model")):
        cache.weigh(program)


def test_a_computed_value_whose_shape_depends_on_a_draw_is_refused_of_a_model_as_of_a_guide():
    def guide():
        return pyro.sample("x", dist.Normal(torch.zeros(5), 1.0).to_event(1))

    def program():
        x = guide()
        pyro.deterministic("y", x[x > 0])

    message = r"site 'y' of the {} has shape \(\d,\) and dtype torch.float32 in particle \d+, .* in another"
    with pytest.raises(ProgramError, match=message.format("guide")):
        build(program, n=20, vectorize=False)
    with pytest.raises(ProgramError, match=message.format("model")):
        build(guide, n=20, vectorize=False).weigh(program)
