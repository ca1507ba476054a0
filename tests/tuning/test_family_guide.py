"""Guides for a box of hyper-parameters: weights that are right everywhere, and a promise that is kept."""

import itertools
import math
import pickle

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch
from eight_schools import schools

from arviz_resampler import (
    ArgumentError,
    ProgramError,
    ProgramWarning,
    Resampler,
    WeightWarning,
    family,
)

N = 10_000


def normal(mean=0.0, sd=1.0):
    return lambda: pyro.sample("x", dist.Normal(mean, sd))


def build(guide, simulator=None, n=N, **options):
    options = {"random_seed": 0, "progressbar": False, **options}
    return Resampler(guide, simulator, num_guide_samples=n, **options)


def columns(cache):
    return cache.pipeline.particles.columns


def z_of_mean(found, truth):
    """Distance of a mean from the truth, in its standard errors."""
    return (found.mean() - truth) / (found.std() / math.sqrt(len(found)))


# ------------------------------------------------------------------ seven families


def ten(location, scale):
    def program():
        for i in range(10):
            pyro.sample(f"x{i}", dist.Normal(location, scale))

    return program


def tutorial(df0, df1, p0, p1):
    def program():
        pyro.sample("df", dist.LogNormal(df0, df1))
        pyro.sample("p", dist.LogNormal(p0, p1))

    return program


def walk(drift, spread, noise):
    def program():
        d = pyro.sample("d", dist.Normal(drift, spread))
        tau = pyro.sample("tau", dist.HalfNormal(noise))
        x = torch.zeros(())
        for t in range(3):
            x = pyro.sample(f"x{t}", dist.Normal(x + d, tau))

    return program


def regression(a0, a1, b, s):
    def program():
        pyro.sample("u", dist.Normal(0.0, 1.0))
        pyro.sample("alpha", dist.Normal(a0, a1))
        with pyro.plate("k", 3):
            pyro.sample("beta", dist.Normal(0.0, b))
        pyro.sample("sigma", dist.HalfNormal(s))

    return program


def plate_of_50(a, b, df):
    def program():
        mu = pyro.sample("mu", dist.Normal(0.0, a))
        tau = pyro.sample("tau", dist.HalfNormal(b))
        with pyro.plate("i", 50):
            pyro.sample("theta", dist.StudentT(df, mu, tau))

    return program


def counts(k, high):
    """Whole numbers, Python numbers and a support that moves."""

    def program():
        rate = pyro.sample("rate", dist.Gamma(float(k), 1.0))
        pyro.sample("n", dist.Poisson(rate))
        pyro.sample("u", dist.Uniform(0.0, float(high)))

    return program


# Ranges, and a site with the first two moments that it has at some position.
FAMILIES = {
    ten: (
        {"location": (-1.0, 1.0), "scale": (0.7, 1.5)},
        ("x3", lambda h: h["location"], lambda h: h["location"] ** 2 + h["scale"] ** 2),
    ),
    tutorial: (
        {"df0": (-2.0, 2.0), "df1": (1.0, 2.0), "p0": (-2.0, 2.0), "p1": (1.0, 2.0)},
        ("log df", lambda h: h["df0"], lambda h: h["df0"] ** 2 + h["df1"] ** 2),
    ),
    walk: (
        {"drift": (-1.0, 1.0), "spread": (0.5, 2.0), "noise": (0.5, 2.0)},
        ("d", lambda h: h["drift"], lambda h: h["drift"] ** 2 + h["spread"] ** 2),
    ),
    regression: (
        {"a0": (-1.0, 1.0), "a1": (0.5, 2.0), "b": (0.5, 2.0), "s": (0.5, 2.0)},
        ("alpha", lambda h: h["a0"], lambda h: h["a0"] ** 2 + h["a1"] ** 2),
    ),
    schools: (
        {"location": (1.0, 40.0), "spread": (1.0, 40.0)},
        ("mu", lambda h: 0.0, lambda h: h["location"] ** 2),
    ),
    plate_of_50: (
        {"a": (1.0, 10.0), "b": (1.0, 10.0), "df": (2.0, 100.0)},
        ("tau", lambda h: h["b"] * math.sqrt(2 / math.pi), lambda h: h["b"] ** 2),
    ),
    counts: (
        {"k": (1, 6), "high": (1.0, 3.0)},
        ("n", lambda h: h["k"], lambda h: 2 * h["k"] + h["k"] ** 2),
    ),
}


