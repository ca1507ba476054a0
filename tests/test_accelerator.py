"""Particles on a device of its own memory: a GPU where there is one, and one that is made for tests."""

import contextlib
import pickle
import re
import warnings

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch
from accelerator import DEVICE, accelerator

from arviz_resampler import (
    ProgramError,
    ProgramWarning,
    Resampler,
    WeightError,
    Weights,
    WeightWarning,
    devices,
    family,
    plan,
    quantile,
)

N, SCHEMES = 3000, ("stable", "multinomial", "stratified", "systematic", "residual")
CUDA = pytest.param(
    "cuda",
    marks=[pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")],
)


@pytest.fixture(params=["made for tests", CUDA])
def device(request):
    """The device that programs make their tensors on."""
    if request.param == "cuda":
        yield torch.device("cuda", 0)
        return
    with accelerator():
        yield DEVICE


@pytest.fixture
def counted():
    """The device that is made for tests, which knows what has left it."""
    with accelerator() as made:
        yield made


def number(value, device):
    return torch.tensor(float(value), device=device)


def prior(scale=5.0, *, device="cpu"):
    def program():
        mu = pyro.sample("mu", dist.Normal(number(0, device), number(scale, device)))
        tau = pyro.sample("tau", dist.HalfNormal(number(scale, device)))
        with pyro.plate("school", 4):
            pyro.sample("theta", dist.Normal(mu, tau))

    return program


def schools(device):
    data = torch.arange(4.0).to(device)

    def program():
        mu = pyro.sample("mu", dist.Normal(number(0, device), number(5, device)))
        tau = pyro.sample("tau", dist.HalfNormal(number(5, device)))
        with pyro.plate("school", 4):
            theta = pyro.sample("theta", dist.Normal(mu, tau))
            pyro.sample("y", dist.Normal(theta, number(1, device)), obs=data)
            pyro.sample("visits", dist.Poisson(theta.exp().clamp(max=50.0)))
        pyro.sample("kind", dist.Categorical(torch.tensor([0.2, 0.3, 0.5], device=device)))
        pyro.deterministic("largest", theta.max())

    return program


def build(guide, n=N, **options):
    return Resampler(guide, num_guide_samples=n, **{"random_seed": 0, "progressbar": False, **options})


def moved(resampler, device):
    """The same particles on another device."""
    packed = pickle.loads(pickle.dumps(resampler.pipeline.particles))

    def move(value):
        return value.to(device) if isinstance(value, torch.Tensor) else value

    for column in packed.columns.values():
        vars(column).update({name: move(value) for name, value in vars(column).items()})
    other = build(prior(), n=10)
    other.pipeline = resampler.pipeline.with_particles(packed)
    return other


def told(result):
    """Words and numbers of a result, apart."""
    pattern = r"-?\d+\.?\d*(?:e[+-]?\d+)?"
    return re.sub(pattern, "#", str(result)), [float(found) for found in re.findall(pattern, str(result))]


# ---------------------------------------------------------------- the same numbers

FAMILY = {"scale": (1.0, 6.0)}
SAME = {
    "weights": lambda r, p: r.weigh(p(4.0)).diagnostics(1000),
    "log ratios": lambda r, p: {n: v.tolist() for n, v in r.weigh(p(4.0)).log_ratio_by_site.items()},
    "effective sizes": lambda r, p: (r.weigh(p(4.0)).ess_by_site, r.weigh(p(4.0)).ess_without_site),
    "a verdict that is not good": lambda r, p: r.weigh(p(0.02)).advice,
    "smoothed weights": lambda r, p: r.weigh(p(7.0)).pareto,
    "draws": lambda r, p: r.sample(p(4.0), 300)["theta"].cpu().tolist(),
    "variants": lambda r, p: r.compare({"a": p(4.0), "b": p(3.0)}).summary().to_csv(),
    "contrasts": lambda r, p: r.compare({"a": p(4.0), "b": p(3.0)}).contrast("a").to_csv(),
    "sensitivity": lambda r, p: r.sensitivity(p(4.0)).to_csv(),
    "all particles": lambda r, p: r.weighted(p(4.0))[0]["theta"].values.tolist(),
    "tuner": lambda r, p: r.tune(p, **FAMILY).update(scale=2.0).weights.ess,
    "container": lambda r, p: [
        r.sample_prior_predictive(p(4.0), 100, scheme=scheme, random_seed=3).prior["theta"].values.tolist()
        for scheme in SCHEMES
    ],
}


@pytest.mark.filterwarnings("ignore::arviz_resampler.WeightWarning")
@pytest.mark.parametrize("name", SAME)
def test_the_same_particles_give_the_same_numbers_on_the_host_and_on_the_device_made_for_tests(name, counted):
    host = build(prior())
    there = SAME[name](moved(host, DEVICE), lambda scale: prior(scale, device=DEVICE))
    words, numbers = told(there)
    assert words == told(SAME[name](host, prior))[0]
    # Of numbers on the host, closed forms compute in float64; of those on a device, in float32.
    assert numbers == pytest.approx(told(SAME[name](host, prior))[1], rel=1e-3, abs=1e-5)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")
def test_the_race_has_the_same_winners_on_a_gpu_for_the_same_weights():
    host = Weights({"x": np.random.default_rng(0).normal(size=50_000)}).tensor
    race = build(prior(), n=50_000).pipeline.chooser._race
    assert np.array_equal(race.winners(host, 1000), race.winners(host.cuda(), 1000))


# ---------------------------------------------------------------- calls

CALLS = {
    "weights": lambda r, p: r.weigh(p(4.0)).ess,
    "means": lambda r, p: r.weigh(p(4.0)).mean(torch.ones(N, device=r.sample(p(4.0), 1)["mu"].device)),
    "draws": lambda r, p: r.sample(p(4.0), 100)["theta"].shape,
    "independent draws": lambda r, p: r.sample(p(4.0), 100, stable=False)["theta"].shape,
    "variants": lambda r, p: r.compare({"a": p(4.0), "b": p(3.0)})["a"].prior.sizes,
    "sensitivity": lambda r, p: len(r.sensitivity(p(4.0))),
    "top-up": lambda r, p: r.top_up(p(1.0), 2500).num_added,
    "extension": lambda r, p: r.extend(5000),
    "tuner": lambda r, p: r.tune(p, **FAMILY).update(scale=2.0).weights.ess,
    "coverage": lambda r, p: r.tune(p, **FAMILY).coverage(4).covered_fraction,
    "fit": lambda r, p: r.fit(p, {"mu": quantile(lambda ds: ds.mu, 0.9, 3.0)}, ess=300, **FAMILY).hyper,
    "one particle": lambda r, p: r.simulate_one(5)["mu"].shape,
    "fresh": lambda r, p: r.fresh(p(2.0), 50).sizes,
    "family guide": lambda r, p: build(family(p, **FAMILY)).top_up(p(0.7), 2500).num_added,
    "plan": lambda r, p: len(plan(p(5.0), {"a": p(4.0)}, 100, pilot=1000, random_seed=0)),
    "batches": lambda r, p: build(p(5.0), batch_size=700).weigh(p(4.0)).ess,
    "one particle at a time": lambda r, p: build(p(5.0), n=100, vectorize=False).weigh(p(4.0)).ess,
    "html": lambda r, p: len(r._repr_html_() + r.compare({"a": p(4.0), "b": p(3.0)})._repr_html_()),
}


@pytest.mark.filterwarnings("ignore::arviz_resampler.WeightWarning")
@pytest.mark.parametrize("default", ["host", "device"])
@pytest.mark.parametrize("name", CALLS)
def test_calls_work_wherever_the_default_device_is(name, default, device):
    with torch.device(device) if default == "device" else contextlib.nullcontext():
        assert CALLS[name](build(prior(device=device)), lambda scale: prior(scale, device=device)) != 0


def test_a_whole_program_of_the_device_fills_the_container(device):
    program = schools(device)
    resampler = build(program, simulator=program)
    with pytest.warns(ProgramWarning, match="'y' of the model carries obs="):
        drawn = resampler.sample_prior_predictive(program, 50)
    assert drawn.observed_data["y"].values.tolist() == [0.0, 1.0, 2.0, 3.0]
    assert drawn.prior_predictive["y"].shape == (1, 50, 4)
    assert drawn.prior["kind"].dtype == np.int64
    largest = drawn.prior["theta"].max("school")
    np.testing.assert_array_equal(drawn.prior["largest"], largest)


def test_a_model_may_make_its_tensors_on_the_host(device):
    resampler = build(prior(device=device))
    there = resampler.weigh(prior(4.0, device=device)).ess
    assert resampler.weigh(prior(4.0)).ess == pytest.approx(there, rel=1e-5)
    wide = build(lambda: pyro.sample("x", dist.StudentT(number(3, device), 0.0, 1.0).expand([3]).to_event(1)))
    assert wide.weigh(lambda: pyro.sample("x", dist.StudentT(3.0, 0.0, 1.0).expand([3]).to_event(1))).ess == N


def on_two(scale, device):
    def program():
        pyro.sample("mu", dist.Normal(number(0, device), scale))
        pyro.sample("z", dist.Normal(torch.zeros((), device="cpu"), scale))

    return program


def test_latents_of_two_devices_are_weighed_as_of_one(device):
    resampler = build(on_two(4.0, device), n=20_000)
    weights = resampler.weigh(on_two(2.0, device))
    # ESS / N of each Normal(0, 2) under Normal(0, 4): s sqrt(2 sigma**2 - s**2) / sigma**2 = 0.661. The
    # relative error of ESS at N = 20,000 is below 0.01.
    assert weights.ess / 20_000 == pytest.approx(0.661**2, rel=0.05)
    assert set(weights.ess_without_site) == {"mu", "z"}
    assert resampler.sample_prior_predictive(on_two(2.0, device), 50).prior["z"].shape == (1, 50)


@pytest.mark.filterwarnings("ignore::arviz_resampler.DrawWarning")
def test_particles_whose_linear_algebra_fails_are_masked_on_the_device(device):
    def guide():
        return pyro.sample("mu", dist.Normal(number(0, device), number(1, device)))

    def simulator():
        scale = torch.linalg.cholesky(torch.eye(2, device=device) * (guide() + 1.0))
        pyro.sample("y", dist.MultivariateNormal(torch.zeros(2, device=device), scale_tril=scale))

    resampler = build(guide, simulator=simulator, on_error="mask")
    mass, error = resampler.weigh(guide).failed_mass
    assert abs(mass - 0.1587) < 5 * error  # P(mu < -1)
    assert error == pytest.approx((0.1587 * 0.8413 / N) ** 0.5, rel=0.1)


def test_invalid_parameters_that_are_checked_late_are_said_as_on_the_host(device):
    resampler = build(prior(device=device))

    def narrow():
        pyro.sample("mu", dist.Normal(number(0, device), number(-1, device)))

    with pytest.raises(ProgramError, match=r"site 'mu' of the model: parameter 'scale' of Normal is -1"):
        build(narrow_guide(device)).weigh(narrow)

    def some():
        mu = pyro.sample("mu", dist.Normal(number(0, device), number(4, device)))
        pyro.sample("tau", dist.HalfNormal(number(5, device)))
        with pyro.plate("school", 4):
            pyro.sample("theta", dist.Normal(number(0, device), mu))

    with pytest.raises(
        WeightError, match=r"site 'theta' is NaN for \d+ of 3000.*parameter 'scale' of Normal is"
    ):
        resampler.weigh(some)


def narrow_guide(device):
    return lambda: pyro.sample("mu", dist.Normal(number(0, device), number(1, device)))


def test_an_invalid_parameter_that_stops_the_program_is_named(device):
    def guide():
        pyro.sample("x", dist.MultivariateNormal(torch.zeros(2, device=device), torch.eye(2, device=device)))

    def model():
        bad = dist.MultivariateNormal(torch.zeros(2, device=device), scale_tril=-torch.eye(2, device=device))
        pyro.sample("x", bad)

    with pytest.raises(ProgramError, match="parameter 'scale_tril' of MultivariateNormal must be"):
        build(guide).weigh(model)


# ---------------------------------------------------------------- transfers


def three(scale, device):
    def program():
        for name in "abc":
            pyro.sample(name, dist.LogNormal(number(0, device), number(scale, device)))

    return program


PROGRAMS = {
    "three LogNormals": three,
    "eight schools": lambda scale, device: prior(scale, device=device),
    "bounded and discrete": lambda scale, device: (
        lambda: (
            pyro.sample("p", dist.Beta(number(scale, device), number(2, device))),
            pyro.sample("u", dist.Uniform(number(0, device), number(1, device))),
            pyro.sample("n", dist.Poisson(number(scale, device))),
            pyro.sample("g", dist.Gamma(number(scale, device), number(1, device))),
        )
    ),
}


@pytest.mark.parametrize("n", [10_000, 300_000])
@pytest.mark.parametrize("models", ["host", "device"])
@pytest.mark.parametrize("name", PROGRAMS)
def test_draws_take_eight_transfers_and_a_megabyte_at_most_however_many_particles(name, models, n, counted):
    make = PROGRAMS[name]
    resampler = build(make(2.0, DEVICE), n=n)
    model = make(1.8, DEVICE if models == "device" else "cpu")
    resampler.sample(model, 1000)  # the first time, code is looked at
    with counted.counting() as transfers:
        drawn = resampler.sample(model, 1000)
    assert all(values.device == DEVICE for values in drawn.values())
    assert 0 < len(transfers) <= 8
    assert sum(transfer.nbytes for transfer in transfers) <= 1_000_000


@pytest.mark.parametrize("n", [10_000, 300_000])
def test_containers_take_no_more_numbers_from_the_device_for_more_particles(n, counted):
    resampler = build(prior(device=DEVICE), n=n)
    with counted.counting() as transfers:
        resampler.sample_prior_predictive(prior(4.0, device=DEVICE), 1000)
    # Six numbers of a draw of four schools, twice, and what draws take.
    assert sum(transfer.nbytes for transfer in transfers) <= 1_100_000


def test_weighted_means_of_values_on_the_device_are_those_on_the_host(counted):
    rng = np.random.default_rng(0)
    ratio, values = rng.normal(size=2000), rng.normal(size=(2000, 2, 3))
    ratio[:100], values[:50] = -np.inf, np.inf  # infinite where there is no weight
    values[:, 0, 0], values[:, 1, 1], values[:, 1, 2] = 3.5, 0.0, values[:, 1, 2] > 2
    host, there = Weights({"x": ratio}), Weights({"x": torch.from_numpy(ratio).to(DEVICE)})
    on_device = torch.from_numpy(values).to(DEVICE)
    with counted.counting() as transfers, warnings.catch_warnings():
        warnings.simplefilter("ignore", WeightWarning)
        for name in ("mean", "mcse", "n_effective"):
            np.testing.assert_allclose(
                getattr(there, name)(on_device), getattr(host, name)(values), rtol=1e-10
            )
        assert there.mean(on_device[:, 0, 1]) == pytest.approx(host.mean(values[:, 0, 1]), rel=1e-12)
    assert sum(transfer.nbytes for transfer in transfers) < 10_000


def test_failed_particles_alone_leave_the_device_for_their_share(counted):
    weights = Weights({"x": torch.randn(100_000, device=DEVICE)}, failed=np.arange(100_000) < 10)
    with counted.counting() as transfers:
        assert 0 < weights.failed_mass[0] < 0.01
    assert sum(transfer.nbytes for transfer in transfers) < 1000


@pytest.mark.parametrize("n", [0, 1, 5])
def test_arrays_of_several_dtypes_come_together_in_one_transfer(n, counted):
    numbers, flags = torch.arange(3.0 * n, dtype=torch.float64).reshape(n, 3), torch.arange(n) % 2 == 0
    places = torch.arange(n, dtype=torch.int32)
    with counted.counting() as transfers:
        found = devices.together(*(value.to(DEVICE) for value in (numbers, flags, places)))
    assert [transfer.nbytes for transfer in transfers] == [n * (24 + 1 + 4)]
    for value, array in zip((numbers, flags, places), found, strict=True):
        assert array.dtype == value.numpy().dtype
        np.testing.assert_array_equal(array, value.numpy())


@pytest.mark.parametrize("least", [-1.0, 2.0, 99.0])
def test_what_is_large_enough_is_found_alike_on_host_and_device(least, counted):
    values, rows = torch.tensor([3.0, 1.0, 2.0]), torch.arange(6).reshape(3, 2)
    bar = torch.tensor(least)
    host = devices.above(values, bar, values, rows)
    there = devices.above(*(value.to(DEVICE) for value in (values, bar, values, rows)))
    for one, other in zip(host, there, strict=True):
        np.testing.assert_array_equal(one, other)
    assert host[0].tolist() == [i for i, value in enumerate([3.0, 1.0, 2.0]) if value >= least]


# ---------------------------------------------------------------- the device made for tests


def test_the_device_refuses_what_a_gpu_refuses(counted):
    values = torch.ones(3, device=DEVICE)
    with pytest.raises(RuntimeError, match="numpy"):
        values.numpy()
    with pytest.raises(RuntimeError, match="same device"):
        values + torch.ones(3)
    assert (values + torch.ones(())).cpu().tolist() == [2.0, 2.0, 2.0]
    with counted.counting() as transfers:
        assert float(values.sum()) == 3.0
        assert values[values > 0].shape == (3,)
        values.cpu()
    assert [transfer.operation for transfer in transfers] == ["_local_scalar_dense", "index", "_to_copy"]
    assert [transfer.nbytes for transfer in transfers] == [8, 8, 12]


# ---------------------------------------------------------------- pickles and stores


def test_a_pickle_is_opened_on_its_device(device):
    resampler = build(prior(device=device))
    again = pickle.loads(pickle.dumps(resampler))
    model = prior(4.0, device=device)
    drawn = again.sample(model, 10)["mu"]
    assert drawn.device == device
    assert drawn.cpu().tolist() == resampler.sample(model, 10)["mu"].cpu().tolist()
    weights = pickle.loads(pickle.dumps(resampler.weigh(model)))
    assert weights.tensor.is_cpu
    assert weights.ess == pytest.approx(resampler.weigh(model).ess)


@pytest.mark.parametrize("absent", ["cuda:77", "mps", "xpu"])
def test_a_pickle_is_opened_on_the_host_where_its_device_is_absent(absent):
    packed = devices._Packed(torch.arange(3.0), absent)
    record = devices.PicklesFromDevices()
    record.__setstate__({"values": packed, "more": {"a": (packed, 1)}})
    values, more = vars(record)["values"], vars(record)["more"]
    assert values.is_cpu
    assert more["a"][0].tolist() == [0.0, 1.0, 2.0]
    assert more["a"][1] == 1


def test_a_store_of_particles_of_a_device_is_opened_without_it(tmp_path):
    with accelerator():
        ess = build(prior(device=DEVICE), store=tmp_path / "particles").weigh(prior(4.0, device=DEVICE)).ess
    opened = Resampler.open(tmp_path / "particles")
    assert opened.weigh(prior(4.0)).ess == pytest.approx(ess, rel=1e-5)
