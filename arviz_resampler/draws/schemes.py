"""Resampling schemes: from weights to the particle of each draw, under one contract.

A scheme is ``indices(weights, num_samples, randomness)``, with normalized float64 weights of shape
(N,) and int64 indices of shape (S,). Its randomness is a NumPy generator, or a race where the
scheme is coupled, that is, where models share their draws. Draws are in random order, so that any slice
is itself a sample.

Which to use
------------
stable
    For plots. Draws are coupled across models, so a small change of a prior leaves most of them
    as they are. They are independent of each other, as with multinomial.
multinomial
    Independent draws, for comparison with theory.
stratified, systematic, residual
    For Monte Carlo integration from draws: less noise than multinomial, and each particle comes up
    about ``S * W`` times. Weighted statistics on all particles have less noise still: see
    ``Weights.mean``.

References
----------
R. Douc, O. Cappé and E. Moulines, *Comparison of resampling schemes for particle filtering*, ISPA 2005.
G. Kitagawa, *Monte Carlo filter and smoother for non-Gaussian nonlinear state space models*, Journal of
Computational and Graphical Statistics 5(1), 1996.
J. S. Liu and R. Chen, *Sequential Monte Carlo methods for dynamic systems*, Journal of the American
Statistical Association 93(443), 1998.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from arviz_resampler.devices import above
from arviz_resampler.draws.race import Floats, Ints, Race


@dataclass(frozen=True)
class Scheme:
    """A resampling scheme.

    Parameters
    ----------
    name : str
        What it is called in arguments.
    indices : callable
        Particle of each draw, from weights, a number of draws and the randomness.
    coupled : bool
        Whether its randomness is a race, which models share, instead of a generator.
    """

    name: str
    indices: Callable[[Tensor, int, Any], Ints]
    coupled: bool = False


def stable(weights: Tensor, num_samples: int, race: Race) -> Ints:
    """Draws coupled across models by a shared exponential race.

    Parameters
    ----------
    weights : Tensor
        Normalized weights, shape (N,), float64.
    num_samples : int
        S, how many draws.
    race : Race
        The randomness, of N particles.

    Returns
    -------
    ndarray
        Particle of each draw, shape (S,), int64.
    """
    return race.winners(weights, num_samples)


def multinomial(weights: Tensor, num_samples: int, rng: np.random.Generator) -> Ints:
    """Independent draws.

    Parameters
    ----------
    weights : Tensor
        Normalized weights, shape (N,), float64.
    num_samples : int
        S, how many draws.
    rng : Generator
        The randomness.

    Returns
    -------
    ndarray
        Particle of each draw, shape (S,), int64.
    """
    return _invert(weights, rng.random(num_samples))


def stratified(weights: Tensor, num_samples: int, rng: np.random.Generator) -> Ints:
    """One uniform point in each of S equal strata (Kitagawa 1996).

    Parameters
    ----------
    weights : Tensor
        Normalized weights, shape (N,), float64.
    num_samples : int
        S, how many draws.
    rng : Generator
        The randomness.

    Returns
    -------
    ndarray
        Particle of each draw, shape (S,), int64. Its variance is never above that of multinomial
        draws (Douc, Cappé and Moulines 2005).
    """
    points = (np.arange(num_samples) + rng.random(num_samples)) / num_samples
    return rng.permutation(_invert(weights, points))


def systematic(weights: Tensor, num_samples: int, rng: np.random.Generator) -> Ints:
    """Points at equal distances from one uniform start (Kitagawa 1996).

    Parameters
    ----------
    weights : Tensor
        Normalized weights, shape (N,), float64.
    num_samples : int
        S, how many draws.
    rng : Generator
        The randomness.

    Returns
    -------
    ndarray
        Particle of each draw, shape (S,), int64. A particle comes up ``floor(S * W)`` times or once
        more; the variance depends on the order of the particles (Douc, Cappé and Moulines 2005).
    """
    points = (np.arange(num_samples) + rng.random()) / num_samples
    return rng.permutation(_invert(weights, points))


def residual(weights: Tensor, num_samples: int, rng: np.random.Generator) -> Ints:
    """``floor(S * W)`` copies of each particle, the rest multinomial (Liu and Chen 1998).

    Parameters
    ----------
    weights : Tensor
        Normalized weights, shape (N,), float64.
    num_samples : int
        S, how many draws.
    rng : Generator
        The randomness.

    Returns
    -------
    ndarray
        Particle of each draw, shape (S,), int64. Its variance is never above that of multinomial
        draws (Douc, Cappé and Moulines 2005).
    """
    expected = num_samples * weights
    copies = expected.floor()
    several, how_many = above(copies, copies.new_ones(()), copies)
    fixed = np.repeat(several, how_many.astype(np.int64))[:num_samples]
    left = num_samples - len(fixed)
    if left:
        rest = expected.sub_(copies)
        rest = rest if rest.any() else weights
        fixed = np.concatenate([fixed, _invert(rest, rng.random(left))])
    return rng.permutation(fixed)


def _invert(weights: Tensor, points: Floats) -> Ints:
    """Particle whose interval of the cumulative weights holds each point of [0, 1)."""
    cumulative = weights.cumsum(0)
    end = cumulative[-1:]
    # Rounding may push a point past the end: the last particle with weight takes it.
    last = torch.searchsorted(cumulative, end)
    index = torch.searchsorted(cumulative, torch.from_numpy(points).to(weights.device) * end, right=True)
    found: Ints = torch.minimum(index, last).cpu().numpy()
    return found


SCHEMES = {
    scheme.name: scheme
    for scheme in (
        Scheme("stable", stable, coupled=True),
        Scheme("multinomial", multinomial),
        Scheme("stratified", stratified),
        Scheme("systematic", systematic),
        Scheme("residual", residual),
    )
}
