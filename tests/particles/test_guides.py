"""Several guides share the particles: their density by block of sites, against closed forms."""

import math

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro.nn import PyroModule, PyroParam

from arviz_resampler import (
    ArgumentError,
    MismatchError,
    Mixture,
    ProgramError,
    ProgramWarning,
    Resampler,
    ResamplerWarning,
)
from arviz_resampler.particles import particles
from arviz_resampler.particles.guides import add, apportioned, as_guide, mixed, regrouped
from arviz_resampler.particles.log_q import evaluator
from arviz_resampler.planning import of_weights
from arviz_resampler.programs.program import Program

N = 4000


def normal(mean=0.0, sd=1.0, name="x"):
    return lambda: pyro.sample(name, dist.Normal(mean, sd))


def of(distribution):
    return lambda: pyro.sample("x", distribution)


def school(spread=1.0, mean=0.0, sd=1.0, *, observed=False):
    def program():
        mu = pyro.sample("mu", dist.Normal(mean, 2.0))
        tau = pyro.sample("tau", dist.HalfNormal(spread))
        with pyro.plate("school", 4):
            theta = pyro.sample("theta", dist.Normal(mu, tau))
            pyro.sample("y", dist.Normal(theta, sd), obs=torch.zeros(4) if observed else None)
        pyro.deterministic("best", theta.max(-1).values)

    return program


def build(guide, simulator=None, n=N, **options):
    return Resampler(guide, simulator, num_guide_samples=n, random_seed=0, progressbar=False, **options)


def columns(resampler):
    return resampler.pipeline.particles.columns


def z_of_mean(values, truth):
    """Distance of a mean from the truth, in its standard errors."""
    return (values.mean() - truth) / (values.std() / math.sqrt(len(values)))


# ------------------------------------------------------------------ densities


@pytest.mark.parametrize("shares", [None, [0.9, 0.1], [3, 1]])
@pytest.mark.parametrize("options", [{}, {"batch_size": 700}, {"vectorize": False, "n": 200}], ids=str)
def test_the_density_of_a_mixture_is_the_closed_form(shares, options):
    cache = build(Mixture([normal(), normal(3.0, 0.5)], shares), **options)
    x = columns(cache)["x"].value.double()
    first = 0.5 if shares is None else shares[0] / sum(shares)
    expected = torch.logaddexp(
        dist.Normal(0.0, 1.0).log_prob(x) + math.log(first),
        dist.Normal(3.0, 0.5).log_prob(x) + math.log(1 - first),
    )
    # Components have densities of float32, of a size of up to 100.
    torch.testing.assert_close(columns(cache)["x"].log_q, expected, rtol=0, atol=1e-5)


def test_components_draw_fixed_numbers_one_after_the_other():
    x = columns(build(Mixture([normal(), normal(100.0)], [1, 4]), n=10))["x"].value
    assert (x > 50).tolist() == [False] * 2 + [True] * 8


GUIDES = {
    "Normal": (normal(), normal(0.3, 0.8)),
    "school": (school(), school(0.5, 1.0)),
    "Poisson": (of(dist.Poisson(3.0)), of(dist.Poisson(2.0))),
    "Dirichlet": (of(dist.Dirichlet(torch.ones(3))), of(dist.Dirichlet(torch.ones(3) * 2))),
}


@pytest.mark.parametrize("name", GUIDES)
def test_a_mixture_of_one_is_its_guide_bit_for_bit(name):
    guide, model = GUIDES[name]
    one, same = build(guide), build([guide])
    assert one.sites == same.sites
    for site, column in columns(one).items():
        assert torch.equal(columns(same)[site].value, column.value)
    assert np.array_equal(one.weigh(model).log_ratio, same.weigh(model).log_ratio)


