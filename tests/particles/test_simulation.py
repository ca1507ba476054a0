"""Particles from a seed, in batches, by a simulator that runs once."""

import subprocess
import sys
import textwrap

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch

from arviz_resampler import DrawWarning, MismatchError, ProgramError, ProgramWarning, Resampler
from arviz_resampler.mapping.streams import BLOCK


def prior(sd=2.0):
    return lambda: pyro.sample("x", dist.Normal(0.0, sd))


def values(cache):
    return {name: column.value for name, column in cache.pipeline.particles.columns.items()}


def simulate(n=100, **options):
    def simulator():
        x = prior()()
        with pyro.plate("n", 3):
            pyro.sample("y", dist.Normal(x, 1.0))
        pyro.sample("k", dist.Poisson(x.exp()))
        pyro.deterministic("noise", torch.randn(2))

    return values(Resampler(prior(), simulator, num_guide_samples=n, progressbar=False, **options))


def test_particles_are_a_function_of_the_seed():
    first, second, other = simulate(random_seed=4), simulate(random_seed=4), simulate(random_seed=5)
    for name in first:
        assert torch.equal(first[name], second[name])
        assert not torch.equal(first[name], other[name])


@pytest.mark.parametrize("vectorize", [True, False])
def test_the_first_particles_do_not_depend_on_how_many_there_are(vectorize):
    few, many = (
        simulate(30, random_seed=4, vectorize=vectorize),
        simulate(70, random_seed=4, vectorize=vectorize),
    )
    assert all(torch.equal(few[name], many[name][:30]) for name in few)


@pytest.mark.parametrize("size", [BLOCK, 2 * BLOCK, 8 * BLOCK])
def test_particles_do_not_depend_on_batches_that_are_multiples_of_a_block(size):
    whole, parts = (
        simulate(3 * BLOCK + 17, random_seed=4),
        simulate(3 * BLOCK + 17, random_seed=4, batch_size=size),
    )
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


