"""What vmap refuses or does wrong, and the mode mends: a program for each row of its table."""

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro.distributions import constraints

from arviz_resampler import DrawWarning, ProgramError, Resampler
from arviz_resampler.mapping.particle_mode import _RULES

INDEX = torch.tensor([0, 2])


def normal(name, *shape):
    return pyro.sample(name, dist.Normal(torch.zeros(shape), 1.0).to_event(len(shape)))


def scattered():
    x = torch.zeros(3, 4, 3) + normal("a")
    x[INDEX, :, INDEX] = normal("b", 4)
    return x


def masked():
    x = normal("a", 3)
    y = 2 * x
    y[x > 0] = 0.0
    return y


def filled():
    x = torch.empty(2)
    x[0], x[1] = normal("a"), 1.0
    return x


def clamped():
    return (2 * normal("a", 3)).clamp_(min=0.0, max=1.0)


def constants_read_after_a_change():
    x = torch.zeros(3)
    for i in torch.arange(3):
        x[i] = normal(f"a{i}")
    assert torch.ones(3).sum() > 2
    return x


def changed_in_place():
    x = torch.arange(3.0)
    x += normal("a")
    x.mul_(2)
    return x


def asked_of_a_batch():
    # torch's VonMises draws until all are accepted
    return pyro.sample("v", dist.VonMises(normal("a"), normal("b").exp()))


def flipped_number():
    x = normal("a")
    y = x.flip(0) if x.dim() else torch.flip(x, ())
    y.mul_(3.0)
    return x + y


def expanded_and_copied():
    x = normal("a", 3)
    x.expand(2, 3).contiguous().mul_(3.0)
    return x + 0.0


def reshaped_and_changed():
    x = 2 * normal("a", 2, 3)
    x.reshape(-1)[0] = 5.0
    return x


PROGRAMS = {
    "a number that is flipped": flipped_number,
    "a copy of what is expanded": expanded_and_copied,
    "a change through a reshape": reshaped_and_changed,
    "index tensors that stand apart": scattered,
    "a mask by values": masked,
    "memory that is filled later": filled,
    "clamp_": clamped,
    "in place on a constant": changed_in_place,
    "constants read after a change in place": constants_read_after_a_change,
    "squeeze of a number": lambda: normal("a").squeeze(-1),
    "data": lambda: normal("a", 2).data + 1,
    "torch.tensor of values": lambda: torch.tensor([normal("a"), normal("b"), 1.0]),
    "torch.tensor of tensors of one": lambda: torch.tensor([[normal("a", 1), 1.0], [2.0, normal("b")]]),
    "all in a distribution": asked_of_a_batch,
    "an autograd function without a rule": lambda: pyro.sample("a", dist.Beta(2.0, normal("b").exp())),
    "a factor": lambda: torch.linalg.cholesky(torch.eye(3) * (1 + normal("a") ** 2)),
    "an inverse": lambda: torch.inverse(torch.eye(3) * (1 + normal("a") ** 2)),
    "a solution": lambda: torch.linalg.solve(torch.eye(3) * (1 + normal("a") ** 2), torch.ones(3, 1)),
}


def by_itself(program, values):
    """What a program returns for one particle, by plain Pyro."""
    with torch.no_grad():
        trace = pyro.poutine.trace(pyro.poutine.condition(program, values)).get_trace()
    return trace.nodes["_RETURN"]["value"]


@pytest.mark.parametrize("n", [3, 4, 11])  # sizes of the programs among them
@pytest.mark.parametrize("name", PROGRAMS)
def test_a_mapped_program_computes_what_each_particle_computes_by_itself(name, n):
    def program():
        return pyro.deterministic("out", PROGRAMS[name]())

    columns = Resampler(
        program, num_guide_samples=n, random_seed=0, vectorize=True
    ).pipeline.particles.columns
    for i in range(n):
        drawn = {k: c.value[i] for k, c in columns.items() if k != "out"}
        expected = by_itself(PROGRAMS[name], drawn)
        # A matrix by matrix and all of them at once round differently: 1e-6 of numbers of size ten.
        torch.testing.assert_close(columns["out"].value[i], expected, rtol=1e-5, atol=1e-5)


