"""More particles from a model: how many, with which density, and what stays as it was."""

import math
import pickle
import threading

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro import poutine
from pyro.infer.autoguide import AutoNormal

from arviz_resampler import (
    ArgumentError,
    DrawWarning,
    MismatchError,
    ProgramError,
    ProgramWarning,
    Resampler,
    TopUp,
    family,
)

N = 4000
DATA = pytest.mark.filterwarnings("ignore:site 'y' of the model carries obs=")


def normal(mean=0.0, sd=1.0, name="x"):
    return lambda: pyro.sample(name, dist.Normal(mean, sd))


def of(distribution):
    return lambda: pyro.sample("x", distribution)


def guide():
    return pyro.sample("x", dist.Normal(0.0, 1.0))


def simulator():
    pyro.sample("y", dist.Normal(guide(), 0.5))


def whole(mean=0.0, noise=0.5):
    def program():
        x = pyro.sample("x", dist.Normal(mean, 1.0))
        pyro.sample("y", dist.Normal(x, noise), obs=torch.tensor(0.0))

    return program


def build(program=guide, extended_by=None, n=N, **options):
    options = {"random_seed": 0, "progressbar": False, **options}
    return Resampler(program, extended_by, num_guide_samples=n, **options)


def columns(cache):
    return cache.pipeline.particles.columns


def values(cache):
    return {name: column.value for name, column in columns(cache).items()}


def size(cache):
    return cache.pipeline.particles.num_particles


def z_of_mean(found, truth):
    """Distance of a mean from the truth, in its standard errors."""
    return (found.mean() - truth) / (found.std() / math.sqrt(len(found)))


# ------------------------------------------------------------------ how many


def limit(mean, sd, n):
    """ESS of Normal(mean, sd) on N particles of Normal(0, 1) and n of its own, by quadrature."""
    x = torch.linspace(mean - 12 * sd, mean + 12 * sd, 100_001, dtype=torch.float64)
    p, q = dist.Normal(mean, sd).log_prob(x), dist.Normal(0.0, 1.0).log_prob(x)
    return float(1 / ((p.exp() / (n + N * (q - p).exp())).sum() * (x[1] - x[0])))


@pytest.mark.parametrize("wish", [500, 1000, 2000])
@pytest.mark.parametrize(("mean", "sd"), [(2.0, 0.5), (2.5, 1.0), (6.0, 0.3), (0.0, 0.01)])
def test_a_model_gets_the_wish_within_five_percent_and_not_much_more(mean, sd, wish):
    cache = build()
    done = cache.top_up(normal(mean, sd), wish)
    assert size(cache) == N + done.num_added
    # The number comes of 1,000 draws, and has room of 5 % for their error.
    assert 0.95 * wish <= limit(mean, sd, done.num_added) <= 1.15 * wish
    assert done.num_added <= wish
    assert done.ess_after == cache.weigh(normal(mean, sd)).ess


@pytest.mark.parametrize(("mean", "sd"), [(1.0, 0.5), (2.5, 0.8), (0.0, 0.01)])
def test_draws_of_a_model_tell_the_effective_sample_size_of_the_cache(mean, sd):
    reach = build().reach(normal(mean, sd), 100, num_draws=20_000)
    # One over a mean of 20,000 ratios: their spread tells its standard error.
    ratio = np.exp(reach.log_ratio)
    error = ratio.std() / ratio.mean() / math.sqrt(20_000)
    assert abs(math.log(reach.ess / limit(mean, sd, 0))) < 5 * error < 0.1
    assert (reach.num_needed == 0) is (reach.ess >= 100)


def test_a_guide_reaches_itself_exactly_and_nothing_where_it_has_no_density():
    assert build().reach(guide).ess == pytest.approx(N)
    far = build(lambda: pyro.sample("x", dist.Uniform(0.0, 1.0))).reach(
        lambda: pyro.sample("x", dist.Uniform(2.0, 3.0)), 300
    )
    assert (far.ess, far.num_needed) == (0.0, 300)


def test_where_nothing_is_missing_nothing_changes():
    cache = build()
    before, weights = cache.pipeline, cache.weigh(normal(0.2))
    done = cache.top_up(normal(0.2), 1000)
    assert done[:3] == (0, weights.ess, weights.ess)
    assert cache.pipeline is before


