"""What kind of distribution one is: discrete or continuous, a point mass, improper, drawn as it says.

Knows distributions, not programs: ``torch.distributions`` and the attributes that Pyro's own
distributions add to it, never Pyro itself.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.distributions import Distribution, MixtureSameFamily, TransformedDistribution

from arviz_resampler.densities.parameters import nested
from arviz_resampler.mapping import functorch

MADE_OF_OTHERS = {"MixtureSameFamily", "MaskedMixture", "FoldedDistribution", "ZeroInflatedDistribution"}
WRAPPERS = ("Independent", "MaskedDistribution", "ExpandedDistribution")


def is_of(fn: Any, kind: str) -> bool:
    """Whether ``fn`` is of Pyro's class ``kind``, or of a class made from it."""
    return kind in ancestry(fn)


def ancestry(fn: Any) -> frozenset[str]:
    """Names of the class of a distribution and of all classes that it is made from."""
    cls: Any = type(fn)  # to mypy, a class has no hash
    return _ancestry(cls)


@functools.cache
def _ancestry(cls: Any) -> frozenset[str]:
    return frozenset(base.__name__ for base in cls.__mro__)


def unwrapped(fn: Any) -> Any:
    """A distribution without what changes its shape or mask alone."""
    while type(fn).__name__ in WRAPPERS:
        fn = fn.base_dist
    return fn


def is_made_of_others(fn: Any) -> bool:
    """Whether a distribution is one of several, folded, or has a further atom."""
    return not MADE_OF_OTHERS.isdisjoint(ancestry(fn))


def is_kind(fn: Any, kind: str) -> bool:
    """Whether a distribution, less what is wrapped around it, is of Pyro's class ``kind``.

    Transforms and mixtures count as wrappers: a point mass stays one.
    """
    while True:
        if type(fn).__name__ in WRAPPERS or isinstance(fn, TransformedDistribution):
            fn = fn.base_dist
        elif isinstance(fn, MixtureSameFamily):
            fn = fn.component_distribution
        else:
            return type(fn).__name__ == kind


def point_of(fn: Any) -> tuple[Tensor, Tensor]:
    """Place of a point mass, and the log density it carries for a transform. NaN: at many places."""
    free = False
    transforms: list[Any] = []
    while type(fn).__name__ in WRAPPERS or isinstance(fn, TransformedDistribution):
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


def is_masked(parts: Iterable[Distribution]) -> bool:
    """Whether a mask is among the distributions that one is made of."""
    return "MaskedDistribution" in [type(part).__name__ for part in parts]


def any_flag(flags: Tensor) -> bool:
    """Whether there is a flag, for any particle of a map."""
    return bool(functorch.unmapped(flags).any())


def support_of(fn: Any) -> Any:
    """The support of a distribution as a constraint, or None where it has not said."""
    try:
        return fn.support
    except (NotImplementedError, AttributeError):
        return None


def is_discrete(fn: Distribution) -> bool:
    """Whether the support of ``fn`` is discrete."""
    if is_kind(fn, "Empirical"):
        return False
    support = support_of(fn)
    # The matchings of Pyro can be enumerated, but do not say that their support is discrete.
    return support is not None and bool(support.is_discrete or unwrapped(fn).has_enumerate_support)


def is_continuous(fn: Distribution) -> bool:
    """Whether ``fn`` has a density and no atoms, as far as its support and kind tell."""
    if is_kind(fn, "Delta") or is_kind(fn, "Empirical") or support_of(fn) is None:
        return False
    return not is_discrete(fn)


class Kind(NamedTuple):
    """Kind of a distribution."""

    discrete: bool = False
    continuous: bool = False  # a density without atoms, as far as is known
    point_mass: bool = False
    masked: bool = False
    drawn_otherwise: str | None = None  # why the draws do not follow the density

    @property
    def word(self) -> str:
        """The word for it in messages."""
        return "point-mass" if self.point_mass else "continuous" if self.continuous else "discrete"

    def and_others(self, other: Kind) -> Kind:
        """The kind of what is of this kind for some particles, and of another one for others."""
        return Kind(
            self.discrete or other.discrete,
            self.continuous and other.continuous,
            self.point_mass and other.point_mass,
            self.masked or other.masked,
            self.drawn_otherwise or other.drawn_otherwise,
        )


def unlike(kinds: Iterable[Kind]) -> str | None:
    """Why what is of these kinds, each for some particles, has no density; None where they go together."""
    words = sorted({kind.word for kind in kinds})
    listed = " for some particles and ".join(words)
    return f"it is {listed} for others: it has no density" if words[1:] else None


def kind_of(fn: Distribution) -> Kind:
    """Kind of a distribution, by its support and by what it is made of."""
    parts = nested(fn)
    point_mass = is_kind(fn, "Delta")
    return Kind(is_discrete(fn), is_continuous(fn), point_mass, is_masked(parts), drawn_otherwise(parts))


def drawn_otherwise(parts: Iterable[Distribution]) -> str | None:
    """Reason why draws of a distribution do not have the density that it says; None where they have it."""
    for part in parts:
        if is_of(part, "LKJCholesky") and part.dim > 2:  # type: ignore[attr-defined]
            # Torch takes i - 1/2 where the onion method has i / 2: the same for two rows, not for more.
            first = part._beta.concentration1[..., 1:]  # type: ignore[attr-defined]
            right = torch.arange(1, first.shape[-1] + 1, dtype=first.dtype, device=first.device) / 2
            if any_flag((first / right - 1).abs() > 1e-4):
                return "torch draws an LKJCholesky of three rows or more from another distribution"
        if type(part).__name__ == "CoalescentTimes" and any_flag(part.rate != 1):  # type: ignore[attr-defined]
            return "Pyro draws CoalescentTimes with rate 1, whatever the rate is"
    return None


def draws_alike(fn: Distribution) -> bool:
    """Whether many draws at once have the law of one draw at a time."""
    # Of many, Pyro swaps the scales of the two normal variables that it makes angles of.
    return not any(is_of(part, "SineBivariateVonMises") for part in nested(fn))
