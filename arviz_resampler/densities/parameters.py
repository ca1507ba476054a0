"""Parameters of torch distributions: which are wrong, and which are only repeated.

Knows distributions, not programs.
"""

from __future__ import annotations

import copy
import functools
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.distributions import (
    Cauchy,
    Distribution,
    Exponential,
    Gamma,
    Laplace,
    Normal,
    Poisson,
    StudentT,
    Uniform,
    constraints,
)
from torch.distributions.transforms import Transform
from torch.distributions.utils import lazy_property

from arviz_resampler.devices import readable
from arviz_resampler.mapping.functorch import OneParticle, ParticleMap, to_rank

_Dependent: Any = type(constraints.dependent)
_OF_NUMBERS: tuple[Any, ...] = (constraints.real, constraints.positive, constraints.unit_interval)
# Densities that broadcast their parameters, which torch has repeated to the shape of the batch. By the method
# itself: a class made from one of these, or of the same name, may have another density.
ELEMENTWISE: dict[Any, tuple[str, ...]] = {
    Normal.log_prob: ("loc", "scale"),
    Laplace.log_prob: ("loc", "scale"),
    Cauchy.log_prob: ("loc", "scale"),
    StudentT.log_prob: ("df", "loc", "scale"),
    Gamma.log_prob: ("concentration", "rate"),
    Exponential.log_prob: ("rate",),
    Poisson.log_prob: ("rate",),
    Uniform.log_prob: ("low", "high"),
}


class BadParameter(NamedTuple):
    """A parameter outside its constraint."""

    text: str
    bad: Tensor  # which particles, shape (n,), or (1,) for all alike


class Check(NamedTuple):
    """A check of distribution parameters, whose result may be on a device still.

    Attributes
    ----------
    passed : Tensor
        Whether they are good, a single truth value.
    fault : callable
        What is bad if they are not.
    """

    passed: Tensor
    fault: Callable[[], BadParameter]


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


def with_tensors(thing: Any, visit: Callable[[Tensor], Tensor], memo: dict[int, Any]) -> Any:
    """A copy of a distribution with every tensor replaced by what ``visit`` makes of it.

    What closures hold is replaced too. Caches of transforms are emptied: they may be of another run.
    """
    if isinstance(thing, Tensor):
        return visit(thing)
    if type(thing) in (list, tuple):
        return type(thing)(with_tensors(item, visit, memo) for item in thing)
    if type(thing) is dict:
        return {key: with_tensors(item, visit, memo) for key, item in thing.items()}
    if isinstance(thing, types.FunctionType) and thing.__closure__:
        if id(thing) not in memo:
            cells = (types.CellType(with_tensors(c.cell_contents, visit, memo)) for c in thing.__closure__)
            memo[id(thing)] = types.FunctionType(
                thing.__code__, thing.__globals__, thing.__name__, thing.__defaults__, tuple(cells)
            )
        return memo[id(thing)]
    if not _is_made_of(thing):
        return thing
    if id(thing) not in memo:
        new = memo[id(thing)] = copy.copy(thing)
        for key, value in list(vars(thing).items()):
            if key.startswith("_cached"):
                vars(new)[key] = (None, None) if key == "_cached_x_y" else None
            else:
                vars(new)[key] = with_tensors(value, visit, memo)
    return memo[id(thing)]


def _is_made_of(thing: Any) -> bool:
    """Whether a thing holds parameters of a distribution."""
    return isinstance(thing, Distribution | Transform) or type(thing).__module__.startswith("pyro.ops.")


def with_attributes(fn: Any, **attributes: Any) -> Any:
    """A copy of a distribution with some of its attributes replaced."""
    new = object.__new__(type(fn))
    vars(new).update(vars(fn), **attributes)
    return new


def any_tensor(thing: Any, asks: Callable[[Tensor], bool], seen: set[int] | None = None) -> bool:
    """Whether any tensor that a distribution is made of has a property."""
    if isinstance(thing, Tensor):
        return asks(thing)
    if isinstance(thing, float | int | str | bool | torch.Size | None):
        return False
    seen = set() if seen is None else seen
    if id(thing) in seen:  # a transform and its inverse refer to each other
        return False
    seen.add(id(thing))
    parts: Iterable[Any] = ()
    if type(thing) in (list, tuple):
        parts = thing
    elif type(thing) is dict:
        parts = thing.values()
    elif isinstance(thing, types.FunctionType):
        parts = [cell.cell_contents for cell in thing.__closure__ or ()]
    elif _is_made_of(thing):
        parts = [value for key, value in vars(thing).items() if not key.startswith("_cached")]
    return any(any_tensor(part, asks, seen) for part in parts)


