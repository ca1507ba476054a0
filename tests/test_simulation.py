"""Particles from a seed, in batches, by a simulator that runs once."""

import subprocess
import sys
import textwrap

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch

from arviz_resampler import DrawWarning, ProgramError, Resampler


def prior(sd=2.0):
    return lambda: pyro.sample("x", dist.Normal(0.0, sd))


def values(cache):
    return {name: column.value for name, column in cache._particles.columns.items()}


def simulate(**options):
    def simulator():
        x = prior()()
        with pyro.plate("n", 3):
            pyro.sample("y", dist.Normal(x, 1.0))
        pyro.deterministic("noise", torch.as_tensor(np.random.normal(size=tuple(x.shape))))

    return Resampler(prior(), simulator, num_guide_samples=100, progressbar=False, **options)


def test_particles_are_a_function_of_seed_and_batch_size():
    first, second = values(simulate(seed=4, batch_size=30)), values(simulate(seed=4, batch_size=30))
    assert all(torch.equal(first[name], second[name]) for name in first)
    for other in (simulate(seed=5, batch_size=30), simulate(seed=4, batch_size=50)):
        assert not torch.equal(values(other)["x"], first["x"])


def test_a_batch_depends_on_its_number_alone():
    long, short = values(simulate(seed=4, batch_size=25)), None

    def simulator():
        x = prior()()
        with pyro.plate("n", 3):
            pyro.sample("y", dist.Normal(x, 1.0))
        pyro.deterministic("noise", torch.as_tensor(np.random.normal(size=tuple(x.shape))))

    short = values(
        Resampler(prior(), simulator, num_guide_samples=50, seed=4, batch_size=25, progressbar=False)
    )
    assert all(torch.equal(long[name][:50], short[name]) for name in short)


def test_batches_are_different_from_each_other():
    x = values(simulate(seed=4, batch_size=10))["x"].reshape(10, 10)
    assert len(x.unique(dim=0)) == 10


@pytest.mark.parametrize("plates", [0, 1, 2])
@pytest.mark.parametrize("given", [False, True])
def test_the_simulator_runs_once_over_the_particles_after_a_probe(plates, given):
    calls = []

    def simulator():
        x = prior()()
        calls.append(x.shape[0])
        assert x.dim() >= 1
        if plates:
            with pyro.plate("a", 3, dim=-1):
                if plates > 1:
                    with pyro.plate("b", 2, dim=-2):
                        pyro.sample("y", dist.Normal(x, 1.0))
                else:
                    pyro.sample("y", dist.Normal(x, 1.0))
        else:
            pyro.sample("y", dist.Normal(x, 1.0))

    options = {"max_plate_nesting": plates} if given else {}
    cache = Resampler(prior(), simulator, num_guide_samples=1000, seed=0, **options)
    assert sum(calls) <= 1002
    assert calls.count(1000) == 1
    built = list(calls)
    cache.sample(prior(1.0), 10)
    assert calls == built


def test_external_code_that_needs_an_axis_of_particles_gets_one():
    def external(x):
        out = np.empty(len(x))
        for i in range(len(x)):
            out[i] = 2 * x[i]
        return out

    def simulator():
        x = prior()()
        pyro.deterministic("y", torch.as_tensor(external(x.numpy())))

    found = values(Resampler(prior(), simulator, num_guide_samples=200, seed=0))
    torch.testing.assert_close(found["y"], 2 * found["x"].double())


def test_external_code_that_reuses_its_buffer_does_not_reach_the_cache():
    buffer = np.zeros(10, np.float32)

    def simulator():
        buffer[:] = prior()().numpy()
        pyro.deterministic("y", torch.from_numpy(buffer))

    def one_batch():
        x = prior()()
        out = buffer[: len(x)]
        out[:] = x.numpy()
        pyro.deterministic("y", torch.from_numpy(out))

    found = values(Resampler(prior(), one_batch, num_guide_samples=10, seed=0))
    buffer[:] = -1
    assert torch.equal(found["x"], found["y"])


def test_progress_is_shown_over_batches_only_and_can_be_silenced(capsys):
    for options, shown in (
        ({"batch_size": 10}, True),
        ({}, False),
        ({"batch_size": 10, "progressbar": False}, False),
    ):
        Resampler(prior(), num_guide_samples=40, seed=0, **options)
        assert ("Simulating" in capsys.readouterr().err) == shown


