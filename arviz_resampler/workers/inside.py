"""What an object is made of, and the path to the part of it that has a property.

Knows Python's functions and containers; nothing of pickles or workers.
"""

from __future__ import annotations

import functools
import inspect
import itertools
import types
from collections.abc import Callable, Iterator, Mapping
from typing import Any

_MOST = 1_000  # of the items of a container; the rest are of the same kind, as a rule

Part = tuple[str, Any]


def parts_of(thing: object) -> Iterator[Part]:
    """What an object holds, each with the words for where it is."""
    if isinstance(thing, types.FunctionType):
        yield from _of_function(thing)
    elif isinstance(thing, types.MethodType):
        yield "its object", thing.__self__
        yield "its function", thing.__func__
    elif isinstance(thing, functools.partial):
        yield "its function", thing.func
        yield from ((f"its argument {i}", value) for i, value in enumerate(thing.args))
        yield from ((f"its argument {name!r}", value) for name, value in thing.keywords.items())
    elif isinstance(thing, Mapping):
        items = itertools.islice(thing.items(), _MOST)
        yield from ((f"its item {name!r}", value) for name, value in items)
    elif isinstance(thing, list | tuple | set | frozenset):
        yield from ((f"its item {i}", value) for i, value in enumerate(itertools.islice(thing, _MOST)))
    yield from _attributes(thing)


def _of_function(function: types.FunctionType) -> Iterator[Part]:
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            yield f"its variable {name!r}", cell.cell_contents
        except ValueError:  # not set yet
            continue
    for name in sorted(_names(function.__code__)):
        if name in function.__globals__:
            yield f"its variable {name!r}", function.__globals__[name]
    named = inspect.getfullargspec(function).args
    defaults = function.__defaults__ or ()
    by_place = zip(named[len(named) - len(defaults) :], defaults, strict=True)
    for name, value in (*by_place, *(function.__kwdefaults__ or {}).items()):
        yield f"its default of {name!r}", value


def _names(code: types.CodeType) -> set[str]:
    """Names that code may look up outside itself, functions inside it included."""
    inner = (constant for constant in code.co_consts if isinstance(constant, types.CodeType))
    return set(code.co_names).union(*map(_names, inner))


def _attributes(thing: object) -> Iterator[Part]:
    if isinstance(thing, types.ModuleType):
        return
    for name, value in dict(getattr(thing, "__dict__", {})).items():
        yield f"its attribute {name!r}", value
    for name in getattr(type(thing), "__slots__", ()):
        if isinstance(name, str) and hasattr(thing, name):
            yield f"its attribute {name!r}", getattr(thing, name)


def path_to(thing: Any, chosen: Callable[[Any, list[Part]], Part | None]) -> tuple[str, Any]:
    """The words for where something is inside an object, and what it is.

    Parameters
    ----------
    thing : object
        It is looked into.
    chosen : callable
        The part to go on with, of an object and its parts; None where the object itself is what is sought.

    Returns
    -------
    tuple of str and object
        As in ``"its variable 'x', its attribute 'log'"``; empty words where it is the object itself.
    """
    words: list[str] = []
    seen = {id(thing)}
    while True:
        parts = [part for part in parts_of(thing) if id(part[1]) not in seen]
        found = chosen(thing, parts)
        if found is None:
            return ", ".join(words), thing
        words.append(found[0])
        thing = found[1]
        seen.add(id(thing))
