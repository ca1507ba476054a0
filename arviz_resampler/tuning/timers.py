"""Calls after a while, in the event loop of a notebook. Knows asyncio alone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Timers:
    """Calls that wait, by name; each name waits once.

    Attributes
    ----------
    waiting : dict of str to TimerHandle
    closed : bool
        Whether calls are no longer made.
    """

    def __init__(self) -> None:
        self.waiting: dict[str, asyncio.TimerHandle] = {}
        self.closed = False

    def later(self, name: str, delay: float, action: Callable[[], None], *, keep: bool = False) -> None:
        """Call a function after some seconds; without an event loop, that is now.

        A call that already waits stays where ``keep`` is set, else it is put off.
        """
        if self.closed:
            return
        loop = running_loop()
        if loop is None:
            action()
            return
        if name in self.waiting:
            if keep:
                return
            self.waiting[name].cancel()

        def due() -> None:
            self.waiting.pop(name, None)
            if not self.closed:
                action()

        self.waiting[name] = loop.call_later(delay, due)

    def close(self) -> None:
        """Make none of the calls that wait, and no more."""
        self.closed = True
        for timer in self.waiting.values():
            timer.cancel()
        self.waiting.clear()


def running_loop() -> asyncio.AbstractEventLoop | None:
    """The event loop that runs, if any."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
