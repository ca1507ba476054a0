"""A guide, a model, another model for the contrast, and the true numbers of one quantity."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from .laws import Model, Program

QUANTILES = {"q5": 0.05, "q50": 0.5, "q95": 0.95}
STEP = 1e-5  # of the difference quotient of a moment in closed form, whose error is of its square
RARE = 2e-3  # probability below which an event is counted apart


def x_of(particles: Any) -> Any:
    """The site ``x``."""
    return particles.x


@dataclass(frozen=True)
class Pair:
    """Guide and model, and what is known of one quantity.

    Attributes
    ----------
    kind : str
        What makes the pair hard.
    guide, model, other : Model
        The other model is for the contrast.
    then : callable, optional
        Sites of the simulator, from the values that guide or model return.
    quantity : callable
        A function of the particle dataset.
    tails : tuple of float
        Probabilities of the events of the model that are looked at.
    """

    kind: str
    guide: Model
    model: Model
    other: Model
    then: Callable[[Any], Any] | None = None
    quantity: Callable[[Any], Any] = x_of
    tails: tuple[float, ...] = (0.02, 5e-4)

    def __str__(self) -> str:
        return f"{self.guide.name} → {self.model.name}"

    def whole(self, start: Model) -> Program | None:
        """The program that draws its first sites as a model does, or None without a simulator."""
        then = self.then
        return None if then is None else lambda: then(start())

    @cached_property
    def events(self) -> dict[str, float]:
        """Bounds that the quantity exceeds with the probabilities of the tails, by name."""
        law = self.model.law
        bounds = {f"p{i}": float(law.ppf(1 - tail)) for i, tail in enumerate(self.tails)}
        return {name: bound for name, bound in bounds.items() if law.sf(bound) > 0}

    @property
    def statistics(self) -> dict[str, Callable[[Any], Any]]:
        """The quantity, and its events."""

        def beyond(bound: float) -> Callable[[Any], Any]:
            return lambda particles: self.quantity(particles) > bound

        return {"h": self.quantity, **{name: beyond(bound) for name, bound in self.events.items()}}

    @cached_property
    def truths(self) -> Mapping[tuple[str, str], float]:
        """The true numbers, by statistic and number."""
        law, other = self.model.law, self.other.law
        found = {("h", "mean"): law.mean(), ("h", "sd"): law.std()}
        found |= {("h", name): law.ppf(q) for name, q in QUANTILES.items()}
        means = {"h": (law.mean(), other.mean())}
        for name, bound in self.events.items():
            means[name] = law.sf(bound), other.sf(bound)
            found[name, "mean"] = means[name][0]
        for name, (first, second) in means.items():
            found[name, "difference"] = first - second
            # The package has no ratio of what may be negative.
            if second > 0 and (name != "h" or law.ppf(0.0) >= 0):
                found[name, "ratio"] = first / second
        found |= self._slopes()
        return {key: float(value) for key, value in found.items()}

    def _slopes(self) -> dict[tuple[str, str], float]:
        """Derivatives with respect to the log2 of the power of the prior's density, at 1."""
        powered = self.model.powered
        if powered is None:
            return {}
        low, high = powered(1 - STEP).law, powered(1 + STEP).law
        by = math.log(2) / (2 * STEP)
        means = {"mean": (low.mean(), high.mean()), "sd": (low.std(), high.std())}
        return {("h", f"derivative_{name}"): by * (b - a) for name, (a, b) in means.items()}


def sort_of(statistic: str, number: str, truth: float) -> str:
    """The sort of a number, as it is counted in the tables."""
    if number == "mean" and statistic != "h":
        return f"probability {'>=' if truth >= RARE else '<'} {RARE:g}"
    return (
        number.replace("_", " of the ").replace("of the mean", "of a mean").replace("of the sd", "of an sd")
    )
