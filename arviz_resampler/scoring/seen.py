"""Models that were scored before, by their code: what need not be looked at or said again.

Knows programs; nothing of particles or weights.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch

from arviz_resampler.errors import ProgramWarning, warn
from arviz_resampler.mapping.streams import generators_kept
from arviz_resampler.programs.columns import Columns
from arviz_resampler.programs.fallback import other_randomness, same_state
from arviz_resampler.programs.model_runner import Early, early_end
from arviz_resampler.programs.program import Program


class SeenModels:
    """Code of the models that one cache has scored. Variants that a slider makes share theirs."""

    def __init__(self) -> None:
        self._seen: set[Any] = set()
        self._long: set[Any] = set()  # code that goes on after the last site that counts
        self._said: set[Any] = set()  # code that was said to run one particle at a time
        self._restless: set[Any] = set()  # code that has moved generators of NumPy or Python

    def __reduce__(self) -> Any:
        return type(self), ()  # code does not pickle

    def is_new(self, model: Any) -> bool:
        """Whether a model of this code is scored for the first time."""
        # A module may make its parts at first use, each of its class by itself.
        new = isinstance(model, torch.nn.Module) or _code(model) not in self._seen
        self._seen.add(_code(model))
        return new

    def generators_kept(self, model: Any, *, new: bool, singly: bool) -> AbstractContextManager[None]:
        """Put the generators back after a model that may move them.

        A map puts back that of torch. To keep the others takes as long as a small map, so it is done for
        code that is new, that has moved them before, or that runs one particle at a time.
        """
        code = _code(model)
        keep = new or singly or code in self._said or code in self._restless
        return self._all_kept(code) if keep else nullcontext()

    @contextmanager
    def _all_kept(self, code: Any) -> Iterator[None]:
        with generators_kept():
            before = other_randomness()
            try:
                yield
            finally:
                if not same_state(other_randomness(), before):
                    self._restless.add(code)

    def expect_data(self, program: Any) -> None:
        """Look at models of this code, which may go on after the last site that counts."""
        self._long.add(_code(program))

    def early_end(self, program: Program, columns: Columns) -> Early | None:
        """Early end of a model: after the last site that counts, if others come after it.

        That other models of the same code had such sites only says that it is worth looking.
        """
        code = _code(program.fn)
        if code not in self._long:
            return None
        early = early_end(program, columns)
        if early is None:
            self._long.discard(code)
        return early

    def warn_once(self, model: Any, text: str) -> None:
        """Warn of a model that runs one particle at a time, once for each code."""
        if text and _code(model) not in self._said:
            self._said.add(_code(model))
            warn(text, ProgramWarning)


def _code(fn: Any) -> Any:
    """Code of a program, which all functions that one line has made share."""
    fn = getattr(fn, "func", fn)
    return getattr(fn, "__code__", type(fn))
