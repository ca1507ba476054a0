"""Functions of all particles inside programs that see one."""

import collections

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch

from arviz_resampler import ProgramError, Resampler, batched

Both = collections.namedtuple("Both", ["first", "second"])


def values(program, n=50, **options):
    resampler = Resampler(program, num_guide_samples=n, random_seed=0, progressbar=False, **options)
    return {name: column.value for name, column in resampler.pipeline.particles.columns.items()}


def drawn():
    a = pyro.sample("a", dist.Normal(0.0, 1.0))
    b = pyro.sample("b", dist.Normal(torch.zeros(3), 1.0).to_event(1))
    return a, b


def test_the_program_sees_one_draw_and_the_function_all_of_them():
    shapes = []

    @batched
    def total(a, b):
        shapes.append((a.shape, b.shape))
        return a + b.sum(-1)

    def program():
        a, b = drawn()
        out = total(a, b)
        assert out.shape == ()
        pyro.deterministic("out", out)

    found = values(program, vectorize=True)
    torch.testing.assert_close(found["out"], found["a"] + found["b"].sum(1))
    # One particle three times, then all at once, and two of them by themselves.
    one, all_of_them = ((1,), (1, 3)), ((50,), (50, 3))
    assert shapes == [one, one, one, all_of_them, one, one]


def test_what_all_particles_share_comes_with_particles_in_front_too():
    @batched
    def add(a, constant, number, array):
        assert constant.shape == (len(a), 2)
        assert (number, array.shape) == (2.0, (4,))
        return a[:, None] + constant * number

    def program():
        pyro.deterministic("out", add(drawn()[0], torch.tensor([1.0, 2.0]), 2.0, array=np.zeros(4)))

    found = values(program, vectorize=True)
    torch.testing.assert_close(found["out"], found["a"][:, None] + torch.tensor([2.0, 4.0]))


def test_arguments_and_results_may_be_nested():
    @batched
    def split(both, more):
        return {
            "low": np.minimum(both.first, more["x"][0]),
            "rest": (both.second > 0, [np.floor(both.first)]),
        }

    def program():
        a, b = drawn()
        out = split(Both(a, b), more={"x": [b[0]]})
        pyro.deterministic("low", out["low"])
        pyro.deterministic("positive", out["rest"][0])
        pyro.deterministic("whole", out["rest"][1][0].long())

    found = values(program, vectorize=True)
    assert torch.equal(found["low"], torch.minimum(found["a"], found["b"][:, 0]))
    assert torch.equal(found["positive"], found["b"] > 0)
    assert torch.equal(found["whole"], found["a"].floor().long())


def test_a_function_of_tensors_is_handed_tensors():
    def program():
        pyro.deterministic("out", batched(torch.cumsum, tensors=True)(drawn()[1], 1))

    found = values(program, vectorize=True)
    torch.testing.assert_close(found["out"], found["b"].cumsum(1))


def test_models_score_through_it():
    def make(scale):
        def program():
            a, _ = drawn()
            pyro.sample("y", dist.Normal(batched(np.exp)(a), scale))

        return program

    resampler = Resampler(make(2.0), num_guide_samples=200, random_seed=0)
    assert (resampler.weigh(make(2.0)).log_ratio == 0).all()
    a, y = (resampler.pipeline.particles.columns[name].value for name in "ay")
    expected = dist.Normal(a.exp(), 1.0).log_prob(y) - dist.Normal(a.exp(), 2.0).log_prob(y)
    found = resampler.weigh(make(1.0)).log_ratio_by_site["y"]
    # Squares of up to a hundred in float32: 1e-7 of each.
    torch.testing.assert_close(torch.tensor(found).float(), expected, rtol=1e-5, atol=1e-4)


def test_it_runs_in_a_map_in_a_map_and_outside_of_any():
    add = batched(lambda a, b: a[:, None] + b)
    x, row = torch.randn(4, 5), torch.randn(3)
    torch.testing.assert_close(add(x[0, 0], row), x[0, 0] + row)
    twice = torch.vmap(lambda inner: torch.vmap(lambda a: add(a, row))(inner))(x)
    torch.testing.assert_close(twice, x[..., None] + row)


def test_external_code_may_use_its_result_again():
    buffer = np.zeros(50, np.float32)

    def program():
        def fill(a):
            out = buffer[: len(a)]
            out[:] = a
            return out

        pyro.deterministic("out", batched(fill)(drawn()[0]))

    found = values(program, vectorize=True)
    buffer[:] = -1
    assert torch.equal(found["out"], found["a"])


