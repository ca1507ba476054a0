"""A task as bytes that other processes can load, and what is wrong where it cannot be sent or is large.

Knows cloudpickle; nothing of executors.
"""

from __future__ import annotations

import functools
import hashlib
import io
from collections import ChainMap
from collections.abc import Callable, Mapping
from types import CodeType
from typing import Any

from arviz_resampler.errors import ProgramWarning, WorkerError, from_extra, warn
from arviz_resampler.workers.inside import Part, path_to
from arviz_resampler.workers.worker import Payload

_NO_FILE = "<dynamic-code>"  # what cloudpickle writes for the file of code
LARGE = 1_000_000  # bytes; they travel with every batch


def pack(task: Callable[[int], Any], parts: Mapping[str, object]) -> Payload:
    """A task as a payload.

    Parameters
    ----------
    task : callable
        Of the number of a batch. It may be a closure, hold Pyro programs, or come from the user's script.
    parts : mapping from str to object
        Objects of the user's in it by name, for messages.

    Raises
    ------
    WorkerError
        If something in the task cannot be pickled; it says what and where.

    Warns
    -----
    ProgramWarning
        If the payload is large; it says what makes it so.
    """
    _pickler()  # that it is missing is no trouble with the task
    try:
        data = _dump(task)
    except Exception as error:
        raise WorkerError(_unsendable(task, parts, error)) from error
    if len(data) > LARGE:
        warn(_too_large(len(data), task, parts), ProgramWarning)
    return Payload(hashlib.sha256(data).hexdigest(), data)


@functools.cache
def _pickler() -> Any:
    """The class of cloudpickle, with the file of code: messages name lines of programs."""
    with from_extra("workers"):
        from cloudpickle import CloudPickler
    known = CloudPickler.dispatch_table

    def code_with_file(code: CodeType) -> tuple[Any, ...]:
        make, values = known[CodeType](code)
        return make, tuple(code.co_filename if value == _NO_FILE else value for value in values)

    table = ChainMap({CodeType: code_with_file}, known)
    return type("Pickler", (CloudPickler,), {"dispatch_table": table})


def _dump(thing: object) -> bytes:
    file = io.BytesIO()
    _pickler()(file).dump(thing)
    return file.getvalue()


def _problem(thing: object) -> Exception | None:
    """What pickling an object raises."""
    try:
        _dump(thing)
    except Exception as error:
        return error
    return None


def _size(thing: object) -> int:
    """Bytes of an object as a pickle; 0 where it has none."""
    try:
        return len(_dump(thing))
    except Exception:
        return 0


def _unsendable(task: object, parts: Mapping[str, object], error: Exception) -> str:
    """The message about a task that cannot be pickled, and where in it."""
    bad = {f"the {name}": part for name, part in parts.items() if _problem(part) is not None}
    name, part = next(iter(bad.items()), ("the task", task))
    where, culprit = path_to(part, _first_unsendable)
    return (
        f"{name} cannot be sent to other processes: {where or 'it'} is of type {type(culprit).__name__}: "
        f"{_problem(culprit) or error}; make or open it inside the program"
    )


def _first_unsendable(_: object, parts: list[Part]) -> Part | None:
    return next((part for part in parts if _problem(part[1]) is not None), None)


def _too_large(total: int, task: object, parts: Mapping[str, object]) -> str:
    """The message about a large payload: the part that most of it is in, and the largest thing in that."""
    sizes = {f"the {name}": (_size(part), part) for name, part in parts.items()}
    name, (size, part) = max(sizes.items(), key=lambda item: item[1][0], default=("", (0, None)))
    if 2 * size < total:
        name, part, size = "the task", task, total
    where, largest = path_to(part, _most_of_it)
    what = f", of which {where} has {_megabytes(_size(largest))}" if where else ""
    return (
        f"what each batch takes along to its worker has {_megabytes(total)}: "
        f"{name} has {_megabytes(size)}{what}. "
        f"Load large data inside the program, or with dask scatter it beforehand"
    )


def _most_of_it(thing: object, parts: list[Part]) -> Part | None:
    """The part that holds most of an object, where one does."""
    whole = _size(thing)
    # What is larger than the object is not pickled with it, such as what a function of a module refers to.
    sized = [(size, part) for part in parts if (size := _size(part[1])) <= whole]
    size, part = max(sized, key=lambda item: item[0], default=(0, None))
    return part if 2 * size > whole else None


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"
