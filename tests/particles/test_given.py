"""Particles made of values: axes, dtypes, and the density that they were drawn with."""

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch

from arviz_resampler import ArgumentError, MismatchError
from arviz_resampler.particles import given
from arviz_resampler.particles.guides import Mixture, Single
from arviz_resampler.particles.structure import structure_of
from arviz_resampler.programs.program import Program


def program():
    with pyro.plate("row", 2, dim=-2), pyro.plate("column", 3, dim=-1):
        pyro.sample("x", dist.Normal(torch.zeros(2, 3, 4), 1.0).to_event(1))
    pyro.sample("n", dist.Poisson(3.0))


@pytest.fixture(scope="module")
def latents():
    return given.latents_of(structure_of(Program(program, "guide")), "the guide")


def test_named_axes_go_to_their_plates_and_the_others_stay_in_order(latents):
    values = np.random.default_rng(0).normal(size=(10, 4, 3, 2))
    placed = given.latent(latents["x"], values, ("x_dim_0", "column", "row"), "the guide")
    np.testing.assert_allclose(placed.column.value, values.transpose(0, 3, 2, 1), rtol=1e-6)
    assert placed.dims == ("row", "column", "x_dim_0")
    assert placed.column.site == latents["x"].site


def test_values_have_the_dtype_of_the_program(latents):
    assert given.latent(
        latents["x"], np.zeros((5, 2, 3, 4)), ("row", "column", "x_dim_0"), ""
    ).column.value.dtype == (torch.float32)
    counts = given.latent(latents["n"], np.arange(5), (), "the guide").column
    assert counts.value.dtype == torch.float32
    assert counts.site.discrete


def test_axes_that_do_not_fit_are_shown_on_both_sides(latents):
    with pytest.raises(
        MismatchError, match=r"axes \(a=3, b=2\) in the draws, but \(row=2, column=3, 4\) in the guide"
    ):
        given.latent(latents["x"], np.zeros((5, 3, 2)), ("a", "b"), "the guide")


def test_values_are_copies():
    values = np.arange(3.0)
    values.flags.writeable = False
    placed = given.carried("y", "predictive", values, ())
    placed.column.value[0] = 7.0
    assert values[0] == 0.0


def test_particles_fail_where_others_have_a_prediction():
    def failed(*arrays):
        columns = {str(i): given.carried(str(i), "predictive", a, ()).column for i, a in enumerate(arrays)}
        return given.failed_in(columns, len(arrays[0]))

    assert failed(np.arange(3.0), np.arange(3)) is None
    assert failed(np.full(3, np.nan)) is None
    assert failed(np.array([1.0, np.nan, 2.0]), np.arange(3.0)).tolist() == [False, True, False]


def test_the_density_of_a_mixture_is_that_of_all_its_programs():
    def normal(mean):
        return lambda: pyro.sample("x", dist.Normal(mean, 1.0))

    x = torch.linspace(-2, 2, 8)
    column = given.free_latent("x", x.numpy(), ()).column
    blocks = given.density_of_program(
        Mixture([normal(-1.0), normal(1.0)]), {"x": column}, 8, "auto", "the guide"
    )
    each = torch.stack([dist.Normal(mean, 1.0).log_prob(x) for mean in (-1.0, 1.0)])
    expected = torch.logsumexp(each, 0) - np.log(2.0)
    torch.testing.assert_close(blocks["x",], expected.double(), rtol=1e-6, atol=1e-6)


def test_a_particle_without_a_density_is_refused_whatever_is_known_of_its_support():
    single = Single(Program(lambda: pyro.sample("x", dist.HalfNormal(1.0)), "guide"))
    (known,) = given.latents_of(given.drawn_by(single, 3), "the guide").values()
    assert known.support is not None
    column = given.latent(known, np.array([-1.0, 1.0, 2.0]), (), "the guide").column
    with pytest.raises(MismatchError, match=r"1 of 3 draws have no density at 'x' under the guide.* -1"):
        given.density_of_program(single, {"x": column}, 3, "auto", "the guide")


def test_arrays_of_log_densities_are_checked():
    assert given.density_of_arrays({("a",): np.zeros(3)}, 3)["a",].dtype == torch.float64
    for wrong in (np.zeros(2), np.array([0.0, -np.inf, 0.0])):
        with pytest.raises(ArgumentError, match="the log density at 'a'"):
            given.density_of_arrays({("a",): wrong}, 3)