@pytest.mark.parametrize("make_model", FAMILIES, ids=lambda make_model: make_model.__name__)
def test_weights_are_right_everywhere_and_the_promise_is_kept(make_model):
    ranges, (site, first, second) = FAMILIES[make_model]
    guide = family(make_model, **ranges)
    cache = build(guide)
    values = columns(cache)[site.removeprefix("log ")].value.double()
    values = (values.log() if site.startswith("log ") else values).numpy()
    rng = np.random.default_rng(0)
    corners = [dict(zip(ranges, ends, strict=True)) for ends in itertools.product(*ranges.values())]
    low, high = np.array(list(ranges.values()), dtype=float).T
    rows = rng.uniform(low, high, size=(6, len(ranges))).tolist()
    whole = {name for name, (low, _) in ranges.items() if isinstance(low, int)}
    inside = [{n: round(v) if n in whole else v for n, v in zip(ranges, row, strict=True)} for row in rows]
    z, worst = [], N
    for hyper in [*corners, *inside]:
        weights = cache.weigh(make_model(**hyper))
        worst, raw = min(worst, weights.ess), np.exp(weights.log_ratio)
        z.append(z_of_mean(raw, 1.0))
        for power, moment in ((1, first(hyper)), (2, second(hyper))):
            z.append(z_of_mean(raw * (values**power - moment), 0.0))
    # Components have fixed numbers, so these are below one on average; 22 positions and less, 3 numbers each.
    assert np.sqrt(np.mean(np.square(z))) < 1.5
    assert np.abs(z).max() < 5
    # Blocks of one keep 0.9 of the promise, those of two a third of it and more.
    least = math.prod(0.85 if len(block.hyper) == 1 else 0.4 for block in guide.design)
    assert worst > least * N * guide.promise


# ------------------------------------------------------------------ density


@pytest.mark.parametrize("make_model", [normal, lambda mean, sd: normal(float(mean), sd)])
def test_the_density_is_that_of_the_mixture_of_all_points(make_model):
    guide = family(make_model, mean=(-2.0, 2.0), sd=(0.5, 2.0))
    cache = build(guide, n=3000)
    x = columns(cache)["x"].value.double()
    ((points, numbers),) = guide._points(3000)
    assert sum(numbers) == 3000
    logs = [
        dist.Normal(-2.0 + 4.0 * p.shares[0], 0.5 * 4.0 ** p.shares[1]).log_prob(x) + math.log(n / 3000)
        for p, n in zip(points, numbers, strict=True)
    ]
    expected = torch.logsumexp(torch.stack(logs), 0)
    torch.testing.assert_close(columns(cache)["x"].log_q, expected, rtol=0, atol=1e-4)


def test_blocks_are_spread_independently_and_known_by_site():
    cache = build(family(schools, location=(1.0, 40.0), spread=(1.0, 40.0)))
    assert cache.pipeline.particles.joint == ()
    weights = cache.weigh(schools(10.0, 5.0))
    assert list(weights.log_ratio_by_site) == ["mu", "tau", "theta"]
    assert (weights.log_ratio_by_site["theta"] == 0).all()
    for name in ("mu", "tau"):
        assert abs(z_of_mean(np.exp(weights.log_ratio_by_site[name]), 1.0)) < 4
    mu, tau = (columns(cache)[name].value.abs().double().log() for name in ("mu", "tau"))
    # A correlation of independent numbers has a standard error of 1 / sqrt(N).
    assert abs(np.corrcoef(mu, tau)[0, 1]) < 4 / math.sqrt(N)


def test_sites_that_are_moved_together_have_one_name():
    cache = build(family(ten, location=(-1.0, 1.0), scale=(0.7, 1.5)))
    assert list(cache.weigh(ten(0.0, 1.0)).log_ratio_by_site) == [" & ".join(f"x{i}" for i in range(10))]


def test_a_family_may_stand_beside_another_guide():
    cache = build([family(normal, mean=(-2.0, 2.0), sd=(0.5, 2.0)), normal(10.0)])
    for model in (normal(10.0, 0.9), normal(-2.0, 0.5), normal(0.0, 1.5)):
        raw = np.exp(cache.weigh(model).log_ratio)
        assert abs(z_of_mean(raw, 1.0)) < 4
    assert cache.weigh(normal(10.0)).ess >= 0.95 * N / 2


