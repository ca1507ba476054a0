"""What runs in a worker: the task for one batch, and a reply that can always be read.

Knows cloudpickle; nothing of executors.
"""

from __future__ import annotations

import functools
import pickle
import platform
import threading
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from arviz_resampler.errors import WorkerError, from_extra

# Batches seed the global generators of their process, so a process runs one at a time.
_ONE_AT_A_TIME = threading.Lock()


@dataclass(frozen=True)
class Payload:
    """A task as bytes; two are equal when their digests are, which spares comparing megabytes."""

    digest: str
    data: bytes = field(compare=False, repr=False)
    python: str = field(default_factory=platform.python_version)

    def __dask_tokenize__(self) -> str:
        """The digest, by which dask knows the payload without reading it."""
        return self.digest


@dataclass(frozen=True)
class Warned:
    """A warning of the task, and the line that it was issued for."""

    category: type[Warning]
    text: str
    file: str
    line: int


@dataclass(frozen=True)
class Report:
    """What a task warned of and raised: it may hold classes of the user's script."""

    warned: tuple[Warned, ...] = ()
    error: BaseException | None = None


@dataclass(frozen=True)
class Reply:
    """What a worker sends back about a batch.

    Attributes
    ----------
    value : object
        The result, None of a task that raised.
    failure, trace : str
        The exception of the task as a line, empty where it has none, and as a traceback.
    report : bytes
        A ``Report`` by cloudpickle; empty where there is nothing to say, or nothing that can be read.
    """

    value: Any = None
    failure: str = ""
    trace: str = ""
    report: bytes = b""


def began() -> bool:
    """Nothing: that it was run says that a worker has started."""
    return True


def call(payload: Payload, number: int, attempt: int, run: str) -> Reply:
    """Run the task of a payload for one batch.

    Parameters
    ----------
    payload : Payload
        The task, loaded once a process.
    number : int
        The batch.
    attempt, run : int, str
        Unused. They make the call differ from that of another attempt or run: dask takes calls with equal
        arguments for the same call, and answers the second with what the first gave.

    Returns
    -------
    Reply
        Also of a task that raised: an exception is data here, since one that cannot be read where it arrives
        would be taken for the death of a worker.
    """
    del attempt, run
    value, error = None, None
    with _ONE_AT_A_TIME, warnings.catch_warnings(record=True, action="always") as caught:
        try:
            value = _run(payload, number)
        except BaseException as raised:  # SystemExit would end the driver
            error = raised
    found = {(one.category, str(one.message)): one for one in caught}
    warned = tuple(Warned(*key, one.filename, one.lineno) for key, one in found.items())
    if error is None:
        return Reply(value, report=_bytes(Report(warned)) if warned else b"")
    failure = "".join(traceback.format_exception_only(error)).strip()
    trace = "".join(traceback.format_exception(error))
    return Reply(None, failure, trace, _bytes(Report(warned, error)) or _bytes(Report(warned)))


def _run(payload: Payload, number: int) -> Any:
    import torch

    # For each batch anew, as the number is known to one thread only and dask has several.
    torch.set_num_threads(1)
    return _load(payload)(number)


@functools.lru_cache(maxsize=2)
def _load(payload: Payload) -> Callable[[int], Any]:
    here = platform.python_version()
    if here.split(".")[:2] != payload.python.split(".")[:2]:
        raise WorkerError(
            f"the worker has Python {here}, and this process {payload.python}: programs can be sent between "
            f"equal versions only; start the workers with the same one"
        )
    try:
        loaded: Callable[[int], Any] = pickle.loads(payload.data)
    except ModuleNotFoundError as error:
        raise WorkerError(
            f"a worker cannot import the module {error.name!r}, which the programs use: install it where the "
            f"workers run, or define what is used of it in the script itself"
        ) from None
    except Exception as error:
        raise WorkerError(
            f"a worker cannot load the programs: {type(error).__name__}: {error}. Its libraries may be of "
            f"other versions than those here, or a file that is imported may be another one"
        ) from error
    return loaded


def _bytes(report: Report) -> bytes:
    """A report as bytes, none where it could not be read again: some exceptions have a pickle that cannot."""
    with from_extra("workers"):
        import cloudpickle
    try:
        data: bytes = cloudpickle.dumps(report)
        pickle.loads(data)
    except Exception:
        return b""
    return data


def read(reply: Reply) -> Report:
    """The report of a reply, empty where what it holds is known to the worker only."""
    try:
        report: Report = pickle.loads(reply.report) if reply.report else Report()
    except Exception:
        return Report()
    return report
