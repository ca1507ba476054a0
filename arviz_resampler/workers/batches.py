"""Numbered batches on other processes: what is submitted next, and what becomes of what comes back.

Knows concurrent.futures; nothing of how a task travels.
"""

from __future__ import annotations

import logging
import uuid
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, CancelledError, Future, wait
from typing import Any, TypeVar

from arviz_resampler.errors import ResamplerError, ResamplerWarning, WorkerError, warn
from arviz_resampler.workers.executors import NO_GUARD, Workers
from arviz_resampler.workers.lanes import Lane
from arviz_resampler.workers.payload import pack
from arviz_resampler.workers.worker import Payload, Reply, Warned, read

T = TypeVar("T")

ATTEMPTS = 3  # of a batch whose worker dies
_DIED = {"KilledWorker", "WorkerCrashedError"}  # errors of dask and ray, by name since neither is imported
_QUIET = (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning)
_log = logging.getLogger(__name__)


def run_batches(
    workers: Workers, task: Callable[[int], T], batches: Sequence[int], *, parts: Mapping[str, object]
) -> Iterator[tuple[int, T]]:
    """Run a task for numbered batches on other processes.

    Parameters
    ----------
    workers : Workers
        Where they are run.
    task : callable
        Of the number of a batch. Its results are sent by plain pickle.
    batches : sequence of int
        Numbers, each once.
    parts : mapping from str to object
        Objects of the user's in the task by name, for messages.

    Returns
    -------
    iterator of tuple of int and result
        As the batches finish. Closing it ends the run.

    Raises
    ------
    WorkerError
        If the task cannot be sent. While the iterator is read: if the task raised, after all that then ran
        has been given, from its exception; errors of this package are raised as they are. If workers died of
        a batch in every attempt, after all other batches have been given. If an executor broke that cannot be
        made again.

    Warns
    -----
    Warning
        What the task warns of, each text once.
    """
    payload = pack(task, parts)
    return _Run(workers, payload, batches).results()


class _Run:
    """Batches that wait and that run, and what has become of the others."""

    def __init__(self, workers: Workers, payload: Payload, batches: Sequence[int]) -> None:
        self._lanes = [Lane(workers) for _ in range(max(1, workers.own))]
        self._payload, self._name = payload, uuid.uuid4().hex
        self._waiting = deque(batches)
        # A worker of one of these died; they run one at a time until it is known of which.
        self._suspects: deque[int] = deque()
        # Workers of each of these died; they are tried again at the end, with all memory to themselves.
        self._last: deque[int] = deque()
        self._alone = False  # whether one of either runs
        self._deaths: dict[int, int] = {}
        self._lost: dict[int, BaseException] = {}
        self._failure: ResamplerError | None = None
        self._said: set[tuple[type[Warning], str]] = set()

    def results(self) -> Iterator[tuple[int, Any]]:
        """Batches and their results as they come; then the error, where there is one."""
        _log.info("batches: %d", len(self._waiting))
        done: list[tuple[int, Any]] = []
        complete = False
        try:
            # Workers go on while the caller handles what has come.
            while self._submit() or done:
                while done:  # each is let go of before the next is given
                    yield done.pop(0)
                done = self._collect()
            complete = True
        finally:
            for lane in self._lanes:
                lane.close(kill=not complete)
        if self._failure is not None:
            raise self._failure
        if self._lost:
            raise WorkerError(_of_lost(self._lost)) from next(iter(self._lost.values()))

    def _running(self) -> set[Future[Reply]]:
        return {future for lane in self._lanes for future in lane.running}

    def _submit(self) -> bool:
        """Give batches to lanes that have room; whether any runs."""
        self._alone = self._alone and bool(self._running())
        if not self._suspects:
            for lane in self._lanes:
                while self._waiting and not lane.is_full and self._may_start():
                    self._start(lane, self._waiting.popleft())
        if not self._running() and self._may_start() and (others := self._suspects or self._last):
            self._alone = True
            self._start(self._lanes[0], others.popleft())
        return bool(self._running())

    def _may_start(self) -> bool:
        return self._failure is None and not self._alone

    def _start(self, lane: Lane, number: int) -> None:
        attempt = self._deaths.get(number, 0)
        if attempt:
            _log.info("batch %d is tried again", number)
        try:
            lane.submit(self._payload, number, attempt, self._name)
        except WorkerError as error:
            self._fail(error)

    def _collect(self) -> list[tuple[int, Any]]:
        """Wait until a batch has finished, and settle all that have: their results."""
        finished, _ = wait(self._running(), return_when=FIRST_COMPLETED)
        return [result for lane in self._lanes for result in self._settle_lane(lane, finished)]

    def _settle_lane(self, lane: Lane, finished: set[Future[Reply]]) -> list[tuple[int, Any]]:
        errors = {future: _error_of(future) for future in lane.running if future in finished}
        broken = any(isinstance(error, BrokenExecutor) for error in errors.values())
        if broken:  # and with it all that it ran
            lane.wait()
            errors = {future: _error_of(future) for future in lane.running}
        alone = len(lane.running) == 1
        settled = {lane.running.pop(future): (future, error) for future, error in errors.items()}
        dead = {number: error for number, (_, error) in settled.items() if error is not None and _died(error)}
        results = []
        for number, (future, error) in settled.items():
            if error is None:
                results += self._settle(number, future.result())
            elif number not in dead:
                self._fail(_of_executor(number, error), error)
        if broken:
            self._renew(lane, dead)
        for number, error in dead.items():
            self._bury(number, error, alone=alone)
        return results

    def _settle(self, number: int, reply: Reply) -> list[tuple[int, Any]]:
        """The result of a batch, none where its task raised."""
        report = read(reply)
        for warned in report.warned:
            self._say(warned)
        if not reply.failure:
            return [(number, reply.value)]
        self._fail(_of_task(number, reply, report.error), report.error)
        return []

    def _say(self, warned: Warned) -> None:
        """Issue a warning of a worker, unless another worker had the same, or Python keeps its kind quiet."""
        if (warned.category, warned.text) in self._said or issubclass(warned.category, _QUIET):
            return
        self._said.add((warned.category, warned.text))
        if issubclass(warned.category, ResamplerWarning):
            warn(warned.text, warned.category)
        else:
            warnings.warn_explicit(warned.text, warned.category, warned.file, warned.line)

    def _fail(self, error: ResamplerError, cause: BaseException | None = None) -> None:
        """Start nothing more, and raise the first error when what runs has finished."""
        if error is not cause:
            error.__cause__ = cause
        self._failure = self._failure or error

    def _renew(self, lane: Lane, dead: Mapping[int, BaseException]) -> None:
        """Have the next batch of a lane make another executor."""
        cause, begun = next(iter(dead.values())), lane.has_begun()
        lane.close(kill=True)
        if not lane.can_be_made_again:
            self._fail(WorkerError(_of_broken(dead) + ("" if begun else f". {_NOT_BEGUN}")), cause)
        elif not begun and not lane.can_begin():
            self._fail(WorkerError(f"the worker processes ended while they started. {_NOT_BEGUN}"), cause)

    def _bury(self, number: int, error: BaseException, *, alone: bool) -> None:
        """Decide when a batch whose worker may have died is tried again, if at all."""
        _log.info("a worker died while batch %d ran%s", number, "" if alone else ", as did others")
        if not alone:
            self._deaths.setdefault(number, 1)
            self._suspects.append(number)
            return
        self._deaths[number] = self._deaths.get(number, 0) + 1
        self._waiting.extendleft(reversed(self._suspects))
        self._suspects.clear()
        if self._deaths[number] < ATTEMPTS:
            self._last.append(number)
        else:
            self._lost[number] = error


