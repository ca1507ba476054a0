"""Parameters of torch distributions: which are wrong, and which are only repeated.

Knows distributions, not programs.
"""

from __future__ import annotations

import copy
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints
from torch.distributions.utils import lazy_property

_Dependent: Any = type(constraints.dependent)
_OF_NUMBERS: tuple[Any, ...] = (constraints.real, constraints.positive, constraints.unit_interval)
# Their densities broadcast parameters that torch has repeated to the shape of the batch.
_ELEMENTWISE = ("Normal", "Laplace", "Cauchy", "StudentT", "Gamma", "Exponential", "Poisson")


class BadParameter(NamedTuple):
    """A parameter outside its constraint."""

    text: str
    bad: Tensor  # which entries, in the shape of the parameter less its event


def nested(fn: Distribution) -> list[Distribution]:
    """A distribution and all that it is made of."""
    parts = [fn]
    for part in vars(fn).values():
        if isinstance(part, Distribution):
            parts += nested(part)
        elif isinstance(part, list | tuple):
            parts += (inner for item in part if isinstance(item, Distribution) for inner in nested(item))
    return parts


def thin(values: Tensor) -> Tensor:
    """Values without the axes along which they are only repeated, which keep size one."""
    for dim, (size, stride) in enumerate(zip(values.shape, values.stride(), strict=True)):
        if stride == 0 and size > 1:
            values = values.narrow(dim, 0, 1)
    return values


def compact(fn: Distribution) -> Distribution:
    """The same density from parameters that are not repeated, so that their logs are taken once."""
    if type(fn).__name__ not in _ELEMENTWISE:
        return fn
    same = copy.copy(fn)
    for name in fn.arg_constraints:
        value = vars(fn).get(name)
        if isinstance(value, Tensor):
            setattr(same, name, thin(value))
    return same


def bad_parameter(fn: Distribution) -> BadParameter | None:
    """Check every parameter of ``fn`` and of the distributions in it; return the first bad one.

    Programs run with torch's own check off, because it cannot say at which site it failed.
    """
    # A LogNormal has the parameters of its Normal. They are kept, so that no other gets their id.
    seen: dict[tuple[int, int], Any] = {}
    for part in nested(fn):
        try:
            limits: dict[str, Any] = part.arg_constraints
        except NotImplementedError:
            continue
        for name, constraint in limits.items():
            lazy = isinstance(getattr(type(part), name, None), lazy_property)
            if isinstance(constraint, _Dependent) or (lazy and name not in vars(part)):
                continue
            value = getattr(part, name)
            if (id(value), id(constraint)) in seen:
                continue
            seen[id(value), id(constraint)] = value
            if not isinstance(value, Tensor):
                value = torch.as_tensor(value)
            single = thin(value)
            # Of numbers, torch's simple constraints are asked in Python, which is three times faster.
            if single.numel() == 1 and constraint in _OF_NUMBERS and constraint.check(single.item()):
                continue
            good = constraint.check(single)
            if not good.all():
                shown = single[~good].flatten()[0].item()
                text = f"parameter {name!r} of {type(part).__name__} is {shown:.4g}, but must be {constraint}"
                batch = value.shape[: value.dim() - constraint.event_dim]
                return BadParameter(text, (~good).expand(batch))
        if type(part).__name__ == "Uniform":
            empty = ~(part.low < part.high)  # type: ignore[attr-defined]
            if empty.any():
                return BadParameter("parameters of Uniform leave nothing between low and high", empty)
    return None
