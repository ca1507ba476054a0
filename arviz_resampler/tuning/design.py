"""The design of a guide for a box of hyper-parameters: blocks, points and their shares, and their promise.

Knows programs and how they are run; nothing of weights, draws or sliders.

Notes
-----
For a family p(x | h) with Fisher information I(h), no guide leaves every member much more than the fraction
``1 / sum_k V_k / (4 * pi)**(k / 2)`` of its particles, V_k being the intrinsic volumes of the box in the
metric of Fisher: the asymptotic capacity of order 2 (van Erven and Harremoes, arXiv 1206.2459; its
counterpart of order 1 is the prior of Jeffreys, Clarke and Barron 1994). A mixture of members that are less
than 2 apart in this metric, in the interior of the box and on each of its faces, comes close: a face with k
free axes of d has a share in proportion to ``volume * (sqrt(4 * pi) / 2)**(d - k)``.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from arviz_resampler.errors import MismatchError, ProgramError, quoted
from arviz_resampler.particles.guides import Evaluate, Single, add
from arviz_resampler.particles.log_q import evaluator
from arviz_resampler.programs.columns import Columns
from arviz_resampler.programs.program import plain_tensors, untouched_params
from arviz_resampler.tuning.family import Family
from arviz_resampler.tuning.laboratory import SEED, Laboratory, at, share_of

Floats = NDArray[np.float64]
Names = tuple[str, ...]

_ROOT = math.sqrt(4 * math.pi)
_SPACING = 1.5  # of points, in the metric of Fisher
_MOST = 128  # points of a block
_VALUES = 32  # of a whole number
_DIMENSIONS = 3  # of a block up to which all faces get points
_CANDIDATES = 128  # points of an edge to choose from
_DRAWS = 128  # at each of them
_TRIED = 32  # members that a promise is measured at
_STEP = 1e-3  # of difference quotients, in shares of a range


class Point(NamedTuple):
    """Hyper-parameters of a block, in shares of their ranges, and the share of particles that they get."""

    shares: tuple[float, ...]
    weight: float


@dataclass(frozen=True)
class Block:
    """Hyper-parameters that move the same sites.

    Attributes
    ----------
    hyper : tuple of str
        The hyper-parameters.
    sites : tuple of str
        Sites whose density they move.
    points : tuple of Point
        Where the guide draws from.
    promise : float
        Fraction of the particles that the worst position keeps.
    exact : bool
        Whether the promise is that of the formula, and no guess.
    """

    hyper: Names
    sites: Names
    points: tuple[Point, ...]
    promise: float
    exact: bool


@plain_tensors()
@untouched_params()
def designed(family: Family) -> tuple[tuple[Block, ...], Names, bool]:
    """Blocks of a family; hyper-parameters that move nothing; whether it takes tensors."""
    laboratory = Laboratory(family)
    found, idle = _detected(laboratory)
    return tuple(_block(laboratory, hyper, sites) for hyper, sites in found), idle, laboratory.spreads


def _detected(laboratory: Laboratory) -> tuple[list[tuple[Names, Names]], Names]:
    """Hyper-parameters that share sites, with these, and those that move none.

    Seen by moving one at a time, from several points of the box and of its faces: densities that it does not
    touch keep their bits.
    """
    moved: dict[str, set[str]] = {name: set() for name in laboratory.names}
    order: list[str] = []
    for base in _bases(laboratory.names):
        particles = laboratory.draw(Single(laboratory.program(base)), 16)
        evaluate = evaluator(particles.columns, 16, "auto")
        before = evaluate(laboratory.program(base))
        _check_repeats(particles.columns, before)
        order = list(before)
        for name in laboratory.names:
            for share in (0.0, _beside(laboratory, name, base[name]), 1.0):
                after = _sites(laboratory, evaluate, {**base, name: share}, before, name)
                moved[name] |= {site for site in before if not torch.equal(before[site], after[site])}
    blocks: list[tuple[Names, set[str]]] = []
    for name in laboratory.names:
        if not moved[name]:
            continue
        joined = [block for block in blocks if block[1] & moved[name]]
        hyper = (*(n for block in joined for n in block[0]), name)
        sites = moved[name].union(*(block[1] for block in joined))
        blocks = [block for block in blocks if block not in joined] + [(hyper, sites)]
    idle = tuple(name for name in laboratory.names if not moved[name])
    return [(hyper, tuple(site for site in order if site in sites)) for hyper, sites in blocks], idle


def _check_repeats(columns: Columns, log_p: Mapping[str, Tensor]) -> None:
    """Refuse programs whose density is another one at each run."""
    for name, again in log_p.items():
        first = columns[name].log_q
        if first is not None and not torch.allclose(first.double(), again.double(), rtol=1e-4, atol=1e-3):
            raise ProgramError(
                f"site {name!r} of the family has another density at each run: a parameter starts at random, "
                f"or a value is drawn outside of sites. Make it before the family is made."
            )


def _bases(names: Sequence[str]) -> list[dict[str, float]]:
    """Points of a box: two in the interior, the ends of all axes, and some corners."""
    rng = np.random.default_rng(SEED)
    inside = [rng.uniform(0.2, 0.7, len(names)) for _ in range(2)]
    ends = [np.zeros(len(names)), np.ones(len(names))]
    corners = [rng.integers(0, 2, len(names)).astype(float) for _ in range(4)] if len(names) > 1 else []
    return [dict(zip(names, point.tolist(), strict=True)) for point in (*inside, *ends, *corners)]


def _beside(laboratory: Laboratory, name: str, share: float) -> float:
    """A share of a range not far from another one, and not the same where it is of whole numbers."""
    range_ = laboratory.family.ranges[name]
    step = max(0.137, 1.0 / (range_.high - range_.low)) if range_.integer else 0.137
    return share + step if share + step <= 1 else share - step


def _sites(
    laboratory: Laboratory,
    evaluate: Evaluate,
    shares: Mapping[str, float],
    before: Mapping[str, Tensor],
    name: str,
) -> Mapping[str, Tensor]:
    """Log density by site of a member, which must have the sites of another one."""
    try:
        after = evaluate(laboratory.program(shares))
        odd = before.keys() ^ after.keys()
        why = f"{quoted(odd)} is in some of them only" if odd else ""
    except MismatchError as error:
        after, why = {}, str(error)
    if why:
        raise MismatchError(f"models of the family differ in their sites as {name!r} moves: {why}")
    return after


def _block(laboratory: Laboratory, hyper: Names, sites: Names) -> Block:
    """Points of a block, and what they promise."""
    whole = any(laboratory.family.ranges[name].integer for name in hyper)
    faces = None if whole else _faces(laboratory, hyper, sites)
    if faces is None:
        points = _evenly(laboratory, hyper)
        return Block(hyper, sites, points, measured(laboratory, hyper, sites, points), exact=False)
    d = len(hyper)
    totals = [face.volume * (_ROOT / 2) ** (d - len(face.free)) for face in faces]
    counts = [max(1.0, face.volume / _SPACING ** len(face.free)) for face in faces]
    scale = min(1.0, (_MOST - len(faces)) / max(sum(counts) - len(faces), 1e-9))
    chosen: list[Floats] = []
    for face, count in zip(faces, counts, strict=True):
        taken = np.concatenate(chosen) if chosen else np.empty((0, d))
        chosen.append(face.chosen(1 + math.ceil((count - 1) * scale), taken))
    points = tuple(
        Point(tuple(row), total / sum(totals) / len(rows))
        for rows, total in zip(chosen, totals, strict=True)
        for row in rows.tolist()
    )
    promise = min(_ROOT**d / sum(totals), 1.0)
    if d > _DIMENSIONS:  # the sum has not all faces
        promise = min(promise, measured(laboratory, hyper, sites, points))
    return Block(hyper, sites, points, promise, exact=d <= _DIMENSIONS)


class _Face(NamedTuple):
    """A face of the box of a block: candidates for points, and the Fisher information at each."""

    shares: Floats  # (m, d)
    information: Floats  # (m, free, free)
    free: tuple[int, ...]  # axes that are not at an end

    @property
    def density(self) -> Floats:
        """Of the volume, at each candidate."""
        found: Floats = np.sqrt(np.maximum(np.linalg.det(self.information), 1e-12))
        return found

    @property
    def volume(self) -> float:
        """In the metric of Fisher."""
        return float(self.density.mean())

    def chosen(self, count: int, taken: Floats) -> Floats:
        """Candidates that are evenly spaced in the metric of Fisher, away from points that are taken."""
        if len(self.free) < 2:
            cumulative = np.cumsum(self.density) / self.density.sum()
            places = np.searchsorted(cumulative, (np.arange(count) + 0.5) / count)
            return self.shares[np.minimum(places, len(self.shares) - 1)]
        free = list(self.free)

        def distance(point: Floats) -> Floats:
            step = (self.shares - point)[:, free]
            found: Floats = np.einsum("mi,mij,mj->m", step, self.information, step)
            return found

        nearest = np.min([distance(point) for point in taken], axis=0)
        rows = []
        for _ in range(min(count, len(self.shares))):
            rows.append(int(np.argmax(nearest)))
            nearest = np.minimum(nearest, distance(self.shares[rows[-1]]))
        return self.shares[rows]


def _faces(laboratory: Laboratory, hyper: Names, sites: Names) -> list[_Face] | None:
    """All faces of a small box; interior and corners of a larger one; None where there are no scores."""
    d = len(hyper)
    if not laboratory.spreads:
        return None
    kinds = list(itertools.product((None, 0.0, 1.0), repeat=d))
    if d > _DIMENSIONS:
        corners = [kind for kind in kinds if None not in kind]
        kinds = [(None,) * d, *(corners if len(corners) <= 64 else [])]
    faces = []
    for number, kind in enumerate(sorted(kinds, key=lambda kind: kind.count(None))):
        free = [axis for axis, end in enumerate(kind) if end is None]
        if not free:
            faces.append(_Face(np.array([kind], dtype=float), np.ones((1, 0, 0)), ()))
            continue
        cube = _filling(len(free), number)
        shares = np.tile(np.array([0.0 if end is None else end for end in kind]), (len(cube), 1))
        shares[:, free] = cube
        information = _fisher(laboratory, hyper, sites, shares, free)
        if information is None:
            return None
        faces.append(_Face(shares, information, tuple(free)))
    return faces


def _filling(d: int, number: int) -> Floats:
    """Points that fill a cube, away from its ends."""
    if d == 1:
        return (np.arange(_CANDIDATES)[:, None] + 0.5) / _CANDIDATES
    from scipy.stats import qmc  # which takes longer to import than all else here

    found: Floats = qmc.Sobol(d, seed=number).random(4 * _CANDIDATES)
    return np.clip(found, 2 * _STEP, 1 - 2 * _STEP)


def _fisher(
    laboratory: Laboratory, hyper: Names, sites: Names, shares: Floats, free: list[int]
) -> Floats | None:
    """Fisher information at points, along some axes, from draws and difference quotients, if there is any."""
    many = np.repeat(shares, _DRAWS, axis=0)
    try:
        particles = laboratory.spread(dict(zip(hyper, many.T, strict=True)))
        scores = []
        for axis in free:
            ends = []
            for sign in (1, -1):
                moved = many.copy()
                moved[:, axis] += sign * _STEP
                log_p = laboratory.log_densities(particles, dict(zip(hyper, moved.T, strict=True)))
                ends.append(add(log_p[site].double() for site in sites))
            scores.append((ends[0] - ends[1]) / (2 * _STEP))
    except ProgramError:
        return None
    score = torch.stack(scores, -1).cpu().numpy().reshape(len(shares), _DRAWS, len(free))
    if not np.isfinite(score).all():
        return None
    found: Floats = np.einsum("mdi,mdj->mij", score, score) / _DRAWS
    return found


def _evenly(laboratory: Laboratory, hyper: Names) -> tuple[Point, ...]:
    """Points for what has no Fisher information: evenly over the box, its ends included."""
    per_axis = max(2, round(_MOST ** (1 / len(hyper)))) if len(hyper) > 1 else _VALUES
    axes = []
    for name in hyper:
        range_ = laboratory.family.ranges[name]
        count = min(per_axis, int(range_.high - range_.low) + 1) if range_.integer else min(per_axis, 16)
        values = dict.fromkeys(at(range_, np.linspace(0, 1, count)).tolist())
        axes.append([share_of(range_, value) for value in values])
    grid = list(itertools.product(*axes))
    return tuple(Point(shares, 1 / len(grid)) for shares in grid)


def measured(laboratory: Laboratory, hyper: Names, sites: Names, points: Sequence[Point]) -> float:
    """Fraction of particles that the worst of some members keeps, ``1 / E_p[p / q]``."""
    tried = [point.shares for point in points]
    tried += [tuple((np.array(a) + np.array(b)) / 2) for a, b in itertools.pairwise(tried)]
    worst = 1.0
    for shares in tried[:: max(1, len(tried) // _TRIED)]:
        own = dict(zip(hyper, shares, strict=True))
        particles = laboratory.draw(Single(laboratory.program(own)), 512)
        evaluate = evaluator(particles.columns, 512, "auto")

        members = [dict(zip(hyper, point.shares, strict=True)) for point in points]
        logs = [evaluate(laboratory.program(member)) for member in (own, *members)]
        log_p, *each = [add(found[site].double() for site in sites) for found in logs]
        weighted = [log + math.log(point.weight) for log, point in zip(each, points, strict=True)]
        ratio = torch.exp(log_p - torch.logsumexp(torch.stack(weighted), 0))
        worst = min(worst, float(1 / ratio.mean()))
    return worst
