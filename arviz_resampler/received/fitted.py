"""Draws of a posterior, as particles with the density of the prior that it was fitted with.

Knows containers and particles; nothing of models.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from arviz_resampler import containers
from arviz_resampler.errors import ArgumentError
from arviz_resampler.particles import given
from arviz_resampler.particles.guides import Single
from arviz_resampler.particles.structure import structure_of
from arviz_resampler.programs.program import Program
from arviz_resampler.received.common import (
    Floats,
    Received,
    Settings,
    as_the_program_has,
    pipeline_of,
    sums_of,
    warn_repeated,
)

_NOT_MORE = (
    "these particles are draws of a posterior: nothing here can draw more of them. Fit the model under the "
    "new prior instead"
)


def from_posterior(
    idata: Any, prior: Callable[[], Any], settings: Settings, *, group: str, simulator: Any
) -> Received:
    """Particles that are draws of a posterior, with the density of the prior that they were fitted with."""
    groups = containers.OF_POSTERIOR._replace(latents=group)
    draws = containers.of_mcmc(idata) if containers.is_mcmc(idata) else idata
    found = containers.read_draws(draws, groups, chains=True)
    guide = Single(Program(prior, "prior"))
    latents = given.latents_of(structure_of(guide.program), "the prior")
    placed = as_the_program_has(latents, found, None, "the prior")
    if found.num_draws < 4 * found.num_chains:
        raise ArgumentError(
            f"each chain needs 4 draws or more for an estimate of errors, got "
            f"{found.num_draws // found.num_chains}"
        )
    columns = {name: one.column for name, one in placed.items()}
    blocks = given.density_of_program(guide, columns, found.num_draws, settings.vectorize, "the prior")
    _warn_resampled(sums_of(found, placed).reshape(found.num_chains, -1))
    normalized = not given.without_constant(guide, columns, found.num_draws, settings.vectorize)
    pipeline = pipeline_of(
        found,
        placed,
        blocks,
        settings,
        simulator=simulator,
        num_chains=found.num_chains,
        normalized=normalized,
    )
    return Received(pipeline, None, _NOT_MORE)


def _warn_resampled(sums: Floats) -> None:
    """Say that draws repeat others that are not beside them in a chain, as draws that were resampled do."""
    # A chain stays where it is when a proposal is rejected.
    steps = len(sums) + int((np.diff(sums, axis=1) != 0).sum())
    warn_repeated(steps - len(np.unique(sums)), sums.size)
