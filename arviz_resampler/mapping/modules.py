"""Modules that programs call: their parameters and buffers are as they were after each run.

A module in training mode keeps statistics of what it was called with. Knows torch alone.
"""

from __future__ import annotations

import itertools
import threading
import weakref
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import Module
from torch.nn.modules.module import register_module_forward_pre_hook
from torch.nn.parameter import is_lazy

from arviz_resampler.mapping.functorch import lent_to_modules, unmapped


class _Kept(NamedTuple):
    """A parameter or buffer, and its values."""

    tensor: Tensor
    values: Tensor


class _ModuleStates:
    """State of each module at its first call in this thread, put back at the end of each context."""

    def __init__(self) -> None:
        self._thread = threading.get_ident()
        self._entered = 0
        # Weakly: a program may make a module in each run.
        self._states: weakref.WeakKeyDictionary[Module, dict[str, _Kept]] = weakref.WeakKeyDictionary()
        self._whole: weakref.WeakSet[Module] = weakref.WeakSet()  # modules of which there is nothing to add

    def __enter__(self) -> None:
        global _states  # noqa: PLW0603  # torch's hooks belong to the process, too
        if not self._entered:
            _states = self
            self._hook = register_module_forward_pre_hook(self.save)
        self._entered += 1

    def __exit__(self, *_: object) -> None:
        global _states  # noqa: PLW0603
        self._entered -= 1
        if not self._entered:
            self._hook.remove()
            _states = None
        if self._states:
            self.restore()

    def save(self, module: Module, _: object) -> None:
        """Keep the state of a module that is about to be called, and of its parts."""
        if threading.get_ident() != self._thread or module in self._whole:
            return
        lent = lent_to_modules()
        with torch._C.DisableTorchFunction(), torch.no_grad():
            for part in module.modules():
                if part in self._whole:
                    continue
                state = self._states.setdefault(part, {})
                for name, tensor in _tensors(part):
                    own = id(tensor) not in lent and not is_lazy(tensor) and unmapped(tensor) is tensor
                    if own and name not in state:
                        state[name] = _Kept(tensor, tensor.detach().clone())
                if not lent:
                    self._whole.add(part)

    def restore(self) -> None:
        """Put back what was changed or replaced since."""
        for module, state in list(self._states.items()):
            now = dict(_tensors(module)) if state else {}
            for name, (tensor, values) in state.items():
                if now.get(name) is not tensor:
                    Module.__setattr__(module, name, tensor)  # not that of PyroModule, which asks Pyro
                if not torch.equal(tensor, values):  # BatchNorm counts no version of what it changes
                    tensor.detach().copy_(values)


def _tensors(module: Module) -> Iterator[tuple[str, Tensor]]:
    return itertools.chain(
        module.named_parameters(recurse=False, remove_duplicate=False),
        module.named_buffers(recurse=False, remove_duplicate=False),
    )


_states: _ModuleStates | None = None


def modules_kept() -> _ModuleStates:
    """Leave modules as they were found; of one thread at a time.

    Values are taken once where one such context stands in another, and put back at the end of each.
    """
    return _states or _ModuleStates()