def test_the_wish_may_be_larger_than_the_cache():
    cache = build()
    done = cache.top_up(guide, 6000)
    # Particles of the guide itself: all weights are one.
    assert done.ess_after == pytest.approx(N + done.num_added)
    assert 6000 <= done.ess_after <= 6000 * 1.06


@pytest.mark.parametrize(("at_most", "added"), [(99, 99), (1, 1), (5000, 1000)])
def test_no_more_than_at_most_are_added_and_what_is_reached_is_said(at_most, added):
    cache = build()
    done = cache.top_up(normal(9.0, 0.1), 1000, at_most=at_most)
    assert done.num_added == added
    assert done.ess_after == pytest.approx(added, rel=1e-6)
    assert f"{added:,} particles added" in str(done)
    assert f", {done.ess_after:,.0f} after" in str(done)


def test_what_was_done_is_printed():
    assert str(TopUp(1234, 5.4, 1000.2, 0.25)) == (
        "1,234 particles added in 0.25 s: ESS 5 before, 1,000 after"
    )


# ------------------------------------------------------------------ densities


@pytest.mark.parametrize(
    ("first", "model"),
    [
        (guide, normal(3.0, 0.5)),
        (of(dist.HalfNormal(1.0)), normal(0.0, 2.0)),
        (of(dist.Normal(0.0, 1.0)), of(dist.HalfNormal(5.0))),
        (of(dist.Uniform(0.0, 1.0)), of(dist.Uniform(0.5, 2.0))),
        (of(dist.Poisson(2.0)), of(dist.Poisson(20.0))),
    ],
    ids=["Normal", "HalfNormal", "to HalfNormal", "Uniform", "Poisson"],
)
def test_all_particles_have_the_density_of_the_mixture(first, model):
    cache = build(first)
    count = cache.top_up(model, 5000).num_added
    x = columns(cache)["x"].value
    parts = []
    for program, n in ((first, N), (model, count)):
        d = poutine.trace(program).get_trace().nodes["x"]["fn"]
        inside = d.support.check(x)
        log_p = d.log_prob(torch.where(inside, x, d.mean)).double()
        parts.append(log_p.masked_fill(~inside, -torch.inf) + math.log(n / (N + count)))
    torch.testing.assert_close(columns(cache)["x"].log_q, torch.logaddexp(*parts), rtol=0, atol=1e-5)


def test_top_ups_add_up_to_a_mixture_of_all():
    cache = build([normal(), normal(2.0)])
    counts = [cache.top_up(normal(mean, 0.5), 700).num_added for mean in (6.0, -6.0)]
    x = columns(cache)["x"].value.double()
    terms = [((0.0, 1.0), N / 2), ((2.0, 1.0), N / 2), ((6.0, 0.5), counts[0]), ((-6.0, 0.5), counts[1])]
    logs = [dist.Normal(*where).log_prob(x) + math.log(n / len(x)) for where, n in terms]
    torch.testing.assert_close(
        columns(cache)["x"].log_q, torch.logsumexp(torch.stack(logs), 0), rtol=0, atol=1e-4
    )


@DATA
def test_what_guide_and_model_share_cancels_to_the_bit():
    cache = build(whole())
    cache.top_up(whole(4.0), 1500)
    weights = cache.weigh(lambda: whole(2.0)())
    assert list(weights.log_ratio_by_site) == ["x"]
    y, x = columns(cache)["y"], columns(cache)["x"].value
    assert cache.sites["y"].role == "predictive"
    torch.testing.assert_close(y.log_q, dist.Normal(x, 0.5).log_prob(y.value), check_dtype=False)


def test_no_weight_is_larger_than_that_of_the_mixture():
    cache = build()
    count = cache.top_up(normal(6.0, 0.3), 1000).num_added
    assert np.exp(cache.weigh(normal(6.0, 0.3)).log_ratio).max() <= size(cache) / count * (1 + 1e-4)


def test_no_model_loses_effective_particles():
    cache, models = build(), [normal(mean, sd) for mean in (-1.0, 0.0, 1.0, 2.0) for sd in (0.3, 0.8)]
    before = [cache.weigh(model).ess for model in models]
    cache.top_up(normal(3.0, 0.5), 1000)
    after = [cache.weigh(model).ess for model in models]
    # In the limit none loses any; ESS has an error of about 5 % here where it is small.
    assert all(b >= 0.95 * a for a, b in zip(before, after, strict=True))


