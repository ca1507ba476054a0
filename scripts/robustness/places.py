"""One distribution as guide, as model and as simulator; and beside every other of its shape."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

import pyro
import pyro.distributions as dist
import torch
from families import CASES, NUM_PARTICLES, WIDE, Case

from arviz_resampler import Resampler, ResamplerError

from .comparison import BOUND, NUM_DIRECT, Wrong, check_equal, compare, direct_draws, draw
from .programs import site


def as_guide(case: Case) -> None:
    """Itself as model, and another member of its family as model."""
    zero = torch.zeros(())
    guide = site("x", lambda: case.at(zero))
    resampler = Resampler(guide, num_guide_samples=case.size, random_seed=1)
    check_equal(resampler.weigh(guide))
    if case.shift:
        make = partial(case.at, torch.tensor(case.shift))
        _same_draws(resampler, site("x", make), partial(case.direct or case.at, torch.tensor(case.shift)))


def as_model(case: Case) -> None:
    """A wide distribution of the same support as guide."""
    wide = WIDE[case.wide] if isinstance(case.wide, str) else case.wide
    resampler = Resampler(site("x", wide), num_guide_samples=case.size, random_seed=2)
    make = partial(case.at, torch.zeros(()))
    _same_draws(resampler, site("x", make), partial(case.direct or case.at, torch.zeros(())))


def _same_draws(resampler: Resampler, model: Callable[[], Any], make: Callable[[], Any]) -> None:
    drawn = draw(resampler, model)
    torch.manual_seed(3)
    try:
        direct = direct_draws(make(), NUM_DIRECT)
    except NotImplementedError:
        return  # nothing to compare with; the mean ratio was one
    compare(drawn, "x", direct)


def as_simulator(case: Case) -> None:
    """A site downstream of a normal latent, under a narrower prior of that latent."""
    guide = site("z", lambda: dist.Normal(0.0, 0.6))
    model = site("z", lambda: dist.Normal(0.2, 0.4))

    def simulator() -> None:
        z = guide()
        pyro.sample("y", case.at(0.5 * z))

    resampler = Resampler(guide, simulator, num_guide_samples=case.size, random_seed=4)
    drawn = draw(resampler, model)
    torch.manual_seed(5)
    z = dist.Normal(0.2, 0.4).sample((min(NUM_DIRECT, case.size),))
    try:
        fn = case.at(0.5 * z)
        direct = fn() if fn.batch_shape else direct_draws(fn, len(z))
    except (AssertionError, ValueError):  # a class that takes no batch
        direct = torch.stack([case.at(0.5 * each)() for each in z[:2000]])
    compare(drawn, "y", direct)

    def whole() -> None:
        z = model()
        pyro.sample("y", case.at(0.5 * z))

    try:
        full = resampler.weigh(whole)
    except ResamplerError:
        return  # drawn all right, and said to have no density
    prior = resampler.weigh(model)
    if abs(full.ess - prior.ess) > 1e-6 * prior.ess:
        raise Wrong(f"ESS {full.ess:.1f} with the same conditional, {prior.ess:.1f} without it")


def pairs() -> list[tuple[Case, Case]]:
    """All pairs of distributions that give values of one shape."""
    shapes: dict[tuple[torch.Size, torch.Size], list[Case]] = {}
    for case in CASES:
        fn = case.at(torch.zeros(()))
        if case.size == NUM_PARTICLES:  # the others are slow
            shapes.setdefault((fn.batch_shape, fn.event_shape), []).append(case)
    return [pair for cases in shapes.values() for pair in itertools.product(cases, cases)]


@lru_cache(maxsize=1)
def cached(guide: Case) -> Resampler:
    """Particles of a guide, kept while it goes through its models."""
    make = partial(guide.at, torch.zeros(()))
    return Resampler(site("x", make), num_guide_samples=1000, random_seed=8)


def as_pair(guide: Case, model: Case) -> None:
    """The mean weight is the share of the model that the guide can reach, so it is one at most."""
    weights = cached(guide).weigh(site("x", partial(model.at, torch.zeros(()))))
    reach = weights.log_mean_weight - BOUND * weights.log_mean_weight_se
    if weights.num_supported and weights.ess > 50 and reach > 1e-6:
        raise Wrong(f"mean ratio {math.exp(weights.log_mean_weight):.3f}, above 1")


PLACES = {"as guide": as_guide, "as model": as_model, "as simulator": as_simulator}
