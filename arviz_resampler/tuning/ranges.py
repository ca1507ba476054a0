"""The range of a hyper-parameter: what is in it, and how it is divided.

Knows numbers; nothing of models, weights or sliders.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, TypeVar

from arviz_resampler.errors import ArgumentError

Number = float | int
Value = TypeVar("Value")

_DECADES = 100.0  # from this ratio of its ends on, a range is divided by ratios


@dataclass(frozen=True)
class Range:
    """Interval of a hyper-parameter.

    Attributes
    ----------
    name : str
        The hyper-parameter.
    low, high : float or int
        The ends, which belong to the range. Between two integers there are integers only.

    Examples
    --------
    >>> Range("scale", 0.1, 10.0).at(0.5)
    1.0
    >>> Range("degree", 1, 5).grid(3)
    [1, 3, 5]
    """

    name: str
    low: Number
    high: Number

    @classmethod
    def checked(cls, name: str, given: Any) -> Range:
        """A range from what a user gave: two finite numbers, the lower first.

        Raises
        ------
        ArgumentError
            If it is anything else.
        """
        try:
            low, high = given
        except (TypeError, ValueError):
            raise ArgumentError(f"the range of {name!r} must be two numbers, got {given!r}") from None
        for end in (low, high):
            if type(end) is bool or not isinstance(end, Real):
                raise ArgumentError(f"the range of {name!r} must be two numbers, got {given!r}")
            if not _is_finite(end):
                raise ArgumentError(f"the range of {name!r} must be finite, got {given!r}")
        if not _is_finite(float(high) - float(low)):
            raise ArgumentError(f"the range of {name!r} is too wide for a float, got {given!r}")
        if not low < high:
            raise ArgumentError(f"the range of {name!r} must go from low to high, got {given!r}")
        if isinstance(low, Integral) and isinstance(high, Integral):
            return cls(name, int(low), int(high))
        return cls(name, float(low), float(high))

    @property
    def integer(self) -> bool:
        """True if the range holds integers only."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    def value(self, given: Any) -> Number:
        """A value from what a user gave: a number of the range.

        Raises
        ------
        ArgumentError
            If it is no number of the range.
        """
        number = not isinstance(given, bool) and isinstance(given, Real)
        inside = number and self.low <= given <= self.high
        where = f"from {self.low} to {self.high}, got {given!r}"
        if self.integer and not (inside and given == int(given)):
            raise ArgumentError(f"{self.name} must be an integer {where}")
        if not inside:
            raise ArgumentError(f"{self.name} must be a number {where}")
        return int(given) if self.integer else float(given)

    @property
    def log(self) -> bool:
        """True if the range is divided by ratios, which it is from ``high / low`` of 100 on."""
        return self.low > 0 and self.high / self.low >= _DECADES

    def at(self, share: float) -> Number:
        """The value at a share of the way from low to high."""
        if share <= 0 or share >= 1:
            return self.low if share <= 0 else self.high
        if self.log:
            value = math.exp((1 - share) * math.log(self.low) + share * math.log(self.high))
        else:
            value = self.low + share * (self.high - self.low)
        return self.rounded(value)

    def share(self, value: Number) -> float:
        """Fraction of the way from low to high at which a value is: the inverse of :meth:`at`."""
        if self.log:
            low = math.log(self.low)
            return (math.log(value) - low) / (math.log(self.high) - low)
        return (value - self.low) / (self.high - self.low)

    def rounded(self, value: float) -> Number:
        """The value of the range that is closest, in four digits of what the range spans."""
        if self.integer:
            return min(max(round(value), int(self.low)), int(self.high))
        size = value if self.log else self.high - self.low
        value = round(value, 3 - math.floor(math.log10(size)))
        return min(max(value, self.low), self.high)

    def grid(self, size: int) -> list[Number]:
        """Up to ``size`` different values from low to high, evenly on the scale of the range."""
        return sorted({self.at(i / (size - 1)) for i in range(size)})


def _is_finite(number: Any) -> bool:
    """True if a number is finite as a float."""
    try:
        return math.isfinite(float(number))
    except OverflowError:
        return False


def in_columns(hyper: Mapping[str, Value], others: Collection[str]) -> dict[str, Value]:
    """Hyper-parameters by column of a table, with an underscore at the end where another has the name."""

    def column(name: str) -> str:
        found = name
        while found in others or (found in hyper and found != name):
            found += "_"
        return found

    return {column(name): value for name, value in hyper.items()}