@pytest.mark.parametrize(("mean", "sd"), [(0.0, 1.0), (1.0, 0.5), (3.0, 1.0), (3.0, 0.4), (5.0, 0.5)])
def test_moments_are_right_after_top_ups(mean, sd):
    cache = build(guide, simulator)
    for other in (3.0, -3.0, 5.0):
        cache.top_up(normal(other, 0.5), 500)
    raw = np.exp(cache.weigh(normal(mean, sd)).log_ratio)
    x, y = (values(cache)[name].double().numpy() for name in "xy")
    for found, truth in ((1.0, 1.0), (x, mean), (x**2, mean**2 + sd**2), (y, mean), ((y - x) ** 2, 0.25)):
        assert abs(z_of_mean(raw * found, truth)) < 4.5


def test_many_top_ups_at_the_worst_position_leave_no_bias():
    """Positions are chosen by the weights, 8 times, which is what could bias them."""
    models = [normal(mean, sd) for mean in (-2.0, 0.0, 2.0) for sd in (0.3, 1.5)]
    found = []
    for seed in range(60):
        cache = build(normal(0.0, 1.5), n=500, random_seed=seed)
        for _ in range(8):
            worst = min(models, key=lambda model: cache.weigh(model).ess)
            cache.top_up(worst, 1e6, at_most=50)
        assert size(cache) == 900
        x = values(cache)["x"].double().numpy()
        rows = []
        for mean, sd in ((-2.0, 0.3), (2.0, 1.5), (1.0, 1.0)):
            raw = np.exp(cache.weigh(normal(mean, sd)).log_ratio)
            weights = raw / raw.sum()
            rows += [raw.mean() - 1, (weights @ x - mean) / sd, weights @ (x - mean) ** 2 / sd**2 - 1]
        found.append(rows)
    errors = np.array(found)
    # 60 caches: each of 9 means of errors in its own standard error, which is that of 60 normal numbers.
    assert np.abs(errors.mean(0) / (errors.std(0, ddof=1) / math.sqrt(60))).max() < 4


# ------------------------------------------------------------------ what stays


def test_numbers_and_values_of_particles_stay():
    cache = build(guide, simulator)
    before = values(cache)
    cache.top_up(normal(6.0, 0.5), 300)
    assert all(torch.equal(values(cache)[name][:N], before[name]) for name in before)


def test_draws_stay_but_where_a_new_particle_wins():
    cache, model = build(), normal(-1.0, 0.5)

    def chosen():
        return cache.pipeline.chooser.choose(cache.weigh(model), 1000)

    before = chosen()
    cache.top_up(normal(6.0, 0.5), 1000)
    # The model has no mass where the new particles are: all its weights change in one proportion.
    assert (chosen() == before).mean() > 0.995
    cache.top_up(model, 3000)
    after = chosen()
    won = after >= N
    assert 0.2 < won.mean() < 0.9
    # Weights of old particles change with the density of the new ones, so some others move as well.
    assert (after[~won] == before[~won]).mean() > 0.7


def test_the_same_calls_give_the_same_bits():
    def make():
        cache = build(family(lambda mean: normal(mean), mean=(-1.0, 1.0)), simulator)
        done = [cache.top_up(normal(mean, 0.5), 500)[:3] for mean in (5.0, -5.0)]
        return cache, done

    (one, first), (two, second) = make(), make()
    assert first == second
    for name in values(one):
        assert torch.equal(columns(one)[name].value, columns(two)[name].value)
        assert torch.equal(columns(one)[name].log_q, columns(two)[name].log_q)


def test_no_global_generator_and_no_parameter_is_touched():
    def program():
        pyro.param("made", torch.tensor(1.0))
        return normal(6.0)()

    cache, state = build(), torch.get_rng_state()
    cache.top_up(program, 500)
    assert torch.equal(torch.get_rng_state(), state)
    assert not list(pyro.get_param_store().keys())


def test_new_particles_are_no_copies_of_what_there_is():
    cache = build(n=100)
    for _ in range(3):
        cache.top_up(guide, 1e6, at_most=100)
    assert len(values(cache)["x"].unique()) > 395  # of 400; float32 has few ties