def test_whole_programs_and_simulators_go_with_it():
    def whole(mean):
        def program():
            x = normal(mean)()
            with pyro.plate("i", 3):
                pyro.sample("y", dist.Normal(x, 1.0), obs=torch.zeros(3))

        return program

    for cache in (
        build(family(whole, mean=(-2.0, 2.0))),
        build(family(lambda mean: normal(mean), mean=(-2.0, 2.0)), whole(0.0)),
    ):
        assert cache.sites["y"].role == "predictive"
        weights = cache.weigh(normal(1.0))
        y = columns(cache)["y"].value.double().mean(-1).numpy()
        assert abs(z_of_mean(np.exp(weights.log_ratio) * (y - 1.0), 0.0)) < 4


@pytest.mark.parametrize("options", [{"batch_size": 300}, {"vectorize": False, "n": 600}], ids=str)
def test_batches_and_single_runs_give_the_right_weights(options):
    cache = build(family(normal, mean=(-1.0, 1.0)), **{"n": 2000, **options})
    x = columns(cache)["x"].value.double().numpy()
    raw = np.exp(cache.weigh(normal(0.5)).log_ratio)
    assert abs(z_of_mean(raw, 1.0)) < 4
    assert abs(z_of_mean(raw * (x - 0.5), 0.0)) < 4


def test_the_default_dtype_is_that_of_the_particles():
    torch.set_default_dtype(torch.float64)
    cache = build(family(normal, mean=(-1.0, 1.0)), n=2000)
    assert columns(cache)["x"].value.dtype == torch.float64
    assert abs(z_of_mean(np.exp(cache.weigh(normal(0.5)).log_ratio), 1.0)) < 4


def test_particles_are_a_function_of_the_seed():
    guide = family(schools, location=(1.0, 40.0), spread=(1.0, 40.0))
    again = family(schools, location=(1.0, 40.0), spread=(1.0, 40.0))
    first, second, other = build(guide), build(again), build(guide, random_seed=1)
    assert torch.equal(columns(first)["mu"].value, columns(second)["mu"].value)
    assert torch.equal(columns(first)["mu"].log_q, columns(second)["mu"].log_q)
    assert not torch.equal(columns(first)["mu"].value, columns(other)["mu"].value)


def test_one_particle_can_be_run_again():
    for make_model in (normal, lambda mean: normal(float(mean))):
        cache = build(family(make_model, mean=(-1.0, 1.0)), n=300, vectorize=False)
        for i in (0, 100, 299):
            assert torch.equal(cache.simulate_one(i)["x"], columns(cache)["x"].value[i])


# ------------------------------------------------------------------ what it says


def test_it_prints_blocks_points_promise_and_numbers_of_guide_samples():
    guide = family(schools, location=(1.0, 40.0), spread=(1.0, 40.0))
    lines = str(guide).splitlines()
    assert lines[0] == "Guide of the family schools"
    assert [line.split()[0] for line in lines[1:]] == ["location", "spread", "promise", "guide"]
    assert "moves mu, keeps 40." in lines[1]
    assert "moves tau, keeps 40." in lines[2]
    assert f"{guide.needed(100):,} for an ESS of 100 there, {guide.needed(1000):,} for 1,000" in lines[4]
    assert "or so" not in str(guide)
    assert "or so" in str(family(counts, k=(1, 6), high=(1.0, 3.0)))


def test_it_says_where_its_members_run_one_by_one():
    for make_model, one_by_one in ((normal, False), (lambda mean: normal(float(mean)), True)):
        assert ("the family takes no tensors" in str(family(make_model, mean=(-1.0, 1.0)))) == one_by_one


def test_what_is_needed_is_the_wish_over_the_promise():
    guide = family(normal, mean=(-2.0, 2.0))
    assert guide.promise == math.prod(block.promise for block in guide.design)
    assert guide.needed(100) == math.ceil(100 / guide.promise)
    assert guide.needed(1) * guide.promise >= 1 > (guide.needed(1) - 1) * guide.promise
    with pytest.raises(ArgumentError, match="ess must be a positive number, got 0"):
        guide.needed(0)


def test_a_promise_of_less_than_100_is_said_with_what_it_takes_and_what_costs_most():
    guide = family(schools, location=(1.0, 4.0), spread=(1.0, 40.0))
    enough = guide.needed(100)
    build(guide, n=enough)  # a warning would be an error
    pattern = (
        rf"about (99|1e\+02) at the worst position of its box, and no other guide of {enough - 1:,} samples.*"
        rf"; {enough:,} would leave 100\. Hyper-parameters 'spread' cost most: narrow their ranges, or use"
    )
    with pytest.warns(WeightWarning, match=pattern):
        build(guide, n=enough - 1)


