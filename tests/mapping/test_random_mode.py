"""Random numbers in a map are those of each particle, whatever asks for them."""

import pyro
import pyro.distributions as dist
import pytest
import torch

from arviz_resampler import ProgramError, Resampler
from arviz_resampler.mapping.functorch import map_particles
from arviz_resampler.mapping.random_mode import RANDOM as ROWS
from arviz_resampler.mapping.random_mode import RandomMode, UnmappableError
from arviz_resampler.mapping.streams import Streams

RANDOM = {
    "rand": lambda: torch.rand(3),
    "randn": lambda: torch.randn((3,)),
    "randint": lambda: torch.randint(0, 1000, (3,)),
    "randint of one bound": lambda: torch.randint(1000, (3,)),
    "randperm": lambda: torch.randperm(50),
    "rand_like": lambda: torch.rand_like(torch.zeros(3)),
    "randint_like": lambda: torch.randint_like(torch.zeros(3), 1000),
    "normal of tensors": lambda: torch.normal(torch.zeros(3), torch.ones(3)),
    "normal of numbers": lambda: torch.normal(0.0, 1.0, (3,)),
    "normal of a size by name": lambda: torch.normal(0.0, 1.0, size=(3,)),
    "bernoulli": lambda: torch.bernoulli(torch.full((40,), 0.5)),
    "bernoulli as a method": lambda: torch.full((40,), 0.5).bernoulli(),
    "poisson": lambda: torch.poisson(torch.full((5,), 50.0)),
    "binomial": lambda: torch.binomial(torch.full((5,), 1000.0), torch.tensor(0.5)),
    "multinomial": lambda: torch.multinomial(torch.ones(50), 5),
    "multinomial of rows": lambda: torch.multinomial(torch.ones(3, 50), 2, True),
    "normal_": lambda: torch.zeros(3).normal_(1.0, 2.0),
    "uniform_": lambda: torch.zeros(3).uniform_(2.0, 3.0),
    "exponential_": lambda: torch.zeros(3).exponential_(),
    "bernoulli_": lambda: torch.zeros(40).bernoulli_(torch.tensor(0.5)),
    "geometric_": lambda: torch.zeros(9).geometric_(0.1),
}


@pytest.mark.filterwarnings("ignore:the guide draws random numbers outside its sites")
@pytest.mark.parametrize("name", RANDOM)
def test_random_numbers_outside_sites_are_those_of_each_particle(name):
    def program():
        pyro.sample("a", dist.Normal(0.0, 1.0))
        pyro.deterministic("out", RANDOM[name]().float() + 0.0)

    options = {"random_seed": 0, "vectorize": True}
    many = Resampler(program, num_guide_samples=30, **options).pipeline.particles.columns["out"].value
    few = Resampler(program, num_guide_samples=8, **options).pipeline.particles.columns["out"].value
    torch.manual_seed(0)
    assert many.shape == (30, *RANDOM[name]().shape)
    assert len(many.unique(dim=0)) == 30
    assert torch.equal(many[:8], few)


def test_a_generator_of_the_programs_own_is_not_mapped():
    generator = torch.Generator()

    def program():
        pyro.sample("a", dist.Normal(0.0, 1.0))
        torch.rand(3, generator=generator)

    with pytest.raises(ProgramError, match="a generator of the program's own"):
        Resampler(program, num_guide_samples=5, random_seed=0, vectorize=True)


def mode_of(particles):
    return RandomMode(particles, Streams(0), "guide")


def test_particles_differ_in_a_tensor_wherever_it_stands():
    found = []

    def look(particles):
        mode, mapped, shared = mode_of(particles), particles.enter(torch.zeros(3)), torch.zeros(())
        found.extend(mode.varies(x) for x in (mapped, [1, (shared, mapped)], shared, [shared, 2], "x"))

    map_particles(look, 3)
    assert found == [True, True, False, False, False]


def test_a_site_draws_from_its_streams_and_the_program_from_others():
    drawn = []

    def look(particles):
        mode = mode_of(particles)
        shape = ((), {}), ((2,), {})
        for _ in range(2):
            with mode.at_site("x"):
                drawn.append(particles.rows(mode.random_sized(torch.rand, (shape[1][0],), {})))
        assert not mode.loose
        drawn.append(particles.rows(mode.random_sized(torch.rand, (2,), {})))
        assert mode.loose

    map_particles(look, 4)
    expected = [
        Streams(0).draw(name, 4, [], 2, torch.device("cpu"), lambda n, rows: torch.rand(n, 2))
        for name in ("site x/0", "site x/1", "guide/0")
    ]
    assert all(torch.equal(a, b) for a, b in zip(drawn, expected, strict=True))


def test_random_numbers_after_a_seed_of_the_programs_own_are_refused():
    def look(particles):
        mode = mode_of(particles)
        torch.manual_seed(torch.initial_seed() + 1)
        mode.random_sized(torch.rand, (2,), {})

    with pytest.raises(UnmappableError, match="after a seed of the program's own"):
        map_particles(look, 4)


def test_every_row_of_the_table_is_for_a_function_that_torch_has():
    assert all(callable(func) for _, funcs in ROWS for func in funcs)