def test_one_particle_can_be_run_again_after_top_ups():
    def noisy():
        x = guide().item()
        pyro.sample("y", dist.Normal(x + np.random.rand(), 1.0))

    with pytest.warns(ProgramWarning, match="one particle at a time"):
        cache = build([normal(), normal(1.0)], noisy, 60)
    for mean in (8.0, -8.0):
        with pytest.warns(ProgramWarning, match="one particle at a time"):
            cache.top_up(normal(mean), 40)
    for i in (0, 29, 30, 59, 60, size(cache) - 1):
        own = cache.simulate_one(i)
        assert all(torch.equal(own[name], values(cache)[name][i]) for name in "xy")


def test_a_tuner_sees_the_new_particles():
    cache = build()
    tuner = cache.tune(lambda mean: normal(mean, 0.5), mean=(0.0, 8.0))
    before = tuner.look(mean=8.0)
    cache.top_up(normal(8.0, 0.5), 1000)
    after = tuner.look(mean=8.0)
    assert before.ess < 10
    assert after.ess == tuner.update(mean=8.0).weights.ess == pytest.approx(1000, rel=0.05)


def test_top_ups_of_a_family_guide_keep_its_ranges():
    cache = build(family(lambda mean: normal(mean), mean=(-1.0, 1.0)))
    cache.top_up(normal(5.0), 500)
    assert cache.tune(lambda mean: normal(mean)).ranges["mean"].high == 1.0
    x = values(cache)["x"].double().numpy()
    raw = np.exp(cache.weigh(normal(0.5)).log_ratio)
    assert abs(z_of_mean(raw, 1.0)) < 4
    assert abs(z_of_mean(raw * x, 0.5)) < 4


# ------------------------------------------------------------------ simulators


def test_batches_and_single_runs_extend_the_new_particles_too():
    for options in ({"batch_size": 64}, {"vectorize": False}):
        cache = build(guide, simulator, 200, **options)
        cache.top_up(normal(6.0, 0.5), 150)
        new = values(cache)["y"][200:] - values(cache)["x"][200:]
        assert abs(z_of_mean(new, 0.0)) < 4
        assert len(new.unique()) > 140


@DATA
@pytest.mark.parametrize("model", [normal(4.0), whole(4.0)])
def test_a_whole_program_extends_its_new_particles_itself(model):
    cache = build(whole())
    cache.top_up(model, 1500)
    new = values(cache)["y"][N:] - values(cache)["x"][N:]
    assert abs(z_of_mean(new, 0.0)) < 4
    # A sample variance of n normal numbers has a relative standard error of sqrt(2 / n).
    assert abs(float(new.var()) / 0.25 - 1) < 4 * math.sqrt(2 / len(new))


def test_another_simulator_extends_the_new_particles_alone():
    def shifted():
        pyro.sample("y", dist.Normal(guide() + 100.0, 0.5))

    cache = build(guide, simulator)
    first = cache.top_up(normal(6.0), 500, simulator=shifted).num_added
    cache.top_up(normal(-6.0), 500)
    shift = values(cache)["y"] - values(cache)["x"]
    assert (shift > 50).nonzero()[:, 0].tolist() == list(range(N, N + first))


def test_a_simulator_may_draw_latents_that_the_model_has_too():
    def more(scale):
        def program():
            x = guide()
            z = pyro.sample("z", dist.Normal(x, scale))
            pyro.sample("y", dist.Normal(z, 1.0), obs=torch.tensor(0.0))

        return program

    def model(scale):
        def program():
            pyro.sample("z", dist.Normal(normal(6.0)(), scale))

        return program

    cache = build(guide, more(0.5))
    cache.top_up(model(0.5), 500)
    assert (cache.weigh(model(0.5)).log_ratio_by_site["z"] == 0).all()
    with pytest.raises(MismatchError, match="the model changes site 'z', which the simulator draws"):
        cache.top_up(model(0.6), 5000)


def test_failed_runs_of_new_particles_are_known():
    def failing():
        x = guide()
        if x.item() > 6:
            raise RuntimeError("no")
        pyro.sample("y", dist.Normal(x, 1.0))

    cache = build(guide, failing, 200, on_error="mask", vectorize=False)
    assert cache.pipeline.particles.failed is None
    with pytest.warns(DrawWarning, match=r"the run of \d+ of 100 particles failed"):
        cache.top_up(normal(6.0), 100)
    x = values(cache)["x"]
    assert torch.equal(cache.pipeline.particles.failed, x > 6)
    assert torch.equal(values(cache)["y"].isnan(), x > 6)
    share, mcse = cache.weigh(normal(6.0)).failed_mass
    assert abs(share - 0.5) < 4 * mcse


