"""Log densities that can be trusted: support, masks and parameters of torch distributions.

Knows distributions, not programs: ``torch.distributions`` and the attributes that Pyro's own
distributions add to it, never Pyro itself.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator
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
from torch.nn.functional import logsigmoid

from arviz_resampler import closed
from arviz_resampler.parameters import compact, nested

_WRAPPERS = ("Independent", "MaskedDistribution", "ExpandedDistribution")
_FREE = ("_Real", ())
_NO_DENSITY = {
    "Empirical": "has its mass at its samples",
    # Their draws are rounded; the density is that of what was rounded, which is not kept.
    "RelaxedBernoulliStraightThrough": "rounds its draws",
    "RelaxedOneHotCategoricalStraightThrough": "rounds its draws",
}


def _is(fn: Any, kind: str) -> bool:
    """Whether ``fn`` is of Pyro's class ``kind``, or of a class made from it."""
    return kind in _ancestry(type(fn))  # type: ignore[arg-type]  # to mypy, classes have no hash


@functools.cache
def _ancestry(cls: type) -> frozenset[str]:
    return frozenset(base.__name__ for base in cls.__mro__)


def is_kind(fn: Any, kind: str) -> bool:
    """Whether a distribution, less what is wrapped around it, is of Pyro's class ``kind``.

    Transforms and mixtures count as wrappers: a point mass stays one.
    """
    while True:
        if type(fn).__name__ in _WRAPPERS or isinstance(fn, TransformedDistribution):
            fn = fn.base_dist
        elif isinstance(fn, MixtureSameFamily):
            fn = fn.component_distribution
        else:
            return type(fn).__name__ == kind


def point_of(fn: Any) -> tuple[Tensor, Tensor]:
    """Where a point mass is, and the log density it carries for a transform. NaN: at many places."""
    free = False
    transforms: list[Any] = []
    while type(fn).__name__ in _WRAPPERS or isinstance(fn, TransformedDistribution):
        free = free or getattr(fn, "_mask", None) is False
        if isinstance(fn, TransformedDistribution):
            transforms = [*fn.transforms, *transforms]
        fn = fn.base_dist
    if isinstance(fn, MixtureSameFamily):
        return torch.tensor(torch.nan), torch.zeros(())
    point = fn.v
    for transform in transforms:
        point = transform(point)
    return point, torch.zeros(()) if free else torch.as_tensor(fn.log_density)


def is_improper(parts: list[Distribution]) -> bool:
    """Whether a flat, improper distribution is among those that one is made of."""
    return "ImproperUniform" in [type(part).__name__ for part in parts]


def _support(fn: Any) -> Any:
    """The support of a distribution as a constraint, or None where it has not said."""
    try:
        return fn.support
    except (NotImplementedError, AttributeError):
        return None


def is_discrete(fn: Distribution) -> bool:
    """Whether the support of ``fn`` is discrete."""
    if is_kind(fn, "Empirical"):
        return False
    support = _support(fn)
    # The matchings of Pyro can be enumerated, but do not say that their support is discrete.
    return support is not None and bool(support.is_discrete or fn.has_enumerate_support)


def is_continuous(fn: Distribution) -> bool:
    """Whether ``fn`` has a density and no atoms, as far as its support and kind tell."""
    if is_kind(fn, "Delta") or is_kind(fn, "Empirical") or _support(fn) is None:
        return False
    return not is_discrete(fn)


@contextmanager
def _lenient(fn: Distribution) -> Iterator[None]:
    """Without the sample validation that would stop at a value outside the support."""
    strict = [part for part in nested(fn) if part._validate_args]
    own = [vars(part).get("_validate_args") for part in strict]
    for part in strict:
        part._validate_args = False
    try:
        yield
    finally:
        for part, flag in zip(strict, own, strict=True):
            if flag is None:
                vars(part).pop("_validate_args", None)
            else:
                part._validate_args = flag


