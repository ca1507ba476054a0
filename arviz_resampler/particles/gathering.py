"""Batches of particles put together.

Knows records and what is asked of them; nothing of how programs are run.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

import torch
from torch import Tensor

from arviz_resampler.devices import all_finite
from arviz_resampler.errors import DrawWarning, MismatchError, ProgramError, quoted, warn
from arviz_resampler.particles.checks import Batch, Piece
from arviz_resampler.programs.axes import describe_axes
from arviz_resampler.programs.columns import CachedSite, as_one
from arviz_resampler.sites import Site


class Gathered:
    """Batches put together."""

    def __init__(self, num_particles: int, first: int) -> None:
        self.columns: dict[str, CachedSite] = {}
        self.data: dict[str, Tensor] = {}
        self.observed: frozenset[str] = frozenset()
        self.factors: frozenset[str] = frozenset()
        self.failed: dict[int, str] = {}
        self.singly: dict[int, list[tuple[range, tuple[bool, bool]]]] = {}  # by part, in the order of batches
        self.num_particles = num_particles
        self.bad: dict[str, tuple[int, str]] = {}
        self._first, self._part = first, 0

    def add(self, batch: Batch) -> None:
        """Take the particles of a batch."""
        part, rows, _ = batch.pieces[0]
        start, n = rows.start - self._first, sum(len(piece.rows) for piece in batch.pieces)
        if not self.columns:
            self._part = part
            whole = n == self.num_particles
            self.columns = {
                name: c if whole else _empty(c, self.num_particles) for name, c in batch.columns.items()
            }
            self.observed, self.data = batch.observed, dict(batch.data)
        self.factors |= batch.factors
        for piece in batch.pieces:
            self.singly.setdefault(piece.part, []).append((piece.rows, piece.singly))
        if n < self.num_particles:
            if part != self._part:
                _check_alike(self.columns, batch.columns, (self._part, part))
            _store(self.columns, batch.columns, start, n)
        self.failed |= {start + i: what for i, what in batch.failed.items()}
        for name, (bad, text) in batch.bad.items():
            self.bad[name] = self.bad.get(name, (0, ""))[0] + bad, text

    def batch(self) -> Batch:
        """All of them as one batch."""
        pieces = [Piece(part, *piece) for part, each in self.singly.items() for piece in each]
        return Batch(
            self.columns, tuple(pieces), self.failed, self.observed, self.factors, self.data, self.bad
        )


def warn_bad(bad: Mapping[str, tuple[int, str]], num_particles: int) -> None:
    """Say for how many particles a site has no valid value, and why."""
    for name, (count, text) in bad.items():
        if count == num_particles:
            raise ProgramError(f"site {name!r} has no valid value in any particle: {text}")
        warn(
            f"site {name!r}: {text} for {count} of {num_particles} particles; their values are NaN",
            DrawWarning,
        )


def _empty(column: CachedSite, num_particles: int) -> CachedSite:
    """Room for all particles."""

    def room(tensor: Tensor | None) -> Tensor | None:
        return None if tensor is None else tensor.new_empty((num_particles, *tensor.shape[1:]))

    value = room(column.value) if not _constant(column) else column.value[:1].clone()
    assert value is not None
    value = value.expand(num_particles, *value.shape[1:])
    return replace(
        column, value=value, log_q=room(column.log_q), log_conditional=room(column.log_conditional)
    )


def _constant(column: CachedSite) -> bool:
    """Whether all particles share one value in memory."""
    return len(column.value) > 1 and column.value.stride(0) == 0


def _store(into: dict[str, CachedSite], columns: dict[str, CachedSite], start: int, n: int) -> None:
    check_same({name: c.site for name, c in into.items()}, {name: c.site for name, c in columns.items()})
    for name, column in columns.items():
        kept = as_one(into[name], column)
        same = _constant(kept) and torch.equal(kept.value[0], column.value[0])
        if _constant(kept) and not (same and (n == 1 or _constant(column))):
            kept = replace(kept, value=kept.value.contiguous())
        rows = slice(start, start + n)
        if not _constant(kept):
            kept.value[rows] = column.value
        log_q = None if kept.reason else column.log_q
        into[name] = replace(
            kept,
            log_q=_with_rows(kept.log_q, log_q, rows, len(kept.value)),
            log_conditional=_with_rows(kept.log_conditional, column.log_conditional, rows, len(kept.value)),
        )


def _with_rows(known: Tensor | None, new: Tensor | None, rows: slice, n: int) -> Tensor | None:
    """Log densities of n particles with those of a batch; NaN where one has none, None where none has."""
    if known is None:
        known = None if new is None else new.new_full((n,), torch.nan)
    if known is not None:
        known[rows] = torch.nan if new is None else new
    return known


def check_same(known: Mapping[str, Site], sites: Mapping[str, Site], where: str = "one batch") -> None:
    """Refuse a batch whose sites are others than those of the first."""
    if known.keys() != sites.keys():
        raise ProgramError(
            f"site {quoted(known.keys() ^ sites.keys())} is in some batches and not in others: every "
            f"particle must have the same sites"
        )
    for name, site in sites.items():
        like = known[name]
        if (site.shape, site.dtype) != (like.shape, like.dtype):
            raise ProgramError(
                f"site {name!r} has shape {site.shape} and dtype {site.dtype} in {where}, "
                f"{like.shape} and {like.dtype} in another: every particle must have the same"
            )
        if site != replace(like, discrete=site.discrete):  # of unlike kinds it has no density
            raise ProgramError(
                f"site {name!r} is {site.role} over {describe_axes(site.dims, site.shape)} in {where}, "
                f"{like.role} over {describe_axes(like.dims, like.shape)} in another: every particle must "
                f"have the same"
            )


def _check_alike(
    into: Mapping[str, CachedSite], columns: Mapping[str, CachedSite], parts: tuple[int, int]
) -> None:
    """Refuse guides that do not draw the same."""
    for name in {**into, **columns}:
        here, there = columns.get(name), into.get(name)
        if here is None or there is None:
            has, lacks = parts if here is None else reversed(parts)
            raise MismatchError(
                f"site {name!r} is in guide {has} and not in guide {lacks}: the guides of a mixture must "
                f"draw the same sites"
            )
        if here.site != there.site or (here.point_mass, here.continuous) != (
            there.point_mass,
            there.continuous,
        ):
            what = [
                f"{c.site.dtype} of shape {c.site.shape} over {c.site.dims}, "
                f"{'a point mass' if c.point_mass else 'continuous' if c.continuous else 'discrete'}"
                for c in (there, here)
            ]
            raise MismatchError(
                f"site {name!r} is {what[0]} in guide {parts[0]}, but {what[1]} in guide {parts[1]}: the "
                f"guides of a mixture must draw the same sites"
            )


def with_roles(
    columns: dict[str, CachedSite],
    observed: frozenset[str],
    predictive: frozenset[str],
    simulator: bool,
) -> dict[str, CachedSite]:
    """Settle what each site is for, now that all of them are known."""
    chosen: Collection[str] = observed | predictive
    if not chosen and simulator:
        chosen = {
            name
            for name, c in columns.items()
            if not c.from_guide and c.site.role == "latent" and c.reason != "deterministic"
        }
    auxiliary = any(c.site.role == "auxiliary" and c.from_guide for c in columns.values())
    settled = {}
    for name, column in columns.items():
        role = "predictive" if name in chosen else column.site.role
        transform = column.point_mass and auxiliary and column.from_guide
        settled[name] = replace(
            column,
            site=replace(column.site, role=role),
            finite=column.log_q is None or all_finite(column.log_q),
            transform=transform,
            point_mass=column.point_mass and not transform,
        )
    return settled