def test_the_order_of_components_changes_no_density():
    programs = [normal(), normal(3.0, 0.5), of(dist.StudentT(3.0, -1.0, 1.0))]
    cache = build(programs)
    evaluate = evaluator(columns(cache), N, "auto")
    found = [Mixture(order).blocks(evaluate, 3000)["x",] for order in (programs, programs[::-1])]
    torch.testing.assert_close(*found, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("turned", [False, True])
def test_a_site_that_some_chunks_of_particles_have_alone_is_refused(monkeypatch, turned):
    def program():
        x = pyro.sample("x", dist.Normal(0.0, 1.0))
        if (x > 0) != turned:
            pyro.sample("y", dist.Normal(0.0, 1.0))

    def both():
        pyro.sample("x", dist.Normal(0.0, 1.0))
        pyro.sample("y", dist.Normal(0.0, 1.0))

    known = columns(build(both, n=8))
    known["x"].value[:] = torch.linspace(-1.0, 1.0, 8)
    monkeypatch.setattr(particles, "_MAX_PARTICLES", 4)
    has, lacks = [f"particles {rows}" for rows in ("4 to 7", "0 to 3")][:: -1 if turned else 1]
    with pytest.raises(ProgramError, match=f"site 'y' of the guide is in {has} and not in {lacks}: every"):
        evaluator(known, 8, False)(Program(program, "guide"))


def test_what_components_share_and_a_model_leaves_cancels_to_the_bit():
    cache = build([school(1.0), school(5.0)])
    ratios = cache.weigh(school(2.0)).log_ratio_by_site
    assert cache.pipeline.particles.joint == ()
    assert {name: bool((ratio == 0).all()) for name, ratio in ratios.items()} == {
        "mu": True,
        "tau": False,
        "theta": True,
        "y": True,
    }


def test_sites_at_which_components_differ_are_one_block_with_the_names_of_all():
    cache = build([school(1.0), school(5.0, 3.0)])
    weights = cache.weigh(school(2.0, 1.0))
    assert cache.pipeline.particles.joint == (("mu", "tau"),)
    assert list(weights.log_ratio_by_site) == ["theta", "y", "mu & tau"]
    assert weights.costliest_site == "mu & tau"
    np.testing.assert_allclose(sum(weights.log_ratio_by_site.values()), weights.log_ratio, atol=1e-12)
    mu, tau = (columns(cache)[name].value.double() for name in ("mu", "tau"))

    def log_p(spread, mean):
        return dist.Normal(mean, 2.0).log_prob(mu) + dist.HalfNormal(spread).log_prob(tau)

    expected = log_p(2.0, 1.0) - torch.logaddexp(log_p(1.0, 0.0), log_p(5.0, 3.0)) + math.log(2)
    np.testing.assert_allclose(weights.log_ratio_by_site["mu & tau"], expected, atol=1e-5)


def test_data_of_whole_programs_are_simulated_and_cancel():
    cache = build([school(1.0, observed=True), school(5.0, observed=True)])
    with pytest.warns(ProgramWarning, match="'y' of the model carries obs="):
        weights = cache.weigh(school(5.0, observed=True))
    assert cache.sites["y"].role == "predictive"
    assert np.exp(weights.log_ratio).max() <= 2 * (1 + 1e-5)


def test_a_model_of_a_part_of_a_block_is_refused_with_what_is_left_out():
    cache = build([school(1.0), school(5.0, 3.0)], partial=True)
    with pytest.raises(
        MismatchError, match=r"a density at 'mu' but not at 'tau'.*known of these sites together"
    ):
        cache.weigh(normal(name="mu"))
    with pytest.raises(MismatchError, match=r"does not mention 'tau', 'theta', 'y'"):
        build([school(1.0), school(5.0, 3.0)]).weigh(normal(name="mu"))


# ------------------------------------------------------------------ weights


@pytest.mark.parametrize("shares", [[0.5, 0.5], [0.9, 0.1], [0.99, 0.01]])
def test_no_weight_of_a_component_is_larger_than_one_over_its_share(shares):
    cache = build(Mixture([normal(), normal(4.0, 0.3)], shares))
    for model, share in zip((normal(), normal(4.0, 0.3)), shares, strict=True):
        weights = cache.weigh(model)
        assert np.exp(weights.log_ratio).max() <= (1 + 1e-5) / share
        assert weights.ess >= 0.95 * share * N  # in the limit without the 0.95


@pytest.mark.parametrize("mean", [-0.5, 1.0, 1.5, 2.0, 3.5])
def test_a_mixture_leaves_at_least_what_its_components_leave_together(mean):
    weights = build([normal(), normal(3.0)]).weigh(normal(mean))
    # Of n particles from Normal(a, 1), Normal(b, 1) keeps n exp(-(a - b)^2).
    least = 0.5 * math.exp(-(mean**2)) + 0.5 * math.exp(-((mean - 3.0) ** 2))
    fraction, mcse, *_ = of_weights(weights)
    assert fraction > least - 4 * mcse


def test_components_of_other_supports_give_the_right_density():
    cache = build([of(dist.Uniform(0.0, 1.0)), of(dist.Uniform(0.5, 2.0))])
    x = columns(cache)["x"].value.double()
    density = 0.5 * (x < 1) + 0.5 / 1.5 * (x > 0.5)
    np.testing.assert_allclose(columns(cache)["x"].log_q.exp(), density, rtol=1e-6)
    weights = cache.weigh(of(dist.HalfNormal(1.0)))
    # P(x < 2) of a half normal is erf(sqrt(2)), which is what particles can show.
    raw = np.exp(weights.log_ratio)
    assert abs(z_of_mean(raw, math.erf(math.sqrt(2)))) < 4
    assert abs(z_of_mean(raw * (x.numpy() < 1), math.erf(math.sqrt(0.5)))) < 4


@pytest.mark.parametrize("turned", [False, True])
def test_a_half_normal_beside_a_normal_gives_the_right_moments(turned):
    guides = [of(dist.HalfNormal(1.0)), normal(0.0, 1.5)]
    cache = build(guides[::-1] if turned else guides)
    x = columns(cache)["x"].value.double().numpy()
    for model, moments in (
        (normal(0.3, 0.8), (1.0, 0.3, 0.73)),
        (of(dist.HalfNormal(0.8)), (1.0, 0.8 * math.sqrt(2 / math.pi), 0.64)),
    ):
        raw = np.exp(cache.weigh(model).log_ratio)
        for power, truth in enumerate(moments):
            assert abs(z_of_mean(raw * x**power, truth)) < 4
    assert (cache.weigh(of(dist.HalfNormal(0.8))).log_ratio[x < 0] == -np.inf).all()


def test_counts_of_several_guides_give_the_right_moments():
    cache = build([of(dist.Poisson(2.0)), of(dist.Poisson(12.0))])
    k = columns(cache)["x"].value.double().numpy()
    raw = np.exp(cache.weigh(of(dist.Poisson(5.0))).log_ratio)
    for values, truth in ((raw, 1.0), (raw * k, 5.0), (raw * k**2, 30.0)):
        assert abs(z_of_mean(values, truth)) < 4


def test_the_density_is_kept_in_float64():
    torch.set_default_dtype(torch.float64)
    cache = build([normal(), normal(3.0, 0.5)])
    x = columns(cache)["x"].value
    expected = torch.logaddexp(dist.Normal(0.0, 1.0).log_prob(x), dist.Normal(3.0, 0.5).log_prob(x))
    torch.testing.assert_close(columns(cache)["x"].log_q, expected - math.log(2), rtol=1e-14, atol=1e-14)


def test_parameters_that_start_at_random_are_those_that_particles_were_drawn_with():
    def guide():
        return pyro.sample("x", dist.Normal(pyro.param("at", lambda: 9.0 * torch.randn(())), 1.0))

    cache = build([guide, normal(0.0, 20.0)])
    at = cache.pipeline.particles.params["at"].double()
    x = columns(cache)["x"].value.double()
    expected = torch.logaddexp(dist.Normal(at, 1.0).log_prob(x), dist.Normal(0.0, 20.0).log_prob(x))
    torch.testing.assert_close(columns(cache)["x"].log_q, expected - math.log(2), rtol=0, atol=1e-4)


def test_one_particle_can_be_run_again_whichever_guide_drew_it():
    def simulator():
        x = normal()().item()
        pyro.sample("y", dist.Normal(x, 1.0))

    with pytest.warns(ProgramWarning, match="one particle at a time"):
        cache = build([normal(), normal(3.0)], simulator, 60)
    for i in (0, 29, 30, 59):
        own = cache.simulate_one(i)
        assert all(torch.equal(own[name], columns(cache)[name].value[i]) for name in "xy")


# ------------------------------------------------------------------ blocks


def log_q(*numbers):
    return torch.tensor(numbers, dtype=torch.float64)


def test_regrouped_blocks_are_the_finest_that_cut_none():
    one, two, three = log_q(1.0), log_q(2.0), log_q(4.0)
    each = [{("a",): one, ("b",): two, ("c",): three}, {("a", "b"): one, ("c",): two}]
    assert {sites: [float(p) for p in parts] for sites, parts in regrouped(each).items()} == {
        ("a", "b"): [3.0, 1.0],
        ("c",): [4.0, 2.0],
    }
    chain = [{("a", "b"): one, ("c",): one, ("d",): one}, {("a",): two, ("b", "c"): two, ("d",): two}]
    found = {frozenset(sites): [float(p) for p in parts] for sites, parts in regrouped(chain).items()}
    assert found == {frozenset("abc"): [2.0, 4.0], frozenset("d"): [1.0, 2.0]}


def test_what_one_guide_leaves_to_the_simulator_is_alike_in_all():
    assert regrouped([{("a",): log_q(1.0), ("b",): log_q(2.0)}, {("a",): log_q(3.0)}])["b",] == [
        log_q(2.0),
        log_q(2.0),
    ]
    with pytest.raises(AssertionError):  # refused before: see test_top_up.py
        regrouped([{("a", "b"): log_q(1.0)}, {("a",): log_q(3.0)}])


def test_mixed_is_the_log_of_the_mean_density_by_numbers_of_particles():
    same = log_q(0.5, 0.5)
    each = [
        {("a",): log_q(-1.0, -2.0), ("b",): same},
        {("a",): log_q(-3.0, -1.0), ("b",): same.clone()},
    ]
    found = mixed(each, (3, 1))
    assert torch.equal(found["b",], same)
    expected = [math.log(0.75 * math.exp(a) + 0.25 * math.exp(b)) for a, b in ((-1.0, -3.0), (-2.0, -1.0))]
    torch.testing.assert_close(found["a",], log_q(*expected))
    assert mixed(each[:1], (3,)) is each[0]


def test_mixed_knows_where_one_component_has_no_density():
    infinite = -math.inf
    each = [{("a",): log_q(infinite, infinite, 0.0)}, {("a",): log_q(infinite, 0.0, 0.0)}]
    torch.testing.assert_close(mixed(each, (1, 1))["a",], log_q(infinite, math.log(0.5), 0.0))


def test_add_is_a_sum():
    assert torch.equal(add([log_q(1.0), log_q(2.0), log_q(4.0)]), log_q(7.0))


@pytest.mark.parametrize(
    ("shares", "total", "expected"),
    [
        ((1.0,), 7, (7,)),
        ((0.5, 0.5), 7, (4, 3)),
        ((0.1, 0.9), 10, (1, 9)),
        ((1 / 3, 1 / 3, 1 / 3), 3000, (1000, 1000, 1000)),
        ((0.04, 0.48, 0.48), 10, (0, 5, 5)),
        ((0.06, 0.47, 0.47), 10, (0, 5, 5)),
        ((0.14, 0.43, 0.43), 10, (2, 4, 4)),
    ],
)
def test_particles_are_apportioned_by_the_largest_remainder(shares, total, expected):
    assert apportioned(shares, total) == expected


@pytest.mark.parametrize("seed", range(5))
def test_apportioned_numbers_sum_to_the_whole_and_are_no_more_than_one_off(seed):
    shares = np.random.default_rng(seed).dirichlet(np.ones(40))
    counts = np.array(apportioned(shares.tolist(), 1013))
    assert counts.sum() == 1013
    assert (np.abs(counts - 1013 * shares) < 1).all()


# ------------------------------------------------------------------ what is refused


def both():
    return normal()(), normal(name="z")()


def plated(size):
    def program():
        with pyro.plate("p", size):
            pyro.sample("x", dist.Normal(0.0, 1.0))

    return program


@pytest.mark.parametrize(
    ("guides", "message"),
    [
        ([both, normal()], "site 'z' is in guide 0 and not in guide 1"),
        ([normal(), both], "site 'z' is in guide 1 and not in guide 0"),
        (
            [normal(), of(dist.Normal(torch.zeros(3), 1.0).to_event(1))],
            r"shape \(\).* guide 0.*\(3,\).*guide 1",
        ),
        ([plated(3), plated(3), plated(4)], r"shape \(3,\) over \('p',\).* guide 0.*\(4,\).*guide 2"),
        ([normal(), normal(torch.zeros((), dtype=torch.float64))], r"float32 .*guide 0.*float64 .*guide 1"),
        ([normal(), of(dist.Poisson(3.0))], "continuous in guide 0, but .* discrete in guide 1"),
        (
            [normal(), of(dist.Delta(torch.tensor(0.0)))],
            "continuous in guide 0, .* a point mass in guide 1",
        ),
    ],
)
def test_components_that_draw_other_things_are_refused_with_site_and_guides(guides, message):
    with pytest.raises(MismatchError, match=message):
        build(guides, n=100)


@pytest.mark.parametrize(
    "shares", [[1.0], [1.0, 0.0], [-1.0, 2.0], [math.nan, 1.0], [math.inf, 1.0], [1, 2, 3]]
)
def test_shares_that_are_none_are_refused_with_what_was_given(shares):
    with pytest.raises(
        ArgumentError, match="shares must be positive numbers, one for each of 2 guides"
    ) as no:
        Mixture([normal(), normal(3.0)], shares)
    assert repr(shares) in str(no.value)


def test_a_share_that_is_no_particle_is_refused_and_one_that_is_just_one_is_not():
    assert columns(build(Mixture([normal(), normal(3.0)], [0.99, 0.01]), n=100))["x"].value.shape == (100,)
    with pytest.raises(ArgumentError, match=r"guide 1 has a share of 0.004, which is no particle of 100"):
        build(Mixture([normal(), normal(3.0)], [0.996, 0.004]), n=100)


def test_no_guide_and_mixtures_of_mixtures_are_refused():
    with pytest.raises(ArgumentError, match="there is no guide"):
        build([])
    with pytest.raises(ArgumentError, match="a guide of a mixture is a mixture itself"):
        build([normal(), [normal(), normal(3.0)]])
    with pytest.raises(ArgumentError, match="guide 1 must be a callable, got float"):
        build([normal(), 3.0])
    with pytest.raises(ArgumentError, match="guide must be a callable, got float"):
        build([3.0])


def test_a_guide_is_taken_as_it_is():
    guide = Mixture([normal(), normal(3.0)])
    assert as_guide(guide) is guide
    assert isinstance(as_guide((normal(), normal(3.0))), Mixture)


def test_a_density_that_is_nan_at_what_another_component_drew_is_named():
    def narrow():
        x = pyro.sample("x", dist.Normal(3.0, 0.1))
        pyro.sample("z", dist.Normal(0.0, x.sqrt()))

    def wide():
        x = pyro.sample("x", dist.Normal(0.0, 1.0))
        pyro.sample("z", dist.Normal(0.0, x.exp()))

    with pytest.raises(ProgramError, match=r"density of guide 0 is NaN at site 'z' for \d+ of 200.*value -"):
        build([narrow, wide], n=200)


# ------------------------------------------------------------------ faults that are known


class Module(PyroModule):
    """A guide with parameters whose names all of its kind have."""

    def __init__(self, at):
        super().__init__()
        self.at = PyroParam(torch.tensor(at))

    def forward(self):
        return pyro.sample("x", dist.Normal(self.at, 1.0))


def test_modules_whose_parameters_have_the_same_names_keep_their_own():
    x = columns(build([Module(0.0), Module(8.0)]))["x"].value
    assert float(x[N // 2 :].mean()) == pytest.approx(8.0, abs=4 / math.sqrt(N / 2))


def automatic(at, *names):
    """What AutoNormal draws, for latents that are positive."""

    def program():
        for name in names:
            u = pyro.sample(f"{name}_unconstrained", dist.Normal(at, 1.0), infer={"is_auxiliary": True})
            pyro.sample(name, dist.Delta(u.exp(), log_density=-u))

    return program


@pytest.mark.parametrize(
    "names",
    ["x", "xz"],
)
def test_several_automatic_guides_have_the_density_of_the_latents(names):
    def log_p(at):
        values = [columns(cache)[name].value.double() for name in names]
        return add(dist.LogNormal(at, 1.0).log_prob(value) for value in values)

    def model():
        for name in names:
            pyro.sample(name, dist.LogNormal(1.0, 1.0))

    cache = build([automatic(0.0, *names), automatic(1.0, *names)])
    weights = cache.weigh(model)
    expected = log_p(1.0) - torch.logaddexp(log_p(0.0), log_p(1.0)) + math.log(2)
    np.testing.assert_allclose(weights.log_ratio, expected, atol=1e-4)
    np.testing.assert_allclose(weights.log_ratio_by_site[" & ".join(names)], expected, atol=1e-4)


@pytest.mark.filterwarnings("ignore:the run of", "ignore:site 'v' of the guide has no finite density")
def test_runs_of_components_may_fail():
    def guide(mean):
        def program():
            x = normal(mean)()
            root = torch.linalg.cholesky(torch.eye(2) * (x + 2.0))
            pyro.sample("v", dist.MultivariateNormal(torch.zeros(2), scale_tril=root))

        return program

    build(guide(0.0), on_error="mask")
    build([guide(0.0), guide(1.0)], on_error="mask")


@pytest.mark.parametrize(("guides", "shares"), [([normal(), normal()], "ab"), (normal(), None)])
def test_what_are_no_guides_or_shares_is_refused(guides, shares):
    with pytest.raises(ArgumentError):
        Mixture(guides, shares)


@pytest.mark.filterwarnings("always")
def test_supports_that_do_not_overlap_are_said():
    with pytest.warns(ResamplerWarning, match="'x'"):
        build([of(dist.Uniform(0.0, 1.0)), of(dist.Uniform(2.0, 3.0))])


@pytest.mark.filterwarnings("ignore:site 'y' of the model carries obs=")
def test_guides_that_differ_in_the_data_alone_weigh_them():
    def whole(noise):
        def program():
            x = normal()()
            pyro.sample("y", dist.Normal(x, noise), obs=torch.tensor(0.0))

        return program

    cache = build([whole(1.0), whole(2.0)])
    for noise in (1.0, 2.0):
        found, weights = cache.weighted(whole(noise))
        variance = float(((found["y"] - found["x"]) ** 2 * weights).sum())
        ess = cache.weigh(whole(noise)).ess
        assert abs(variance - noise**2) < 5 * noise**2 * math.sqrt(2 / ess)


# ------------------------------------------------------------------ the simulator


def counted(simulator, calls):
    def program():
        calls.append(1)
        simulator()

    return program


def noisy():
    pyro.sample("y", dist.Normal(pyro.sample("x", dist.Normal(0.0, 1.0)), 0.1))


def read_singly():
    pyro.sample("y", dist.Normal(pyro.sample("x", dist.Normal(0.0, 1.0)).item(), 0.1))


def test_the_simulator_runs_once_however_many_guides_there_are():
    one, many = [], []
    build(normal(), counted(noisy, one), n=640)
    cache = build([normal(float(i)) for i in range(64)], counted(noisy, many), n=640)
    assert len(one) == len(many)
    noise = columns(cache)["y"].value - columns(cache)["x"].value
    assert len(noise.unique()) > 600  # numbers of its own for each particle
    # The noise has mean zero and standard deviation 0.1: bounds of five standard errors.
    assert abs(noise.mean().item()) < 5 * 0.1 / math.sqrt(640)
    assert abs(noise.std().item() - 0.1) < 5 * 0.1 / math.sqrt(2 * 640)


@pytest.mark.parametrize("batch_size", [None, 7, 64, 100])
def test_batches_go_over_the_ends_of_guides(batch_size):
    guides = [normal(), normal(5.0), normal(-5.0)]
    cache = build(guides, noisy, n=200, batch_size=batch_size)
    x, y = (columns(cache)[name].value for name in "xy")
    assert ((y - x).abs() < 1.0).all()  # ten standard deviations
    for own, mean in ((x[:66], 0), (x[68:132], 5), (x[134:], -5)):
        assert ((own - mean).abs() < 6).all()
    same = build(guides, n=200, batch_size=batch_size)
    assert columns(same)["x"].value.equal(x)


@pytest.mark.filterwarnings("ignore:the simulator runs one particle at a time")
@pytest.mark.parametrize("batch_size", [None, 64])
def test_each_particle_of_each_guide_is_repeated_by_its_number(batch_size):
    cache = build([normal(), normal(5.0), normal(-5.0)], read_singly, n=200, batch_size=batch_size)
    for i in (0, 66, 67, 68, 133, 134, 199):
        for name, value in cache.simulate_one(i).items():
            assert value.equal(columns(cache)[name].value[i]), (name, i)


def test_failures_and_invalid_values_are_those_of_all_guides():
    def guide(mean):
        def program():
            x = normal(mean)()
            pyro.sample("y", dist.Normal(0.0, x), obs=torch.tensor(0.0))

        return program

    def simulator():
        x = normal()()
        torch.linalg.cholesky(torch.eye(2) * (x + 0.5))
        pyro.sample("z", dist.Normal(x, 0.1))

    guides = [guide(0.0), guide(0.5), guide(-0.5)]
    with pytest.warns(ResamplerWarning) as said:
        cache = build(guides, simulator, n=300, on_error="mask", predictive=["z"])
    x = columns(cache)["x"].value
    messages = "\n".join(str(each.message) for each in said)
    assert f"for {int((x < 0).sum())} of 300 particles; their values are NaN" in messages
    assert f"the run of {int((x < -0.5).sum())} of 300 particles failed" in messages
    assert columns(cache)["z"].value.isnan().equal(x < -0.5)
