"""`family`: a guide for a whole box of hyper-parameters, and what it promises.

Knows families, designs and guides; nothing of weights or sliders.
"""

from __future__ import annotations

import functools
import hashlib
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from arviz_resampler.arguments import as_positive
from arviz_resampler.errors import ArgumentError, ProgramError, ProgramWarning, WeightWarning, quoted, warn
from arviz_resampler.markup import page, table
from arviz_resampler.particles.guides import Blocks, Evaluate, Part, add, apportioned
from arviz_resampler.programs.program import Program, with_hyper
from arviz_resampler.tuning.design import Block, Point, designed
from arviz_resampler.tuning.family import Family
from arviz_resampler.tuning.laboratory import at, hyper_columns, number_at, share_of
from arviz_resampler.tuning.ranges import Range

Ints = NDArray[np.int64]

_FEW = 100.0  # effective particles below which a promise is said in words
_EVEN = 10.0  # below which most particles are spread evenly over the box, as the worst is out of reach
_SPREAD = 0.8  # the fraction of these
_EVENLY = 64  # points of these


class FamilyGuide:
    """A guide for all priors of a family; made by :func:`family`.

    Attributes
    ----------
    ranges : mapping of str to Range
        The box of hyper-parameters.
    design : tuple
        Blocks: ``hyper``, hyper-parameters that move the same ``sites``, their ``points`` and ``promise``.
    promise : float
        Fraction of the particles that the worst position of the box keeps, as effective ones.

    Raises
    ------
    ArgumentError
        If no hyper-parameter moves any density.
    """

    def __init__(self, of: Family) -> None:
        self.of = of
        self.ranges: Mapping[str, Range] = of.ranges
        self.design, idle, self._spreads = designed(of)
        if not self.design:
            raise ArgumentError(
                f"no hyper-parameter of {of.name} moves any density: there is nothing to cover"
            )
        self.promise = math.prod(block.promise for block in self.design)
        if idle:
            warn(
                f"hyper-parameter {quoted(idle)} moves no density of the family: no guide can be made for it",
                ProgramWarning,
            )

    def needed(self, ess: float) -> int:
        """Number of guide samples with which the worst position keeps an effective sample size.

        Parameters
        ----------
        ess : float
            The effective sample size.

        Returns
        -------
        int

        Raises
        ------
        ArgumentError
            If ``ess`` is no positive number.
        """
        return math.ceil(as_positive("ess", ess) / self.promise)

    def _shown(self) -> tuple[str, list[list[str]], dict[str, str]]:
        """Title, blocks and promise, of what is printed."""
        blocks = [
            [
                " & ".join(block.hyper),
                f"{len(block.points)} points",
                f"moves {', '.join(block.sites)}",
                f"keeps {block.promise:.1%}{'' if block.exact else ' or so'}",
            ]
            for block in self.design
        ]
        promise = {
            "promise": f"{self.promise:.2g} of the particles are effective at the worst position",
            "guide samples": f"{self.needed(100):,} for an ESS of 100 there, {self.needed(1000):,} for 1,000",
        }
        if not self._spreads:
            promise["members"] = "run one by one: the family takes no tensors"
        return f"Guide of the family {self.of.name}", blocks, promise

    def __repr__(self) -> str:
        title, blocks, promise = self._shown()
        lines = [f"  {hyper:<16} {', '.join(words)}" for hyper, *words in blocks]
        return "\n".join([title, *lines, *(f"  {name:<16} {text}" for name, text in promise.items())])

    def _repr_html_(self) -> str:
        title, blocks, promise = self._shown()
        return page(title, table([], blocks), table([], list(promise.items())))

    def warn_thin(self, num_particles: int) -> None:
        """Say where the promise is too low for some positions."""
        promised = num_particles * self.promise
        if promised < _FEW:
            costly = min(self.design, key=lambda block: block.promise)
            warn(
                f"the guide leaves an effective sample size of about {promised:.2g} at the worst position of "
                f"its box, and no other guide of {num_particles:,} samples leaves much more; "
                f"{self.needed(_FEW):,} would leave {_FEW:.0f}. Hyper-parameters {quoted(costly.hyper)} cost "
                f"most: narrow their ranges, or use top_up where more is wanted.",
                WeightWarning,
            )

    # ---------------------------------------------------------------- as a guide

    @functools.lru_cache(maxsize=4)  # noqa: B019 - a guide lives as long as its particles
    def _points(self, num_particles: int) -> tuple[tuple[tuple[Point, ...], tuple[int, ...]], ...]:
        """Points of each block that draw any particle, and how many each."""
        found = []
        for block in self.design:
            points = block.points
            if num_particles * self.promise < _EVEN:
                even = _even(block, self.ranges)
                points = (
                    *(p._replace(weight=p.weight * (1 - _SPREAD)) for p in points),
                    *(p._replace(weight=p.weight * _SPREAD) for p in even),
                )
            counts = apportioned([point.weight for point in points], num_particles)
            kept = [(point, n) for point, n in zip(points, counts, strict=True) if n]
            found.append((tuple(point for point, _ in kept), tuple(n for _, n in kept)))
        return tuple(found)

    def parts(self, num_particles: int, seed: int) -> list[Part]:
        """All particles at once where the family takes tensors; else one member after the other."""
        members = self._members(num_particles, seed)
        if self._spreads:
            values = {name: np.full(num_particles, start) for name, start in self.of.start.items()}
            points = self._points(num_particles)
            for block, (chosen, _), which in zip(self.design, points, members, strict=True):
                for i, name in enumerate(block.hyper):
                    values[name] = at(self.ranges[name], np.array([p.shares[i] for p in chosen]))[which]
            program = Program(with_hyper(self.of.make_model, list(self.ranges)), "guide")
            return [Part(program, num_particles, hyper_columns(values))]
        together, counts = np.unique(np.stack(members, 1), axis=0, return_counts=True)
        return [
            Part(self._program(num_particles, row.tolist()), int(n), {})
            for row, n in zip(together, counts, strict=True)
        ]

    def blocks(self, evaluate: Evaluate, num_particles: int) -> Blocks:
        """A block of sites for each block of hyper-parameters; what none of these moves by itself."""
        points = self._points(num_particles)
        logs: list[torch.Tensor | None] = [None] * len(points)
        moved = {site for block in self.design for site in block.sites}
        found: Mapping[str, torch.Tensor] = {}
        for j in range(max(len(chosen) for chosen, _ in points)):
            before = found
            found = evaluate(self._program(num_particles, [min(j, len(chosen) - 1) for chosen, _ in points]))
            _check_unmoved({s: (before[s], found[s]) for s in found if s in before and s not in moved})
            for b, (block, (chosen, counts)) in enumerate(zip(self.design, points, strict=True)):
                if j < len(chosen) and found.keys() >= set(block.sites):
                    log_p = add(found[site].double() for site in block.sites) + math.log(
                        counts[j] / num_particles
                    )
                    known = logs[b]
                    logs[b] = log_p if known is None else torch.logaddexp(known, log_p)
        mixtures = {b.sites: log_q for b, log_q in zip(self.design, logs, strict=True) if log_q is not None}
        return {**{(site,): log_p.double() for site, log_p in found.items() if site not in moved}, **mixtures}

    def _members(self, num_particles: int, seed: int) -> list[Ints]:
        """Which point of each block each particle has: fixed numbers, in an order of its own by block."""
        members = []
        for block, (points, counts) in zip(self.design, self._points(num_particles), strict=True):
            key = hashlib.blake2b(f"{seed}/{' & '.join(block.hyper)}".encode(), digest_size=8).digest()
            rng = np.random.default_rng(int.from_bytes(key, "little"))
            members.append(rng.permutation(np.repeat(np.arange(len(points)), counts)))
        return members

    def _program(self, num_particles: int, chosen: list[int]) -> Program:
        """The member at a point of each block."""
        hyper = dict(self.of.start)
        for block, (points, _), j in zip(self.design, self._points(num_particles), chosen, strict=True):
            for name, share in zip(block.hyper, points[j].shares, strict=True):
                hyper[name] = number_at(self.ranges[name], share)
        return Program(self.of.model(hyper), "guide")


