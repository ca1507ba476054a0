"""What a user gives to have batches run elsewhere: checked, and how many batches it takes at a time.

Knows concurrent.futures, and what other executors call their size and state; nothing of batches.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from arviz_resampler.arguments import as_count, integer_or_none
from arviz_resampler.errors import ArgumentError, ProgramWarning, WorkerError, warn

Executors = Executor | Callable[[], Executor] | int

NO_GUARD = (
    "worker processes run the script again from its beginning, so what starts them must not be run there: "
    'put it under `if __name__ == "__main__":`'
)
_GIVE_ANOTHER = "give one that is open, or a callable that makes one"


@dataclass(frozen=True)
class Workers:
    """Processes that batches can be run on.

    Attributes
    ----------
    given : Executor or None
        One of the user's, which is never shut down here.
    make : callable or None
        Makes an executor, also in place of one that broke.
    own : int
        How many processes are started here, 0 for none: each is an executor by itself, so that the death of
        one takes no other batch along.
    """

    given: Executor | None = None
    make: Callable[[], Executor] | None = None
    own: int = 0


def as_workers(executor: Any) -> Workers | None:
    """What a user gives to have batches run elsewhere, checked.

    Parameters
    ----------
    executor : Executor, callable, int or None
        An executor of processes; a callable that makes one; or how many processes are to be started here.

    Returns
    -------
    Workers or None
        None where none is given.

    Raises
    ------
    ArgumentError
        If it is none of these, runs threads, or has been shut down or broken.
    """
    if executor is None:
        return None
    if isinstance(executor, Executor):
        return Workers(given=usable(executor))
    if integer_or_none(executor) is not None:
        _refuse_in_starting_worker()
        return Workers(make=own_process, own=as_count("executor", executor))
    if isinstance(executor, type) and issubclass(executor, ThreadPoolExecutor):
        raise ArgumentError(_threads(executor.__name__))
    if callable(executor) and not hasattr(executor, "get_executor"):
        _refuse_in_starting_worker()
        return Workers(make=executor)
    hint = "; give what its method get_executor() returns" if hasattr(executor, "get_executor") else ""
    raise ArgumentError(
        f"executor must be a concurrent.futures.Executor, a callable that makes one, a number of processes "
        f"or None, got {executor!r}{hint}"
    )


def usable(executor: Any) -> Executor:
    """An executor that runs processes and takes batches."""
    if not isinstance(executor, Executor):
        raise ArgumentError(
            f"the callable given as executor must make a concurrent.futures.Executor, it made {executor!r}"
        )
    if state := _state(executor):
        raise ArgumentError(f"the executor {type(executor).__name__} is {state}: {_GIVE_ANOTHER}")
    if isinstance(executor, ThreadPoolExecutor) or any(
        address.startswith("inproc://") for address in threads_by_worker(executor)
    ):
        raise ArgumentError(_threads(type(executor).__name__))
    return executor


def _threads(name: str) -> str:
    return (
        f"the executor {name} runs threads of this process: every batch seeds the generators that all "
        f"threads share, so batches would mix their numbers; give an executor of processes"
    )


def _state(executor: Executor) -> str:
    """Whether an executor is broken or shut down, as far as it says so."""
    flags = getattr(executor, "_flags", executor)  # loky keeps its state apart
    if getattr(flags, "broken", None) or getattr(flags, "_broken", False):
        return "broken"
    if getattr(getattr(executor, "_client", None), "status", "") in {"closing", "closed"}:  # of dask
        return "shut down"
    names = ("shutdown",) if flags is not executor else ("_shutdown_thread", "_shutdown")
    return "shut down" if any(getattr(flags, name, False) is True for name in names) else ""


def threads_by_worker(executor: Executor) -> dict[str, int]:
    """Threads of each worker by its address, of an executor of dask; of others, nothing."""
    ask = getattr(getattr(executor, "_client", None), "nthreads", None)
    return dict(ask()) if callable(ask) else {}


def warn_of_threads(executor: Executor) -> None:
    """Say that the threads of a worker wait for each other."""
    most = max(threads_by_worker(executor).values(), default=1)
    if most > 1:
        warn(
            f"workers of dask have up to {most} threads, but run one batch at a time, since a batch seeds "
            f"the generators of its whole process: start them with threads_per_worker=1, and more of them",
            ProgramWarning,
        )


def num_workers(executor: Executor) -> int:
    """Processes of an executor, or the processors here where it does not say."""
    if threads := threads_by_worker(executor):
        return sum(threads.values())
    sizes = (integer_or_none(getattr(executor, name, None)) for name in ("_max_workers", "num_workers"))
    return next((size for size in sizes if size), os.cpu_count() or 1)


def own_process() -> Executor:
    """A process of our own, spawned when it is first used."""
    spawn = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(1, mp_context=spawn, initializer=_end_with_parent)


def _end_with_parent() -> None:
    """Have this process end when the one that has started it does, which may be killed and say nothing."""
    parent = multiprocessing.parent_process()

    def watch() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@contextlib.contextmanager
def interrupts_held() -> Iterator[None]:
    """Keep Ctrl-C, which reaches all processes of a terminal, from the processes that are started meanwhile.

    They are ended by the one that started them, which has its own when this is left.
    """
    if not hasattr(signal, "pthread_sigmask"):  # on Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _refuse_in_starting_worker() -> None:
    """Refuse to start processes in one that is still running the script that started it."""
    if getattr(multiprocessing.process.current_process(), "_inheriting", False):
        raise WorkerError(NO_GUARD)


def end(executor: Executor, *, kill: bool) -> None:
    """Shut an executor down that was made here, without waiting for what it still runs."""
    processes = list((getattr(executor, "_processes", None) or {}).values())
    if kill:
        for process in processes:
            process.terminate()
    executor.shutdown(wait=False)