@pytest.mark.parametrize("size", [3, 100, BLOCK + 100])
def test_the_first_batches_do_not_depend_on_how_many_there_are(size):
    few, many = (simulate(n, random_seed=4, batch_size=size) for n in (size // 2 + 1, 3 * size))
    assert all(torch.equal(few[name], many[name][: len(few[name])]) for name in few)


def test_particles_that_run_one_at_a_time_do_not_depend_on_batches():
    def program():
        x = prior()()
        pyro.sample("k", dist.Poisson(x.exp()))
        pyro.deterministic("noise", torch.randn(2))

    options = {"num_guide_samples": 50, "random_seed": 4, "vectorize": False, "progressbar": False}
    whole, parts = (values(Resampler(program, batch_size=size, **options)) for size in (None, 7))
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


def test_a_simulator_alone_runs_one_particle_at_a_time_where_it_is_not_to_be_mapped():
    ran = {"guide": 0, "simulator": 0, "model": 0}

    def counted(name, program):
        def run():
            ran[name] += 1
            return program()

        return run

    def simulator():
        pyro.sample("y", dist.Normal(prior()(), 1.0))

    cache = Resampler(
        counted("guide", prior()),
        counted("simulator", simulator),
        num_guide_samples=50,
        random_seed=4,
        vectorize=False,
        progressbar=False,
    )
    cache.weigh(counted("model", prior(1.0)))
    assert ran["simulator"] >= 50
    assert max(ran["guide"], ran["model"]) < 10
    assert torch.equal(
        values(cache)["x"], values(Resampler(prior(), num_guide_samples=50, random_seed=4))["x"]
    )
    alone = Resampler(counted("guide", prior()), num_guide_samples=50, vectorize=False, progressbar=False)
    assert ran["guide"] >= 50
    alone.weigh(counted("model", prior(1.0)))
    assert ran["model"] >= 50


@pytest.mark.parametrize("size", [1, 10, 33])
def test_batches_are_different_from_each_other(size):
    assert len(simulate(random_seed=4, batch_size=size)["x"].unique()) == 100


def test_a_site_does_not_depend_on_those_drawn_before_it():
    def program(more):
        def run():
            if more:
                pyro.sample("before", dist.Gamma(2.0, 1.0).expand([5]).to_event(1))
            x = pyro.sample("x", dist.Normal(0.0, 1.0))
            pyro.sample("k", dist.Poisson(x.exp()))

        return run

    first, second = (
        values(Resampler(program(more), num_guide_samples=100, random_seed=0)) for more in (True, False)
    )
    assert all(torch.equal(first[name], second[name]) for name in ("x", "k"))


@pytest.mark.parametrize("plates", [0, 1, 2])
@pytest.mark.parametrize("depth", [None, 0, 2])
def test_the_simulator_runs_once_over_the_particles_after_a_look_at_one(plates, depth):
    calls = []

    def simulator():
        x = prior()()
        calls.append(x.shape)
        if plates:
            with pyro.plate("a", 3, dim=-1):
                if plates > 1:
                    with pyro.plate("b", 2, dim=-2):
                        pyro.sample("y", dist.Normal(x, 1.0))
                else:
                    pyro.sample("y", dist.Normal(x, 1.0))
        else:
            pyro.sample("y", dist.Normal(x, 1.0))

    cache = Resampler(prior(), simulator, num_guide_samples=1000, random_seed=0, max_plate_nesting=depth)
    assert calls == [(), (), ()]
    cache.sample(prior(1.0), 10)
    assert calls == [(), (), ()]
    assert cache.sites["y"].shape == (2, 3)[2 - plates :]


def test_external_code_that_reuses_its_buffer_does_not_reach_the_cache():
    buffer = np.zeros(1, np.float32)

    def simulator():
        buffer[:] = prior()().numpy()
        pyro.deterministic("y", torch.from_numpy(buffer))

    with pytest.warns(ProgramWarning, match="one particle at a time"):
        found = values(Resampler(prior(), simulator, num_guide_samples=10, random_seed=0, progressbar=False))
    assert torch.equal(found["x"], found["y"][:, 0])


def test_progress_is_shown_over_batches_only_and_can_be_silenced(capsys):
    for options, shown in (
        ({"batch_size": 10}, True),
        ({}, False),
        ({"batch_size": 10, "progressbar": False}, False),
    ):
        Resampler(prior(), num_guide_samples=40, random_seed=0, **options)
        assert ("Simulating" in capsys.readouterr().err) == shown


def test_failed_simulations_are_kept_as_nan_counted_and_take_no_weight_away():
    def simulator():
        x = prior()()
        pyro.sample("y", dist.Normal(x.sqrt(), 0.1))

    with pytest.warns(DrawWarning, match=r"'y': .*'loc'.* is nan.*for \d+ of 5000 particles"):
        cache = Resampler(
            prior(), simulator, num_guide_samples=5000, random_seed=0, batch_size=500, progressbar=False
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
        cache = Resampler(prior(), whole(2.0), num_guide_samples=5000, random_seed=0)
    weights, plain = cache.weigh(whole(1.0)), cache.weigh(prior(1.0))
    np.testing.assert_allclose(weights.log_ratio, plain.log_ratio)


@pytest.mark.filterwarnings("ignore:the run of")
@pytest.mark.parametrize("vectorize", [True, False])
@pytest.mark.parametrize("fn", [lambda x: dist.Normal(x, 1.0), lambda x: dist.Poisson(x.exp())])
@pytest.mark.parametrize("first", [True, False])
def test_particles_fail_alike_under_every_model_wherever_their_run_fails(first, fn, vectorize):
    def simulator():
        x = prior()()
        if first:
            torch.linalg.cholesky(torch.eye(2) * (0.5 - x))
        pyro.sample("y", fn(x))
        torch.linalg.cholesky(torch.eye(2) * (0.5 - x))

    def model(sd):
        def program():
            x = prior(sd)()
            pyro.sample("y", fn(x + 0.1))

        return program

    options = {"num_guide_samples": 500, "random_seed": 0, "on_error": "mask"}
    cache = Resampler(prior(), simulator, vectorize=vectorize, **options)
    columns = cache.pipeline.particles.columns
    x, y = columns["x"].value, columns["y"].value
    failed = x > 0.5
    assert y.isnan().equal(failed)
    weights = cache.weigh(model(1.0))
    of_x = dist.Normal(0.0, 1.0).log_prob(x) - dist.Normal(0.0, 2.0).log_prob(x)
    of_y = fn(x + 0.1).log_prob(y.nan_to_num(0.0)) - fn(x).log_prob(y.nan_to_num(0.0))
    np.testing.assert_allclose(weights.log_ratio, of_x + of_y.masked_fill(failed, 0.0), atol=1e-4)


@pytest.mark.parametrize("vectorize", [True, False])
@pytest.mark.parametrize("fn", [dist.Poisson, dist.Bernoulli, lambda x: dist.Normal(0.0, x)])
def test_draws_of_invalid_parameters_are_nan_and_counted(fn, vectorize):
    def simulator():
        pyro.sample("y", fn(prior()()))

    with pytest.warns(DrawWarning, match=r"'y': parameter .* of 500 particles.* NaN"):
        cache = Resampler(
            prior(), simulator, num_guide_samples=500, random_seed=0, vectorize=vectorize, progressbar=False
        )
    x, y = (values(cache)[name] for name in "xy")
    valid = fn(torch.ones(())).arg_constraints
    inside = (x > 0) if "scale" in valid else (x >= 0) & ((x <= 1) | (fn is dist.Poisson))
    assert torch.equal(y.isnan(), ~inside)
    assert cache.weigh(prior()).ess == pytest.approx(500)


@pytest.mark.parametrize("vectorize", [True, False])
def test_draws_that_leave_the_support_of_their_distribution_are_nan_and_counted(vectorize):
    def simulator():
        pyro.sample("y", dist.Poisson((30 * prior()()).exp()))  # beyond 2**63 torch's counts are negative

    with pytest.warns(DrawWarning, match=r"'y'.*a draw of Poisson left its support, -9.2.* of 500 particles"):
        cache = Resampler(
            prior(), simulator, num_guide_samples=500, random_seed=0, vectorize=vectorize, progressbar=False
        )
    x, y = (values(cache)[name] for name in "xy")
    assert torch.equal(y.isnan(), (30 * x).exp() > 2**63)
    assert cache.weigh(prior()).ess == pytest.approx(500)


@pytest.mark.parametrize("vectorize", [True, False])
def test_no_valid_draw_at_all_is_an_error(vectorize):
    def simulator():
        pyro.sample("y", dist.Normal(0.0, -prior()().exp()))

    with pytest.raises(ProgramError, match="site 'y' has no valid value in any particle: parameter 'scale'"):
        Resampler(
            prior(), simulator, num_guide_samples=50, random_seed=0, vectorize=vectorize, progressbar=False
        )


@pytest.mark.parametrize("vectorize", [True, False])
def test_invalid_parameters_of_whole_numbers_are_an_error(vectorize):
    def simulator():
        pyro.sample("y", dist.Categorical(torch.stack([prior()(), torch.tensor(1.0)])))

    with pytest.raises(ProgramError, match=r"'y' of the simulator.*there is no NaN in whole numbers"):
        Resampler(
            prior(), simulator, num_guide_samples=50, random_seed=0, vectorize=vectorize, progressbar=False
        )


def test_counts_beyond_two_to_the_31_are_kept():
    def simulator():
        rate = prior()().exp() * 0 + 4e9
        pyro.sample("y", dist.Poisson(rate.double()))

    found = Resampler(prior(), simulator, num_guide_samples=100, random_seed=0)
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
                prior, simulator, num_guide_samples=n, batch_size=1000, progressbar=False, random_seed=0
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

    cache = Resampler(guide, num_guide_samples=1000, batch_size=300, random_seed=0, progressbar=False)
    kept = values(cache)["design"]
    assert kept.untyped_storage().nbytes() == 6 * 4
    assert torch.equal(cache.sample(guide, 5)["design"], torch.arange(6.0).reshape(2, 3).expand(5, 2, 3))


def test_every_log_density_is_filled_in_also_where_the_values_are_shared():
    def guide():
        pyro.sample("x", dist.Normal(0.0, 1.0))
        pyro.sample("fixed", dist.Delta(torch.tensor(4.0)))

    # Room for the log densities comes from memory that another tensor has used.
    used = [torch.full((5000,), 7.0, dtype=torch.float64) for _ in range(20)]
    del used
    cache = Resampler(guide, num_guide_samples=5000, batch_size=1000, random_seed=0, progressbar=False)
    assert (cache.pipeline.particles.columns["fixed"].log_q == 0).all()


def plated():
    with pyro.plate("school", 3):
        return pyro.sample("theta", dist.Normal(0.0, 1.0))


AFTER_A_PLATE = {
    "summed": lambda: pyro.sample("y", dist.Normal(plated().sum(), 1e-3)),
    "summed along the plate": lambda: pyro.sample("y", dist.Normal(plated().sum(-1), 1e-3)),
    "kept": lambda: pyro.sample("y", dist.Normal(plated().sum(-1, keepdim=True), 1e-3)),
    "event": lambda: pyro.sample("y", dist.Normal(plated(), 1e-3).to_event(1)),
    "vector": lambda: pyro.sample("y", dist.MultivariateNormal(plated(), 1e-6 * torch.eye(3))),
    "observed": lambda: pyro.sample("y", dist.Normal(plated().sum(), 1e-3), obs=torch.tensor(0.3)),
}


@pytest.mark.parametrize("n", [3, 100])
@pytest.mark.parametrize("name", AFTER_A_PLATE)
def test_a_site_after_a_plate_has_the_shape_that_one_draw_has(name, n):
    found = values(Resampler(AFTER_A_PLATE[name], num_guide_samples=n, random_seed=0))
    shape = {"kept": (1,), "event": (3,), "vector": (3,)}.get(name, ())
    assert found["y"].shape == (n, *shape)
    total = found["y"].reshape(n, -1).sum(-1)
    torch.testing.assert_close(total, found["theta"].sum(-1), rtol=0, atol=2e-2)


@pytest.mark.parametrize("n", [3, 8])
def test_a_vector_that_happens_to_be_as_long_as_there_are_particles_is_no_fault(n):
    def program():
        with pyro.plate("school", 3):
            pyro.sample("theta", dist.Normal(0.0, 1.0))
        pyro.sample("x", dist.Normal(torch.zeros(8), 1.0))
        pyro.sample("z", dist.Normal(torch.zeros(3), 1.0))

    sites = Resampler(program, num_guide_samples=n, random_seed=0).sites
    assert (sites["x"].shape, sites["z"].shape) == ((8,), (3,))


@pytest.mark.parametrize("batch_size", [None, 1, 3])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_spike_by_a_branch_is_refused_whatever_the_batches_and_the_first_particle(batch_size, seed):
    def guide():
        spike = pyro.sample("spike", dist.Bernoulli(0.5)).item()
        pyro.sample("x", dist.Delta(torch.tensor(0.0)) if spike else dist.Normal(0.0, 1.0))

    options = {"vectorize": False, "batch_size": batch_size, "random_seed": seed, "progressbar": False}
    with pytest.raises(ProgramError, match=r"'x' of the guide: it is continuous .* so it has no weights"):
        Resampler(guide, num_guide_samples=30, **options)
    prior = lambda: pyro.sample("spike", dist.Bernoulli(0.5))  # noqa: E731
    cache = Resampler(prior, guide, num_guide_samples=30, **options)
    assert cache.weigh(prior).ess == pytest.approx(30)
    with pytest.raises(MismatchError, match=r"'x' cannot be scored: .*point-mass for others"):
        cache.weigh(guide)


@pytest.mark.parametrize("batch_size", [None, 1, 3])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_mask_by_a_branch_counts_whatever_the_batches_and_the_first_particle(batch_size, seed):
    def program():
        seen = pyro.sample("seen", dist.Bernoulli(0.5)).item()
        with pyro.poutine.mask(mask=bool(seen)):
            pyro.sample("x", dist.Normal(0.0, 1.0))

    options = {"vectorize": False, "batch_size": batch_size, "random_seed": seed, "progressbar": False}
    assert Resampler(program, num_guide_samples=30, **options).weigh(program).ess == pytest.approx(30)