@pytest.mark.parametrize("below", [False, True])
def test_where_the_worst_is_out_of_reach_most_particles_are_spread_evenly(below):
    guide = family(normal, mean=(-2.0, 2.0))
    bound = math.ceil(10 / guide.promise)
    ((points, numbers),) = guide._points(bound - 1 if below else bound)
    ends = sum(n for p, n in zip(points, numbers, strict=True) if p.shares[0] in (0.0, 1.0)) / sum(numbers)
    # Ends have sqrt(4 pi) of a length of 4 + sqrt(4 pi); a fifth of it where four fifths are spread evenly.
    assert ends == pytest.approx(0.47 * (0.2 if below else 1.0), abs=0.06)


def test_hyper_parameters_that_move_nothing_are_said():
    with pytest.warns(ProgramWarning, match="hyper-parameter 'unused' moves no density of the family"):
        guide = family(lambda mean, unused: normal(mean), mean=(-1.0, 1.0), unused=(0.0, 1.0))
    assert [block.hyper for block in guide.design] == [("mean",)]
    assert abs(z_of_mean(np.exp(build(guide).weigh(normal(0.5)).log_ratio), 1.0)) < 4


@pytest.mark.parametrize(
    ("ranges", "message"),
    [
        ({"mean": (1.0, 1.0)}, "the range of 'mean' must go from low to high"),
        ({"mean": (2.0, 1.0)}, "the range of 'mean' must go from low to high"),
        ({"mean": 3.0}, "the range of 'mean' must be two numbers"),
        ({"mean": (0.0, math.inf)}, "the range of 'mean' must be finite"),
        ({"meen": (0.0, 1.0)}, "takes no hyper-parameter 'meen'"),
        ({}, "a range is needed for each hyper-parameter"),
    ],
)
def test_ranges_that_are_none_are_refused(ranges, message):
    with pytest.raises(ArgumentError, match=message):
        family(normal, **ranges)


# ------------------------------------------------------------------ tuners and pickles


def test_a_tuner_takes_the_ranges_of_the_guide_unless_others_are_given():
    cache = build(family(normal, mean=(-2.0, 2.0), sd=(0.5, 2.0)))
    assert dict(cache.tune(normal).ranges) == dict(family(normal, mean=(-2.0, 2.0), sd=(0.5, 2.0)).ranges)
    assert list(cache.tune(normal, mean=(0.0, 1.0)).ranges) == ["mean"]
    coverage = cache.tune(normal).coverage(16)
    assert coverage.covered_fraction > 0.9
    with pytest.raises(ArgumentError, match="a range is needed for each hyper-parameter"):
        build(normal()).tune(normal)


class Prior:
    """A program that pickles."""

    def __init__(self, mean):
        self.mean = mean

    def __call__(self):
        return pyro.sample("x", dist.Normal(self.mean, 1.0))


def test_a_pickle_with_programs_is_as_the_original():
    cache = build(family(Prior, mean=(-2.0, 2.0)), n=2000, keep_programs=True)
    copy = pickle.loads(pickle.dumps(cache))
    assert copy.tune(Prior).ranges == cache.tune(Prior).ranges
    for own in (cache, copy):
        own.top_up(Prior(8.0), 300)
    assert np.array_equal(copy.weigh(Prior(8.0)).log_ratio, cache.weigh(Prior(8.0)).log_ratio)
    assert repr(copy._programs().guide.guide) == repr(cache._programs().guide.guide)


# ------------------------------------------------------------------ faults that are known


def test_a_site_that_is_moved_in_a_part_of_the_box_alone_has_the_right_density():
    def make_model(a, b):
        def program():
            pyro.sample("x", dist.Normal(a, 1.0))
            shift = torch.where(torch.as_tensor(a) > 1.5, 3.0, 0.0)
            pyro.sample("y", dist.Normal(b + shift, 1.0))

        return program

    cache = build(family(make_model, a=(-2.0, 2.0), b=(-2.0, 2.0)))
    y = columns(cache)["y"].value.double().numpy()
    for a in (-2.0, 2.0):
        raw = np.exp(cache.weigh(make_model(a, 0.0)).log_ratio)
        assert abs(z_of_mean(raw, 1.0)) < 5
        assert abs(z_of_mean(raw * (y - (3.0 if a > 1.5 else 0.0)), 0.0)) < 5


