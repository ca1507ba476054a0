"""The cache, by what is asked of it."""

import torch

from arviz_resampler.particles.particles import Particles
from arviz_resampler.programs.columns import CachedSite
from arviz_resampler.sites import Site


def column(name, role="latent", shape=(), **more):
    return CachedSite(Site(name, role, (), shape, 0, "float32", False), torch.zeros(3, *shape), **more)


PARTICLES = Particles(
    {
        "a": column("a", from_guide=True),
        "b": column("b", shape=(2, 4), from_guide=True, finite=False),
        "u": column("u", "auxiliary", shape=(0,), from_guide=True),
        "d": column("d", "deterministic", from_guide=True, reason="deterministic"),
        "y": column("y", "predictive", shape=(9,)),
    },
    {},
    3,
)


def test_auxiliary_sites_are_not_exported():
    assert list(PARTICLES.sites) == ["a", "b", "d", "y"]


def test_latents_of_the_guide_are_what_it_draws():
    assert PARTICLES.guide_latents == {"a", "b"}


def test_sites_without_a_finite_density_are_known():
    assert PARTICLES.nonfinite_sites == {"b"}


def test_widths_are_those_of_sites_of_the_guide_and_at_least_one():
    assert PARTICLES.widths == [1, 8, 1, 1]