# ------------------------------------------------------------------ pickles


def far():
    return pyro.sample("x", dist.Normal(6.0, 0.5))


def test_a_pickle_with_its_programs_tops_up_as_the_original_does():
    cache = build(guide, simulator, keep_programs=True)
    cache.top_up(far, 400)
    copy = pickle.loads(pickle.dumps(cache))
    for own in (cache, copy):
        own.top_up(of(dist.Normal(-6.0, 0.5)), 400)
    assert all(torch.equal(values(cache)[name], values(copy)[name]) for name in "xy")
    assert torch.equal(columns(cache)["x"].log_q, columns(copy)["x"].log_q)
    assert all(torch.equal(copy.simulate_one(N + 3)[name], values(cache)[name][N + 3]) for name in "xy")


def test_a_pickle_without_its_programs_keeps_the_particles_and_says_what_it_lacks():
    cache = build(guide, simulator)
    cache.top_up(far, 400)
    copy = pickle.loads(pickle.dumps(cache))
    assert np.array_equal(copy.weigh(far).log_ratio, cache.weigh(far).log_ratio)
    with pytest.raises(ArgumentError, match=r"has no programs to run: .* with keep_programs=True"):
        copy.top_up(far)


# ------------------------------------------------------------------ what is refused


def factor():
    far()
    pyro.factor("f", torch.tensor(1.0))


@pytest.mark.parametrize(
    ("model", "error", "message"),
    [
        (factor, ProgramError, "cannot be drawn from: site 'f' changes its density by a factor"),
        (poutine.scale(far, 0.5), ProgramError, "cannot be drawn from: site 'x' changes its density"),
        (poutine.mask(far, False), ProgramError, "cannot be drawn from: site 'x' changes its density"),
        (of(dist.ImproperUniform(dist.constraints.real, (), ())), ProgramError, "'x' .* improper"),
        (normal(6.0, name="z"), MismatchError, "site 'z' of the model was not drawn for the particles"),
        (of(dist.Normal(torch.zeros(3), 1.0).to_event(1)), MismatchError, r"axes \(3\) in the model"),
        (of(dist.Delta(torch.tensor(1.0))), MismatchError, "'x' is a point mass"),
        (of(dist.Poisson(3.0)), MismatchError, "'x' was drawn from a continuous distribution"),
        (3.0, ArgumentError, "model must be a callable, got float"),
    ],
)
def test_a_model_that_cannot_add_particles_is_refused_and_nothing_changes(model, error, message):
    cache = build()
    before = cache.pipeline
    with pytest.raises(error, match=message):
        cache.top_up(model)
    assert cache.pipeline is before


def test_a_model_that_leaves_out_latents_is_refused_with_their_names():
    def both():
        return normal()(), normal(name="z")()

    with pytest.raises(MismatchError, match="does not mention 'z'"):
        build(both).top_up(far)
    with pytest.raises(MismatchError, match="the model does not draw 'z', which every particle has"):
        build(both, partial=True).top_up(far)


def test_particles_of_an_automatic_guide_are_refused():
    auto = AutoNormal(guide)
    auto()
    with pytest.raises(ProgramError, match=r"automatic guide cannot be topped up.* auxiliary sites"):
        build(auto).top_up(far)


def test_auxiliary_sites_of_a_simulator_are_simulated_for_new_particles_too():
    def through():
        hidden = pyro.sample("hidden", dist.Normal(guide(), 1.0), infer={"is_auxiliary": True})
        pyro.sample("y", dist.Normal(hidden, 1.0))

    resampler = build(extended_by=through, n=3000)
    resampler.top_up(normal(sd=3.0), ess=1500)
    particles, _ = resampler.weighted(normal(sd=3.0))
    weights = resampler.weigh(normal(sd=3.0))
    square = particles["y"].values ** 2
    assert abs(weights.mean(square) - 11.0) < 5 * weights.mcse(square)  # 9 + 1 + 1


@pytest.mark.parametrize("ess", [0, -1.0, math.nan, math.inf, "many", True])
def test_a_wish_that_is_none_is_refused(ess):
    with pytest.raises(ArgumentError, match="ess must be a positive number, got"):
        build(n=100).top_up(far, ess)


@pytest.mark.parametrize("at_most", [0, -1, 1.5, "few"])
def test_a_bound_that_is_none_is_refused(at_most):
    with pytest.raises(ArgumentError, match="at_most must be a positive integer, got"):
        build(n=100).top_up(far, at_most=at_most)