def test_failed_simulations_are_kept_as_nan_counted_and_take_no_weight_away():
    def simulator():
        x = prior()()
        pyro.sample("y", dist.Normal(x.sqrt(), 0.1))

    with pytest.warns(DrawWarning, match=r"'y' of the simulator.*'loc'.* is nan.*for \d+ of 5000 particles"):
        cache = Resampler(
            prior(), simulator, num_guide_samples=5000, seed=0, batch_size=500, progressbar=False
        )
    draws = cache.sample(prior(1.0), 1000)
    # Half of the prior is negative: the share has standard error 0.5 sqrt(1 / S + 1 / ESS).
    assert abs((draws["x"] < 0).float().mean() - 0.5) < 5 * 0.5 * (1 / 1000 + 1 / 3300) ** 0.5
    assert torch.equal(torch.isnan(draws["y"]), draws["x"] < 0)


def test_a_model_with_the_simulation_in_it_leaves_failed_particles_alone():
    def whole(sd):
        def program():
            x = prior(sd)()
            pyro.sample("y", dist.Normal(x.sqrt(), 0.1))

        return program

    with pytest.warns(DrawWarning):
        cache = Resampler(prior(), whole(2.0), num_guide_samples=5000, seed=0)
    weights, plain = cache.weigh(whole(1.0)), cache.weigh(prior(1.0))
    np.testing.assert_allclose(weights.log_ratio, plain.log_ratio)


@pytest.mark.parametrize("fn", [dist.Poisson, dist.Bernoulli])
def test_failed_counts_are_an_error_by_site_and_number(fn):
    def simulator():
        pyro.sample("y", fn(prior()()))

    with pytest.raises(ProgramError, match=r"'y'.* of 500 particles"):
        Resampler(prior(), simulator, num_guide_samples=500, seed=0)


def test_counts_beyond_two_to_the_31_are_kept():
    def simulator():
        rate = prior()().exp() * 0 + 4e9
        pyro.sample("y", dist.Poisson(rate.double()))

    found = Resampler(prior(), simulator, num_guide_samples=100, seed=0)
    assert values(found)["y"].min() > 2**31


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads the peak memory that Linux keeps")
def test_memory_of_a_simulation_in_batches_is_that_of_the_cache():
    code = """
        import pyro, pyro.distributions as dist
        from arviz_resampler import Resampler
        def prior():
            return pyro.sample("x", dist.Normal(0.0, 1.0))
        def simulator():
            x = prior()
            with pyro.plate("t", 1000):
                pyro.sample("y", dist.Normal(x, 1.0))
        def peak():
            status = open("/proc/self/status").read()
            return int(status.split("VmHWM:")[1].split()[0]) * 1024
        def simulate(n):
            return Resampler(
                prior, simulator, num_guide_samples=n, batch_size=1000, progressbar=False, seed=0
            )
        simulate(2000)
        open("/proc/self/clear_refs", "w").write("5")  # a process starts with the peak of its parent
        before = peak()
        simulate(50_000)
        print((peak() - before) / (50_000 * 1001 * 4))
    """
    run = [sys.executable, "-W", "ignore", "-c", textwrap.dedent(code)]
    ratio = float(subprocess.run(run, capture_output=True, text=True, check=True).stdout)
    assert 0.9 < ratio < 1.3


def test_a_constant_is_kept_once_for_all_particles():
    def guide():
        pyro.sample("x", dist.Normal(0.0, 1.0))
        pyro.deterministic("design", torch.arange(6.0).reshape(2, 3))

    cache = Resampler(guide, num_guide_samples=1000, batch_size=300, seed=0, progressbar=False)
    kept = values(cache)["design"]
    assert kept.untyped_storage().nbytes() == 6 * 4
    assert torch.equal(cache.sample(guide, 5)["design"], torch.arange(6.0).reshape(2, 3).expand(5, 2, 3))


def test_a_constant_of_each_batch_is_kept_for_each_batch():
    def guide():
        pyro.sample("x", dist.Normal(0.0, 1.0))
        pyro.deterministic("day", torch.as_tensor(np.random.rand()))

    cache = Resampler(guide, num_guide_samples=90, batch_size=30, seed=0, progressbar=False)
    day = values(cache)["day"].reshape(3, 30)
    assert len(day[:, 0].unique()) == 3
    assert torch.equal(day, day[:, :1].expand(3, 30))


