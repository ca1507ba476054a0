import re

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch
import xarray as xr

from arviz_resampler import ArgumentError, Resampler

N = 500


def prior(mean):
    return lambda: pyro.sample("mu", dist.Normal(mean, 1.0))


def simulator():
    mu = prior(0.0)()
    with pyro.plate("school", 3):
        pyro.deterministic("theta", mu + dist.Normal(0.0, 1.0).mean.expand(3))
        pyro.sample("y", dist.Normal(mu, 1.0))


@pytest.fixture
def resampler():
    return Resampler(prior(0.0), simulator, num_guide_samples=N, random_seed=0, progressbar=False)


@pytest.fixture
def wanted(resampler):
    return resampler.wanted(prior(9.0), ess=100)


def simulated(wanted):
    y = wanted["mu"] + xr.DataArray([0.0, 1.0, 2.0], dims="school")
    return wanted.assign(theta=y, y=y)


def test_what_is_wanted_are_the_latents_of_particles_after_those_that_there_are(resampler, wanted):
    assert list(wanted) == ["mu"]
    assert wanted["particle"].values.tolist() == list(range(N, N + 100))
    # 100 draws of Normal(9, 1): their mean has a standard error of 0.1.
    assert abs(float(wanted["mu"].mean()) - 9.0) < 5 * 0.1
    assert resampler.wanted(prior(9.0), ess=100).equals(wanted)


def test_results_become_particles(resampler, wanted):
    done = resampler.extend(simulated(wanted))
    assert done.num_added == 100
    assert done.ess_before < 10
    assert done.ess_after == pytest.approx(100, rel=0.05)
    particles, _ = resampler.weighted(prior(9.0))
    np.testing.assert_array_equal(particles["mu"][N:], wanted["mu"])
    np.testing.assert_array_equal(particles["y"][N:], simulated(wanted)["y"].astype(np.float32))
    assert resampler.sample(prior(9.0), 50)["y"].min() > 4


def test_results_may_be_a_mapping_without_the_latents(resampler, wanted):
    found = simulated(wanted)
    resampler.extend({"y": found["y"].values, "theta": found["theta"].transpose(..., "particle")})
    particles, _ = resampler.weighted(prior(9.0))
    np.testing.assert_array_equal(particles["theta"][N:], found["theta"].astype(np.float32))


ORDER = np.random.default_rng(0).permutation(100)


@pytest.mark.parametrize(
    "mixed",
    [
        lambda found: found.isel(particle=ORDER),
        lambda found: dict(found.isel(particle=ORDER)),
        lambda found: {"y": found["y"].isel(particle=ORDER), "theta": found["theta"].values},
        lambda found: {"mu": found["mu"].to_series().iloc[ORDER], "y": found["y"], "theta": found["theta"]},
    ],
)
def test_results_go_by_the_labels_of_particles(resampler, wanted, mixed):
    found = simulated(wanted)
    resampler.extend(mixed(found))
    particles, _ = resampler.weighted(prior(9.0))
    np.testing.assert_array_equal(particles["mu"][N:], wanted["mu"])
    np.testing.assert_array_equal(particles["y"][N:], found["y"].astype(np.float32))
    np.testing.assert_array_equal(particles["theta"][N:], found["theta"].astype(np.float32))


def doubled():
    pyro.sample("y", dist.Normal(2.0 * prior(0.0)(), 1.0))


@pytest.mark.parametrize("by_default", [False, True])
def test_series_of_results_go_by_their_index_unless_it_is_a_count(by_default):
    resampler = Resampler(prior(0.0), doubled, num_guide_samples=N, random_seed=0, progressbar=False)
    series = resampler.wanted(prior(9.0), ess=100)["mu"].to_series()
    y = 2.0 * series
    resampler.extend({"y": y.reset_index(drop=True) if by_default else y.iloc[ORDER]})
    particles, _ = resampler.weighted(prior(9.0))
    np.testing.assert_array_equal(particles["y"][N:], 2.0 * particles["mu"][N:])


def test_a_run_that_failed_is_counted(resampler, wanted):
    found = simulated(wanted)
    found["y"] = found["y"].where(found["particle"] != N + 3)
    resampler.extend(found)
    weights = resampler.weigh(prior(9.0))
    assert weights.failed.sum() == 1
    assert weights.failed[N + 3]


def test_what_a_simulation_adds_has_no_density_of_its_own(resampler, wanted):
    resampler.extend(simulated(wanted))
    assert resampler.weigh(prior(0.0)).ess > 0.8 * N


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda found: found.drop_vars("y"), "the results lack 'y', which the simulator adds"),
        (
            lambda found: found.assign_coords(particle=found["particle"] + 1),
            "what was wanted and the results have different labels of 'particle': 500 and 501 at position 0",
        ),
        (
            lambda found: {**found, "y": found["y"].assign_coords(particle=found["particle"] + 1)},
            "what was wanted and 'y' have different labels of 'particle': 500 and 501",
        ),
        (lambda found: found.assign(mu=found["mu"] + 1), "have other values of 'mu' than those that were"),
        (
            lambda found: {"y": np.zeros((100, 2)), "theta": np.zeros((100, 3))},
            "'y' of shape (100, 2), which must",
        ),
        (lambda found: [3], "extend takes a number of particles, or results by the names of sites, got [3]"),
    ],
)
def test_results_that_are_not_those_wanted_are_refused(resampler, wanted, change, message):
    with pytest.raises(ArgumentError, match=re.escape(message)):
        resampler.extend(change(simulated(wanted)))
    assert resampler.pipeline.particles.num_particles == N