# ------------------------------------------------------------------ what is not the same as in the particles


def noise(cache, model):
    """Variance of y around x."""
    found, weights = cache.weighted(model)
    return float(((found["y"] - found["x"]) ** 2 * weights).sum())


@pytest.mark.filterwarnings("ignore:site 'y' of the model carries obs=")
@pytest.mark.parametrize("extended_by", [whole(0.0, 0.5), None])
def test_a_whole_program_tops_up_latents_alone_and_the_simulator_keeps_the_data(extended_by):
    cache = build(guide if extended_by else whole(0.0, 0.5), extended_by)
    wide = whole(3.0, 2.0)
    assert cache.top_up(wide, 1500).num_added > 1000
    for model in (wide, normal(3.0)):
        # y has a standard deviation of 0.5 around x: its variance has an error of 0.25 * sqrt(2 / 1500).
        assert abs(noise(cache, model) - 0.25) < 5 * 0.25 * math.sqrt(2 / 1500)


def table(first, second, sizes=(2, 2)):
    def program():
        with pyro.plate(first, sizes[0], dim=-2), pyro.plate(second, sizes[1], dim=-1):
            pyro.sample("x", dist.Normal(5.0, 1.0))

    return program


@pytest.mark.parametrize("model", [table("b", "a"), table("a", "b", (2, 3)), table("c", "a")])
def test_a_model_with_other_axes_is_refused_and_so_are_its_latents(model):
    cache = build(table("a", "b"))
    for call in (cache.reach, cache.top_up, cache.wanted):
        with pytest.raises(MismatchError):
            call(model)
    assert size(cache) == N


def test_plates_of_other_names_are_taken_in_their_order():
    cache = build(table("a", "b"))
    assert cache.top_up(table("c", "d"), 2 * N).num_added > 0


def test_a_simulator_with_other_axes_is_refused():
    def measured(first, second):
        def program():
            x = guide()
            with pyro.plate(first, 2, dim=-2), pyro.plate(second, 2, dim=-1):
                pyro.sample("y", dist.Normal(x, 1.0))

        return program

    cache = build(guide, measured("a", "b"))
    with pytest.raises(MismatchError, match=r"site 'y' has dims .* in what is to be added"):
        cache.top_up(far, simulator=measured("b", "a"))
    with pytest.raises(MismatchError, match="draw 'y', which no other particle has"):
        build().top_up(far, simulator=measured("a", "b"))


def test_a_guide_that_has_changed_since_is_refused():
    scale = {"x": 1.0}
    cache = build(lambda: pyro.sample("x", dist.Normal(0.0, scale["x"])))
    for changed, calls in ((3.0, (cache.reach, cache.top_up)), (1.001, (cache.top_up,))):
        scale["x"] = changed
        for call in calls:
            with pytest.raises(ProgramError, match="has another density at 'x' than when"):
                call(far)
    scale["x"] = 1.0
    assert cache.top_up(far).num_added > 0


def test_a_model_of_an_earlier_top_up_that_has_changed_since_is_refused():
    cache, at = build(), {"mean": 4.0}

    def prior():
        return pyro.sample("x", dist.Normal(at["mean"], 1.0))

    cache.top_up(prior, 300)
    at["mean"] = 8.0  # as a loop variable does that a function reads
    with pytest.raises(ProgramError, match="a model of an earlier top-up, has another density at 'x'"):
        cache.top_up(prior, 300)


@pytest.mark.filterwarnings("ignore:site 'x' of the guide has no finite density")
def test_what_underflows_as_it_is_drawn_has_no_weight_under_any_mixture():
    def lognormal(sd):
        return lambda: pyro.sample("x", dist.LogNormal(0.0, sd))

    cache = build([lognormal(60.0), lognormal(1.0)])
    cache.top_up(lognormal(0.01), 1500)
    log = columns(cache)["x"].value.double().log()
    weights = cache.weigh(lognormal(1.0))
    assert (weights.normalized[~torch.isfinite(log)] == 0).all()
    mean = weights.mean(torch.where(torch.isfinite(log), log, 0.0))
    # A standard Normal on the log scale, by about N / 2 effective particles.
    assert abs(mean) < 5 / math.sqrt(weights.ess)
    assert weights.verdict == "good"


