"""The cached particles.

Knows records; nothing of programs, draws or containers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from torch import Tensor

from arviz_resampler.programs.columns import CachedSite
from arviz_resampler.sites import Site


@dataclass(frozen=True)
class Particles:
    """N joint draws from a guide, extended by a simulator.

    Attributes
    ----------
    columns : mapping of str to CachedSite
        By site, in the order of the programs: the values, shape ``(N, *plates, *event)``, and the
        log density they were drawn with.
    data : mapping of str to Tensor
        The data of ``obs=``, in the shape of one particle.
    num_particles : int
        N.
    failed : Tensor or None
        Which particles could not be simulated, shape (N,); None where all could.
    singly : tuple of int
        For guide and simulator, the first particle that drew from a stream of its own; N where all drew
        together.
    params : mapping of str to Tensor
        Parameters that guide and simulator made, for programs that start them at random.
    """

    columns: Mapping[str, CachedSite]
    data: Mapping[str, Tensor]
    num_particles: int
    failed: Tensor | None = None
    singly: tuple[int, ...] = ()
    params: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def sites(self) -> dict[str, Site]:
        """The sites that may be exported, by name."""
        return {name: column.site for name, column in self.columns.items() if column.site.role != "auxiliary"}

    @cached_property
    def guide_latents(self) -> frozenset[str]:
        """Latent sites that the guide draws."""
        return frozenset(
            name
            for name, column in self.columns.items()
            if column.from_guide and column.site.role == "latent" and column.reason != "deterministic"
        )

    @cached_property
    def nonfinite_sites(self) -> frozenset[str]:
        """Sites at which some particle has no finite density of its own."""
        return frozenset(name for name, column in self.columns.items() if not column.finite)

    @cached_property
    def widths(self) -> list[int]:
        """Number of elements that a particle has at each site of the guide."""
        return [max(1, math.prod(c.site.shape)) for c in self.columns.values() if c.from_guide]