def test_nothing_is_wanted_before_it_is_asked_for_nor_where_there_is_enough(resampler):
    with pytest.raises(ArgumentError, match="nothing is wanted: call wanted first"):
        resampler.extend({})
    with pytest.raises(ArgumentError, match="has an effective sample size of 100 or more: nothing is wanted"):
        resampler.wanted(prior(0.0), ess=100)


def counted():
    mu = prior(0.0)()
    with pyro.plate("school", 3):
        pyro.sample("k", dist.Poisson((mu / 4).exp()))


@pytest.fixture
def counts():
    return Resampler(
        prior(0.0),
        counted,
        num_guide_samples=N,
        random_seed=0,
        progressbar=False,
        coords={"school": ["a", "b", "c"]},
    )


def test_results_of_whole_numbers_may_have_failed(counts):
    wanted = counts.wanted(prior(9.0), ess=100)
    k = np.tile([5.0, 6.0, 7.0], (100, 1))
    k[:40] = np.nan
    counts.extend({"k": k})
    particles, _ = counts.weighted(prior(9.0))
    np.testing.assert_array_equal(particles["k"][N:], k)
    weights = counts.weigh(prior(9.0))
    assert weights.failed[N:].sum() == 40
    share, mcse = weights.failed_mass
    assert abs(share - 0.4) < 5 * mcse
    assert len(counts.failures) == 40
    assert wanted.sizes["particle"] == 100


def test_results_that_are_no_whole_numbers_are_refused(counts):
    counts.wanted(prior(9.0), ess=100)
    with pytest.raises(
        ArgumentError, match=re.escape("the results have 1.5 at 'k', which holds whole numbers")
    ):
        counts.extend({"k": np.full((100, 3), 1.5)})


def test_labels_of_results_say_what_they_are_of(counts):
    wanted = counts.wanted(prior(9.0), ess=100)
    k = np.tile([5, 6, 7], (100, 1))
    result = wanted.assign(k=(("particle", "school"), k)).assign_coords(school=["a", "b", "c"])
    with pytest.raises(ArgumentError, match="other labels of 'school' than the particles: 'a', 'b', 'd'"):
        counts.extend(result.assign_coords(school=["a", "b", "d"]))
    with pytest.raises(ArgumentError, match=r"'k' with dims \('particle', 'class'\), which must be"):
        counts.extend(result.rename(school="class"))
    counts.extend(result.sel(school=["c", "a", "b"]))
    particles, _ = counts.weighted(prior(9.0))
    np.testing.assert_array_equal(particles["k"][N:], k)


def test_a_model_that_has_changed_since_is_refused(resampler):
    at = {"mean": 9.0}
    wanted = resampler.wanted(lambda: pyro.sample("mu", dist.Normal(at["mean"], 1.0)), ess=100)
    at["mean"] = 7.0
    with pytest.raises(ArgumentError, match="the model draws other values than when they were wanted"):
        resampler.extend(simulated(wanted))
    at["mean"] = 9.0
    assert resampler.extend(simulated(wanted)).num_added == 100


def of_dtype(dtype):
    """Particles whose simulator adds one site, x, of a dtype."""

    def simulator():
        pyro.deterministic("x", prior(0.0)().abs().clamp(max=1.0).to(dtype))

    made = Resampler(prior(0.0), simulator, num_guide_samples=N, random_seed=0, progressbar=False)
    made.wanted(prior(9.0), ess=100)
    return made


@pytest.mark.parametrize(
    ("dtype", "wrong", "said"),
    [
        (torch.int8, 300, "300"),
        (torch.uint8, -1, "-1"),
        (torch.bool, 7, "7"),
        (torch.int32, 2**31, "2.14748e+09"),
        (torch.int64, 1e30, "1e+30"),
        (torch.float32, 1e300, "1e+300"),
    ],
)
def test_results_that_the_dtype_of_a_site_does_not_hold_are_refused(dtype, wrong, said):
    resampler, x = of_dtype(dtype), np.ones(100, type(wrong))
    x[40] = wrong
    name = str(dtype).removeprefix("torch.")
    with pytest.raises(
        ArgumentError, match=re.escape(f"the results have {said} at 'x', which its dtype {name} does not")
    ):
        resampler.extend({"x": x})
    x[40] = 0
    resampler.extend({"x": x})
    np.testing.assert_array_equal(resampler.weighted(prior(9.0))[0]["x"][N:], x)


@pytest.mark.parametrize("dtype", [torch.int64, torch.float32, torch.bool])
@pytest.mark.parametrize("given", [">f8", "<f4", ">i4", "longdouble", "float16", "uint16", ">u8", "bool"])
def test_results_of_any_dtype_and_byte_order_are_taken(dtype, given):
    resampler, x = of_dtype(dtype), (np.arange(100) % 2).astype(given)
    resampler.extend({"x": x})
    np.testing.assert_array_equal(resampler.weighted(prior(9.0))[0]["x"][N:], x)
