"""Log densities that can be trusted: support, masks and parameters of torch distributions.

Knows distributions, not programs: ``torch.distributions`` and the attributes that Pyro's own
distributions add to it, never Pyro itself.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.distributions import (
    Distribution,
    Independent,
    TransformedDistribution,
)
from torch.nn.functional import logsigmoid

from arviz_resampler.densities import closed_form, kinds, support
from arviz_resampler.densities.parameters import (
    ELEMENTWISE,
    any_tensor,
    compact,
    nested,
    with_attributes,
    with_tensors,
)
from arviz_resampler.mapping import functorch
from arviz_resampler.mapping.functorch import OneParticle, ParticleMap

_PIECE = 1 << 17  # numbers that are added up at a time
_NO_DENSITY = {
    "Empirical": "has its mass at its samples",
    # Their draws are rounded; the density is that of what was rounded, which is not kept.
    "RelaxedBernoulliStraightThrough": "rounds its draws",
    "RelaxedOneHotCategoricalStraightThrough": "rounds its draws",
}


# ---------------------------------------------------------------- many particles


def of_all(fn: Any, particles: ParticleMap | OneParticle) -> Any:
    """One distribution for all particles, to be asked outside the map; None where it must be asked inside.

    That is the distribution itself where all particles share it. Where they do not, the particles are put
    in front of each parameter, which is only safe where every parameter has the shape of the batch.
    """
    names = ELEMENTWISE.get(type(fn).log_prob)
    if names is None:
        independent = isinstance(fn, Independent)
        if independent or closed_form.is_of_normal(fn):
            base = of_all(fn.base_dist, particles)
            if base is None or base is fn.base_dist:
                return None if base is None else fn
            return _with_base(fn, base, fn.reinterpreted_batch_ndims if independent else 0)
        # A class of the user's own may be written for one value.
        known = all(map(_is_known, map(type, nested(fn))))
        return fn if known and not any_tensor(fn, particles.varies) else None
    parameters = vars(fn)
    if not any(particles.varies(parameters[name]) for name in names):
        return fn
    if any(parameters[name].shape != fn.batch_shape for name in names):
        return None
    rows = {name: particles.rows(parameters[name]) for name in names}
    length = max(values.shape[0] for values in rows.values())
    return with_attributes(fn, **rows, _batch_shape=torch.Size((length, *fn.batch_shape)))


@functools.cache
def _is_known(kind: type[Distribution]) -> bool:
    """Whether a class is of torch or Pyro, which take values of any batch."""
    return kind.__module__.startswith(("torch.", "pyro."))


def _with_base(fn: Any, base: Any, events: int) -> Any:
    batch = base.batch_shape[: len(base.batch_shape) - events]
    return with_attributes(fn, base_dist=base, _batch_shape=batch)


def each(fn: Any, particles: ParticleMap, call: Callable[[Any, int], Tensor]) -> Tensor:
    """A function of the distribution of each particle, one after the other.

    Parameters
    ----------
    fn : Distribution
        As it is inside the map.
    particles : ParticleMap
        The map.
    call : callable
        Takes the distribution of one particle and its number in the map.

    Returns
    -------
    Tensor
        The results, inside the map.
    """
    found: list[Tensor] = []

    def visit(tensor: Tensor) -> Tensor:
        found.append(tensor)
        return tensor

    with_tensors(fn, visit, {})

    def outside(rows: list[Tensor], varies: list[bool]) -> list[Tensor]:
        results = []
        for i in range(particles.num_particles):
            tensors = iter([r[i] if differs else r for r, differs in zip(rows, varies, strict=True)])
            results.append(call(with_tensors(fn, lambda _, tensors=tensors: next(tensors), {}), i))  # type: ignore[misc]
        return [torch.stack(results)]

    return particles.leave(outside, *found)[0]


# ---------------------------------------------------------------- density


def _log_prob_inside(fn: Distribution, value: Tensor, inside: Tensor) -> Tensor:
    """Log density where a value outside the support would crash: such values are replaced first."""
    event = (1,) * len(fn.event_shape)
    if functorch.is_mapping():
        some = inside.flatten().all(-1)  # with an axis, or the mode would ask it of all particles
        stand_in = functorch.first(value, some)
    else:
        some = inside.flatten(1).all(-1) if inside.dim() > 1 else inside
        stand_in = value[int(some.nonzero()[0])] if some.any() else None
    if stand_in is None:
        return torch.zeros(inside.shape, dtype=torch.float64, device=value.device)
    return fn.log_prob(torch.where(inside.reshape(*inside.shape, *event), value, stand_in))


def _composed(fn: Any, value: Tensor, masks: bool) -> Tensor | None:
    """Log density of a distribution made of others, from theirs; None: it is not one.

    What they give outside their support would enter the whole unseen.
    """
    made = kinds.MADE_OF_OTHERS & kinds.ancestry(fn)
    if not made:
        return None
    if "MixtureSameFamily" in made:
        event_ndim = len(fn.event_shape)
        each = log_prob(fn.component_distribution, value.unsqueeze(-1 - event_ndim), masks=masks)
        weights = torch.log_softmax(fn.mixture_distribution.logits.double(), -1)
        return torch.logsumexp(each + weights, -1)
    if "MaskedMixture" in made:
        parts = fn.component0, fn.component1
        words = sorted({kinds.kind_of(part).word for part in parts})
        if words not in (["continuous"], ["discrete"]):
            raise NotImplementedError(
                f"MaskedMixture has {' and '.join(words)} components: it has no density"
            )
        first, second = (log_prob(part, value, masks=masks) for part in parts)
        return torch.where(fn.mask, second, first)
    if "FoldedDistribution" in made:
        sides = [log_prob(fn.base_dist, side, masks=masks) for side in (value, -value)]
        return torch.logaddexp(*sides).masked_fill(value < 0, -torch.inf)
    if "gate" in vars(fn):  # zero-inflated
        gate = fn.gate.double()
        at_zero, else_ = gate.log(), (-gate).log1p()
    else:
        logits = fn.gate_logits.double()
        at_zero, else_ = logsigmoid(logits), logsigmoid(-logits)
    base = log_prob(fn.base_dist, value, masks=masks) + else_
    if kinds.is_discrete(fn.base_dist):
        at_zero = torch.logaddexp(base, at_zero)
    # A continuous base has no mass at zero, whatever its density there.
    return torch.where(value == 0, at_zero, base)


def summed(values: Tensor, axes: int) -> Tensor:
    """Sums over the last axes, in float64.

    Torch makes a copy in float64 first: a piece of the values at a time, it stays in a processor's cache.
    """
    if not axes:
        return values
    over = tuple(range(-axes, 0))
    whole = values.numel() <= _PIECE or values.requires_grad or functorch.is_mapping()
    if values.dim() == axes or whole:
        return values.sum(over, dtype=torch.float64)
    total = values.new_empty(values.shape[:-axes], dtype=torch.float64)
    length = max(_PIECE * len(values) // values.numel(), 1)
    for start in range(0, len(values), length):
        piece = slice(start, start + length)
        torch.sum(values[piece], over, dtype=torch.float64, out=total[piece])
    return total


def total(values: Tensor) -> Tensor:
    """Sums over all axes but the first; float64, but where there is nothing to add up."""
    if values.dim() == 1:
        return values
    flat = values.reshape(values.shape[0], -1)
    return flat[:, 0] if flat.shape[1] == 1 else summed(flat, 1)


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
        return summed(inner, fn.reinterpreted_batch_ndims)
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
    if inflated and kinds.is_continuous(fn) and not kinds.is_of(fn, "ZeroInflatedDistribution"):
        # Values drawn at an atom have no mass under a density.
        result = result.masked_fill(value == 0, -torch.inf)
    return result


def _log_prob(fn: Any, value: Tensor, known: Any) -> Tensor:
    """Log density of a distribution that is not made of others."""
    key, inside = support.support_key(fn), None
    if key is None or key not in (known, support.FREE):
        inside = support.inside(fn, value)
    # Closed forms read single numbers and write into their own results, which a map does not allow.
    result = None if functorch.is_mapping() else closed_form.log_prob(fn, value)
    if result is None:
        result = _by_torch(fn, value, inside)
    return result if inside is None else result.masked_fill(~inside, -torch.inf)


def _by_torch(fn: Any, value: Tensor, inside: Tensor | None) -> Tensor:
    """Log density by torch, also where values outside the support would stop it."""
    with support.lenient(nested(fn)):
        try:
            result: Tensor = compact(fn).log_prob(value)
        except KeyError as error:
            if not isinstance(fn, TransformedDistribution):
                raise
            # Pyro's flows without an inverse look it up by the identity of a value they have just made.
            raise NotImplementedError(
                f"{type(fn).__name__} has a transform that cannot be inverted: it has no density"
            ) from error
        except (IndexError, RuntimeError, ValueError):
            if not value.is_floating_point():
                # A Categorical draws whole numbers, and a Bernoulli scores floating ones.
                value = value.to(torch.get_default_dtype())
            elif inside is None or not kinds.any_flag(~inside):
                raise
            if inside is None:
                batch = value.shape[: value.dim() - len(fn.event_shape)]
                inside = torch.ones(batch, dtype=torch.bool, device=value.device)
            result = _log_prob_inside(fn, value, inside)
    return result