def _check_unmoved(densities: Mapping[str, tuple[torch.Tensor, torch.Tensor]]) -> None:
    """Refuse a family in which a few particles show what those that it was learned from did not."""
    for site, (first, other) in densities.items():
        differ = int((~torch.isclose(first, other, rtol=0.0, atol=0.0, equal_nan=True)).sum())
        if differ:
            raise ProgramError(
                f"hyper-parameters of the family move site {site!r} at {differ} of {len(first)} particles, "
                f"which the draws that it was learned from did not show: a rare branch does. Pass some "
                f"members of the family as several guides instead."
            )


def _even(block: Block, ranges: Mapping[str, Range]) -> list[Point]:
    """Points evenly over the box, as sliders move."""
    d = len(block.hyper)
    from scipy.stats import qmc  # which takes longer to import than all else here

    cube = (np.arange(8)[:, None] + 0.5) / 8 if d == 1 else qmc.Sobol(d, seed=5).random(_EVENLY)
    points = []
    for row in cube:
        shares = []
        for name, u in zip(block.hyper, row.tolist(), strict=True):
            range_ = ranges[name]
            value = range_.low + u * (range_.high - range_.low)
            shares.append(share_of(range_, round(value) if range_.integer else value))
        points.append(Point(tuple(shares), 1 / len(cube)))
    return points


def family(make_model: Callable[..., Any], /, **ranges: Any) -> FamilyGuide:
    """A guide for all priors of a family, to be passed as ``guide``.

    Draws from members of the family that are spread over the box of hyper-parameters so that its worst
    position keeps as many effective particles as it can. Hyper-parameters that move no site together are
    spread independently of each other.

    Parameters
    ----------
    make_model : callable
        Takes hyper-parameters by name and returns a program.
    **ranges : tuple of number
        From where to where each hyper-parameter goes.

    Returns
    -------
    FamilyGuide
        It prints its points and what it promises, before anything is simulated.

    Raises
    ------
    ArgumentError
        If a range is none, or ``make_model`` does not take the hyper-parameters.
    MismatchError
        If models of the family differ in their sites.
    ProgramError
        If a model cannot be run.

    Warns
    -----
    ProgramWarning
        If a hyper-parameter moves no density.

    Notes
    -----
    The formula of the promise stands in ``arviz_resampler.tuning.design``. It is within some per cent of
    what any guide can do for hyper-parameters that stand alone, and within a factor of three where several
    move the same sites. Where a hyper-parameter is a whole number or moves a support, or where
    ``make_model`` needs Python numbers, points are spread evenly, and the promise is measured on draws.

    Examples
    --------
    >>> import pyro, pyro.distributions as dist
    >>> from arviz_resampler import Resampler, family
    >>> def prior(scale):
    ...     return lambda: pyro.sample("mu", dist.Normal(0.0, scale))
    >>> guide = family(prior, scale=(0.1, 10.0))
    >>> guide.needed(ess=1000) < 4000
    True
    >>> resampler = Resampler(guide, num_guide_samples=10_000, random_seed=0)
    >>> bool(min(resampler.weigh(prior(scale)).ess for scale in (0.1, 1.0, 10.0)) > 2000)
    True
    """
    return FamilyGuide(Family.checked(make_model, ranges))
