"""Draws of one seed, written out. A change of these numbers is a breaking change: say so in the changelog."""

import numpy as np
import pytest
import torch

from arviz_resampler.draws.race import Race
from arviz_resampler.draws.schemes import SCHEMES

SEED = 20240519
FIRST = {
    "stable": [39, 85, 66, 84, 69, 62, 88, 40, 99, 78, 18, 41, 49, 53, 89, 86, 66, 23, 87, 41],
    "multinomial": [34, 86, 73, 60, 73, 46, 76, 20, 63, 79, 96, 81, 49, 95, 66, 76, 98, 44, 94, 54],
    "stratified": [65, 41, 73, 94, 96, 96, 78, 99, 81, 85, 95, 69, 47, 70, 63, 17, 19, 22, 87, 93],
    "systematic": [78, 97, 89, 78, 75, 35, 22, 50, 47, 91, 71, 86, 53, 85, 38, 89, 60, 71, 65, 90],
    "residual": [25, 28, 64, 38, 91, 94, 70, 79, 68, 69, 99, 88, 81, 83, 98, 94, 96, 44, 91, 83],
}


@pytest.fixture
def weights():
    return np.arange(1.0, 101.0) / 5050


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_first_draws_of_a_seed_are_those_of_earlier_versions(scheme, weights):
    known = SCHEMES[scheme]
    randomness = Race(SEED, 100) if known.coupled else np.random.default_rng(SEED)
    assert known.indices(torch.as_tensor(weights), 300, randomness)[:20].tolist() == FIRST[scheme]


def test_stable_draws_beyond_the_first_block_are_those_of_earlier_versions(weights):
    draws = Race(SEED, 100).winners(torch.as_tensor(weights), 300)
    assert draws[250:262].tolist() == [12, 51, 97, 96, 26, 39, 62, 60, 97, 77, 99, 56]


def test_stable_draws_of_a_heavy_particle_are_those_of_earlier_versions():
    draws = Race(SEED, 4).winners(torch.as_tensor(np.array([1 - 3e-4, 1e-4, 1e-4, 1e-4])), 40_000)
    others = np.flatnonzero(draws)
    assert others.tolist() == [3046, 5892, 17262, 21346, 30589, 30667, 36452, 38620]
    assert draws[others].tolist() == [3, 2, 3, 1, 1, 3, 3, 1]
