"""The errors and warnings of the package, and how a warning finds the caller's line.

Knows nothing of Pyro, ArviZ or particles.
"""

from __future__ import annotations

import difflib
import os
import sys
import traceback
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

_HERE = os.path.dirname(os.path.abspath(__file__)) + os.sep

_NOT_VECTORISED = (
    "ambiguous",
    "cannot be converted to Scalar",
    "only one element tensors can be converted",
    "only length-1 arrays can be converted",
    "only 0-dimensional arrays can be converted",
    "only integer tensors of a single element",
    "setting an array element with a sequence",
)


class ResamplerError(Exception):
    """Base class of every error this package raises."""


class ArgumentError(ResamplerError, ValueError):
    """An argument of a call is not usable as given."""


class ProgramError(ResamplerError, RuntimeError):
    """A guide, simulator or model cannot be run, or holds something it may not hold."""

    nesting = 0  # of the plates that a program had come to when it failed


class MismatchError(ProgramError):
    """A program does not fit the particles: names, shapes or kinds of sites differ."""


class WeightError(ResamplerError, ArithmeticError):
    """The weights of a model cannot be computed, or no draw can be made from them."""


class ExtraError(ResamplerError, ImportError):
    """A library that this part of the package needs is not installed."""


class ResamplerWarning(UserWarning):
    """Base class of every warning this package issues."""


class WeightWarning(ResamplerWarning):
    """The weights carry a model only thinly, or not at all."""


class ProgramWarning(ResamplerWarning):
    """A part of a program was left out of the weights or of the draws."""


class DrawWarning(ResamplerWarning):
    """Some particles or draws are not finite."""


class NameWarning(ResamplerWarning):
    """A site or a dimension goes by another name in the container."""


@contextmanager
def from_extra(extra: str) -> Iterator[None]:
    """Import optional libraries; where one is missing, name the extra that brings it."""
    try:
        yield
    except ImportError as error:
        raise ExtraError(
            f"a library that this needs cannot be imported: {error}. Install the extra that brings it: "
            f"pip install 'arviz-resampler[{extra}]'"
        ) from error


def warn(message: str, category: type[ResamplerWarning]) -> None:
    """Issue a warning that points at the first line outside this package."""
    level = 2
    frame = sys._getframe(1)
    while frame.f_back is not None and os.path.abspath(frame.f_code.co_filename).startswith(_HERE):
        frame = frame.f_back
        level += 1
    warnings.warn(message, category, stacklevel=level)


@contextmanager
def about(variant: str) -> Iterator[None]:
    """Have the errors of this package say which variant they are about."""
    try:
        yield
    except ResamplerError as error:
        error.args = (f"variant {variant!r}: {error}",)
        raise


def quoted(names: Iterable[object]) -> str:
    """Names as they are shown in messages: sorted, quoted, or "none"."""
    return ", ".join(sorted(repr(str(name)) for name in names)) or "none"


def suggestion(name: str, known: Iterable[str]) -> str:
    """A sentence with the closest known name, or nothing where none is close."""
    options = list(known)
    folded = {option.lower(): option for option in options}
    close = difflib.get_close_matches(name.lower(), list(folded), n=1, cutoff=0.6)
    return f" Did you mean {folded[close[0]]!r}?" if close else ""


def wants_one_number(error: Exception) -> bool:
    """Whether an exception came from using many particles as if they were one number."""
    return any(text in str(error) for text in _NOT_VECTORISED)


def source_line(error: Exception, outside: tuple[str, ...]) -> str:
    """File and line where an exception came from, in code outside the named packages and this one."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = os.path.abspath(frame.filename)
        library = path.startswith(_HERE) or "contextlib" in path
        if not library and not any(f"{os.sep}{name}{os.sep}" in path for name in outside):
            line = f" in `{frame.line}`" if frame.line else ""
            return f"{os.path.basename(path)}:{frame.lineno}{line}"
    return ""
