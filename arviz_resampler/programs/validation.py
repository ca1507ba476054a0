"""Torch's own check of parameters, switched off while a program runs. Knows torch alone."""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from torch.distributions import Distribution


class _Unvalidated:
    """In place of the flag of torch's distributions: off in one thread, as it was in all others."""

    def __init__(self, flag: bool) -> None:
        self.flag = flag
        self.thread = threading.get_ident()

    def __get__(self, *_: Any) -> bool:
        return self.flag and threading.get_ident() != self.thread

    def __enter__(self) -> None:
        Distribution._validate_args = self  # type: ignore[assignment]

    def __exit__(self, *_: object) -> None:
        if vars(Distribution)["_validate_args"] is self:
            Distribution._validate_args = self.flag


def unvalidated() -> AbstractContextManager[None]:
    """Leave the check of parameters to the handlers, who know at which site they are.

    A map decides it for all particles at once.
    """
    before = vars(Distribution)["_validate_args"]
    return nullcontext() if isinstance(before, _Unvalidated) else _Unvalidated(before)
