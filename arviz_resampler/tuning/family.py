"""A family of priors: a function from hyper-parameters to programs, and their ranges.

Knows ranges; nothing of particles or weights.
"""

from __future__ import annotations

import inspect
import keyword
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from arviz_resampler.errors import ArgumentError, ProgramError, ResamplerError, quoted, suggestion
from arviz_resampler.frozen import FrozenMapping
from arviz_resampler.tuning.ranges import Number, Range

Model = Callable[[], Any]
Hyper = Mapping[str, Number]


@dataclass(frozen=True)
class Family:
    """Priors by hyper-parameters.

    Attributes
    ----------
    make_model : callable
        Takes hyper-parameters by name and returns a program.
    ranges : mapping of str to Range
        By hyper-parameter.
    start : mapping of str to number
        The default that ``make_model`` gives each, if that is in its range, else the middle of the range.
    """

    make_model: Callable[..., Model]
    ranges: Mapping[str, Range]
    start: Hyper

    @classmethod
    def checked(cls, make_model: Any, ranges: Mapping[str, Any]) -> Family:
        """A family from what a user gave."""
        defaults = _check_signature(make_model, ranges)
        checked = {name: Range.checked(name, given) for name, given in ranges.items()}
        start = {name: _start(range_, defaults.get(name)) for name, range_ in checked.items()}
        return cls(make_model, FrozenMapping(checked), FrozenMapping(start))

    @property
    def name(self) -> str:
        """The name of ``make_model``, where it has one."""
        return _name(self.make_model)

    def position(self, hyper: Mapping[str, Any]) -> Hyper:
        """All hyper-parameters: those that are given, checked, and the start of the others."""
        for name in hyper:
            if name not in self.ranges:
                raise ArgumentError(
                    f"there is no range for {name!r}; there are {quoted(self.ranges)}."
                    f"{suggestion(name, self.ranges)}"
                )
        given = {name: self.ranges[name].value(value) for name, value in hyper.items()}
        return FrozenMapping({**self.start, **given})

    def model(self, position: Hyper) -> Model:
        """The prior at some hyper-parameters."""
        try:
            return self.make_model(**position)
        except ResamplerError:
            raise
        except Exception as error:
            call = self.call(position)
            raise ProgramError(f"the call {call} failed: {type(error).__name__}: {error}") from error

    def call(self, position: Hyper) -> str:
        """The call of ``make_model`` as source."""
        arguments = ", ".join(f"{name}={value!r}" for name, value in position.items())
        return f"{self.name}({arguments})"


def _name(make_model: Callable[..., Model]) -> str:
    name = getattr(make_model, "__name__", "")
    return name if name.isidentifier() else "make_model"


def _check_signature(make_model: Callable[..., Model], ranges: Mapping[str, Any]) -> dict[str, Any]:
    """Check that ``make_model`` can be called with the hyper-parameters; return its defaults."""
    if not callable(make_model):
        raise ArgumentError(
            f"make_model must be a callable that takes hyper-parameters and returns a program, got "
            f"{make_model!r}"
        )
    if not ranges:
        raise ArgumentError("a range is needed for each hyper-parameter, as in scale=(1.0, 10.0)")
    for name in ranges:
        if not name.isidentifier() or keyword.iskeyword(name):
            raise ArgumentError(f"the hyper-parameter {name!r} has a name that Python source cannot have")
    try:
        parameters = inspect.signature(make_model).parameters
    except (TypeError, ValueError):
        return {}
    by_name = {n: p for n, p in parameters.items() if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    for name in ranges:
        if name not in by_name and not takes_any:
            draws = " The number of draws goes second, without a name." if name == "num_samples" else ""
            raise ArgumentError(
                f"{_name(make_model)} takes no hyper-parameter {name!r}; it takes {quoted(by_name)}."
                f"{draws or suggestion(name, by_name)}"
            )
    missing = [n for n, p in by_name.items() if p.default is p.empty and n not in ranges]
    if missing:
        raise ArgumentError(
            f"{_name(make_model)} needs {quoted(missing)}: give a range, or a default in its signature"
        )
    return {name: p.default for name, p in by_name.items() if p.default is not p.empty}


def _start(range_: Range, default: Any) -> Number:
    """The default of a hyper-parameter where that is in its range, else the middle of the range."""
    try:
        return range_.value(default)
    except ArgumentError:
        return range_.at(0.5)
