"""A Pyro program seen from outside: running it over many particles, and scoring particles under it.

The only file that knows Pyro. It knows nothing of weights, draws or containers.

Every program runs inside one vectorising axis at ``dim = -1 - nesting``, to the left of its plates.
The axis is not a ``pyro.plate``: it needs no name, and a plate that reaches into it can be noticed.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pyro
import pyro.distributions
import torch
from pyro.poutine.messenger import Messenger

from arviz_resampler.errors import ArgumentError, ProgramError, source_line, wants_one_number
from arviz_resampler.handlers import Drawing, Handler, TooShallow
from arviz_resampler.records import (
    Column,
    Draw,
    Found,
    Score,
    depth_lost,
    differing,
    merge_masked,
    mixes_particles,
    second,
)
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


def _check_signature(fn: Callable[..., Any], role: str) -> None:
    try:
        signature = inspect.signature(fn)
    except (TypeError, ValueError):
        return
    try:
        signature.bind()
    except TypeError as error:
        raise ArgumentError(
            f"{role} must run without arguments: {error}. Bind them with functools.partial."
        ) from None


class Program:
    """A callable without required arguments, and the word for it in messages."""

    def __init__(self, fn: Callable[[], Any], role: str) -> None:
        if not callable(fn):
            raise ArgumentError(
                f"{role} must be a callable, got {type(fn).__name__}: pass the program, not its result"
            )
        code = getattr(fn, "__code__", None)
        if code is None or code.co_argcount or code.co_kwonlyargcount:
            _check_signature(fn.forward if isinstance(fn, torch.nn.Module) else fn, role)
        self.fn = fn
        self.role = role

    def draw(
        self,
        n: int,
        nesting: int,
        *,
        replay: Mapping[str, Column],
        predictive: frozenset[str],
        alone: Mapping[str, Found],
    ) -> Draw:
        """Run once over ``n`` particles, sampling also what carries ``obs=``."""
        handler = Drawing(self.role, n, nesting, replay, predictive, alone)
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
    def score(self, columns: Mapping[str, Column], n: int, nesting: int, *, check: bool) -> Score:
        """Log density of ``n`` cached particles, by site.

        With ``check``, the second particle is scored by itself first, which shows the structure of the
        program and whether it mixes particles. Without, that is done only if something does not fit.
        """
        alone = self._alone(columns, nesting) if check and n > 1 else None
        if alone is not None:
            nesting = alone.nesting
        while True:
            handler = Scoring(self.role, n, nesting, columns)
            try:
                self._run(handler)
                break
            except TooShallow as error:
                nesting = error.nesting
            except ProgramError:
                alone = self._alone(columns, nesting)
                if alone is None or alone.nesting == nesting:
                    raise
                nesting = alone.nesting
        if alone is not None and alone.nesting == nesting:
            self._compare(handler, alone, columns)
        score = handler.score
        score.nesting = nesting
        score.probed = alone.found if alone is not None else {}
        score.deterministic = {
            name: found for name, found in handler.found.items() if found.kind == "deterministic"
        }
        return score

    @untouched_params()
    def read(
        self, columns: Mapping[str, Column], n: int, nesting: int, visit: Callable[[dict[str, Any]], None]
    ) -> tuple[Score, Any]:
        """Score ``n`` cached particles at a nesting that is known to be deep enough.

        Shows the message of each site to ``visit``, before the site has a value; returns what the
        program returns, too.
        """
        handler = Scoring(self.role, n, nesting, columns, visit)
        result = self._run(handler)
        return handler.score, result

    def _alone(self, columns: Mapping[str, Column], nesting: int) -> Scoring | None:
        """A run over the second particle, at the nesting it turns out to need; None if it fails."""
        alone = second(columns)
        while True:
            handler = Scoring(self.role, 1, nesting, alone)
            try:
                self._run(handler)
            except ProgramError as error:
                if error.__cause__ is not None and error.nesting > nesting:
                    nesting = error.nesting
                    continue
                return None
            needed = max(handler.needed, depth_lost(handler.found))
            if needed <= nesting:
                return handler
            nesting = needed

    def _compare(self, many: Scoring, alone: Scoring, columns: Mapping[str, Column]) -> None:
        """Refuse a program in which the second particle depends on the others."""
        odd = differing(many.found, alone.found, many.n, many.nesting)
        # Randomness that is not Pyro's makes a difference too, but then also between two such runs.
        again = self._alone(columns, alone.nesting) if odd else None
        if again is not None and not differing(alone.found, again.found, 1, alone.nesting):
            raise mixes_particles(odd[0], self.role)

    def _run(self, handler: Handler) -> Any:
        with torch.no_grad(), _constructors_unchecked(), _Listener(handler):
            try:
                return self.fn()
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


class _Listener(Messenger):  # type: ignore[misc]
    """Hands each site to a handler. Outermost: sees a site after all handlers of the program."""

    def __init__(self, handler: Handler) -> None:
        super().__init__()
        self._pyro_sample = handler.at
        self._pyro_post_sample = handler.after

    def _process_message(self, msg: dict[str, Any]) -> None:
        super()._process_message(msg)
        msg["stop"] = True  # as poutine.block does: handlers around the call see nothing of it


@contextmanager
def _constructors_unchecked() -> Iterator[None]:
    """Leave the check of parameters to the handlers, who know at which site they are."""
    before = pyro.distributions.is_validation_enabled()
    pyro.distributions.enable_validation(False)
    try:
        yield
    finally:
        pyro.distributions.enable_validation(before)
