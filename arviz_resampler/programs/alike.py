"""What all particles of a program must have in common: their sites, and the shape of each.

Knows what runs leave behind; nothing of programs.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

import torch

from arviz_resampler.errors import ProgramError
from arviz_resampler.programs.runs import ScoredRun


class Found(NamedTuple):
    """The sites of a model: those with a density, and shape and dtype of what it computes."""

    scored: tuple[str, ...]
    computed: dict[str, tuple[tuple[int, ...], torch.dtype]]

    @classmethod
    def of(cls, run: ScoredRun) -> Found:
        """Those that a run has met."""
        values = {name: site.value for name, site in run.deterministic.items()}
        return cls(tuple(run.log_p), {name: (tuple(v.shape[1:]), v.dtype) for name, v in values.items()})

    def check(self, like: Found, where: tuple[str, str]) -> None:
        """Refuse particles of a model that differ from others; ``where`` are the words for both.

        Raises
        ------
        ProgramError
            If one of them has a site more, or computes a value of another shape or dtype.
        """
        check_sites("the model", self.scored, like.scored, where)
        check_sites("the model", self.computed, like.computed, where)
        for name, (shape, dtype) in self.computed.items():
            if (shape, dtype) != like.computed[name]:
                raise ProgramError(
                    f"site {name!r} of the model has shape {shape} and dtype {dtype} in {where[0]}, "
                    f"{like.computed[name][0]} and {like.computed[name][1]} in another: every particle must "
                    f"have the same"
                )


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


def numbered(rows: slice) -> str:
    """The words for particles that are scored together."""
    return f"particles {rows.start} to {rows.stop - 1}"
