"""What a run of a program leaves behind, in plain tensors: the records that rooms hand on.

Knows torch and :mod:`.sites`; neither Pyro nor what the records are used for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from arviz_resampler.densities.kinds import Kind
from arviz_resampler.sites import Role, Site, name_axes


@dataclass(slots=True)
class Found:
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
    mask: Tensor | None = None
    masked: bool = False  # by poutine.mask, which does not change what is drawn
    replayed: bool = False
    log_density: Tensor | None = None
    log_density_masked: Tensor | None = None  # of the entries that ``mask`` leaves
    unscorable: str | None = None
    support: Any = None
    kind_of: Kind = field(default_factory=Kind)
    bad: Tensor | None = None
    bad_text: str = ""


@dataclass(frozen=True)
class Column:
    """What is kept of a drawn site: its values and the log density they were drawn with."""

    site: Site
    value: Tensor
    log_q: Tensor | None = None
    log_conditional: Tensor | None = None  # the simulator's own, where the guide drew the site
    support: Any = None
    continuous: bool = False  # drawn from a density without atoms
    point_mass: bool = False
    transform: bool = False  # of an auxiliary site of the guide
    from_guide: bool = False
    masked: bool = False  # drawn under a mask, as sequences of unequal length are
    finite: bool = True  # whether all of log_q is
    reason: str | None = None  # why there is no log density


class Invalid(NamedTuple):
    """What is wrong with a parameter, and for how many particles."""

    text: str
    particles: int

    def plus(self, other: Invalid | None) -> Invalid:
        """The same for more particles."""
        return self if other is None else Invalid(other.text, self.particles + other.particles)

    def describe(self, n: int) -> str:
        """In words, of ``n`` particles."""
        return self.text if n == 1 else f"{self.text} (for {self.particles} of {n} particles)"


@dataclass
class Score:
    """A model at the cached particles: log density by site, and what else it holds."""

    log_p: dict[str, Tensor] = field(default_factory=dict)
    observed: list[str] = field(default_factory=list)
    deterministic: dict[str, Found] = field(default_factory=dict)
    notes: dict[str, Invalid] = field(default_factory=dict)  # parameters that are invalid for some
    densities_normalized: bool = True
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


def merge_masked(found: dict[str, Found]) -> dict[str, Found]:
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


def to_column(found: Found, n: int) -> Column:
    """Values as they are stored, ``(n, *plates, *event)`` without padding, and what is known of them."""
    names, value = _stored_axes(found, n)
    role: Role = "auxiliary" if found.auxiliary else "latent"
    if found.kind == "deterministic":
        role = "deterministic"
    site = Site(
        name=found.name,
        role=role,
        dims=name_axes(found.name, names),
        shape=tuple(value.shape[1:]),
        num_plates=sum(name is not None for name in names),
        dtype=str(value.dtype).removeprefix("torch."),
        discrete=found.kind_of.discrete or not (value.is_floating_point() or value.is_complex()),
    )
    return Column(
        site=site,
        value=value,
        log_q=found.log_density,
        support=found.support,
        continuous=found.kind_of.continuous,
        point_mass=found.kind_of.point_mass,
        masked=found.masked,
        reason="deterministic" if found.kind == "deterministic" else found.unscorable,
    )


def _stored_axes(found: Found, n: int) -> tuple[list[str | None], Tensor]:
    """Plates and events, without the axes of one that stand where a site is in no plate."""
    outermost = next((i for i, (name, _) in enumerate(found.axes) if name is not None), len(found.axes))
    kept = [
        (name, size)
        for i, (name, size) in enumerate(found.axes)
        if name is not None or size != 1 or i < outermost
    ]
    event = tuple(found.value.shape[1 + len(found.axes) :])
    names = [name for name, _ in kept] + [None] * len(event)
    value = found.value.reshape(len(found.value), *(size for _, size in kept), *event)
    return names, value.expand(n, *value.shape[1:])


def rows(columns: Mapping[str, Column], index: slice | Tensor) -> dict[str, Column]:
    """The columns of some particles alone, without the densities that they were drawn with."""
    return {
        name: replace(column, value=column.value[index], log_q=None, log_conditional=None)
        for name, column in columns.items()
    }


def example(value: Tensor, which: Tensor) -> str:
    """The first of the flagged particles, as it is shown in messages."""
    first = value[int(which.nonzero()[0])].flatten()[:3].tolist()
    return f"for example at the value {', '.join(f'{v:.6g}' for v in first)}"