@pytest.mark.filterwarnings("ignore:the guide runs one particle at a time")
@pytest.mark.parametrize("axes", [(0, 1), (1, 0)])
def test_a_change_through_a_reshape_that_may_be_a_copy_is_that_of_each_particle(axes):
    def program():
        x = (2 * normal("a", 2, 3)).permute(*axes)
        x.reshape(-1)[0] = 5.0
        return pyro.deterministic("out", x + 0.0)

    columns = Resampler(program, num_guide_samples=6, random_seed=0).pipeline.particles.columns
    expected = 2 * columns["a"].value.permute(0, *(1 + i for i in axes))
    if axes == (0, 1):  # a view; of what is transposed it is a copy
        expected = expected.clone().flatten(1).index_fill(1, torch.tensor(0), 5.0).reshape(6, 2, 3)
    assert torch.equal(columns["out"].value, expected)


def test_every_row_of_the_table_is_for_a_function_that_torch_has():
    assert all(callable(func) for func in _RULES)
    assert torch.linalg.cholesky in _RULES


@pytest.mark.parametrize(
    "use",
    [
        lambda x: 1 if x > 0 else 2,
        float,
        int,
        lambda x: x.item(),
        lambda x: x.tolist(),
        lambda x: x.numpy(),
        lambda x: f"{x:.2f}",
        lambda x: [0, 1, 2][(x > 0).long()],
        lambda x: range((x > 0).long()),
        lambda x: torch.zeros(3).set_(x.expand(3).contiguous()),
    ],
)
def test_what_differs_between_particles_is_not_read_as_a_python_number(use):
    def program():
        use(normal("x"))

    with pytest.raises(ProgramError, match=r"cannot be mapped.*test_particle_mode\.py:\d+"):
        Resampler(program, num_guide_samples=5, random_seed=0, vectorize=True)


@pytest.mark.parametrize("on_error", ["raise", "mask"])
def test_linear_algebra_that_fails_for_single_particles_names_them(on_error):
    def guide():
        return normal("a")

    def simulator():
        a = guide()
        scale = torch.linalg.cholesky(torch.eye(2) + 1.2 * a * (1 - torch.eye(2)))
        pyro.sample("y", dist.MultivariateNormal(torch.zeros(2), scale_tril=scale), obs=torch.zeros(2))

    def build():
        return Resampler(guide, simulator, num_guide_samples=200, random_seed=0, on_error=on_error)

    if on_error == "raise":
        with pytest.raises(
            ProgramError, match=r"particle \d+ failed, at a = .*linear algebra failed \(test_"
        ):
            build()
        return
    with pytest.warns(DrawWarning, match="of 200 particles failed"):
        resampler = build()
    columns = resampler.pipeline.particles.columns
    assert torch.equal(resampler.pipeline.particles.failed, (1.2 * columns["a"].value).abs() >= 1)
    assert torch.equal(columns["y"].value.isnan().all(-1), resampler.pipeline.particles.failed)
    weights = resampler.weigh(guide)
    share = float(resampler.pipeline.particles.failed.double().mean())
    assert weights.ess == pytest.approx(200)
    assert weights.failed_mass == pytest.approx((share, (share * (1 - share) / 200) ** 0.5))
    assert f"{share:.2%} of the model's mass" in weights.advice


def test_validation_that_a_program_asks_for_holds_for_all_particles():
    def program(low):
        def run():
            a = pyro.sample("a", dist.Uniform(low, 1.0))
            pyro.sample("b", dist.Normal(0.0, a, validate_args=True))

        return run

    Resampler(program(0.5), num_guide_samples=20, random_seed=0, vectorize=True)
    with pytest.raises(ProgramError, match="scale"):
        Resampler(program(-1.0), num_guide_samples=20, random_seed=0)


def test_a_parameter_is_made_outside_the_map():
    def program():
        loc = pyro.param("loc", torch.tensor(0.5), constraint=constraints.positive)
        pyro.sample("x", dist.Normal(loc, 1.0))

    resampler = Resampler(lambda: normal("x"), num_guide_samples=20, random_seed=0)
    x = resampler.pipeline.particles.columns["x"].value.double()
    expected = -((x - 0.5) ** 2) / 2 + x**2 / 2
    torch.testing.assert_close(torch.tensor(resampler.weigh(program).log_ratio), expected, rtol=0, atol=1e-5)