def _error_of(future: Future[Reply]) -> BaseException | None:
    """What a future raises; one without an end is taken to have broken with its executor."""
    try:
        return future.exception(timeout=0)
    except CancelledError as error:
        return error
    except TimeoutError:
        return BrokenExecutor("the executor broke")


def _died(error: BaseException) -> bool:
    return isinstance(error, BrokenExecutor) or type(error).__name__ in _DIED


def _of_task(number: int, reply: Reply, error: BaseException | None) -> ResamplerError:
    """The error of a batch whose task raised."""
    if isinstance(error, ResamplerError):
        error.add_note(f"batch {number}")
        return error
    failed = WorkerError(f"batch {number} failed: {reply.failure}")
    (failed if error is None else error).add_note(f"in the worker:\n{reply.trace}")
    return failed


def _of_executor(number: int, error: BaseException) -> WorkerError:
    """The error of a batch that an executor could not run."""
    if isinstance(error, CancelledError):
        reason = "it was canceled; the executor was shut down, or lost its scheduler"
    elif isinstance(error, ModuleNotFoundError):
        reason = f"a worker cannot import the module {error.name!r}; install it where the workers run"
    else:
        reason = f"{type(error).__name__}: {error}"
    return WorkerError(f"the executor could not run batch {number}: {reason}")


_NOT_BEGUN = f"Where no worker starts, the reason is most often that {NO_GUARD}. What they printed says more"


def _of_broken(numbers: Iterable[int]) -> str:
    return (
        f"a worker died, and the executor that was given broke with it while it had {_batches(numbers)}. "
        f"What had finished stays. Give a callable that makes an executor, and a run goes on by itself: "
        f"executor=lambda: ProcessPoolExecutor(4)"
    )


def _of_lost(numbers: Iterable[int]) -> str:
    return (
        f"a worker died in each of {ATTEMPTS} attempts at {_batches(numbers)}; all others are finished. "
        f"The usual reasons are too little memory, of which smaller batches take less, and a crash in "
        f"compiled code that the programs call"
    )


def _batches(numbers: Iterable[int]) -> str:
    """Batches as they are shown in messages."""
    listed = sorted(numbers)
    *some, last = [str(number) for number in listed]
    return f"batches {', '.join(some)} and {last}" if some else f"batch {last}"
