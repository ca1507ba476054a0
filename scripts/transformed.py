"""A distribution behind every transform, as a function of a shift.

Knows nothing of the package.
"""
# ruff: noqa: D103 - the functions are what their names say

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import pyro.distributions as dist
import torch
from families import Case, Maker, vec
from pyro.distributions import transforms
from torch import Tensor


def transformed(base: Maker, *steps: Callable[[Tensor], Any]) -> Maker:
    """A distribution behind transforms, all as functions of a shift."""
    return lambda t: dist.TransformedDistribution(base(t), [step(t) for step in steps])


def vector(size: int) -> Maker:
    return lambda t: dist.Normal(vec(t, *map(float, range(size))), 1.0).to_event(1)


def matrix(t: Tensor) -> Any:
    return dist.Normal(t[..., None, None] + torch.zeros(2, 2), 1.0).to_event(2)


def flow(make: Callable[[int], Any]) -> Maker:
    """A vector behind a flow, which has the same weights each time."""

    @lru_cache
    def made() -> Any:
        with torch.random.fork_rng([]):
            torch.manual_seed(0)
            return make(2).eval()

    return transformed(vector(2), lambda t: made())


def scalar(t: Tensor) -> Any:
    return dist.Normal(t, 1.0)


def gamma(t: Tensor) -> Any:
    return dist.Gamma(2 * torch.exp(t), 1.0)


BEHIND = {
    "AbsTransform": transformed(scalar, lambda t: transforms.AbsTransform()),
    "AffineTransform": transformed(scalar, lambda t: transforms.AffineTransform(t, torch.exp(t))),
    "CatTransform": transformed(
        vector(2),
        lambda t: transforms.CatTransform([transforms.ExpTransform(), transforms.SigmoidTransform()], dim=-1),
    ),
    "ComposeTransform": transformed(
        scalar,
        lambda t: transforms.ComposeTransform(
            [transforms.AffineTransform(t, 2.0), transforms.ExpTransform()]
        ),
    ),
    "CorrCholeskyTransform": transformed(vector(3), lambda t: transforms.CorrCholeskyTransform()),
    "CumulativeDistributionTransform": transformed(
        scalar, lambda t: transforms.CumulativeDistributionTransform(dist.Normal(t, 2.0))
    ),
    "DiscreteCosineTransform": transformed(vector(4), lambda t: transforms.DiscreteCosineTransform()),
    "ELUTransform": transformed(scalar, lambda t: transforms.ELUTransform()),
    "HaarTransform": transformed(vector(4), lambda t: transforms.HaarTransform()),
    "IndependentTransform": transformed(
        vector(2), lambda t: transforms.IndependentTransform(transforms.ExpTransform(), 1)
    ),
    "inverse of ExpTransform": transformed(gamma, lambda t: transforms.ExpTransform().inv),
    "LeakyReLUTransform": transformed(scalar, lambda t: transforms.LeakyReLUTransform()),
    "LowerCholeskyAffine": transformed(
        vector(2), lambda t: transforms.LowerCholeskyAffine(vec(t, 0.0, 1.0), torch.eye(2))
    ),
    "LowerCholeskyTransform": transformed(matrix, lambda t: transforms.LowerCholeskyTransform()),
    "Normalize": transformed(vector(2), lambda t: transforms.Normalize()),
    "OrderedTransform": transformed(vector(3), lambda t: transforms.OrderedTransform()),
    "Permute": transformed(vector(3), lambda t: transforms.Permute(torch.tensor([2, 0, 1]))),
    "PositivePowerTransform": transformed(scalar, lambda t: transforms.PositivePowerTransform(torch.exp(t))),
    "PowerTransform": transformed(gamma, lambda t: transforms.PowerTransform(torch.exp(t))),
    "ReshapeTransform": transformed(vector(4), lambda t: transforms.ReshapeTransform((4,), (2, 2))),
    "SigmoidTransform": transformed(scalar, lambda t: transforms.SigmoidTransform()),
    "SimplexToOrderedTransform": transformed(
        lambda t: dist.Dirichlet(torch.exp(vec(t, 0.0, 1.0, 2.0))),
        transforms.SimplexToOrderedTransform,
    ),
    "SoftmaxTransform": transformed(vector(2), lambda t: transforms.SoftmaxTransform()),
    "SoftplusTransform": transformed(scalar, lambda t: transforms.SoftplusTransform()),
    "StackTransform": transformed(
        vector(2),
        lambda t: transforms.StackTransform(
            [transforms.ExpTransform(), transforms.AffineTransform(0.0, 2.0)], dim=-1
        ),
    ),
    "StickBreakingTransform": transformed(vector(2), lambda t: transforms.StickBreakingTransform()),
    "TanhTransform": transformed(scalar, lambda t: transforms.TanhTransform()),
    "UnitLowerCholeskyTransform": transformed(matrix, lambda t: transforms.UnitLowerCholeskyTransform()),
    "affine_autoregressive": flow(transforms.affine_autoregressive),
    "BatchNorm": flow(transforms.BatchNorm),
    "block_autoregressive": flow(transforms.block_autoregressive),
    "householder": flow(transforms.householder),
    "matrix_exponential": flow(transforms.matrix_exponential),
    "neural_autoregressive": flow(transforms.neural_autoregressive),
    "planar": flow(transforms.planar),
    "polynomial": flow(transforms.polynomial),
    "radial": flow(transforms.radial),
    "spline": flow(transforms.spline),
    "spline_autoregressive": flow(transforms.spline_autoregressive),
    "sylvester": flow(transforms.sylvester),
}
TRANSFORMED = [Case(name, at) for name, at in BEHIND.items()]
