"""Tables that print themselves in fewer columns than they have, with sentences below. Knows pandas alone."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, ClassVar

import pandas as pd

from arviz_resampler.markup import Html, badge, page, table

Shown = tuple[pd.DataFrame, list[str]]


class PrintedTable(pd.DataFrame):  # type: ignore[misc, unused-ignore]
    """A DataFrame that prints a short form of itself; what is selected from it prints as any DataFrame.

    Parameters
    ----------
    table : DataFrame
        The numbers.
    show : callable
        From a DataFrame to the one that is printed, and sentences below it.

    Examples
    --------
    >>> def show(table):
    ...     cells = [with_error(*row) for row in table.to_numpy()]
    ...     return pd.DataFrame({"mean": cells}, table.index), ["A note."]
    >>> PrintedTable(pd.DataFrame({"mean": [0.5128], "mcse": [0.0123]}, index=["mu"]), show)
                 mean
    mu  0.513 ± 0.012
    A note.
    """

    _metadata: ClassVar = ["show"]
    show: Callable[[pd.DataFrame], Shown]

    def __init__(self, table: pd.DataFrame, show: Callable[[pd.DataFrame], Shown]) -> None:
        super().__init__(table)
        self.show = show

    @property
    def _constructor(self) -> Any:
        return pd.DataFrame

    def __repr__(self) -> str:
        shown, notes = self.show(self)
        return "\n".join([shown.to_string(), *notes])

    def _repr_html_(self) -> str:
        shown, notes = self.show(self)
        return page("", html_table(shown), *notes)


def html_table(frame: pd.DataFrame) -> Html:
    """A DataFrame in HTML, with badges in the column ``verdict``."""
    keys = frame.index.nlevels
    names = ["" if name is None else name for name in (*frame.index.names, *frame)]
    rows = [
        [*(key if keys > 1 else [key]), *(badge(v) if name == "verdict" else v for name, v in row.items())]
        for key, row in zip(frame.index, frame.to_dict("records"), strict=True)
    ]
    return table(names, rows, keys=keys)


def with_error(value: float, error: float) -> str:
    """A number and its standard error, to two digits of the error."""
    if not math.isfinite(value):
        return f"{value}"
    if not math.isfinite(error):
        return f"{value:.3g} ± ?"
    if not error:
        return f"{value:.6g} ± 0"
    digits = 1 - math.floor(math.log10(error))
    if -6 < digits < 7:
        places = max(digits, 0)
        return f"{round(value, digits):.{places}f} ± {round(error, digits):.{places}f}"
    return f"{value:.3g} ± {error:.2g}"
