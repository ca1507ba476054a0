"""Resampling schemes: from weights to the particle of each draw, under one contract.

Each scheme is ``indices = scheme(weights, num_samples, race=..., rng=...)``, with normalized float64
weights of shape (N,) and int64 indices of shape (S,). Draws stand in no order, so that a part of
them is as good as any other part.

Which to use
------------
stable
    For pictures. Draws are coupled across models, so a small change of a prior leaves most of them
    as they are. They are independent of each other, as with multinomial.
multinomial
    Independent draws, for comparison with theory.
stratified, systematic, residual
    For Monte Carlo integration from draws: less noise than multinomial, and each particle comes up
    about ``S * W`` times (Douc and Cappe 2005). Weighted statistics on all particles have less
    noise still: see ``Weights.mean``.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch

from arviz_resampler.draws.race import Floats, Ints, Race


class Scheme(Protocol):
    """The contract of a scheme."""

    def __call__(self, weights: Floats, num_samples: int, *, race: Race, rng: np.random.Generator) -> Ints:
        """Particle of each draw."""
        ...


def _invert(weights: Floats, points: Floats) -> Ints:
    """Particle whose stretch of the cumulative weights holds each point of [0, 1)."""
    # Torch takes a quarter of NumPy's time to the same sums.
    cumulative = torch.tensor(weights).cumsum_(0).numpy()
    index: Ints = np.searchsorted(cumulative, points * cumulative[-1], side="right")
    # Rounding may push a point past the end: the last particle with weight takes it.
    last: np.int64 = np.searchsorted(cumulative, cumulative[-1])
    return np.minimum(index, last)


def stable(weights: Floats, num_samples: int, *, race: Race, rng: np.random.Generator) -> Ints:
    """Draws coupled across models by a shared exponential race."""
    return race.winners(weights, num_samples)


def multinomial(weights: Floats, num_samples: int, *, race: Race, rng: np.random.Generator) -> Ints:
    """Independent draws."""
    return _invert(weights, rng.random(num_samples))


def stratified(weights: Floats, num_samples: int, *, race: Race, rng: np.random.Generator) -> Ints:
    """One uniform point in each of S equal strata."""
    points = (np.arange(num_samples) + rng.random(num_samples)) / num_samples
    return rng.permutation(_invert(weights, points))


def systematic(weights: Floats, num_samples: int, *, race: Race, rng: np.random.Generator) -> Ints:
    """Points at equal distances from one uniform start."""
    points = (np.arange(num_samples) + rng.random()) / num_samples
    return rng.permutation(_invert(weights, points))


def residual(weights: Floats, num_samples: int, *, race: Race, rng: np.random.Generator) -> Ints:
    """``floor(S * W)`` copies of each particle, the rest multinomial (Liu and Chen 1998)."""
    expected = num_samples * weights
    copies = np.floor(expected).astype(np.int64)
    fixed = np.repeat(np.arange(len(weights)), copies)[:num_samples]
    left = num_samples - len(fixed)
    if left:
        rest = expected - copies
        if not rest.any():
            rest = weights
        fixed = np.concatenate([fixed, _invert(rest, rng.random(left))])
    return rng.permutation(fixed)


SCHEMES: dict[str, Scheme] = {
    scheme.__name__: scheme for scheme in (stable, multinomial, stratified, systematic, residual)
}
