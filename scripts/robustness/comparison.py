"""Draws of the package beside direct draws."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from arviz_resampler import Resampler, Weights

NUM_DRAWS = 4_000
NUM_DIRECT = 20_000
MIN_ESS = 200  # below, a comparison of means says nothing
BOUND = 5  # standard errors


class Wrong(Exception):
    """What was computed is not what it should be."""


def features(value: Tensor, center: Tensor, width: Tensor) -> Tensor:
    """Bounded functions of a value, so that their means exist whatever its tails are: (n, K)."""
    flat = value.double().reshape(len(value), -1)[:, :6]
    first = torch.sigmoid((flat - center) / width)
    return torch.cat([first, first**2, first[:, :-1] * first[:, 1:]], 1)


def scale_of(value: Tensor) -> tuple[Tensor, Tensor]:
    """Median and a width of each element."""
    flat = value.double().reshape(len(value), -1)[:, :6]
    low, middle, high = torch.nanquantile(flat, torch.tensor([0.1, 0.5, 0.9], dtype=torch.float64), dim=0)
    return middle, (high - low).clamp(min=1e-3)


@dataclass(frozen=True)
class Drawn:
    """Draws of the package, and the weight of the particle of each."""

    values: dict[str, Tensor]
    weight: Tensor


def draw(resampler: Resampler, model: Callable[[], Any]) -> Drawn:
    """Draws of the package, for a model with enough weight."""
    weights = resampler.weigh(model)
    if weights.num_supported:
        check_weights(weights)
    values = resampler.sample(model, NUM_DRAWS)
    tree = resampler.sample_prior_predictive(model, NUM_DRAWS, container="datatree")
    particle = tree["sample_stats_prior"]["particle"].values[0]
    return Drawn(values, torch.as_tensor(weights.normalized[particle]))


def compare(drawn: Drawn, name: str, direct: Tensor) -> None:
    """Means of bounded features of resampled and of direct draws, in standard errors.

    The variance of a mean of S resampled draws is ``sum(W**2 * (h - mean)**2)`` over particles plus
    ``var / S``. The sum is the mean over draws of ``W * (h - mean)**2``.
    """
    draws = drawn.values[name]
    if draws.shape[1:] != direct.shape[1:]:
        raise Wrong(f"{name}: shape {tuple(draws.shape[1:])}, not {tuple(direct.shape[1:])}")
    if not torch.isfinite(draws.double()).all():
        raise Wrong(f"{name}: a draw is not finite")
    scale = scale_of(direct)
    ours, theirs = features(draws, *scale), features(direct, *scale)
    variance = torch.maximum(ours.var(0), theirs.var(0)).clamp(min=1e-12)
    of_weights = (drawn.weight[:, None] * (ours - ours.mean(0)) ** 2).mean(0)
    error = (of_weights + variance / len(ours) + variance / len(theirs)).sqrt()
    distance = ((ours.mean(0) - theirs.mean(0)).abs() / error).max().item()
    if not distance < BOUND:
        raise Wrong(f"{name}: {distance:.1f} standard errors from direct draws")


def check_equal(weights: Weights, what: str = "model = guide") -> None:
    """All weights are equal."""
    if abs(weights.ess / weights.num_particles - 1) > 1e-6:
        raise Wrong(f"ESS {weights.ess:.1f} of {weights.num_particles} with {what}")


def check_weights(weights: Weights) -> None:
    """Enough weight for a comparison, and normalized densities."""
    if weights.ess < MIN_ESS:
        raise Wrong(f"ESS {weights.ess:.1f}: too little to compare")
    if (
        weights.densities_normalized
        and abs(weights.log_mean_weight) > BOUND * weights.log_mean_weight_se + 1e-6
    ):
        raise Wrong(f"mean ratio {math.exp(weights.log_mean_weight):.3f}, not 1")


def direct_draws(fn: Any, number: int) -> Tensor:
    """Draws from a distribution by itself, without the package."""
    try:
        return fn(torch.Size((number,)))
    except (NotImplementedError, RuntimeError):
        return torch.stack([fn() for _ in range(min(number, 2000))])