def test_every_log_density_is_filled_in_also_where_the_values_are_shared():
    def guide():
        pyro.sample("x", dist.Normal(0.0, 1.0))
        pyro.sample("fixed", dist.Delta(torch.tensor(4.0)))

    # Room for the log densities comes from memory that another tensor has used.
    used = [torch.full((5000,), 7.0, dtype=torch.float64) for _ in range(20)]
    del used
    cache = Resampler(guide, num_guide_samples=5000, batch_size=1000, seed=0, progressbar=False)
    assert (cache._particles.columns["fixed"].log_q == 0).all()


def plated():
    with pyro.plate("school", 3):
        return pyro.sample("theta", dist.Normal(0.0, 1.0))


WITHOUT_THEIR_AXIS = {
    "summed": lambda: pyro.sample("y", dist.Normal(plated().sum(-1), 1.0)),
    "indexed": lambda: pyro.sample("y", dist.Normal(plated()[..., 0], 1.0)),
    "event": lambda: pyro.sample("y", dist.Normal(plated(), 1.0).to_event(1)),
    "vector": lambda: pyro.sample("y", dist.MultivariateNormal(plated(), torch.eye(3))),
    "observed": lambda: pyro.sample("y", dist.Normal(plated().mean(-1), 1.0), obs=torch.tensor(0.3)),
}


@pytest.mark.parametrize("batch_size", [None, 30])
@pytest.mark.parametrize("depth", [None, 1, 2])
@pytest.mark.parametrize("name", WITHOUT_THEIR_AXIS)
def test_a_site_that_would_be_drawn_once_for_each_pair_of_particles_is_refused(name, depth, batch_size):
    options = {"num_guide_samples": 100, "max_plate_nesting": depth, "batch_size": batch_size, "seed": 0}
    program, n = WITHOUT_THEIR_AXIS[name], batch_size or 100
    pattern = (
        rf"site 'y' of the (guide|simulator) has batch shape .*\b{n}\b.*is at dim -[12], not at dim -[23] "
    )
    with pytest.raises(ProgramError, match=pattern):
        Resampler(program, **options)
    with pytest.raises(ProgramError, match=pattern):
        Resampler(plated, program, **options)
    if depth is None:  # a guide that does not show how deep the simulator is
        with pytest.raises(ProgramError, match=pattern):
            Resampler(prior(), lambda: (prior()(), program()), **options)


def test_a_site_after_a_plate_is_drawn_where_it_keeps_the_axis_or_particles_come_one_by_one():
    def kept():
        pyro.sample("y", dist.Normal(plated().sum(-1, keepdim=True), 1e-3))

    whole = Resampler(plated, kept, num_guide_samples=100, seed=0)
    single = Resampler(plated, WITHOUT_THEIR_AXIS["summed"], num_guide_samples=100, batch_size=1, seed=0)
    for resampler in (whole, single):
        assert resampler.sites["y"].shape == ()
    columns = whole._particles.columns
    torch.testing.assert_close(columns["y"].value, columns["theta"].value.sum(-1), rtol=0, atol=6e-3)


@pytest.mark.parametrize("n", [3, 8])
def test_a_vector_that_happens_to_be_as_long_as_there_are_particles_is_no_fault(n):
    def program():
        with pyro.plate("school", 3):
            pyro.sample("theta", dist.Normal(0.0, 1.0))
        pyro.sample("x", dist.Normal(torch.zeros(8), 1.0))
        pyro.sample("z", dist.Normal(torch.zeros(3), 1.0))

    sites = Resampler(program, num_guide_samples=n, seed=0).sites
    assert (sites["x"].shape, sites["z"].shape) == ((8,), (3,))


def test_a_model_with_the_particles_on_the_wrong_axis_is_told_so():
    def guide():
        plated()
        pyro.sample("y", dist.Normal(torch.zeros(1), 3.0))

    with pytest.raises(ProgramError, match=r"site 'y' of the model has batch shape \(100,\).*at dim -1, not"):
        Resampler(guide, num_guide_samples=100, seed=0).weigh(WITHOUT_THEIR_AXIS["summed"])
