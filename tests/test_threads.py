"""Threads that use resamplers at once, and the state of Pyro and torch after what went wrong."""

import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro.poutine import runtime

from arviz_resampler import ProgramError, Resampler, growing


def normal(scale):
    return lambda: pyro.sample("mu", dist.Normal(0.0, scale))


def simulator():
    mu = normal(10.0)()
    with pyro.plate("school", 4):
        pyro.sample("y", dist.Normal(mu, 1.0))


def build(guide=None, *args, n=100, **options):
    return Resampler(
        guide or normal(10.0), *args, num_guide_samples=n, random_seed=0, progressbar=False, **options
    )


def state():
    """Global state that a program, or the package, could leave behind."""
    numpy_state = np.random.get_state()
    return {
        "handlers": list(runtime._PYRO_STACK),
        "plates": list(runtime._DIM_ALLOCATOR._stack),
        "validation": (
            torch.distributions.Distribution._validate_args,
            vars(torch.distributions.Distribution)["_validate_args"],
        ),
        "autograd": torch.autograd.Function.__dict__["apply"],
        "modes": torch.overrides._get_current_function_mode_stack(),
        "grad": (torch.is_grad_enabled(), torch.is_inference_mode_enabled()),
        "hooks": len(torch.nn.modules.module._global_forward_pre_hooks),
        "params": sorted(pyro.get_param_store().keys()),
        "dtype": torch.get_default_dtype(),
        "torch": torch.get_rng_state().tolist(),
        "numpy": (numpy_state[1].tolist(), numpy_state[2:]),
        "python": random.getstate(),
    }


def fail_in(role, error, *, vectorize):
    """A build or a weighing in which a program raises, after it has made what can be left behind."""

    def failing():
        mu = normal(10.0)()
        pyro.param("slope", torch.tensor(1.0))
        torch.nn.BatchNorm1d(1).eval()(mu.reshape(1, 1))
        np.random.rand()
        with pyro.plate("school", 4):
            pyro.sample("y", dist.Normal(mu, 1.0))
            raise error

    if role == "guide":
        build(failing, vectorize=vectorize)
    elif role == "simulator":
        build(normal(10.0), failing, vectorize=vectorize)
    else:
        build(None, simulator, n=10, vectorize=vectorize).weigh(failing)


@pytest.mark.filterwarnings("ignore:the .* draws random numbers outside its sites")
@pytest.mark.parametrize("vectorize", ["auto", False])
@pytest.mark.parametrize("error", [RuntimeError("no"), KeyboardInterrupt(), SystemExit(1), MemoryError()])
@pytest.mark.parametrize("role", ["guide", "simulator", "model"])
def test_nothing_is_left_behind_by_what_is_raised_in_a_program(role, error, vectorize):
    before = state()
    with pytest.raises((ProgramError, type(error))) as caught:
        fail_in(role, error, vectorize=vectorize)
    assert isinstance(error, Exception) == isinstance(caught.value, ProgramError)
    after = state()
    assert {key for key, value in before.items() if after[key] != value} == set()
    assert build().weigh(normal(5.0)).ess > 0  # and it goes on


def test_an_interrupt_in_the_midst_of_a_map_leaves_nothing_behind():
    runs = []

    def interrupted():
        mu = normal(10.0)()
        runs.append(mu)
        if len(runs) > 3:  # beyond the look at one particle, which runs three times
            raise KeyboardInterrupt
        pyro.sample("y", dist.Normal(mu, 1.0))

    before = state()
    with pytest.raises(KeyboardInterrupt):
        build(interrupted)
    assert runs[-1].dim() == 0
    after = state()
    assert {key for key, value in before.items() if after[key] != value} == set()


