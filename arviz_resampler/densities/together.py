"""Log densities of particles that ran one at a time, asked for all of them at once.

Knows distributions, not programs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from arviz_resampler.densities.density import native_log_prob
from arviz_resampler.densities.parameters import ELEMENTWISE, thin, with_attributes
from arviz_resampler.densities.support import class_key

_FEW = 1000  # numbers that are kept even where they are only repeated


class Asked(NamedTuple):
    """A distribution whose density is asked later: what it was when a value was drawn from it.

    Attributes
    ----------
    fn : Distribution
        One of the same class and batch shape.
    parameters : tuple of Tensor
        Its own.
    """

    fn: Any
    parameters: tuple[Tensor, ...]

    @property
    def key(self) -> tuple[Any, ...]:
        """Equal for distributions that can be asked together."""
        shapes = (p.shape for p in self.parameters)
        return type(self.fn), self.fn.batch_shape, self.parameters[0].dtype, *shapes


def asked_later(fn: Any, like: Asked | None) -> Asked | None:
    """A distribution to be asked later; None where it is not one whose parameters can be stacked.

    What is ``like`` it stands for both: distributions of many particles are many objects.
    """
    cls: Any = type(fn)
    names = ELEMENTWISE.get(cls.log_prob)
    if names is None or class_key(cls) is None:  # the support may depend on the parameters
        return None
    # Copies: the program may change its tensors after the draw.
    parameters = tuple([_copy(vars(fn)[name]) for name in names])
    if like is not None and type(like.fn) is cls and like.fn.batch_shape == fn.batch_shape:
        fn = like.fn
    return Asked(fn, parameters)


def _copy(parameter: Tensor) -> Tensor:
    return (parameter if parameter.numel() <= _FEW else thin(parameter)).clone()


def log_prob_of_each(asked: Sequence[Asked], values: Tensor) -> Tensor:
    """Log density of the value of each particle under its own distribution.

    Parameters
    ----------
    asked : sequence of Asked
        One for each particle, of equal keys.
    values : Tensor
        Values, shape ``(n, *batch)``.

    Returns
    -------
    Tensor
        Shape ``(n, *batch)``.
    """
    fn = asked[0].fn
    rows = map(torch.stack, zip(*(each.parameters for each in asked), strict=True))
    stacked = dict(zip(ELEMENTWISE[type(fn).log_prob], rows, strict=True))
    batch = torch.Size((len(asked), *fn.batch_shape))
    return native_log_prob(with_attributes(fn, **stacked, _batch_shape=batch), values)
