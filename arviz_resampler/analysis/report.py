"""How numbers are reported: their columns, their short form in print, and one warning for all of them.

Knows estimates and verdicts; nothing of particles or draws.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from arviz_resampler.analysis.estimates import FEW, Estimate
from arviz_resampler.errors import WeightWarning, warn
from arviz_resampler.printed import Shown, with_error
from arviz_resampler.weights.averages import MORE_OF_GUIDE, MORE_OF_POSTERIOR, RELIABLE
from arviz_resampler.weights.weights import Weights

OF_A_NUMBER = ("mcse_", "lower_", "upper_", "n_effective_", "reliable_")


def number_columns(name: str, number: Estimate, reliable: bool) -> dict[str, Any]:
    """A number, followed by its standard error, interval, effective particles, and whether it is reliable."""
    values = (number.mcse, number.lower, number.upper, number.n_effective, reliable)
    return {name: number.value, **{f"{part}{name}": v for part, v in zip(OF_A_NUMBER, values, strict=True)}}


def show(table: pd.DataFrame) -> Shown:
    """Each number with its error in one cell; what is bounded as a bound, what is unreliable with a mark."""
    marked = False
    shown = {}
    for name in map(str, table):
        if f"mcse_{name}" in table:
            cells = [_cell(name, row) for row in table.to_dict("records")]
            marked |= any(cell.endswith("*") for cell in cells)
            shown[name] = cells
        elif not name.startswith(OF_A_NUMBER):
            shown[name] = [f"{v:.3g}" if isinstance(v, float) else v for v in table[name]]
    notes = ["* not reliable: the error may be larger"] if marked else []
    return pd.DataFrame(shown, index=table.index), notes


def _cell(name: str, row: dict[Any, Any]) -> str:
    parts = (row.get(f"{part}{name}", math.nan) for part in ("", *OF_A_NUMBER[:4]))
    value, mcse, low, high, n = map(float, parts)
    if math.isnan(value):
        return f"{low:.2g} to {high:.2g}" if low < high else "NaN"
    if n < FEW and name == "mean" and low == 0 < high:
        return f"< {high:.2g}"
    if n < FEW and name == "mean" and low < high == 1:
        return f"> {low:.6g}"
    if math.isnan(mcse) and low < high:
        return f"{low:.2g} to {high:.2g}"
    return with_error(value, mcse) + ("" if row.get(f"reliable_{name}", True) else "*")


class Doubts:
    """Numbers that are not reliable, for one warning.

    Parameters
    ----------
    weights : mapping of str to Weights
        By variant; of one model, under an empty name.
    """

    def __init__(self, weights: Mapping[str, Weights]) -> None:
        judged = {name: found.judge(1) for name, found in weights.items()}
        self._faults = {name: advice for name, (verdict, advice) in judged.items() if verdict == "unreliable"}
        of_posterior = any(found.chains is not None for found in weights.values())
        self._remedy = MORE_OF_POSTERIOR if of_posterior else MORE_OF_GUIDE
        self._met: dict[str, None] = {}
        self._asked = self._count = 0
        self._worst: tuple[float, str, float] | None = None

    def ask(self, what: str, number: Estimate, *variants: str, needed: float = RELIABLE) -> bool:
        """Whether a number is reliable; counted if it is not, unless there is none."""
        faults = [name for name in variants if name in self._faults]
        if math.isnan(number.value) and not faults:
            return False
        self._asked += 1
        self._met |= dict.fromkeys(faults)
        few = not number.n_effective >= needed  # NaN, too
        self._count += few or bool(faults)
        if few and not faults and (self._worst is None or number.n_effective < self._worst[0]):
            self._worst = number.n_effective, what, needed
        return not (few or faults)

    def warn(self) -> None:
        """Say how many numbers are not reliable, and which is the worst."""
        if self._count:
            faults = "".join(self._fault(name) for name in self._met)
            warn(
                f"{self._count} of {self._asked} numbers are not reliable.{faults}{self._worst_number()}",
                WeightWarning,
            )

    def _fault(self, name: str) -> str:
        of = f" of variant {name!r}" if name else ""
        return f" The weights{of} are unreliable: {self._faults[name]}"

    def _worst_number(self) -> str:
        if self._worst is None:
            return ""
        n, what, needed = self._worst
        return (
            f" The error of the {what} is estimated from {n:.2g} effective particles, and needs "
            f"{needed:.0f}. {self._remedy}"
        )
