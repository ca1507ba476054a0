"""Progress: a bar in a terminal or a notebook, from two seconds on; lines in the log of a job."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from tqdm.auto import tqdm

T = TypeVar("T")

_DELAY = 2.0  # seconds before a bar is shown
_EVERY = 60.0  # seconds between lines


def _is_watched() -> bool:
    return sys.stderr.isatty() or "ipykernel" in sys.modules


def shown(things: Iterable[T], what: str, *, total: int, done: int = 0, quiet: bool) -> Iterator[T]:
    """Batches, with how many of them are done shown; with the time that it takes where there is one.

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
    if total == 1:
        with _clock(what, quiet=quiet):
            yield from things
        return
    if quiet or _is_watched():
        yield from bar(things, what, "batch", total=total, done=done, quiet=quiet)
        return
    start = last = time.monotonic()
    for number, thing in enumerate(things, 1):
        yield thing
        now = time.monotonic()
        if now - last >= _EVERY or done + number == total:
            print(line(what, done + number, total, (now - start) / number), file=sys.stderr, flush=True)
            last = now


def bar(things: Iterable[T], what: str, unit: str, *, total: int, done: int = 0, quiet: bool) -> tqdm[T]:
    """Things with a bar, to go over and to close."""
    return tqdm(things, desc=what, unit=unit, initial=done, total=total, delay=_DELAY, disable=quiet)


@contextlib.contextmanager
def counted(what: str, unit: str, *, total: int, quiet: bool) -> Iterator[Callable[[], object]]:
    """A bar over at most so many steps, which goes when they are done; its value is called at each."""
    quiet = quiet or not _is_watched()
    with tqdm(desc=what, unit=unit, total=total, delay=_DELAY, leave=False, disable=quiet) as steps:
        yield steps.update


@contextlib.contextmanager
def _clock(what: str, *, quiet: bool) -> Iterator[None]:
    """How long something takes that has no parts."""
    ended = threading.Event()

    def tick() -> None:
        if ended.wait(_DELAY):
            return
        with tqdm(desc=what, bar_format="{desc}: {elapsed}", leave=False) as clock:
            clock.start_t -= _DELAY
            clock.refresh()
            while not ended.wait(1.0):
                clock.refresh()

    thread = threading.Thread(target=tick, daemon=True)
    if not quiet and _is_watched():
        thread.start()
    try:
        yield
    finally:
        ended.set()
        if thread.ident is not None:
            thread.join()


def line(what: str, done: int, total: int, seconds: float) -> str:
    """How far a run is, when a batch takes so many seconds.

    Examples
    --------
    >>> line("Simulating into a.zarr", 12, 100, 30.0)
    'Simulating into a.zarr: 12 of 100 batches, 2 a minute, 44 min left'
    """
    left = "" if done == total else f", {(total - done) * seconds / 60:.3g} min left"
    return f"{what}: {done} of {total} batches, {60 / max(seconds, 1e-9):.3g} a minute{left}"
