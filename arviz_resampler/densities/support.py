"""Which values are in the support of a distribution.

Some distributions give finite densities outside their support, or declare more than they draw from.
Knows distributions, not programs.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.distributions import (
    Distribution,
    Independent,
    MixtureSameFamily,
    TransformedDistribution,
    constraints,
)

from arviz_resampler.densities.kinds import (
    WRAPPERS,
    any_flag,
    is_made_of_others,
    is_of,
    support_of,
    unwrapped,
)
from arviz_resampler.densities.parameters import nested
from arviz_resampler.devices import readable

FREE = ("_Real", ())
# Of these, and of what is made from them, a declared support is not the whole truth.
_ASKED = {"VonMises", "SineBivariateVonMises", "SineSkewed", "Multinomial", "DirichletMultinomial", "Stable"}
_ASKED |= {"ZeroInflatedDistribution"}
_ABOVE_MINUS_ONE: Any = constraints.greater_than(-1.0)  # type: ignore[no-untyped-call]


@contextmanager
def lenient(parts: Iterable[Distribution]) -> Iterator[None]:
    """Without the sample validation that would stop at a value outside the support."""
    strict = [part for part in parts if part._validate_args]
    flags = [vars(part).get("_validate_args") for part in strict]
    for part in strict:
        part._validate_args = False
    try:
        yield
    finally:
        for part, flag in zip(strict, flags, strict=True):
            if flag is None:
                vars(part).pop("_validate_args", None)
            else:
                part._validate_args = flag


def support_key(fn: Any) -> Any:
    """A key that is equal for equal fixed supports, or None where the support may vary."""
    fn = unwrapped(fn)
    cls: Any = type(fn)
    key = class_key(cls)
    if key is not None:
        return key
    if is_of(fn, "ZeroInflatedDistribution"):
        return "ZeroInflated", support_key(fn.base_dist)
    if isinstance(fn, MixtureSameFamily) or _special(fn) is not None:
        return None
    if _is_generic(fn):
        return _reach(fn)
    return _constraint_key(support_of(fn))


def is_everywhere(fn: Any) -> bool:
    """Whether a distribution is known to have no values outside its support."""
    return bool(support_key(fn) == FREE)


def inside(fn: Any, value: Tensor) -> Tensor | None:
    """Which values are in the support of a distribution; None: cannot be told.

    What is made of several distributions says less of its support than of its density.
    """
    cls: Any = type(fn)
    if class_key(cls) is not None and not is_made_of_others(fn):
        return _check(cls.support, value, len(fn.event_shape))
    parts = nested(fn)
    if any(map(is_made_of_others, parts)):
        return None
    with lenient(parts):
        return _inside(fn, value)


@functools.cache
def class_key(cls: Any) -> Any:
    """Key of the support that all distributions of a class have; None where each has to be asked."""
    if isinstance(cls.support, property) or _ASKED & {base.__name__ for base in cls.__mro__}:
        return None
    return _read_key(cls.support)


def _constraint_key(constraint: Any) -> Any:
    return _COMMON.get(id(constraint)) or _read_key(constraint)


def _read_key(constraint: Any) -> Any:
    while isinstance(constraint, constraints.independent):
        constraint = constraint.base_constraint
    if constraint is None:
        return None
    if constraint is constraints.real_vector:
        return FREE
    fields = {k: v for k, v in vars(constraint).items() if not k.startswith("_")}
    if any(isinstance(v, Tensor) and not readable(v) for v in fields.values()):
        return None
    try:
        return type(constraint).__name__, tuple(sorted((k, float(v)) for k, v in fields.items()))
    except (TypeError, ValueError, RuntimeError):  # no number, or another one for each particle
        return None


# Torch has one of each, for good.
_COMMON = {id(c): _read_key(c) for c in (constraints.real, constraints.positive, constraints.unit_interval)}


def _is_generic(fn: Any) -> bool:
    """Whether the support of ``fn`` is no more than the range of its last transform."""
    generic: Any = TransformedDistribution.support
    return isinstance(fn, TransformedDistribution) and type(fn).support is generic


def _transforms(fn: TransformedDistribution) -> list[Any]:
    """The transforms of ``fn``, first to last, those in a composition each for itself."""
    flat: list[Any] = []
    queue: list[Any] = list(fn.transforms)
    while queue:
        first = queue.pop(0)
        parts = getattr(first, "parts", None)
        if parts is not None and hasattr(first, "with_cache"):
            queue = [*parts, *queue]
        else:
            flat.append(first)
    return flat


def _codomain(transform: Any) -> Any:
    """Range of a transform; Pyro leaves out what ELU makes of negative numbers."""
    return _ABOVE_MINUS_ONE if type(transform).__name__ == "ELUTransform" else transform.codomain


def _reach(fn: TransformedDistribution) -> Any:
    """Key of what transforms make of the support of the base; None unless each maps onto the next.

    The range that a transform names is that of all it accepts: an affine one maps to the reals,
    also what only got positive numbers.
    """
    key = support_key(fn.base_dist)
    for transform in _transforms(fn):
        if key is None or _constraint_key(transform.domain) != key:
            return None
        key = _constraint_key(_codomain(transform))
    return key


def _special(fn: Any) -> Callable[[Tensor], Tensor] | None:
    """The support of distributions that declare more than they draw from, as a check of values."""
    if type(fn).__name__ in ("VonMises", "SineBivariateVonMises", "SineSkewed"):
        # Their densities go on in periods, and would have an infinite mass on the line.
        return lambda value: value.abs() <= math.pi * (1 + 1e-6)
    if type(fn).__name__ in ("Multinomial", "DirichletMultinomial"):
        # The constraint holds for fewer trials too, and the density does not ask for the number.
        return lambda value: (
            (value >= 0) & (value == value.floor()) & (value.sum(-1) == fn.total_count)[..., None]
        )
    if is_of(fn, "Stable") and any_flag((fn.stability < 1) & (fn.skew.abs() == 1)):
        return lambda value: _stable_support(fn, value)
    return None


def _stable_support(fn: Any, value: Tensor) -> Tensor:
    """A half-line where the stability is below one and the skew is complete."""
    edge = fn.loc
    if fn.coords == "S0":
        edge = edge - fn.skew * fn.scale * (math.pi / 2 * fn.stability).tan()
    two_sided: Tensor = (fn.stability >= 1) | (fn.skew.abs() < 1)
    inside: Tensor = two_sided | ((value - edge) * fn.skew >= 0)
    return inside


def _inside(fn: Any, value: Tensor) -> Tensor | None:
    """Which values are in the support of a distribution; None: cannot be told."""
    event_ndim = len(fn.event_shape)
    check = _special(fn)
    if check is not None:
        return _by_value(check(value), value, event_ndim)
    if isinstance(fn, Independent) or type(fn).__name__ in WRAPPERS:
        within = _inside(fn.base_dist, value)
        return None if within is None else _by_value(within, value, event_ndim)
    if not _is_generic(fn):
        return _check(support_of(fn), value, event_ndim)
    batch_ndim = value.dim() - event_ndim
    inside = torch.ones(value.shape[:batch_ndim], dtype=torch.bool, device=value.device)
    for transform in reversed(_transforms(fn)):
        inside = _and(inside, _check(_codomain(transform), value, value.dim() - batch_ndim))
        try:
            value = transform.inv(value)  # a matrix may become a vector
        except (NotImplementedError, RuntimeError, ValueError, KeyError):
            return inside
        inside = _and(inside, _check(transform.domain, value, value.dim() - batch_ndim))
    return _and(inside, _inside(fn.base_dist, value))


def _check(constraint: Any, value: Tensor, event_ndim: int) -> Tensor | None:
    if constraint is None:
        return None
    base = constraint
    while isinstance(base, constraints.independent):
        base = base.base_constraint
    if base is constraints.simplex:
        # Torch allows for a rounding error that a long vector of float32 has already.
        allowed = max(1e-6, 10 * torch.finfo(value.dtype).eps * value.shape[-1] ** 0.5)
        inside = (value >= 0).all(-1) & ((value.sum(-1) - 1).abs() < allowed)
        return _by_value(inside, value, event_ndim)
    try:
        return _by_value(constraint.check(value), value, event_ndim)
    except (NotImplementedError, ValueError, RuntimeError):
        return None


def _by_value(inside: Tensor, value: Tensor, event_ndim: int) -> Tensor:
    """A check of elements as one of whole values."""
    batch_ndim = value.dim() - event_ndim
    return inside.flatten(batch_ndim).all(-1) if inside.dim() > batch_ndim else inside


def _and(inside: Tensor, other: Tensor | None) -> Tensor:
    if other is None:
        return inside
    # The base of a transform may have a batch where the whole has an event.
    return inside & (other.flatten(inside.dim()).all(-1) if other.dim() > inside.dim() else other)
