"""Densities in closed form, for the priors that are used most: as few passes over the values as they take.

Torch writes such a density as a chain of expressions, each an array of its own. Knows distributions,
not programs.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.distributions import ExpTransform, HalfNormal, LogNormal, Normal, TransformedDistribution

from arviz_resampler.densities.parameters import thin
from arviz_resampler.devices import readable

_HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)
# Scales between these can be squared, and so can all values that are not far out in the tails.
_SQUARED = 1e-9, 1e9


def log_prob(fn: Any, value: Tensor) -> Tensor | None:
    """Log density of values in the support of a distribution; None: not one of those that are known here.

    Parameters
    ----------
    fn : Distribution
        The distribution.
    value : Tensor
        Values, shape ``(N, *batch, *event)``.

    Returns
    -------
    Tensor or None
        Shape ``(N, *batch)``, in the dtype of the values.
    """
    # By the method itself: a class made from it may have another density.
    known = _KNOWN.get(type(fn).log_prob)
    return None if known is None else known(fn, value)


def fits(batch: torch.Size, shape: torch.Size) -> bool:
    """Whether a batch can be repeated to a shape that is then the shape of the whole."""
    pairs = zip(reversed(batch), reversed(shape), strict=False)
    return not batch or (len(batch) <= len(shape) and all(size in (1, whole) for size, whole in pairs))


def _normal(fn: Any, value: Tensor, plus: float = 0.0) -> Tensor | None:
    loc, scale = thin(fn.loc), thin(fn.scale)
    if not loc.dtype == scale.dtype == value.dtype or not fits(fn.batch_shape, value.shape):
        return None
    if torch.is_grad_enabled() and (loc.requires_grad or scale.requires_grad):
        return None  # what is written in place has no gradient
    if not (readable(loc) and readable(scale)):
        z = value.sub(loc).div_(scale)
        return torch.addcmul(scale.log().neg_().add_(plus - _HALF_LOG_2PI), z, z, value=-0.5, out=z)
    # Numbers instead of tensors need no broadcasting, and a mean of zero no subtraction.
    shift, width = loc.item(), scale.item()
    if not width > 0:
        return None
    highest = torch.scalar_tensor(
        plus - _HALF_LOG_2PI - math.log(width), dtype=value.dtype, device=value.device
    )
    z = value.sub(shift) if shift else value
    if _SQUARED[0] < width < _SQUARED[1]:
        return torch.addcmul(highest, z, z, value=-0.5 / width**2)
    z = z / width
    return torch.addcmul(highest, z, z, value=-0.5, out=z)


def is_sound(fn: Any, varies: Callable[[Tensor], bool]) -> bool:
    """Whether a density that is known here has single numbers for parameters, and valid ones."""
    if type(fn).log_prob is not Normal.log_prob:
        if not is_of_normal(fn):
            return False
        fn = fn.base_dist
    loc, scale = fn.loc, fn.scale
    if not (readable(loc) and readable(scale)) or varies(loc) or varies(scale):
        return False
    return bool(loc.item() == loc.item() and scale.item() > 0)


def _half_normal(fn: Any, value: Tensor) -> Tensor | None:
    return _normal(fn.base_dist, value, math.log(2))


def is_of_normal(fn: Any) -> bool:
    """Whether a distribution is the absolute value or the exponential of a normal, and nothing more."""
    if type(fn).log_prob is HalfNormal.log_prob:
        return type(fn.base_dist).log_prob is Normal.log_prob
    return (
        isinstance(fn, LogNormal)
        and type(fn.base_dist).log_prob is Normal.log_prob
        and [type(step) for step in fn.transforms] == [ExpTransform]
    )


def _log_normal(fn: Any, value: Tensor) -> Tensor | None:
    if not is_of_normal(fn):
        return None
    log = value.log()
    result = _normal(fn.base_dist, log)
    return None if result is None else result.sub_(log)


_KNOWN: dict[Any, Callable[[Any, Tensor], Tensor | None]] = {
    Normal.log_prob: _normal,
    HalfNormal.log_prob: _half_normal,
    TransformedDistribution.log_prob: _log_normal,
}
