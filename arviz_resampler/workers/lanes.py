"""Lanes: one executor each, with the batches that it runs, made again when it breaks.

Knows concurrent.futures; nothing of what a task is or gives.
"""

from __future__ import annotations

import contextlib
import logging
import time
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future, wait

from arviz_resampler.errors import WorkerError
from arviz_resampler.workers.executors import (
    Workers,
    end,
    interrupts_held,
    num_workers,
    usable,
    warn_of_threads,
)
from arviz_resampler.workers.worker import Payload, Reply, began, call

_FRESH = 5.0  # seconds that the number of workers is believed: clusters grow and shrink
_SOON = 10.0  # seconds in which all futures of a broken executor are told
_log = logging.getLogger(__name__)


class Lane:
    """An executor, and the batches that it runs.

    Parameters
    ----------
    workers : Workers
        The executor, or what makes it. It is made when the first batch comes.
    """

    def __init__(self, workers: Workers) -> None:
        self.running: dict[Future[Reply], int] = {}
        self._workers = workers
        self._executor: Executor | None = None
        self._began: Future[bool] | None = None
        self._limit, self._asked = 0, -_FRESH

    @property
    def can_be_made_again(self) -> bool:
        """Whether a broken executor can be replaced."""
        return self._workers.make is not None

    @property
    def is_full(self) -> bool:
        """Whether it has as many batches as it may: one for a process of our own, else two a worker."""
        if not self.running or self._executor is None:
            return False
        if self._workers.own:
            return True
        if time.monotonic() - self._asked > _FRESH:
            self._limit, self._asked = 2 * num_workers(self._executor), time.monotonic()
        return len(self.running) >= self._limit

    def submit(self, payload: Payload, number: int, attempt: int, run: str) -> None:
        """Have a batch run."""
        try:
            future = self._open().submit(call, payload, number, attempt, run)
        except BrokenExecutor:
            # It broke since it was last heard of: what it runs will fail, and this batch with it.
            future = Future()
            future.set_exception(BrokenExecutor("the executor is broken"))
        except RuntimeError as error:
            raise WorkerError(
                f"batch {number} cannot be given to the executor: {error}. What is finished stays; open the "
                f"executor again for the rest"
            ) from error
        self.running[future] = number

    def _open(self) -> Executor:
        if self._executor is None:
            made = self._workers.given or self._make()
            warn_of_threads(made)
            _log.info("executor %s, workers: %d", type(made).__name__, num_workers(made))
            self._executor = made
            with interrupts_held() if self._workers.own else contextlib.nullcontext():
                self._began = made.submit(began)
        return self._executor

    def _make(self) -> Executor:
        assert self._workers.make is not None
        return usable(self._workers.make())

    def wait(self) -> None:
        """Wait until all that ran on a broken executor has failed."""
        wait(self.running, timeout=_SOON)

    def has_begun(self) -> bool:
        """Whether a worker had started before the executor broke."""
        with contextlib.suppress(TimeoutError, CancelledError):
            return self._began is None or self._began.exception(timeout=_SOON) is None
        return True

    def can_begin(self) -> bool:
        """Whether a new executor starts a worker, after one that seems to have started none.

        Of a process of our own that is known. Of several workers, the one that was to say that it had started
        may have ended because another died.
        """
        if self._workers.own:
            return False
        self._open()
        return self._began is not None and self._began.exception() is None

    def close(self, *, kill: bool) -> None:
        """Let go of the executor: cancel what waits, and shut down what was made here."""
        for future in self.running:
            future.cancel()
        if self._executor is not None and self.can_be_made_again:
            end(self._executor, kill=kill)
        self._executor = self._began = None
