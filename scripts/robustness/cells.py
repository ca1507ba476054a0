"""What became of one thing that was tried."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from typing import NamedTuple

import pyro

from arviz_resampler import ResamplerError

from .comparison import Wrong


class Cell(NamedTuple):
    """An outcome, right, refused, open or the way that a program runs, with its reason."""

    outcome: str
    reason: str = ""


def attempt(action: Callable[[], Cell | None]) -> Cell:
    """Right, refused or open, with the reason; or what the action says itself."""
    pyro.set_rng_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            said = action()
        except ResamplerError as error:
            return Cell("refused", reason_of(error))
        except Wrong as error:
            return Cell("open", str(error))
        except Exception as error:
            return Cell("open", f"{type(error).__name__}: {' '.join(str(error).split())}")
    return said or Cell("right")


def reason_of(error: Exception) -> str:
    """The message in one line, without line numbers and counts of particles."""
    text = re.sub(r" \(\w+\.py:.*(?:at|after) site ('[^']+')\)", r" at site \1", str(error))
    text = re.sub(r"\b\d+ of \d+ particles", "some particles", text)
    text = re.sub(r":? ?(NotImplementedError|AssertionError):? *$", ": Pyro has not implemented it", text)
    return " ".join(text.split())