MIXING = {
    "mean": lambda a: a - a.mean(),
    "rank": lambda a: np.where(a > np.median(a), 0.5, -0.5),
    "order": lambda a: np.sort(a),
    "neighbor": lambda a: np.roll(a, 1),
    "noise": lambda a: a + np.random.normal(size=a.shape),
}


@pytest.mark.parametrize("name", MIXING)
@pytest.mark.parametrize("seed", range(3))
def test_a_function_that_mixes_particles_is_refused(name, seed):
    def program():
        pyro.deterministic("out", batched(MIXING[name])(drawn()[0]))

    with pytest.raises(ProgramError, match=r"gives particle .* among others something else"):
        Resampler(program, num_guide_samples=50, random_seed=seed)


def test_rounding_is_allowed_as_far_as_it_is_said():
    def together(a):  # what depends on how many there are, by 1e-6
        return a * (1 + 1e-6 * (len(a) > 1))

    def program(rtol):
        return lambda: pyro.deterministic("out", batched(together, rtol=rtol)(drawn()[0]))

    assert values(program(1e-5))["out"].shape == (50,)
    with pytest.raises(ProgramError, match="rtol"):
        values(program(1e-8))


WRONG = {
    "a sum": (lambda a: a.sum(), r"gave float32 of shape \(\).* for 50 particles.* shape \(50, ...\)"),
    "a number": (lambda a: 3.0 if len(a) > 1 else a, r"gave float for 50 particles"),
    "text": (lambda a: np.array([str(v) for v in a]), "which are no numbers"),
    "the axis elsewhere": (lambda a: np.stack([a, a]), r"shape \(2, "),
    "a change in place": (lambda a: np.add(a, 1, out=a), "changes what it is handed in place"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_function_that_is_not_batched_is_refused_by_name(name):
    function, message = WRONG[name]

    def program():
        pyro.deterministic("out", batched(function)(drawn()[0]))

    with pytest.raises(
        ProgramError,
        match=f"the batched function '<lambda>' .*{message}" if name != "a sum" else "for 1 particles|for 50",
    ):
        values(program)


def test_a_change_in_place_of_tensors_is_refused():
    with pytest.raises(ProgramError, match="changes what it is handed in place"):
        values(lambda: pyro.deterministic("out", batched(lambda a: a.add_(1), tensors=True)(drawn()[0])))


def test_no_gradient_flows_through():
    x = torch.ones((), requires_grad=True)
    with pytest.raises(ProgramError, match="has no derivative"):
        batched(np.sin)(x).backward()


def shared_noise(x):
    torch.manual_seed(1)
    return x + torch.randn(())


def own_noise(x):
    torch.manual_seed(1)
    return x + torch.randn(len(x))


@pytest.mark.parametrize("options", [{}, {"batch_size": 1}, {"vectorize": False}], ids=str)
@pytest.mark.parametrize("function", [shared_noise, own_noise])
def test_a_function_that_sets_a_seed_is_refused(function, options):
    def program():
        pyro.deterministic("y", batched(function, tensors=True)(pyro.sample("x", dist.Normal(0.0, 1.0))))

    with pytest.raises(ProgramError, match=r"the batched function .* sets a seed of its own"):
        values(program, **options)


@pytest.mark.filterwarnings("ignore:the guide")
@pytest.mark.parametrize("options", [{}, {"batch_size": 1}, {"vectorize": False}], ids=str)
@pytest.mark.parametrize("size", [None, 1])
def test_a_function_that_seeds_numpy_is_refused(size, options):
    def noisy(x):
        np.random.seed(1)
        return x + np.random.normal(size=size)

    def program():
        pyro.deterministic("y", batched(noisy)(pyro.sample("x", dist.Normal(0.0, 1.0))))

    with pytest.raises(ProgramError, match="sets a seed of its own"):
        values(program, **options)


@pytest.mark.parametrize("role", ["simulator", "model"])
def test_a_function_that_mixes_particles_is_refused_in_each_program_at_each_call(role):
    mixes = False

    def guide():
        x = pyro.sample("x", dist.Normal(0.0, 1.0))
        pyro.sample("y", dist.Normal(x, 2.0))

    def mixing():
        x = pyro.sample("x", dist.Normal(0.0, 1.0))
        y = batched(lambda x: x - x.mean() if mixes else x)(x)
        pyro.sample("y", dist.Normal(y, 1.0))

    resampler = Resampler(guide, num_guide_samples=200, random_seed=0, progressbar=False)
    resampler.weigh(mixing)
    mixes = True
    with pytest.raises(ProgramError, match="it mixes particles"):
        resampler.weigh(mixing) if role == "model" else Resampler(guide, mixing, num_guide_samples=50)