def thin(values: Tensor) -> Tensor:
    """Values without the axes along which they are only repeated, which keep size one."""
    strides = values.stride()
    if 0 not in strides:
        return values
    for dim, (size, stride) in enumerate(zip(values.shape, strides, strict=True)):
        if stride == 0 and size > 1:
            # Not narrowed: a stride of zero would decide in which order results stand in memory.
            values = values.select(dim, 0).unsqueeze(dim)
    return values


def compact(fn: Distribution) -> Distribution:
    """The same density from parameters that are not repeated, so that their logs are taken once."""
    names = ELEMENTWISE.get(type(fn).log_prob)
    if names is None:
        return fn
    same: Distribution = with_attributes(fn, **{name: thin(vars(fn)[name]) for name in names})
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


def _with_rows(constraint: Any, particles: ParticleMap | OneParticle) -> Any:
    """A constraint that depends on another parameter, with the particles in front of it."""
    tensors = {key: value for key, value in vars(constraint).items() if isinstance(value, Tensor)}
    if not tensors:
        return constraint
    constraint = copy.copy(constraint)
    for key, value in tensors.items():
        setattr(constraint, key, particles.rows(value))
    return constraint


def _at(limit: Any, good: Tensor, where: tuple[Tensor, ...]) -> Any:
    """A constraint at one value of one particle, without those of the others."""
    tensors = {key: value for key, value in vars(limit).items() if isinstance(value, Tensor)}
    limit = copy.copy(limit)
    for key, value in tensors.items():
        setattr(limit, key, round(to_rank(value, good.dim()).expand(good.shape)[where].item(), 4))
    return limit


def checks(parts: list[Distribution], particles: ParticleMap | OneParticle) -> Iterator[Check]:
    """Checks of all parameters of a distribution and of what it is made of, but of numbers that are good.

    Programs run with torch's own check off, because it cannot say at which site it failed.

    Parameters
    ----------
    parts : list of Distribution
        The distribution and all that it is made of.
    particles : ParticleMap or OneParticle
        Those that the tensors of the distribution belong to.
    """
    # A LogNormal has the parameters of its Normal. They are kept, so that no other gets their id.
    seen: dict[tuple[int, int], Any] = {}
    for part in parts:
        for name, constraint, lazy in _limits(part):
            if lazy and name not in vars(part):
                continue
            value = vars(part).get(name)
            if value is None:  # computed from others
                with particles.inside():
                    value = getattr(part, name)
            if (id(value), id(constraint)) in seen:
                continue
            seen[id(value), id(constraint)] = value
            if not isinstance(value, Tensor):
                value = torch.as_tensor(value)
            check = _within(f"parameter {name!r} of {type(part).__name__}", value, constraint, particles)
            if check is not None:
                yield check
        if type(part).__name__ == "Uniform":
            yield _something_between(part, particles)


def _within(what: str, value: Tensor, constraint: Any, particles: ParticleMap | OneParticle) -> Check | None:
    """Whether a parameter is what it must be; None: it is."""
    # Of numbers, torch's simple constraints are asked in Python, which is three times faster.
    if constraint in _OF_NUMBERS and not particles.varies(value):
        single = thin(value)
        if readable(single) and constraint.check(single.item()):
            return None
    rows, limit = thin(particles.rows(value)), _with_rows(constraint, particles)
    if limit in _OF_NUMBERS and rows.numel():
        # An interval holds all values if it holds the least and the greatest, which are NaN where a value is.
        passed = limit.check(torch.stack(torch.aminmax(rows))).all()
    else:
        passed = limit.check(rows).all()

    def fault() -> BadParameter:
        good = limit.check(rows)
        if limit.event_dim:
            text = f"{what} must be {limit}"
        else:
            where = tuple((~good).nonzero()[0])
            shown = rows.expand(good.shape)[where].item()
            text = f"{what} is {shown:.4g}, but must be {_at(limit, good, where)}"
        return BadParameter(text, ~good.reshape(len(good), -1).all(-1))

    return Check(passed, fault)


def _something_between(uniform: Any, particles: ParticleMap | OneParticle) -> Check:
    """Whether the low of a Uniform is below its high, which no constraint of one parameter says."""
    low, high = thin(particles.rows(uniform.low)), thin(particles.rows(uniform.high))
    rank = max(low.dim(), high.dim())
    good = to_rank(low, rank) < to_rank(high, rank)

    def fault() -> BadParameter:
        text = "parameters of Uniform leave nothing between low and high"
        return BadParameter(text, ~good.reshape(len(good), -1).all(-1))

    return Check(good.all(), fault)


def on_device(fn: Any, device: torch.device) -> Any:
    """A distribution whose tensors are all on one device."""
    if not any_tensor(fn, lambda tensor: tensor.device != device):
        return fn
    return with_tensors(fn, lambda tensor: tensor.to(device), {})
