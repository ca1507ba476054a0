"""A model at the cached particles: its weights, and its log densities by site.

Knows the cache; nothing of programs or draws.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from arviz_resampler.particles.particles import Particles
from arviz_resampler.programs.columns import CachedSite
from arviz_resampler.weights.weights import Weights


@dataclass(frozen=True)
class ScoredModel:
    """A model at the cached particles.

    Attributes
    ----------
    weights : Weights
        What becomes of its log ratios.
    scored : mapping of str to Tensor
        Log density of the model at the sites that it mentions, shape (N,), in the precision it was
        computed in.
    observed : tuple of str
        Sites of the model that carry ``obs=``, left out of the weights.
    """

    weights: Weights
    scored: Mapping[str, Tensor]
    observed: tuple[str, ...]
    _particles: Particles
    _computed: Mapping[str, list[CachedSite]]

    @functools.cached_property
    def computed(self) -> dict[str, CachedSite]:
        """The deterministic sites that the model computes itself."""
        return {
            name: replace(parts[0], value=torch.cat([part.value for part in parts]))
            for name, parts in self._computed.items()
        }

    @property
    def columns(self) -> dict[str, CachedSite]:
        """Sites to draw from: those of the cache, the deterministic ones as the model has them."""
        cached = self._particles.columns.items()
        return {**{n: c for n, c in cached if c.site.role != "auxiliary"}, **self.computed}

    @property
    def latents(self) -> list[str]:
        """Latent sites that the model has a prior of."""
        columns = self._particles.columns
        return [name for name in self.scored if name in columns and columns[name].site.role == "latent"]

    def log_p(self, name: str, rows: Any = slice(None)) -> Tensor:
        """Log density of the model at one site that it mentions, for some particles, in float64.

        NaN where the site has no density of its own that could be compared with.
        """
        log_p, column = self.scored[name][rows].double(), self._particles.columns.get(name)
        if column is None or column.log_q is None or column.finite:
            return log_p
        return log_p.masked_fill(~torch.isfinite(column.log_q.to(log_p.device)[rows]), torch.nan)

    def log_density(self, index: Tensor) -> Tensor:
        """Log density of the model over all sites that it mentions, of some particles."""
        each = [self.log_p(name, index) for name in self.scored]
        if not each:
            return torch.zeros(len(index), dtype=torch.float64, device=index.device)
        return torch.stack(each).sum(0)
