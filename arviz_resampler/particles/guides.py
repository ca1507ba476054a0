"""Guides: what draws the particles, and the density of what was drawn, by block of sites.

A block is a set of sites whose density is known together. That of one program is known by site; a mixture
knows the sites at which its components differ together, and the others, which cancel, by themselves.
Knows programs; nothing of batches, models or weights.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import math
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from arviz_resampler.arguments import as_positive
from arviz_resampler.errors import (
    ArgumentError,
    ProgramWarning,
    describe,
    quoted,
    warn,
)
from arviz_resampler.programs.columns import Columns
from arviz_resampler.programs.program import Program

Evaluate = Callable[[Program], Mapping[str, Tensor]]  # log density of a program at some particles, by site
Sites = tuple[str, ...]
Blocks = dict[Sites, Tensor]  # log density of some particles, shape (n,), float64


class Part(NamedTuple):
    """Particles that one program draws.

    Attributes
    ----------
    program : Program
        What draws them.
    num_particles : int
        How many they are.
    hyper : mapping of str to CachedSite
        Values that each of them is given, by the name of a site that is none of the guide's.
    """

    program: Program
    num_particles: int
    hyper: Columns


class Guide(Protocol):
    """What draws particles from a known density."""

    def parts(self, num_particles: int, seed: int) -> list[Part]:
        """Who draws which particles, in their order."""

    def blocks(self, evaluate: Evaluate, num_particles: int) -> Blocks:
        """Log density of particles, by block.

        Parameters
        ----------
        evaluate : callable
            Gives the log density of a program at the particles, by site.
        num_particles : int
            How many the guide has drawn, which settles the shares of its components.
        """


@dataclass(frozen=True)
class Single:
    """A guide that is one program."""

    program: Program

    def parts(self, num_particles: int, seed: int) -> list[Part]:  # noqa: ARG002 - of all guides
        """All particles are its own."""
        return [Part(self.program, num_particles, {})]

    def blocks(self, evaluate: Evaluate, num_particles: int) -> Blocks:  # noqa: ARG002 - of all guides
        """A block for each site."""
        return {(name,): log_p.double() for name, log_p in evaluate(self.program).items()}


class Mixture:
    """Several guides, each with a fixed share of the particles.

    Particles are weighted by the mixture of all of them (the balance heuristic): what one guide leaves out
    another one may draw, and no weight is larger than that of a model over the share of the closest guide.

    Parameters
    ----------
    guides : sequence of callable
        Programs that draw the same latents, or guides of :func:`family`.
    shares : sequence of float, optional
        Of the particles; equal if absent.

    Raises
    ------
    ArgumentError
        If there is no guide, or the shares are not positive numbers, one for each.

    Examples
    --------
    >>> import pyro, pyro.distributions as dist
    >>> from arviz_resampler import Mixture, Resampler
    >>> def prior(scale):
    ...     return lambda: pyro.sample("mu", dist.Normal(0.0, scale))
    >>> guide = Mixture([prior(10.0), prior(0.1)], shares=[0.7, 0.3])
    >>> resampler = Resampler(guide, num_guide_samples=10_000, random_seed=0)
    >>> [resampler.weigh(prior(scale)).verdict for scale in (10.0, 0.1)]
    ['good', 'good']

    Notes
    -----
    A. B. Owen and Y. Zhou, *Safe and effective importance sampling*, JASA 95(449), 2000. Components have
    fixed numbers of particles, so the errors of estimates are not larger than those that are reported.
    """

    def __init__(self, guides: Sequence[Any], shares: Sequence[float] | None = None) -> None:
        if callable(guides) or not isinstance(guides, Sequence):
            raise ArgumentError(f"guides must be a sequence of programs, got {describe(guides)}")
        if any(isinstance(guide, Mixture | list | tuple) for guide in guides):
            raise ArgumentError("a guide of a mixture is a mixture itself: pass all programs in one")
        names = ["guide"] if len(guides) == 1 else [f"guide {i}" for i in range(len(guides))]
        self.guides = tuple(as_guide(guide, name) for guide, name in zip(guides, names, strict=True))
        if not self.guides:
            raise ArgumentError("there is no guide: pass one program or more")
        given = _as_shares([1.0] * len(self.guides) if shares is None else shares, len(self.guides))
        self.shares = tuple(share / sum(given) for share in given)

    def _counts(self, num_particles: int) -> tuple[int, ...]:
        """How many particles each guide draws."""
        found = apportioned(self.shares, num_particles)
        for i, count in enumerate(found):
            if not count:
                raise ArgumentError(
                    f"guide {i} has a share of {self.shares[i]:.2g}, which is no particle of "
                    f"{num_particles}: take more guide samples, or leave it out"
                )
        return found

    def parts(self, num_particles: int, seed: int) -> list[Part]:
        """One guide after the other."""
        counts = self._counts(num_particles)
        return [
            part
            for guide, count in zip(self.guides, counts, strict=True)
            for part in guide.parts(count, seed)
        ]

    def blocks(self, evaluate: Evaluate, num_particles: int) -> Blocks:
        """The sites at which components differ are one block."""
        counts = self._counts(num_particles)
        each = [g.blocks(evaluate, n) for g, n in zip(self.guides, counts, strict=True)]
        _check_overlap(each, counts)
        return mixed(each, counts)


@dataclass(frozen=True)
class ToppedUp:
    """A guide, and particles that a model has drawn beside it."""

    guide: Guide
    num_particles: int  # of the guide
    model: Program
    num_added: int
    simulator: Program | None  # what has extended the new ones

    def parts(self, num_particles: int, seed: int) -> list[Part]:
        """Those of the guide, and the new ones."""
        assert num_particles == self.num_particles + self.num_added
        return [*self.guide.parts(self.num_particles, seed), Part(self.model, self.num_added, {})]

    def blocks(self, evaluate: Evaluate, num_particles: int) -> Blocks:  # noqa: ARG002 - of all guides
        """The sites at which guide and model differ are one block."""
        before = self.guide.blocks(evaluate, self.num_particles)
        of_model = Single(self.model).blocks(evaluate, self.num_added)
        return mixed([before, of_model], (self.num_particles, self.num_added))


@dataclass(frozen=True)
class Repeated:
    """A guide that has its shares in each batch, so that batches do not depend on how many there are."""

    guide: Guide
    batch_size: int

    def parts(self, num_particles: int, seed: int) -> list[Part]:
        """Those of one batch after the other."""
        return [
            part for number in range(num_particles // self.batch_size) for part in self.of_batch(number, seed)
        ]

    def of_batch(self, number: int, seed: int) -> list[Part]:
        """Who draws which particles of a batch."""
        return self.guide.parts(self.batch_size, derived_seed(seed, f"batch {number}"))

    def blocks(self, evaluate: Evaluate, num_particles: int) -> Blocks:  # noqa: ARG002 - of all guides
        """Those of one batch: all have the same density."""
        return self.guide.blocks(evaluate, self.batch_size)


def extended_by(guide: Guide, simulator: Program | None, particle: int) -> Program | None:
    """What has extended a particle: the simulator of a top-up, or of all others."""
    while isinstance(guide, ToppedUp):
        if particle >= guide.num_particles:
            return guide.simulator
        guide = guide.guide
    return simulator


def untouched(guide: Guide) -> Guide:
    """A guide without what was topped up, and whatever its batches."""
    while isinstance(guide, ToppedUp | Repeated):
        guide = guide.guide
    return guide


def _as_shares(shares: Any, count: int) -> list[float]:
    try:
        found = [as_positive("a share", share) for share in shares]
    except (TypeError, ArgumentError):
        found = []
    if len(found) != count:
        raise ArgumentError(
            f"shares must be positive numbers, one for each of {count} guides, got {shares!r}"
        )
    return found


def _check_overlap(each: Sequence[Blocks], counts: Sequence[int]) -> None:
    """Say which guides have no common support, and where."""
    ends = np.cumsum(counts)
    if any(len(log_q) != ends[-1] for blocks in each for log_q in blocks.values()):
        return  # of other particles than those that the guides have drawn
    rows = [slice(end - n, end) for end, n in zip(ends.tolist(), counts, strict=True)]
    for i, j in itertools.combinations(range(len(each)), 2):
        for sites in each[i].keys() & each[j].keys():
            here, there = each[i][sites][rows[j]], each[j][sites][rows[i]]
            if (here == -torch.inf).all() and (there == -torch.inf).all():
                warn(
                    f"guides {i} and {j} draw from supports that do not overlap, at site {quoted(sites)}: no "
                    f"particle of one has a density under the other",
                    ProgramWarning,
                )


def as_guide(given: Any, role: str = "guide") -> Guide:
    """A guide from what a user gave: a program, several, or a guide."""
    if isinstance(given, list | tuple):
        return Mixture(given)
    if hasattr(given, "parts") and hasattr(given, "blocks"):
        return given  # type: ignore[no-any-return]
    return Single(Program(given, role))


def derived_seed(seed: int, what: str) -> int:
    """A seed that belongs to another one, for something else."""
    return int.from_bytes(hashlib.blake2b(f"{seed}/{what}".encode(), digest_size=7).digest(), "little")


def apportioned(shares: Sequence[float], total: int) -> tuple[int, ...]:
    """Whole numbers in proportion to shares that sum to one, by the largest remainder."""
    wanted = [share * total for share in shares]
    counts = [math.floor(number + 1e-9) for number in wanted]
    order = sorted(range(len(shares)), key=lambda i: counts[i] - wanted[i])
    for i in order[: total - sum(counts)]:
        counts[i] += 1
    return tuple(counts)


def mixed(each: Sequence[Blocks], counts: Sequence[int]) -> Blocks:
    """Log density of a mixture, from those of its components and their numbers of particles.

    What a component does not draw the simulator draws, as it does in the others.
    """
    if len(each) == 1:
        return each[0]
    densities = regrouped(each)
    alike = {
        sites: parts[0]
        for sites, parts in densities.items()
        if all(torch.equal(part, parts[0]) for part in parts[1:])
    }
    apart = {sites: parts for sites, parts in densities.items() if sites not in alike}
    if not apart:
        return alike
    total = math.log(sum(counts))
    by_component = zip(*apart.values(), strict=True)
    logs = [add(parts) + (math.log(n) - total) for parts, n in zip(by_component, counts, strict=True)]
    order = [name for blocks in each for sites in blocks for name in sites]
    names = sorted({name for sites in apart for name in sites}, key=order.index)
    return {**alike, tuple(names): torch.logsumexp(torch.stack(logs), 0)}


def regrouped(each: Sequence[Blocks]) -> dict[Sites, list[Tensor]]:
    """Densities of several guides by the finest blocks that cut none of theirs."""
    cells: list[Sites] = []
    for group in (sites for blocks in each for sites in blocks):
        touched = [cell for cell in cells if not set(group).isdisjoint(cell)]
        merged = dict.fromkeys(name for cell in [*touched, group] for name in cell)
        cells = [cell for cell in cells if cell not in touched] + [tuple(merged)]
    return {cell: _of_cell(cell, each) for cell in cells}


def _of_cell(cell: Sites, each: Sequence[Blocks]) -> list[Tensor]:
    """Log density of some sites under each of several guides."""
    found: list[Tensor | None] = []
    for blocks in each:
        met = {sites: log_q for sites, log_q in blocks.items() if sites[0] in cell}
        names = {name for sites in met for name in sites}
        assert not met or names == set(cell)
        found.append(add(met.values()) if met else None)
    some = next(log_q for log_q in found if log_q is not None)
    return [some if log_q is None else log_q for log_q in found]


def add(parts: Iterable[Tensor]) -> Tensor:
    """Sum of tensors of one shape."""
    return functools.reduce(operator.add, parts)