def test_guides_of_a_mixture_are_not_said_to_be_apart_where_a_model_is_drawn():
    cache = build([guide, normal(0.0, 2.0), normal(0.0, 3.0)])
    assert cache.reach(guide).num_needed == 0


# ------------------------------------------------------------------ faults that are known


@pytest.mark.filterwarnings("ignore:the guide draws random numbers outside its sites")
def test_parameters_of_the_guide_that_start_at_random_are_kept():
    def program():
        return pyro.sample("x", dist.Normal(pyro.param("at", lambda: 3.0 * torch.randn(())), 1.0))

    cache = build(program)
    at = float(cache.pipeline.particles.params["at"])
    count = cache.top_up(normal(at + 3.0), 1500).num_added
    x = values(cache)["x"].double()
    terms = [(at, N), (at + 3.0, count)]
    logs = [dist.Normal(mean, 1.0).log_prob(x) + math.log(n / (N + count)) for mean, n in terms]
    torch.testing.assert_close(columns(cache)["x"].log_q, torch.logaddexp(*logs), rtol=0, atol=1e-4)


def test_mass_where_no_particle_is_gets_particles():
    cache = build(of(dist.HalfNormal(1.0)))  # all of its ratios to Normal(0, 1) are 1 / 2
    assert cache.weigh(guide).verdict == "unreliable"
    assert cache.top_up(guide, 1000).num_added > 0
    assert cache.weigh(guide).verdict != "unreliable"


def test_whole_numbers_of_runs_that_fail_are_missing():
    def failing():
        if guide().item() > 4:
            raise RuntimeError("no")
        pyro.sample("k", dist.Categorical(torch.ones(3)), obs=torch.tensor(1))

    cache = build(guide, failing, 100, on_error="mask", vectorize=False)
    with pytest.warns(DrawWarning, match="failed"):
        cache.top_up(normal(4.0), 100)
    assert torch.equal(values(cache)["k"].isnan(), values(cache)["x"] > 4)


def test_a_run_that_fails_is_said_with_the_number_of_its_particle():
    def failing():
        if guide().item() > 4:
            raise RuntimeError("no")
        pyro.sample("y", dist.Normal(0.0, 1.0))

    cache = build(guide, failing, 100, on_error="mask", vectorize=False)
    with pytest.warns(DrawWarning, match=r"Particle 1\d\d: "):
        cache.top_up(normal(4.5), 50)


def test_a_model_whose_distribution_is_masked_is_refused():
    with pytest.raises(ProgramError, match="cannot be drawn from"):
        build().top_up(of(dist.Normal(3.0, 1.0).mask(False)))


@DATA
@pytest.mark.parametrize("other", [False, True])
def test_a_particle_of_a_top_up_is_repeated_by_what_extended_it(other):
    def shifted():
        pyro.sample("y", dist.Normal(guide() + 100.0, 0.5))

    cache = build(guide, simulator, 60, vectorize=False) if other else build(whole(), n=60)
    cache.top_up(normal(6.0), 40, simulator=shifted if other else None)
    assert torch.equal(cache.simulate_one(70)["y"], values(cache)["y"][70])


def test_no_more_are_added_than_the_wish_lacks():
    cache = build()
    assert cache.top_up(normal(0.0, 0.01), 1000).num_added <= 1000 - limit(0.0, 0.01, 0) * 0.9


def test_top_ups_of_several_threads_are_all_kept():
    cache, ready = build(), threading.Barrier(4)

    def work(mean):
        ready.wait()
        cache.top_up(normal(mean, 0.5), 300)

    threads = [threading.Thread(target=work, args=(mean,)) for mean in (6.0, -6.0, 12.0, -12.0)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert min(cache.weigh(normal(mean, 0.5)).ess for mean in (6.0, -6.0, 12.0, -12.0)) > 250


def test_a_model_that_leaves_data_of_a_block_to_the_simulator_is_refused():
    def whole(mean, noise):
        def program():
            x = pyro.sample("x", dist.Normal(mean, 1.0))
            pyro.sample("y", dist.Normal(x, noise), obs=torch.tensor(0.0))

        return program

    cache = build([whole(0.0, 1.0), whole(5.0, 3.0)], n=200, partial=True)
    with pytest.raises(
        MismatchError, match=r"has a density at 'x' but not at 'y'.*known of these sites together"
    ):
        cache.top_up(normal(9.0), 100)