def drawn_otherwise(fn: Distribution) -> str | None:
    """Why draws of ``fn`` do not have the density that it says, or None where they have it."""
    for part in nested(fn):
        if _is(part, "LKJCholesky"):
            # Torch takes i - 1/2 where the onion method has i / 2: the same for two rows, not for more.
            first = part._beta.concentration1[..., 1:]  # type: ignore[attr-defined]
            right = torch.arange(1, first.shape[-1] + 1, dtype=first.dtype, device=first.device) / 2
            if not torch.allclose(first, right):
                return "torch draws an LKJCholesky of three rows or more from another distribution"
        if type(part).__name__ == "CoalescentTimes" and bool((part.rate != 1).any()):  # type: ignore[attr-defined]
            return "Pyro draws CoalescentTimes with rate 1, whatever the rate is"
    return None


# ---------------------------------------------------------------- support


def support_key(fn: Any) -> Any:
    """A key that is equal for equal fixed supports, or None where the support may vary."""
    while type(fn).__name__ in _WRAPPERS:
        fn = fn.base_dist
    if _is(fn, "ZeroInflatedDistribution"):
        return "ZeroInflated", support_key(fn.base_dist)
    if isinstance(fn, MixtureSameFamily) or _special(fn) is not None:
        return None
    if _is_generic(fn):
        return _reach(fn)
    return _constraint_key(_support(fn))


def _constraint_key(constraint: Any) -> Any:
    return _COMMON.get(id(constraint)) or _read_key(constraint)


def _read_key(constraint: Any) -> Any:
    while isinstance(constraint, constraints.independent):
        constraint = constraint.base_constraint
    if constraint is None:
        return None
    if constraint is constraints.real_vector:
        return _FREE
    fields = {k: v for k, v in vars(constraint).items() if not k.startswith("_")}
    if any(isinstance(v, Tensor) and v.numel() != 1 for v in fields.values()):
        return None
    try:
        return type(constraint).__name__, tuple(sorted((k, float(v)) for k, v in fields.items()))
    except (TypeError, ValueError):
        return None


# Torch has one of each, for good.
_COMMON = {id(c): _read_key(c) for c in (constraints.real, constraints.positive, constraints.unit_interval)}


def _is_generic(fn: Any) -> bool:
    """Whether the support of ``fn`` is no more than the range of its last transform."""
    own: Any = TransformedDistribution.support
    return isinstance(fn, TransformedDistribution) and type(fn).support is own


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


def _reach(fn: TransformedDistribution) -> Any:
    """Key of what transforms make of the support of the base; None unless each maps onto the next.

    The range that a transform names is that of all it accepts: an affine one maps to the reals,
    also what only got positive numbers.
    """
    key = support_key(fn.base_dist)
    for transform in _transforms(fn):
        if key is None or _constraint_key(transform.domain) != key:
            return None
        key = _constraint_key(transform.codomain)
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
    if _is(fn, "Stable") and bool(((fn.stability < 1) & (fn.skew.abs() == 1)).any()):
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
    if isinstance(fn, Independent) or type(fn).__name__ in _WRAPPERS:
        within = _inside(fn.base_dist, value)
        return None if within is None else _by_value(within, value, event_ndim)
    if not _is_generic(fn):
        return _check(_support(fn), value, event_ndim)
    inside = torch.ones(value.shape[: value.dim() - event_ndim], dtype=torch.bool, device=value.device)
    for transform in reversed(_transforms(fn)):
        inside = _and(inside, _check(transform.codomain, value, event_ndim))
        try:
            value = transform.inv(value)
        except (NotImplementedError, RuntimeError, ValueError):
            return inside
        inside = _and(inside, _check(transform.domain, value, event_ndim))
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


# ---------------------------------------------------------------- density


def _log_prob_inside(fn: Distribution, value: Tensor, inside: Tensor) -> Tensor:
    """Log density where a value outside the support would crash: such values are replaced first."""
    event = (1,) * len(fn.event_shape)
    some = inside.flatten(1).all(-1) if inside.dim() > 1 else inside
    if not some.any():
        return torch.zeros(inside.shape, dtype=torch.float64, device=value.device)
    stand_in = value[int(some.nonzero()[0])]
    return fn.log_prob(torch.where(inside.reshape(*inside.shape, *event), value, stand_in))


