"""A kind of program: its draws are those of Pyro."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import pyro
from families import NUM_PARTICLES

from arviz_resampler import Resampler

from .comparison import NUM_DIRECT, Wrong, check_equal, compare, draw


@dataclass(frozen=True)
class Kind:
    """A kind of program: a guide, a model, and what the model's draws must look like."""

    name: str
    guide: Callable[[], Any]
    model: Callable[[], Any]
    simulator: Callable[[], Any] | None = None
    reference: Callable[[], Any] | None = None  # the model and simulator in one, where it is not the model
    same: bool = True  # whether the guide can be its own model
    parallel: bool = True
    sites: Iterable[str] = ()  # those to compare, or all


def run_kind(kind: Kind) -> None:
    """Particles of the guide, weighed by itself and by the model, whose draws are compared."""
    size = NUM_PARTICLES
    resampler = Resampler(kind.guide, kind.simulator, num_guide_samples=size, random_seed=6)
    if kind.same:
        check_equal(resampler.weigh(kind.guide))
    drawn = draw(resampler, kind.model)
    pyro.set_rng_seed(7)
    number = NUM_DIRECT if kind.parallel else 1000
    reference = kind.reference or kind.model
    predictive = pyro.infer.Predictive(reference, num_samples=number, parallel=kind.parallel)
    direct = {name: value for name, value in predictive().items() if name in drawn.values}
    missing = set(kind.sites) - direct.keys()
    if missing or not direct:
        raise Wrong(f"site {sorted(missing)} is not among the draws")
    for name in kind.sites or direct:
        value = direct[name]
        compare(drawn, name, value.reshape(len(value), *drawn.values[name].shape[1:]))
