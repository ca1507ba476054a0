"""How far particles reach into a model, how many new ones a wish takes, and what a top-up has done.

Knows log ratios; nothing of programs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

_ROOM = 1.05  # for the error of these draws


@dataclass(frozen=True, eq=False)
class Reach:
    """How far particles reach into a model, by draws of the model.

    Weights see a model where particles are; its own draws see it where it is. So a model whose bulk no
    particle has met shows in them.

    Attributes
    ----------
    ess : float
        Effective sample size that is expected of particles drawn as these.
    num_needed : int
        New particles that leave the effective sample size which was asked for; 0 where it is expected.
    log_ratio : ndarray of shape (num_draws,)
        Log density of the model less that of what drew the particles, at the draws.

    Notes
    -----
    The fraction of N particles that is effective tends to ``1 / E_p[p / q]``, p being the model and q what
    drew them. n new particles from the model leave ``1 / E_p[1 / (n + N * q / p)]``.
    """

    ess: float
    num_needed: int
    log_ratio: npt.NDArray[np.float64] = field(repr=False)

    @classmethod
    def of(cls, log_ratio: Tensor, num_particles: int, ess: float) -> Reach:
        """What log ratios at draws of a model tell of a number of particles."""
        # Where both densities underflow, no particle is taken to be.
        old = (num_particles * torch.exp(-log_ratio)).nan_to_num(0.0, posinf=math.inf)
        expected = _ess(old, 0)
        return cls(expected, _needed(old, ess - expected, ess), log_ratio.cpu().numpy())


def _ess(old: Tensor, n: float) -> float:
    return float(1 / torch.mean(1 / (n + old)))


def _needed(old: Tensor, most: float, ess: float) -> int:
    """New particles beside old ones, found by halving: as many as are missing are always enough."""
    if most <= 0:
        return 0
    low, high = 0.0, most
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if _ess(old, middle) >= ess else (middle, high)
    return math.ceil(min(high * _ROOM, most))


class TopUp(NamedTuple):
    """What a top-up has done.

    Attributes
    ----------
    num_added : int
        New particles.
    ess_before, ess_after : float
        Effective sample size of the model without and with them.
    seconds : float
        How long it took.
    """

    num_added: int
    ess_before: float
    ess_after: float
    seconds: float

    def __str__(self) -> str:
        return (
            f"{self.num_added:,} particles added in {self.seconds:.3g} s: ESS {self.ess_before:,.0f} before, "
            f"{self.ess_after:,.0f} after"
        )
