"""Cached sites: what is kept of each site that was drawn, for all particles.

Knows torch and :mod:`arviz_resampler.sites`; neither Pyro nor what the values are used for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from arviz_resampler.densities.kinds import Kind, unlike
from arviz_resampler.devices import PicklesFromDevices
from arviz_resampler.programs.runs import SiteRun
from arviz_resampler.sites import Role, Site, name_axes


@dataclass(frozen=True)
class CachedSite(PicklesFromDevices):
    """A site that was drawn: its values and the log density they were drawn with."""

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
    rows: dict[str, list[int]] = field(default_factory=dict)  # that plates take, where they name them


Columns = Mapping[str, CachedSite]


def to_column(found: SiteRun, n: int) -> CachedSite:
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
    return CachedSite(
        site=site,
        value=value,
        rows=found.rows,
        log_q=found.log_density,
        support=found.support,
        continuous=found.kind_of.continuous,
        point_mass=found.kind_of.point_mass,
        masked=found.masked,
        reason="deterministic" if found.kind == "deterministic" else found.unscorable,
    )


def _stored_axes(found: SiteRun, n: int) -> tuple[list[str | None], Tensor]:
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


def as_one(one: CachedSite, other: CachedSite) -> CachedSite:
    """The first of two columns with what is true of the site in both, whichever comes first."""
    kinds = [Kind(c.site.discrete, c.continuous, c.point_mass) for c in (one, other)]
    kind = kinds[0].and_others(kinds[1])
    reason = one.reason or other.reason or unlike(kinds)
    return replace(
        one,
        site=replace(one.site, discrete=kind.discrete),
        continuous=kind.continuous,
        point_mass=kind.point_mass,
        support=one.support if one.support == other.support else None,
        masked=one.masked or other.masked,
        reason=reason,
        log_q=None if reason else one.log_q,
    )


def select(columns: Columns, index: slice | Tensor) -> dict[str, CachedSite]:
    """The columns of some particles alone, without the densities that they were drawn with."""
    return {
        name: replace(column, value=column.value[index], log_q=None, log_conditional=None)
        for name, column in columns.items()
    }


def take(columns: Columns, numbers: NDArray[np.int64]) -> dict[str, Tensor]:
    """One row of each column for each number of a particle."""
    index = torch.from_numpy(numbers)
    return {n: c.value.index_select(0, index.to(c.value.device)) for n, c in columns.items()}


def in_memory(value: Tensor) -> Tensor:
    """Values, read where they are on disk."""
    return value if type(value) is Tensor else value.clone()


def example(value: Tensor, which: Tensor) -> str:
    """The first of the flagged particles, as it is shown in messages."""
    first = value[int(which.nonzero()[0])].flatten()[:3].cpu().tolist()
    return f"for example at the value {', '.join(f'{v:.6g}' for v in first)}"


def values_of(columns: Columns, i: int) -> str:
    """Latents of a particle, as they are shown in messages."""
    shown = [
        f"{name} = {_shown(column.value[i if len(column.value) > 1 else 0])}"
        for name, column in columns.items()
        if column.site.role == "latent" and column.reason != "deterministic"
    ]
    return ", ".join(shown[:8])


def _shown(value: Tensor) -> str:
    numbers = [f"{v:.6g}" for v in value.flatten()[:3].cpu().tolist()]
    more = ", …" if value.numel() > 3 else ""
    return f"[{', '.join(numbers)}{more}]" if value.dim() else numbers[0]
