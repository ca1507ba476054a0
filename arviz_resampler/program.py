"""A Pyro program seen from outside: running it over many particles, and scoring particles under it.

The only file that knows Pyro. It knows nothing of weights, draws or containers.

Every program runs inside one vectorising axis at ``dim = -1 - nesting``, to the left of its plates.
The axis is not a ``pyro.plate``: it needs no name, and a plate that reaches into it can be noticed.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pyro
import pyro.distributions
import torch
from pyro import poutine
from pyro.poutine.messenger import Messenger

from arviz_resampler.errors import ArgumentError, ProgramError, source_line, wants_one_number
from arviz_resampler.handlers import Drawing, Handler, TooShallow
from arviz_resampler.records import Column, Draw, Found, Score, depth_lost, merge_masked
from arviz_resampler.scoring import Scoring


@contextmanager
def untouched_params() -> Iterator[None]:
    """Leave the param store as it was found: what a program adds to it goes when its work is done."""
    store = pyro.get_param_store()
    before = set(store.keys())
    try:
        yield
    finally:
        for name in set(store.keys()) - before:
            del store[name]


class Program:
    """A callable without required arguments, and the word for it in messages."""

    def __init__(self, fn: Callable[[], Any], role: str) -> None:
        if not callable(fn):
            raise ArgumentError(
                f"{role} must be a callable, got {type(fn).__name__}: pass the program, not its result"
            )
        target = fn.forward if isinstance(fn, torch.nn.Module) else fn
        try:
            signature = inspect.signature(target)
        except (TypeError, ValueError):
            signature = None
        if signature is not None:
            try:
                signature.bind()
            except TypeError as error:
                raise ArgumentError(
                    f"{role} must run without arguments: {error}. Bind them with functools.partial."
                ) from None
        self.fn = fn
        self.role = role

    def draw(
        self,
        n: int,
        nesting: int,
        *,
        replay: Mapping[str, Column] | None = None,
        predictive: frozenset[str] = frozenset(),
    ) -> Draw:
        """Run once over ``n`` particles, sampling also what carries ``obs=``."""
        handler = Drawing(self.role, n, nesting, replay or {}, predictive)
        try:
            self._run(handler)
        except TooShallow as error:
            raise ProgramError(str(error)) from None
        for found in handler.found.values():
            if found.kind != "factor" and found.value._version != found.version:
                raise ProgramError(
                    f"the {self.role} changes the value of site {found.name!r} in place after it was "
                    f"drawn; write x = x + 1 instead of x += 1"
                )
        return Draw(merge_masked(handler.found), handler.needed, handler.needed_text)

    @untouched_params()
    def score(self, columns: Mapping[str, Column], n: int, nesting: int) -> Score:
        """Log density of ``n`` cached particles, by site."""
        probed: dict[str, Found] = {}
        # With few particles an axis of the program may have their number by coincidence, so look
        # at the structure with one of them first; with many, look only if something does not fit.
        if n <= 1024:
            nesting, probed = self._probe(columns, nesting)
        while True:
            handler = Scoring(self.role, n, nesting, columns)
            try:
                self._run(handler)
                break
            except TooShallow as error:
                nesting = error.nesting
            except ProgramError:
                deeper, probed = self._probe(columns, nesting)
                if deeper == nesting:
                    raise
                nesting = deeper
        score = handler.score
        score.nesting = nesting
        score.probed = probed
        score.deterministic = {
            name: found for name, found in handler.found.items() if found.kind == "deterministic"
        }
        return score

    def _probe(self, columns: Mapping[str, Column], nesting: int) -> tuple[int, dict[str, Found]]:
        """Nesting that the program needs, and its structure, from a run over one particle."""
        one = {name: _first(column) for name, column in columns.items()}
        while True:
            handler = Scoring(self.role, 1, nesting, one)
            try:
                self._run(handler)
            except ProgramError:
                return handler.needed, {}
            needed = max(handler.needed, depth_lost(handler.found))
            if needed <= nesting:
                return nesting, handler.found
            nesting = needed

    def _run(self, handler: Handler) -> None:
        with torch.no_grad(), _constructors_unchecked(), poutine.block(), _Listener(handler):
            try:
                self.fn()
            except (ProgramError, TooShallow):
                raise
            except Exception as error:
                raise self._explain(error, handler) from error

    def _explain(self, error: Exception, handler: Handler) -> ProgramError:
        where = source_line(error, outside=("pyro", "torch"))
        site = f", after site {handler.last!r}" if handler.last else ""
        if handler.current is not None:
            site = f", at site {handler.current!r}"
        place = f"{where}{site}".lstrip(", ")
        if handler.n > 1 and wants_one_number(error):
            failure = ProgramError(
                f"the {self.role} is not vectorised: it uses a tensor of {handler.n} particles as if "
                f"it were one number ({place}). Write it with tensor operations such as torch.where, "
                f"or pass batch_size=1 to simulate one particle at a time. It said: {error}"
            )
        else:
            failure = ProgramError(
                f"the {self.role} failed ({place}): {type(error).__name__}: {error}{handler.hint()}"
            )
        failure.nesting = handler.needed
        return failure


def _first(column: Column) -> Column:
    return replace(column, value=column.value[:1])


class _Listener(Messenger):  # type: ignore[misc]
    """Hands each site to a handler. Outermost: sees a site after all handlers of the program."""

    def __init__(self, handler: Handler) -> None:
        super().__init__()
        self._pyro_sample = handler.at
        self._pyro_post_sample = handler.after


@contextmanager
def _constructors_unchecked() -> Iterator[None]:
    """Leave the check of parameters to the handlers, who know at which site they are."""
    before = pyro.distributions.is_validation_enabled()
    pyro.distributions.enable_validation(False)
    try:
        yield
    finally:
        pyro.distributions.enable_validation(before)
