"""What all particles of a program must have in common: their sites, and the shape of each.

Knows what runs leave behind; nothing of programs.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

import torch

from arviz_resampler.errors import ProgramError
from arviz_resampler.programs.runs import ScoredRun, SiteRun


class Values(NamedTuple):
    """Shape and dtype of a site in one particle."""

    shape: tuple[int, ...]
    dtype: torch.dtype

    @classmethod
    def of(cls, site: SiteRun) -> Values:
        """Those of a site that a run has met."""
        return cls(tuple(site.value.shape[1:]), site.value.dtype)


class Found(NamedTuple):
    """The sites of a model: those with a density, and shape and dtype of what it computes."""

    scored: tuple[str, ...]
    computed: dict[str, Values]

    @classmethod
    def of(cls, run: ScoredRun) -> Found:
        """Those that a run has met."""
        return cls(tuple(run.log_p), {name: Values.of(site) for name, site in run.deterministic.items()})

    def check(self, like: Found, where: tuple[str, str]) -> None:
        """Refuse particles of a model that differ from others; ``where`` are the words for both.

        Raises
        ------
        ProgramError
            If one of them has a site more, or computes a value of another shape or dtype.
        """
        check_sites("the model", self.scored, like.scored, where)
        check_sites("the model", self.computed, like.computed, where)
        for name, values in self.computed.items():
            check_values("the model", name, values, like.computed[name], where[0])


def check_sites(whose: str, sites: Collection[str], like: Collection[str], where: tuple[str, str]) -> None:
    """Refuse particles with other sites than others have; ``where`` are the words for both.

    Raises
    ------
    ProgramError
        If a site is in one of them only.
    """
    for name in [*sites, *like]:
        if (name in sites) != (name in like):
            has, lacks = where if name in sites else reversed(where)
            raise ProgramError(
                f"site {name!r} of {whose} is in {has} and not in {lacks}: every particle must have the same "
                f"sites"
            )


def check_values(whose: str, name: str, values: Values, like: Values, where: str) -> None:
    """Refuse values of another shape or dtype than others have; ``where`` is the word for their particles.

    Raises
    ------
    ProgramError
        If they have.
    """
    if values != like:
        raise ProgramError(
            f"site {name!r} of {whose} has shape {values.shape} and dtype {values.dtype} in {where}, "
            f"{like.shape} and {like.dtype} in another: every particle must have the same"
        )


def numbered(rows: slice) -> str:
    """The words for particles that are scored together."""
    return f"particles {rows.start} to {rows.stop - 1}"