def _composed(fn: Any, value: Tensor, masks: bool) -> Tensor | None:
    """Log density of a distribution made of others, from theirs; None: it is not one.

    What they give outside their support would enter the whole unseen.
    """
    if isinstance(fn, MixtureSameFamily):
        event_ndim = len(fn.event_shape)
        each = log_prob(fn.component_distribution, value.unsqueeze(-1 - event_ndim), masks=masks)
        weights = torch.log_softmax(fn.mixture_distribution.logits.double(), -1)
        return torch.logsumexp(each + weights, -1)
    if _is(fn, "MaskedMixture"):
        first, second = (log_prob(part, value, masks=masks) for part in (fn.component0, fn.component1))
        return torch.where(fn.mask, second, first)
    if _is(fn, "FoldedDistribution"):
        sides = [log_prob(fn.base_dist, side, masks=masks) for side in (value, -value)]
        return torch.logaddexp(*sides).masked_fill(value < 0, -torch.inf)
    if _is(fn, "ZeroInflatedDistribution"):
        if "gate" in vars(fn):
            gate = fn.gate.double()
            at_zero, else_ = gate.log(), (-gate).log1p()
        else:
            logits = fn.gate_logits.double()
            at_zero, else_ = logsigmoid(logits), logsigmoid(-logits)
        base = log_prob(fn.base_dist, value, masks=masks) + else_
        if is_discrete(fn.base_dist):
            at_zero = torch.logaddexp(base, at_zero)
        # A continuous base has no mass at zero, whatever its density there.
        return torch.where(value == 0, at_zero, base)
    return None


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

    Raises
    ------
    NotImplementedError
        If ``fn`` has no density.
    """
    return native_log_prob(fn, value, known=known, masks=masks).double()


def native_log_prob(fn: Any, value: Tensor, *, known: Any = None, masks: bool = True) -> Tensor:
    """The same as :func:`log_prob`, but float64 only where it is a sum over an event."""
    if isinstance(fn, Independent):
        inner = native_log_prob(fn.base_dist, value, known=known, masks=masks)
        event = tuple(range(-fn.reinterpreted_batch_ndims, 0))
        return inner.sum(event, dtype=torch.float64) if event else inner
    kind = type(fn).__name__
    if kind == "MaskedDistribution":
        inner = native_log_prob(fn.base_dist, value, known=known, masks=masks)
        mask = fn._mask if masks else True
        if isinstance(mask, bool):
            return inner if mask else torch.zeros_like(inner)
        return torch.where(mask, inner, 0.0)
    if kind == "ExpandedDistribution":
        return native_log_prob(fn.base_dist, value, known=known, masks=masks)
    if kind in _NO_DENSITY:
        raise NotImplementedError(f"{kind} {_NO_DENSITY[kind]}: it has no density")
    result = _composed(fn, value, masks)
    if result is None:
        result = _log_prob(fn, value, known)
    inflated = isinstance(known, tuple) and known[0] == "ZeroInflated"
    if inflated and is_continuous(fn) and not _is(fn, "ZeroInflatedDistribution"):
        # Values drawn at an atom have no mass under a density.
        result = result.masked_fill(value == 0, -torch.inf)
    return result


def _log_prob(fn: Any, value: Tensor, known: Any) -> Tensor:
    """Log density of a distribution that is not made of others."""
    key, inside = support_key(fn), None
    if key is None or key not in (known, _FREE):
        with _lenient(fn):
            inside = _inside(fn, value)
    result = closed.log_prob(fn, value)
    if result is None:
        result = _by_torch(fn, value, inside)
    return result if inside is None else result.masked_fill(~inside, -torch.inf)


def _by_torch(fn: Any, value: Tensor, inside: Tensor | None) -> Tensor:
    """What torch says, also where values outside the support would stop it."""
    with _lenient(fn):
        try:
            result: Tensor = compact(fn).log_prob(value)
        except (IndexError, RuntimeError, ValueError):
            if not value.is_floating_point():
                # A Categorical draws whole numbers, and a Bernoulli scores floating ones.
                value = value.to(torch.get_default_dtype())
            elif inside is None or inside.all():
                raise
            if inside is None:
                batch = value.shape[: value.dim() - len(fn.event_shape)]
                inside = torch.ones(batch, dtype=torch.bool, device=value.device)
            result = _log_prob_inside(fn, value, inside)
    return result
