"""Parameters of torch distributions: which are wrong, and which are only repeated.

Knows distributions, not programs.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Iterable, Mapping
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
        if isinstance(part, Tensor):
            continue
        if isinstance(part, Distribution):
            parts += nested(part)
        elif isinstance(part, (list, tuple)):
            parts += (inner for item in part if isinstance(item, Distribution) for inner in nested(item))
    return parts


def thin(values: Tensor) -> Tensor:
    """Values without the axes along which they are only repeated, which keep size one."""
    strides = values.stride()
    if 0 not in strides:
        return values
    for dim, (size, stride) in enumerate(zip(values.shape, strides, strict=True)):
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


def _limits(part: Distribution) -> Iterable[tuple[str, Any, bool]]:
    """Name and constraint of each parameter, and whether it is computed from others when asked for."""
    cls: Any = type(part)
    if isinstance(cls.arg_constraints, dict) and "arg_constraints" not in vars(part):
        return _class_limits(cls)
    try:
        return _read_limits(cls, part.arg_constraints)
    except NotImplementedError:
        return ()


@functools.cache
def _class_limits(cls: Any) -> tuple[tuple[str, Any, bool], ...]:
    return _read_limits(cls, cls.arg_constraints)


def _read_limits(cls: Any, limits: Mapping[str, Any]) -> tuple[tuple[str, Any, bool], ...]:
    return tuple(
        (name, constraint, isinstance(getattr(cls, name, None), lazy_property))
        for name, constraint in limits.items()
        if not isinstance(constraint, _Dependent)
    )


def bad_parameter(parts: list[Distribution]) -> BadParameter | None:
    """Check every parameter of a distribution and of all that it is made of; return the first bad one.

    Programs run with torch's own check off, because it cannot say at which site it failed.
    """
    # A LogNormal has the parameters of its Normal. They are kept, so that no other gets their id.
    seen: dict[tuple[int, int], Any] = {}
    for part in parts:
        for name, constraint, lazy in _limits(part):
            if lazy and name not in vars(part):
                continue
            value = getattr(part, name)
            if (id(value), id(constraint)) in seen:
                continue
            seen[id(value), id(constraint)] = value
            if not isinstance(value, Tensor):
                value = torch.as_tensor(value)
            single = thin(value)
            # Of numbers, torch's simple constraints are asked in Python, which is three times faster.
            if constraint in _OF_NUMBERS and single.numel() == 1 and constraint.check(single.item()):
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
