"""Log densities that can be trusted: support, masks and parameters of torch distributions.

Knows distributions, not programs: ``torch.distributions`` and the attributes that Pyro's own
distributions add to it, never Pyro itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, TransformedDistribution, constraints
from torch.distributions.utils import lazy_property

_Dependent: Any = type(constraints.dependent)


class BadParameter(NamedTuple):
    """A parameter outside its constraint."""

    text: str
    bad: Tensor  # which entries, in the shape of the parameter less its event


def _nested(fn: Distribution) -> Iterator[Distribution]:
    yield fn
    for part in vars(fn).values():
        for item in part if isinstance(part, list | tuple) else (part,):
            if isinstance(item, Distribution):
                yield from _nested(item)


def is_kind(fn: Any, kind: str) -> bool:
    """Whether a distribution, less the wrappers around it, is of Pyro's class ``kind``."""
    while type(fn).__name__ in ("Independent", "MaskedDistribution", "ExpandedDistribution"):
        fn = fn.base_dist
    return type(fn).__name__ == kind


def point_of(fn: Any) -> tuple[Tensor, Tensor]:
    """Where a point mass is, and the log density it carries for a transform."""
    free = False
    while type(fn).__name__ in ("Independent", "MaskedDistribution", "ExpandedDistribution"):
        free = free or getattr(fn, "_mask", None) is False
        fn = fn.base_dist
    return fn.v, torch.zeros(()) if free else torch.as_tensor(fn.log_density)


def is_improper(fn: Distribution) -> bool:
    """Whether a flat, improper distribution is anywhere in ``fn``."""
    return any(type(part).__name__ == "ImproperUniform" for part in _nested(fn))


def is_discrete(fn: Distribution) -> bool:
    """Whether the support of ``fn`` is discrete."""
    try:
        return bool(fn.support.is_discrete)  # type: ignore[union-attr]
    except (NotImplementedError, AttributeError):
        return False


@contextmanager
def _lenient(fn: Distribution) -> Iterator[None]:
    """Without the sample validation that would stop at a value outside the support."""
    strict = [part for part in _nested(fn) if part._validate_args]
    own = [vars(part).get("_validate_args") for part in strict]
    for part in strict:
        part._validate_args = False
    try:
        yield
    finally:
        for part, flag in zip(strict, own, strict=True):
            if flag is None:
                del part._validate_args
            else:
                part._validate_args = flag


def bad_parameter(fn: Distribution) -> BadParameter | None:
    """Check every parameter of ``fn`` and of the distributions in it; return the first bad one.

    Programs run with torch's own check off, because it cannot say at which site it failed.
    """
    for part in _nested(fn):
        limits: dict[str, Any] = part.arg_constraints
        for name, constraint in limits.items():
            lazy = isinstance(getattr(type(part), name, None), lazy_property)
            if isinstance(constraint, _Dependent) or (lazy and name not in vars(part)):
                continue
            value = getattr(part, name)
            if not isinstance(value, Tensor):
                value = torch.as_tensor(value)
            good = constraint.check(value)
            if not good.all():
                shown = value[~good].flatten()[0].item()
                text = f"parameter {name!r} of {type(part).__name__} is {shown:.4g}, not {constraint}"
                return BadParameter(text, ~good)
        if type(part).__name__ == "Uniform":
            empty = ~(part.low < part.high)  # type: ignore[attr-defined]
            if empty.any():
                return BadParameter("parameters of Uniform leave nothing between low and high", empty)
    return None


def support_key(fn: Any) -> Any:
    """A key that is equal for equal fixed supports, or None where the support may vary."""
    while isinstance(fn, Independent) or type(fn).__name__ == "MaskedDistribution":
        fn = fn.base_dist
    if isinstance(fn, TransformedDistribution) and not _everywhere(fn.base_dist):
        return None
    try:
        constraint: Any = fn.support
    except NotImplementedError:
        return None
    while isinstance(constraint, constraints.independent):
        constraint = constraint.base_constraint
    fields = {k: v for k, v in vars(constraint).items() if not k.startswith("_")}
    if any(isinstance(v, Tensor) and v.numel() != 1 for v in fields.values()):
        return None
    try:
        return type(constraint).__name__, tuple(sorted((k, float(v)) for k, v in fields.items()))
    except (TypeError, ValueError):
        return None


def _everywhere(fn: Distribution) -> bool:
    constraint: Any = fn.support
    while isinstance(constraint, constraints.independent):
        constraint = constraint.base_constraint
    return constraint is constraints.real or constraint is constraints.real_vector


def _inside(fn: Distribution, value: Tensor) -> Tensor | None:
    """Which values are in the support of a distribution without wrappers; None: cannot be told."""
    try:
        constraint: Any = fn.support
        inside: Tensor = constraint.check(value)
    except (NotImplementedError, ValueError):
        return None
    batch_ndim = value.dim() - len(fn.event_shape)
    if inside.dim() > batch_ndim:
        inside = inside.flatten(batch_ndim).all(-1)
    if isinstance(fn, TransformedDistribution) and not _everywhere(fn.base_dist):
        # A transform maps the reals to the reals, whatever the base can reach: ask the base too.
        for transform in reversed(fn.transforms):
            value = transform.inv(value)
        base: Distribution = fn.base_dist
        while isinstance(base, Independent):
            base = base.base_dist
        within = _inside(base, value)
        if within is not None:
            inside = inside & within.reshape(*inside.shape, -1).all(-1)
    return inside


def _log_prob_inside(fn: Distribution, value: Tensor, inside: Tensor) -> Tensor:
    """Log density where a value outside the support would crash: such values are replaced first."""
    event = (1,) * len(fn.event_shape)
    some = inside.flatten(1).all(-1) if inside.dim() > 1 else inside
    if not some.any():
        return torch.zeros(inside.shape, dtype=torch.float64, device=value.device)
    stand_in = value[int(some.nonzero()[0])]
    return fn.log_prob(torch.where(inside.reshape(*inside.shape, *event), value, stand_in))


def log_prob(fn: Any, value: Tensor, *, known: Any = None, masks: bool = True) -> Tensor:
    """Log density of each value, in float64, minus infinity outside the support.

    Parameters
    ----------
    fn : Distribution
        The distribution, its batch shape broadcastable to that of the values.
    value : Tensor
        Values, shape ``(N, *batch, *event)``.
    known : object
        The :func:`support_key` of what the values were drawn from. Where the support of ``fn`` is
        the same, it is not checked again.
    masks : bool
        Whether masks count. They do in a model; they do not change what a guide draws from.

    Returns
    -------
    Tensor
        Shape ``(N, *batch)``, float64. Sums over events are taken in float64.
    """
    if isinstance(fn, Independent):
        inner = log_prob(fn.base_dist, value, known=known, masks=masks)
        event = tuple(range(-fn.reinterpreted_batch_ndims, 0))
        return inner.sum(event) if event else inner
    if type(fn).__name__ == "MaskedDistribution":
        inner = log_prob(fn.base_dist, value, known=known, masks=masks)
        mask = fn._mask if masks else True
        if isinstance(mask, bool):
            return inner if mask else torch.zeros_like(inner)
        return torch.where(mask, inner, 0.0)
    with _lenient(fn):
        key = support_key(fn)
        free = key is not None and (key == known or key[0] == "_Real")
        inside = None if free else _inside(fn, value)
        try:
            result: Tensor = fn.log_prob(value)
        except (IndexError, RuntimeError, ValueError):
            if inside is None or inside.all():
                raise
            result = _log_prob_inside(fn, value, inside)
    result = result.double()
    return result if inside is None else result.masked_fill(~inside, -torch.inf)
