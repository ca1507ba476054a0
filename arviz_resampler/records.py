"""What a run of a program leaves behind, in plain tensors: the records that rooms hand on.

Knows torch and :mod:`sites`; neither Pyro nor what the records are used for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from arviz_resampler.errors import ProgramError
from arviz_resampler.sites import Role, Site, name_axes


@dataclass
class Found:
    """One site of one run.

    ``value`` of a stochastic site has shape ``(n, *batch, *event)``, and ``axes`` are the name and
    size of each batch axis. A deterministic value has the particle axis wherever the program left
    it, if it has one, and no ``axes``.
    """

    name: str
    kind: str  # "latent", "observed", "deterministic" or "factor"
    value: Tensor
    axes: list[tuple[str | None, int]] | None
    frames: dict[int, tuple[str, int]]
    event_dim: int = 0
    auxiliary: bool = False
    data: Tensor | None = None
    mask: Tensor | None = None
    replayed: bool = False
    log_density: Tensor | None = None
    log_density_masked: Tensor | None = None  # of the entries that ``mask`` leaves
    unscorable: str | None = None
    support: Any = None
    discrete: bool = False
    continuous: bool = False
    point_mass: bool = False
    drawn_otherwise: str | None = None  # why the draws do not follow the density
    bad: Tensor | None = None
    bad_text: str = ""
    version: int = 0


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
class Draw:
    """What one run over particles found, and the nesting of plates it turned out to need."""

    found: dict[str, Found]
    needed: int
    needed_text: str


@dataclass
class Score:
    """A model at the cached particles: log density by site, and what else it holds."""

    log_p: dict[str, Tensor] = field(default_factory=dict)
    observed: list[str] = field(default_factory=list)
    deterministic: dict[str, Found] = field(default_factory=dict)
    probed: dict[str, Found] = field(default_factory=dict)
    notes: dict[str, Invalid] = field(default_factory=dict)  # parameters that are invalid for some
    normalised: bool = True
    nesting: int = 0


def depth_lost(found: Mapping[str, Found]) -> int:
    """Axes of deterministic values that swallowed the axis of one particle, having no axis of one.

    ``a + b * X`` with a vector X has room for the particle axis only to the left of its own.
    """
    shapes = [f.value.shape for f in found.values() if f.kind == "deterministic"]
    return max([len(shape) for shape in shapes if all(size != 1 for size in shape)], default=0)


def merge_masked(found: dict[str, Found]) -> dict[str, Found]:
    """Make one observed site of the three that ``obs_mask=`` splits a statement into."""
    for name, whole in list(found.items()):
        seen, unseen = found.get(f"{name}_observed"), found.get(f"{name}_unobserved")
        if whole.kind != "deterministic" or seen is None or unseen is None or seen.mask is None:
            continue
        del found[seen.name], found[unseen.name]
        mask = seen.mask.reshape(*seen.mask.shape, *(1,) * whole.event_dim)
        data = None
        if seen.data is not None:
            data = torch.where(mask, seen.data.double(), torch.nan)
        parts = seen.log_density_masked, unseen.log_density_masked
        found[name] = replace(
            seen,
            name=name,
            value=whole.value.reshape(seen.value.shape),
            data=data,
            mask=None,
            log_density=None if parts[0] is None or parts[1] is None else parts[0] + parts[1],
        )
    return found


def particle_axis(found: Found, n: int, nesting: int, probed: Found | None) -> int | None:
    """Which axis of a deterministic value counts the particles; None: it is the same for all.

    The axis that has size ``n`` where a run over one particle had size one.
    """
    shape = found.value.shape
    if n == 1:
        return 0 if shape and shape[0] == 1 else next((i for i, s in enumerate(shape) if s == 1), None)
    axes = [i for i, size in enumerate(shape) if size == n]
    if probed is not None and probed.value.dim() == len(shape):
        axes = [i for i in axes if probed.value.shape[i] == 1]
    elif len(axes) > 1 and len(shape) > nesting:
        # Other axes of that size can only be plates; anything else multiplied the particles.
        plates = {len(shape) + dim for dim, (_, size) in found.frames.items() if size == n}
        axes = [i for i in axes if i == 0 or i not in plates]
    if len(axes) > 1:
        raise ProgramError(
            f"deterministic site {found.name!r} has shape {tuple(shape)}: the axis of the {n} "
            f"particles is there {len(axes)} times. Give values an axis of one where they lack an "
            f"axis, as in x[..., None]."
        )
    return axes[0] if axes else None


def to_column(found: Found, n: int, nesting: int, probed: Found | None = None) -> Column:
    """Values as they are stored, ``(n, *plates, *event)`` without padding, and what is known of them."""
    if found.kind == "deterministic":
        names, value = _deterministic_axes(found, n, nesting, probed)
    else:
        names, value = _stochastic_axes(found, n)
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
        discrete=found.discrete or not (value.is_floating_point() or value.is_complex()),
    )
    return Column(
        site=site,
        value=value,
        log_q=found.log_density,
        support=found.support,
        continuous=found.continuous,
        point_mass=found.point_mass,
        reason="deterministic" if found.kind == "deterministic" else found.unscorable,
    )


def _stochastic_axes(found: Found, n: int) -> tuple[list[str | None], Tensor]:
    axes = found.axes or []
    event = tuple(found.value.shape[1 + len(axes) :])
    kept = [(name, size) for name, size in axes if name is not None or size != 1]
    names = [name for name, _ in kept] + [None] * len(event)
    return names, found.value.reshape(n, *(size for _, size in kept), *event)


def _deterministic_axes(
    found: Found, n: int, nesting: int, probed: Found | None
) -> tuple[list[str | None], Tensor]:
    value = found.value
    axis = particle_axis(found, n, nesting, probed)
    # Where the event is declared, plates stand to its left; else right after the particle axis.
    declared = found.event_dim < value.dim()
    if axis is None:
        inner, first = value.expand(n, *value.shape), 0
    else:
        inner, first = value.movedim(axis, 0), axis
    rank = inner.dim() - 1
    right = found.event_dim if declared else max(rank - first - nesting, 0)
    names: list[str | None] = [None] * rank
    padding: set[int] = set()
    for i in range(first, rank - right):
        dim = i - (rank - right)
        if dim in found.frames and inner.shape[1 + i] == found.frames[dim][1]:
            names[i] = found.frames[dim][0]
        elif inner.shape[1 + i] == 1:
            padding.add(i)
    kept = [i for i in range(rank) if i not in padding]
    return [names[i] for i in kept], inner.reshape(n, *(inner.shape[1 + i] for i in kept))


def check_event(found: Found, n: int, probed: Found | None) -> None:
    """Refuse an event that has the particles in it: an axis of n, which one particle does not have."""
    event = tuple(found.value.shape[found.value.dim() - found.event_dim :])
    if n == 1 or n not in event or found.kind == "deterministic":
        return
    before = () if probed is None else tuple(probed.value.shape[probed.value.dim() - found.event_dim :])
    if event != before:
        raise ProgramError(
            f"site {found.name!r} has an event of shape {event}: the axis of the {n} particles "
            f"became a part of the event. Stack tensors along the last dim (torch.stack(..., -1))."
        )


def differs(many: Found, one: Found, n: int, nesting: int) -> bool:
    """Whether the second of many particles is not what it is by itself, beyond rounding.

    The second, because programs that take one for all take the first or the last.
    """
    i = min(1, n - 1)
    if many.kind == "deterministic":
        values = [to_column(many, n, nesting, one).value[i], to_column(one, 1, nesting).value[0]]
    elif many.log_density is not None and one.log_density is not None:
        values = [many.log_density[i].double(), one.log_density[0].double()]
    else:
        return False
    if values[0].shape != values[1].shape or values[0].dtype != values[1].dtype:
        return True
    first, second = (value if value.is_complex() else value.double() for value in values)
    return not bool(torch.isclose(first, second, rtol=1e-2, atol=1e-2, equal_nan=True).all())


def differing(many: Mapping[str, Found], one: Mapping[str, Found], n: int, nesting: int) -> list[str]:
    """Sites where the second of many particles is not what it is by itself."""
    return [name for name in many if name in one and differs(many[name], one[name], n, nesting)]


def rows(columns: Mapping[str, Column], index: slice | Tensor) -> dict[str, Column]:
    """The columns of some particles alone, without the densities that they were drawn with."""
    return {
        name: replace(column, value=column.value[index], log_q=None, log_conditional=None)
        for name, column in columns.items()
    }


def second(columns: Mapping[str, Column]) -> dict[str, Column]:
    """The columns of the second particle alone."""
    return rows(columns, slice(1, 2))


def example(value: Tensor, which: Tensor) -> str:
    """The first of the flagged particles, as it is shown in messages."""
    first = value[int(which.nonzero()[0])].flatten()[:3].tolist()
    return f"for example at the value {', '.join(f'{v:.6g}' for v in first)}"


def mixes_particles(name: str, role: str) -> ProgramError:
    """The error for a program in which particles depend on each other."""
    return ProgramError(
        f"site {name!r} of the {role} is not the same for a particle among others and for the same "
        f"particle by itself: the program mixes particles, as a.mean() without a dim or a[0] do. Reduce "
        f"and index from the right: a.mean(-1), a[..., 0]."
    )
