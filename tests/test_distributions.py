"""Every distribution of Pyro in small programs: mapped draws and densities are those of single particles."""

import math
from dataclasses import replace

import pyro
import pytest
import torch
from distributions import BOUND, CONTEXTS, LAW, distance, try_cell
from families import CASES, forgotten
from transformed import TRANSFORMED

from arviz_resampler import Resampler

# What torch, Pyro and the package have to say about Wishart, LKJCorrCholesky and LKJ is said in other tests.
pytestmark = [
    pytest.mark.filterwarnings(f"ignore:{text}")
    for text in ("Singular sample detected", "class LKJCorrCholesky", ".* not drawn as its density says")
]

BY_NAME = {case.name: case for case in CASES}
NEVER_PLAIN = {
    "CoalescentTimesWithRate",
    "GammaGaussianHMM",
    "GaussianMRF",
    "GroupedNormalNormal",
    "ImproperUniform",
    "LogNormalNegativeBinomial",
    "VonMises3D",
}
WITHOUT_DENSITY = {
    "Empirical",
    "LinearHMM",
    "RelaxedBernoulliStraightThrough",
    "RelaxedOneHotCategoricalStraightThrough",
}
# Loops over values and boolean indices: these sites alone go one particle at a time.
ONE_AT_A_TIME = {
    "CoalescentTimes",
    "Rejector",
    "SineBivariateVonMises",
    "SpanningTree",
    "Stable",
    "StableWithLogProb",
    "Wishart",
}
# One for each way of drawing: transforms, gammas, categories, loops over the particles, and so on.
DRAWN = (
    *("Normal", "Beta", "Dirichlet", "Poisson", "Binomial", "Categorical", "Multinomial", "Exponential"),
    *("MultivariateNormal", "MixtureSameFamily", "VonMises", "LKJCholesky", "GaussianHMM"),
    *("ZeroInflatedPoisson", "Wishart"),
)
IN_DOUBLE = ("Normal", "Gamma", "StudentT", "Uniform", "NegativeBinomial", "Dirichlet")


def test_the_table_has_every_distribution_of_pyro():
    assert not forgotten()


@pytest.mark.parametrize("name", BY_NAME)
def test_draws_and_densities_of_a_distribution_are_those_of_single_particles(name):
    cells = {context: try_cell(BY_NAME[name], CONTEXTS[context], num_particles=5) for context in CONTEXTS}
    tried = {context: cell for context, cell in cells.items() if not cell.plain}
    assert {
        context: cell.wrong or cell.refused for context, cell in tried.items() if cell.outcome != "right"
    } == {}
    assert bool(tried) == (name not in NEVER_PLAIN)
    assert all(bool(cell.unscorable) == (name in WITHOUT_DENSITY) for cell in tried.values())
    assert name in ONE_AT_A_TIME or not any(cell.looped for cell in tried.values())
    # The rest of the program is mapped all the same.
    assert not any("program" in what for cell in tried.values() for what in cell.looped)


@pytest.mark.parametrize("case", TRANSFORMED, ids=lambda case: case.name)
def test_draws_and_densities_behind_a_transform_are_those_of_single_particles(case):
    cells = [try_cell(case, CONTEXTS[name], num_particles=5) for name in ("varied", "vector", "expanded")]
    tried = [cell for cell in cells if not cell.plain]
    assert tried
    assert [cell.wrong or cell.refused for cell in tried if cell.outcome != "right"] == []
    assert case.name.startswith("spline") or not any(cell.looped for cell in tried)


@pytest.mark.parametrize("name", IN_DOUBLE)
def test_densities_in_double_precision_are_exact_to_ten_digits(name):
    for context in CONTEXTS.values():
        double = replace(context, shift=lambda t, own=context.shift: own(t).double(), dtype=torch.float64)
        cell = try_cell(BY_NAME[name], double, num_particles=5, tolerance=1e-10)
        assert cell.outcome == "right", (cell.plain, cell.wrong, cell.refused)


def test_densities_of_a_vector_in_double_precision_are_exact_to_ten_digits():
    torch.set_default_dtype(torch.float64)
    for context in CONTEXTS.values():
        cell = try_cell(BY_NAME["MultivariateNormal"], context, num_particles=5, tolerance=1e-10)
        assert cell.outcome == "right", (cell.plain, cell.wrong, cell.refused)


@pytest.mark.parametrize("context", LAW)
@pytest.mark.parametrize("name", DRAWN)
def test_mapped_draws_have_the_law_of_plain_ones(name, context):
    assert distance(BY_NAME[name], CONTEXTS[context], num_mapped=1000, num_plain=300) < BOUND


def test_angles_that_pyro_draws_wrongly_at_once_are_drawn_one_at_a_time():
    fn = BY_NAME["SineBivariateVonMises"].at(torch.tensor(0.2))
    particles = Resampler(
        lambda: pyro.sample("x", fn), num_guide_samples=2000, random_seed=0
    ).pipeline.particles
    grid = (torch.arange(400) + 0.5) / 400 * 2 * math.pi - math.pi
    angles = torch.stack(torch.meshgrid(grid, grid, indexing="ij"), -1)
    density = fn.log_prob(angles).double().exp()
    mean, square = ((density * angles[..., 0] ** k).sum() / density.sum() for k in (1, 2))
    error = (square - mean**2).sqrt() / math.sqrt(2 * 2000)
    assert abs(particles.columns["x"].value[:, 0].std() - (square - mean**2).sqrt()) < 4 * error
