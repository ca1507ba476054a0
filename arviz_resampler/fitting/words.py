"""What targets leave open and where they contradict each other, as sentences. Knows numbers of searches."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from scipy.special import chdtrc

from arviz_resampler.fitting.search import PART
from arviz_resampler.tuning.laboratory import width
from arviz_resampler.tuning.ranges import Range
from arviz_resampler.weights.normalize import Floats

OPEN = 0.05  # standard error, as a fraction of the range, from which a direction is open
WIDE = 0.25  # of a range, that a region of a hyper-parameter has from which it is open
_EQUAL = 0.15  # relative difference of two components that are the same
CONTRADICTION = 0.01  # probability of the misfit below which targets contradict each other


def open_directions(jacobian: Floats, noise: Floats) -> Floats:
    """Directions of the shares that targets leave open, one a row: their standard error is large."""
    d = jacobian.shape[1]
    values, vectors = np.linalg.eigh(noise)
    kept = values > 1e-10 * max(float(values.max(initial=0.0)), 1e-300)
    white = (vectors[:, kept] / np.sqrt(values[kept])).T @ jacobian
    _, singular, right = np.linalg.svd(white, full_matrices=True)
    known = np.zeros(d)
    known[: len(singular)] = singular
    found: Floats = right[known * OPEN < 1.0]
    return found


def sentence(direction: Floats, names: Sequence[str], ranges: Mapping[str, Range]) -> str:
    """What a direction means for hyper-parameters."""
    part = np.abs(direction) >= PART * np.abs(direction).max()
    who = [name for name, has in zip(names, part, strict=True) if has]
    if len(who) == 1:
        return alone(who[0])
    each = zip(names, direction, strict=True)
    sizes = {name: float(component) * width(ranges[name]) for name, component in each}
    if len(who) == 2:
        first, second = (sizes[name] for name in who)
        by_ratio = [ranges[name].low > 0 for name in who]
        equal = abs(abs(first) - abs(second)) <= _EQUAL * max(abs(first), abs(second))
        if equal and by_ratio[0] == by_ratio[1]:
            same = first * second > 0
            kind = ("ratio" if same else "product") if by_ratio[0] else ("difference" if same else "sum")
            return f"only the {kind} of {who[0]} and {who[1]} is told"
    ways = [f"{'more' if sizes[name] * sizes[who[0]] > 0 else 'less'} {name}" for name in who]
    return f"{' with '.join([ways[0], _listed(ways[1:])])} meets the targets about as well"


def alone(name: str) -> str:
    """What is said of one hyper-parameter."""
    return f"{name} is hardly told by the targets"


def _listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def contradiction(misfit: float, freedom: int, names: Sequence[str], residual: Floats) -> str:
    """A sentence where targets contradict each other, else nothing."""
    if freedom < 1 or not p_value(misfit, freedom) < CONTRADICTION:
        return ""
    worst = [names[k] for k in np.argsort(-np.abs(residual))[:2] if abs(residual[k]) > 0]
    return (
        f"no prior of the family meets all targets: they contradict each other, or the family, most at "
        f"{_listed([repr(name) for name in worst])}"
    )


def p_value(misfit: float, freedom: int) -> float:
    """Probability of a larger misfit by noise; NaN where no target is left over."""
    return float(chdtrc(freedom, misfit)) if freedom > 0 else math.nan
