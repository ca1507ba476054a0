"""The sites of a program, from one run."""

import pyro
import pyro.distributions as dist
import pytest
import torch

from arviz_resampler import ProgramError
from arviz_resampler.particles.structure import structure_of
from arviz_resampler.programs.program import Program


def program():
    mu = pyro.sample("mu", dist.Normal(torch.zeros(2), 1.0).to_event(1))
    pyro.factor("odd", mu.sum())
    pyro.deterministic("twice", 2 * mu)
    with pyro.plate("school", 3):
        pyro.sample("n", dist.Poisson(3.0))
        pyro.sample("y", dist.Normal(mu.sum(), 1.0), obs=torch.tensor([1.0, 2.0, 3.0]))


def test_sites_have_their_plates_shapes_and_kinds():
    found = structure_of(Program(program, "program"))
    assert {n: (c.site.dims, c.site.shape) for n, c in found.columns.items()} == {
        "mu": (("mu_dim_0",), (2,)),
        "twice": (("twice_dim_0",), (2,)),
        "n": (("school",), (3,)),
        "y": (("school",), (3,)),
    }
    assert found.columns["n"].site.discrete
    assert found.columns["twice"].reason == "deterministic"
    assert found.observed == {"y"}
    assert found.factors == {"odd"}
    assert found.data["y"].tolist() == [1.0, 2.0, 3.0]


def test_neither_generators_nor_parameters_are_touched():
    pyro.clear_param_store()
    torch.manual_seed(0)
    before = torch.get_rng_state()
    structure_of(
        Program(lambda: pyro.sample("x", dist.Normal(pyro.param("a", torch.zeros(())), 1.0)), "program")
    )
    assert torch.equal(torch.get_rng_state(), before)
    assert "a" not in pyro.get_param_store()


def test_a_program_that_cannot_be_run_is_refused():
    with pytest.raises(ProgramError, match="the program failed"):
        structure_of(Program(lambda: pyro.sample("x", dist.Normal(0.0, 1.0)).missing, "program"))
