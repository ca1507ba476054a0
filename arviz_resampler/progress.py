"""Progress over batches: a bar in a terminal or a notebook, a line now and then in the log of a job."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm.auto import tqdm

T = TypeVar("T")

_EVERY = 60.0  # seconds between lines


def shown(things: Iterable[T], what: str, *, total: int, done: int = 0, quiet: bool) -> Iterator[T]:
    """Things, with how many of them are done shown.

    Parameters
    ----------
    things : iterable
        Batches that are still to be done.
    what : str
        In front of the numbers.
    total, done : int
        How many there are in all, and how many were done before.
    quiet : bool
        Whether to show nothing.
    """
    if quiet or sys.stderr.isatty() or "ipykernel" in sys.modules:
        yield from tqdm(things, desc=what, unit="batch", initial=done, total=total, disable=quiet)
        return
    start = last = time.monotonic()
    for number, thing in enumerate(things, 1):
        yield thing
        now = time.monotonic()
        if now - last >= _EVERY or done + number == total:
            print(line(what, done + number, total, (now - start) / number), file=sys.stderr, flush=True)
            last = now


def line(what: str, done: int, total: int, seconds: float) -> str:
    """How far a run is, when a batch takes so many seconds.

    Examples
    --------
    >>> line("Simulating into a.zarr", 12, 100, 30.0)
    'Simulating into a.zarr: 12 of 100 batches, 2 a minute, 44 min left'
    """
    left = "" if done == total else f", {(total - done) * seconds / 60:.3g} min left"
    return f"{what}: {done} of {total} batches, {60 / max(seconds, 1e-9):.3g} a minute{left}"