def test_the_promise_for_four_hyper_parameters_is_no_larger_than_what_is_possible():
    def make_model(a, b, c, d):
        means = torch.stack([torch.as_tensor(h) for h in (a, b, c, d)])
        return lambda: pyro.sample("x", dist.Normal(means, 1.0).to_event(1))

    guide = family(make_model, **dict.fromkeys("abcd", (-1.0, 1.0)))
    # Four locations with ranges of length 2, each of which leaves 1 / (1 + 2 / sqrt(4 pi)).
    assert guide.promise < 1.3 * (1 + 2 / math.sqrt(4 * math.pi)) ** -4


@pytest.mark.filterwarnings("ignore:site 'y' of the model carries obs=")
def test_a_hyper_parameter_may_move_a_latent_and_the_data():
    def make_model(sd):
        def program():
            x = normal(0.0, sd)()
            pyro.sample("y", dist.Normal(x, sd), obs=torch.tensor(0.0))

        return program

    cache = build(family(make_model, sd=(0.5, 2.0)))
    assert cache.weigh(make_model(1.0)).ess > 1000


@pytest.mark.parametrize("make_model", [lambda k: normal(), lambda k: normal(0.0 * float(k))])
def test_a_family_that_nothing_moves_is_refused(make_model):
    with pytest.raises(ArgumentError, match="no hyper-parameter of make_model moves any density"):
        family(make_model, k=(0.0, 1.0))


def test_a_branch_that_is_too_rare_to_be_learned_is_refused():
    def make_model(scale):
        def program():
            normal(0.0, scale)()
            out = pyro.sample("out", dist.Bernoulli(0.003))
            wide = torch.where(out > 0, torch.as_tensor(scale), torch.tensor(1.0))
            pyro.sample("y", dist.Normal(0.0, wide))

        return program

    guide = family(make_model, scale=(1.0, 20.0))
    with pytest.raises(ProgramError, match=r"move site 'y' at .* a rare branch does"):
        Resampler(guide, num_guide_samples=20_000, random_seed=0, progressbar=False)


@pytest.mark.parametrize(
    ("make_mean", "range_", "positions"),
    [
        (lambda n: 8.0 * 2**-n, (0, 5), (0, 3, 5)),
        (lambda h: h if isinstance(h, float) else 0.0 * h, (0.0, 2.0), (0.0, 1.0)),
        (lambda h: {0.5: 1.0}.get(h, h), (0.5, 3.0), (0.5, 1.3)),
        (lambda year: year - 20_000_000.0, (20_000_000.0, 20_000_005.0), (20_000_000.0, 20_000_002.5)),
    ],
    ids=["powers of whole numbers", "types", "lookups", "digits"],
)
def test_a_family_that_means_something_else_by_tensors_is_drawn_by_numbers(make_mean, range_, positions):
    def make_model(h):
        return normal(make_mean(h), 1.0)

    cache = Resampler(
        family(make_model, h=range_), num_guide_samples=10_000, random_seed=0, progressbar=False
    )
    for h in positions:
        weights = cache.weigh(make_model(h))
        (value,) = (c.value for c in cache.pipeline.particles.columns.values())
        assert weights.verdict == "good"
        assert abs(weights.mean(value) - make_mean(h)) < 5 / math.sqrt(weights.ess)


def test_parameters_that_start_at_random_are_refused():
    def make_model(scale):
        return lambda: pyro.sample("x", dist.Normal(pyro.param("at", lambda: torch.randn(())), scale))

    with (
        pytest.warns(ProgramWarning, match="draws random numbers outside its sites"),
        pytest.raises(ProgramError, match="site 'x' of the family has another density at each run"),
    ):
        family(make_model, scale=(1.0, 4.0))


@pytest.mark.filterwarnings("ignore:site 'y' of the model carries obs=")
def test_a_prior_of_the_latents_reaches_a_family_of_whole_programs():
    def make_model(scale, noise):
        def program():
            x = pyro.sample("x", dist.Normal(0.0, scale))
            pyro.sample("y", dist.Normal(x, noise), obs=torch.tensor(0.0))

        return program

    def prior():
        pyro.sample("x", dist.Normal(0.0, 2.0))

    cache = Resampler(
        family(make_model, scale=(1.0, 3.0), noise=(1.0, 2.0)),
        num_guide_samples=5000,
        random_seed=0,
        progressbar=False,
    )
    assert cache.reach(prior).ess > 100
