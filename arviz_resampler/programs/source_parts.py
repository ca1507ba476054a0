"""Parts of a program's source: arguments of distributions, names and numbers.

Knows distributions; nothing of programs.
"""

from __future__ import annotations

import inspect
import keyword
import re
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution
from torch.distributions.utils import lazy_property

from arviz_resampler.densities.closed_form import fits

_MAX_NUMBERS = 1000  # in a parameter that is still written out


class Unwritable(Exception):
    """Reason why a program cannot be written as source."""


def arguments_of(things: Sequence[Any]) -> dict[str, tuple[list[Any], Any]]:
    """Arguments that distributions or transforms were made with: their values, and the default."""
    each = [_given(thing) for thing in things]
    if any(given.keys() != each[0].keys() for given in each):
        raise Unwritable("a parameter is computed from other sites")
    return {name: ([given[name][0] for given in each], default) for name, (_, default) in each[0].items()}


def _given(thing: Any) -> dict[str, tuple[Any, Any]]:
    given = {}
    for name, parameter in inspect.signature(type(thing).__init__).parameters.items():
        if name in ("self", "validate_args"):
            continue
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise Unwritable(f"{type(thing).__name__} does not say what it was made with")
        optional = parameter.default is not parameter.empty
        # Of several ways to give a parameter, the one that was taken is kept; the others are computed.
        lazy = isinstance(getattr(type(thing), name, None), lazy_property)
        if optional and (name not in vars(thing) if lazy else _other(name) and not _stored(thing, name)):
            continue
        value = getattr(thing, name, getattr(thing, f"_{name}", parameter.default))
        if value is parameter.empty:
            raise Unwritable(f"{type(thing).__name__} does not say its {name!r}")
        if optional and value is None:
            continue
        given[name] = value, parameter.default
    for first, second in (("probs", "logits"), ("gate", "gate_logits")):
        if first in given and second in given:
            del given[first]
    return given


def _other(name: str) -> bool:
    """Whether a parameter is one of two that say the same."""
    return name.removeprefix("gate_") in ("probs", "logits", "gate")


def _stored(thing: Any, name: str) -> bool:
    """Whether a distribution, or one that it is made of, keeps a parameter of that name."""
    parts = [part for part in vars(thing).values() if isinstance(part, Distribution)]
    return name in vars(thing) or any(_stored(part, name) for part in parts)


def event_ndim(fn: Distribution, name: str, value: Tensor) -> int:
    """Number of axes of a parameter that are no batch."""
    try:
        limits: Any = fn.arg_constraints
        return int(limits[name].event_dim)
    except (KeyError, NotImplementedError):
        return max(value.dim() - len(fn.batch_shape), 0)


def is_flat(array: Tensor, inner: int, event: int) -> bool:
    """Whether an array has nothing but its event, or does not change along its ``inner`` batch axes."""
    if array.dim() <= event:
        return True
    return array.dim() == inner + event and bool(same(array, array[(slice(0, 1),) * inner]).all())


def argument(name: str, text: str, default: Any) -> str:
    """An argument as it is passed: by place, by name where it is optional, or not at all."""
    if default is inspect.Parameter.empty:
        return text
    return "" if text in (repr(default), f"{default}.0") else f"{name}={text}"


def same(left: Tensor, right: Tensor) -> Tensor:
    """Which entries are equal, or both NaN."""
    return (left == right) | ((left != left) & (right != right))


def repeats(site: Tensor, value: Tensor, event: int, inner: int) -> bool:
    """Whether a parameter is the value of a site, repeated where it has to be."""
    site = site if event else site.reshape((*site.shape, *(1,) * inner))
    return fits(site.shape, value.shape) and bool(same(value, site).all())


def variable(name: str, taken: Iterable[str]) -> str:
    """A name for the variable of a site that is not taken yet."""
    clean = re.sub(r"\W", "_", name)
    if not clean.isidentifier() or keyword.iskeyword(clean):
        clean = f"site_{clean}" if not clean.isidentifier() else f"{clean}_"
    while clean in taken:
        clean += "_"
    return clean


def quote(name: str) -> str:
    """A string as source, in double quotes where that is plain."""
    return f'"{name}"' if repr(name)[1:-1] == name and '"' not in name else repr(name)


def literal(array: Tensor, brief: bool = True) -> str:
    """An array as source: exact, and of the same dtype and device; a single number as such."""
    if array.numel() > _MAX_NUMBERS:
        raise Unwritable(f"a parameter has {array.numel()} numbers")
    options = ""
    plain = array.dtype in (torch.get_default_dtype(), torch.int64, torch.bool)
    if not plain:
        options += f", dtype={array.dtype}"
    if array.device != torch.get_default_device():
        options += f', device="{array.device}"'
    text = _numbers(array)
    return text if brief and array.dim() == 0 and not options else f"torch.tensor({text}{options})"


def _numbers(array: Tensor) -> str:
    if array.dim():
        return f"[{', '.join(_numbers(part) for part in array)}]"
    value = array.item()
    if not isinstance(value, float):
        return repr(value)
    if value != value or value in (torch.inf, -torch.inf):
        return "torch.nan" if value != value else "torch.inf" if value > 0 else "-torch.inf"
    if array.dtype == torch.float32:  # the shortest number that rounds to it
        value = float(str(array.cpu().numpy()))
    return repr(value)