def test_threads_that_build_weigh_draw_and_compare_at_once_get_what_one_gets():
    shared = build(None, simulator, n=500)
    jobs = {
        "build": lambda: build(normal(9.0), simulator).pipeline.particles.columns["y"].value,
        "one at a time": lambda: (
            build(normal(9.0), simulator, n=40, vectorize=False).pipeline.particles.columns["y"].value
        ),
        "weigh": lambda: shared.weigh(normal(5.0)).log_ratio,
        "sample": lambda: shared.sample(normal(4.0), 100)["y"],
        "compare": lambda: shared.compare({"a": normal(5.0), "b": normal(3.0)}, 50).diagnostics()["ess"],
    }
    alone = {name: job() for name, job in jobs.items()}
    before = state()
    names = [name for name in jobs for _ in range(8)]
    random.Random(0).shuffle(names)
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda name: jobs[name](), names))
    for name, result in zip(names, results, strict=True):
        assert np.array_equal(result, alone[name]), name
    assert {key for key, value in before.items() if state()[key] != value} == set()


def test_an_error_in_one_thread_is_no_error_in_another():
    shared = build()

    def failing():
        normal(5.0)()
        raise RuntimeError("not mine")

    ess = shared.weigh(normal(5.0)).ess

    def job(i):
        if i % 2:
            return shared.weigh(normal(5.0)).ess
        with pytest.raises(ProgramError, match="not mine"):
            shared.weigh(failing)
        return ess

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(job, range(48))) == {ess}


def test_a_thread_meanwhile_validates_counts_and_maps_by_itself():
    """Pyro's distributions, torch's modes and maps of a thread that runs no program of ours."""
    found, inside, done = [], threading.Event(), threading.Event()

    def elsewhere():
        inside.wait(60)
        try:
            with pytest.raises(ValueError, match="scale"):
                dist.Normal(0.0, -1.0)
            layer = torch.nn.BatchNorm1d(1)
            layer(torch.arange(4.0)[:, None])
            found.append(int(layer.num_batches_tracked))
            found.append(torch.vmap(lambda x: 2 * x)(torch.arange(3.0)).tolist())
            x = torch.ones((), requires_grad=True)
            (3 * x).backward()
            found.append(float(x.grad))
        finally:
            done.set()

    def waiting():
        mu = normal(5.0)()
        inside.set()
        assert done.wait(60)
        return mu

    thread = threading.Thread(target=elsewhere)
    shared = build()
    thread.start()
    weights = shared.weigh(waiting)
    thread.join()
    assert found == [1, [0.0, 2.0, 4.0], 3.0]
    assert weights.ess == shared.weigh(normal(5.0)).ess


def test_a_model_may_use_a_resampler_of_its_own():
    inner = build(normal(3.0))
    ess = inner.weigh(normal(2.0)).ess

    def model():
        assert inner.weigh(normal(2.0)).ess == ess
        return normal(5.0)()

    outer = build(n=40, vectorize=False)
    expected = outer.weigh(normal(5.0))
    before = state()
    assert np.array_equal(outer.weigh(model).log_ratio, expected.log_ratio)
    with ThreadPoolExecutor(4) as pool:
        for weights in pool.map(lambda _: outer.weigh(model), range(8)):
            assert np.array_equal(weights.log_ratio, expected.log_ratio)
    assert {key for key, value in before.items() if state()[key] != value} == set()


def held_up(*calls):
    """What calls in threads come to, all of which wait for their turn at first."""
    with ThreadPoolExecutor(len(calls)) as pool:
        with growing._ONE_AT_A_TIME:
            found = [pool.submit(call) for call in calls]
            time.sleep(0.3)
        return [each.exception() or each.result() for each in found]


def test_results_that_two_threads_hand_in_are_taken_once():
    shared = build(None, simulator)
    wanted = shared.wanted(normal(1.0), ess=100)
    results = wanted.assign(y=wanted["mu"].expand_dims(school=4, axis=1))
    found = held_up(*[lambda: shared.extend(results)] * 2)
    done = [each for each in found if not isinstance(each, Exception)]
    assert [each.num_added for each in done] == [wanted.sizes["particle"]]
    assert shared.pipeline.particles.num_particles == 100 + wanted.sizes["particle"]
    (error,) = (each for each in found if isinstance(each, Exception))
    assert str(error).startswith("nothing is wanted: call wanted first")
