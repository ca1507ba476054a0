"""Lines at values of a variable, such as those that are thought extreme, and what of the draws is above them.

Knows arrays; nothing of containers, targets or figures.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from arviz_resampler.arguments import as_mapping
from arviz_resampler.errors import ArgumentError, quoted, suggestion


@dataclass(frozen=True)
class Line:
    """A value of a variable that a picture shows.

    Attributes
    ----------
    value : float
        Where it is.
    kind : {"reference", "target"}
        What it is.
    """

    value: float
    kind: str


Lines = Mapping[str, Sequence[Line]]


def as_references(given: Any, known: Collection[str]) -> dict[str, list[Line]]:
    """Lines by variable, from numbers that a user gave for variables that are ``known``.

    Raises
    ------
    ArgumentError
        If it is no mapping of names to finite numbers, or a name is none of a variable.
    """
    found = {}
    for name, values in as_mapping("references", given).items():
        numbers = np.asarray(values)
        if numbers.dtype.kind not in "iuf" or not np.isfinite(numbers).all():
            raise ArgumentError(f"references must be finite numbers by variable, got {values!r} for {name!r}")
        if name not in known:
            raise ArgumentError(
                f"references holds {name!r}, which is no variable; there are {quoted(known)}."
                f"{suggestion(name, known)}"
            )
        found[name] = [Line(float(number), "reference") for number in np.ravel(numbers)]
    return found


def labeled_lines(lines: Sequence[Lines], name: str, draws: Any) -> tuple[tuple[Line, str], ...]:
    """The lines of a variable, each with the fraction of draws above it in words."""
    values = np.asarray(draws)
    return tuple(
        (line, f"{line.kind} {line.value:g}: {float((values > line.value).mean()):.1%} above")
        for each in lines
        for line in each.get(name, ())
    )
