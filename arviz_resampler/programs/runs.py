"""What a run of a program leaves behind, in plain tensors: the records that rooms hand on.

Knows torch and :mod:`.sites`; neither Pyro nor what the records are used for.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from arviz_resampler.densities.kinds import Kind
from arviz_resampler.densities.together import Asked


@dataclass(slots=True)
class SiteRun:
    """One site of one run.

    ``value`` has shape ``(n, *batch, *event)``, or one row where all particles share it; ``axes`` are
    plate and size of each axis of the batch.
    """

    name: str
    kind: str  # "latent", "observed", "deterministic" or "factor"
    value: Tensor
    axes: list[tuple[str | None, int]]
    auxiliary: bool = False
    data: Tensor | None = None
    broadcast: tuple[int, ...] | None = (
        None  # shape of ``obs=`` that is no data, since it is wider than a draw
    )
    mask: Tensor | None = None
    masked: bool = False  # by poutine.mask, which does not change what is drawn
    replayed: bool = False
    log_density: Tensor | None = None
    log_density_masked: Tensor | None = None  # of the entries that ``mask`` leaves
    asked: Asked | None = None  # in place of a log density, where that is asked later
    unscorable: str | None = None
    support: Any = None
    kind_of: Kind = field(default_factory=Kind)
    bad: Tensor | None = None
    bad_text: str = ""
    rows: dict[str, list[int]] = field(default_factory=dict)  # that plates take, where they name them


class Invalid(NamedTuple):
    """An invalid parameter, and for how many particles it is."""

    text: str
    particles: int

    def plus(self, other: Invalid | None) -> Invalid:
        """The same for more particles."""
        return self if other is None else Invalid(other.text, self.particles + other.particles)

    def describe(self, n: int) -> str:
        """In words, of ``n`` particles."""
        return self.text if n == 1 else f"{self.text} (for {self.particles} of {n} particles)"


@dataclass
class ScoredRun:
    """A model at the cached particles: log density by site, and what else it holds."""

    log_p: dict[str, Tensor] = field(default_factory=dict)
    observed: list[str] = field(default_factory=list)
    deterministic: dict[str, SiteRun] = field(default_factory=dict)
    notes: dict[str, Invalid] = field(default_factory=dict)  # parameters that are invalid for some
    unnormalized: set[str] = field(default_factory=set)  # sites without a normalized density
    singly: str = ""  # what is to be said of a model that ran one particle at a time
    kinds: dict[str, str] = field(default_factory=dict)  # of sites, in their order

    @property
    def early(self) -> frozenset[str]:
        """Sites that count, if all that comes after the last of them is observed; else none.

        Then the rest of the program changes nothing: no factor, no computed site, no further latent.
        """
        names, kinds = list(self.kinds), list(self.kinds.values())
        last = max((i for i, kind in enumerate(kinds) if kind == "latent"), default=len(kinds))
        after = kinds[last + 1 :]
        if not after or any(kind != "observed" for kind in after):
            return frozenset()
        return frozenset(name for name, kind in zip(names, kinds, strict=True) if kind == "latent")


def merge_masked(found: dict[str, SiteRun]) -> dict[str, SiteRun]:
    """Make one observed site of the three that ``obs_mask=`` splits a statement into."""
    for name, whole in list(found.items()):
        seen, unseen = found.get(f"{name}_observed"), found.get(f"{name}_unobserved")
        if whole.kind != "deterministic" or seen is None or unseen is None or seen.mask is None:
            continue
        del found[seen.name], found[unseen.name]
        data = None
        same = bool((seen.mask == seen.mask[:1]).all())  # else what is missing differs between particles
        if seen.data is not None and same:
            event = seen.data.dim() - (seen.mask.dim() - 1)
            data = torch.where(
                seen.mask[0].reshape(*seen.mask.shape[1:], *(1,) * event), seen.data.double(), torch.nan
            )
        parts = seen.log_density_masked, unseen.log_density_masked
        found[name] = replace(
            seen,
            name=name,
            value=whole.value,
            data=data,
            mask=None,
            masked=False,
            log_density=None if parts[0] is None or parts[1] is None else parts[0] + parts[1],
        )
    return found
