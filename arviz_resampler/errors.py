"""The errors and warnings of the package, and how a warning finds the caller's line.

Knows nothing of Pyro, ArviZ or particles.
"""

from __future__ import annotations

import contextlib
import difflib
import os
import sys
import sysconfig
import traceback
import warnings
from collections.abc import Iterable, Iterator
from importlib.util import find_spec

_STANDARD = sysconfig.get_paths()["stdlib"] + os.sep
_HERE = os.path.dirname(os.path.abspath(__file__)) + os.sep
# What stands between frames of the package: context managers that decorate, and bars that iterate.
_BETWEEN = [os.path.abspath(contextlib.__file__)]
_BETWEEN += [
    os.path.dirname(found.origin) + os.sep for found in [find_spec("tqdm")] if found and found.origin
]
_OURS = (_HERE, *_BETWEEN)


class ResamplerError(Exception):
    """Base class of every error this package raises."""


class ArgumentError(ResamplerError, ValueError):
    """An argument of a call is not usable as given."""


class ProgramError(ResamplerError, RuntimeError):
    """A guide, simulator or model cannot be run, or holds something it may not hold."""


class MismatchError(ProgramError):
    """A program does not fit the particles: names, shapes or kinds of sites differ."""


class WeightError(ResamplerError, ArithmeticError):
    """The weights of a model cannot be computed, or no draw can be made from them."""


class StoreError(ResamplerError, OSError):
    """A directory of particles cannot be used: it is another one, damaged, locked, or cannot be written."""


class WorkerError(ResamplerError, RuntimeError):
    """Batches cannot be run on other processes, or a worker has died."""


class ExtraError(ResamplerError, ImportError):
    """A library that this part of the package needs is not installed."""


class ResamplerWarning(UserWarning):
    """Base class of every warning this package issues."""


class WeightWarning(ResamplerWarning):
    """The ESS is low for the number of draws, or the weights are unreliable."""


class ProgramWarning(ResamplerWarning):
    """A part of a program was left out of the weights or of the draws."""


class DrawWarning(ResamplerWarning):
    """Some particles or draws are not finite."""


class StoreWarning(ResamplerWarning):
    """A directory of particles is incomplete, was written by other versions, or cannot be locked."""


class NameWarning(ResamplerWarning):
    """A site or a dimension goes by another name in the container."""


def how_to_install(extra: str) -> str:
    """What can be typed to get an extra: by its name, and in the folder of a clone."""
    return f"pip install 'arviz-resampler[{extra}]', or from a clone, pip install '.[{extra}]'"


@contextlib.contextmanager
def from_extra(extra: str) -> Iterator[None]:
    """Import optional libraries; where one is missing, name the extra that brings it."""
    try:
        yield
    except ImportError as error:
        raise ExtraError(
            f"a library that this needs cannot be imported: {error}. The extra '{extra}' brings it: "
            f"{how_to_install(extra)}"
        ) from error


def warn(message: str, category: type[ResamplerWarning]) -> None:
    """Issue a warning that points at the first line outside this package."""
    level = 2
    frame = sys._getframe(1)
    while frame.f_back is not None and os.path.abspath(frame.f_code.co_filename).startswith(_OURS):
        frame = frame.f_back
        level += 1
    warnings.warn(message, category, stacklevel=level)


@contextlib.contextmanager
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


def source_line(error: BaseException, outside: tuple[str, ...]) -> str:
    """File and line where an exception came from, in code outside the named packages and this one."""
    return _own_line(traceback.extract_tb(error.__traceback__), outside)


def calling_line(outside: tuple[str, ...]) -> str:
    """File and line that is running, in code outside the named packages and this one."""
    return _own_line(traceback.extract_stack(), outside)


def _own_line(frames: traceback.StackSummary, outside: tuple[str, ...]) -> str:
    files = [getattr(sys.modules.get(name), "__file__", None) for name in outside]
    libraries = tuple(os.path.dirname(os.path.abspath(file)) + os.sep for file in files if file)
    for frame in reversed(frames):
        path = os.path.abspath(frame.filename)
        standard = path.startswith(_STANDARD) and f"{os.sep}site-packages{os.sep}" not in path
        if not standard and not path.startswith((_HERE, *libraries)):
            line = f" in `{frame.line}`" if frame.line else ""
            return f"{os.path.basename(path)}:{frame.lineno}{line}"
    return ""


def describe(value: object) -> str:
    """Type of a value as it is shown in messages, with shape and dtype where it has them."""
    shape, dtype = getattr(value, "shape", None), getattr(value, "dtype", None)
    of = "" if shape is None else f" of shape {tuple(shape)}"
    return f"{type(value).__name__}{of}" + ("" if dtype is None else f" and dtype {dtype}")
