"""A program's latent sites, written back as Pyro source.

Knows the messages of sites and the distributions in them; nothing of hyper-parameters or weights.

A program is run on a few particles and written as it runs. A parameter that is the same for all of them
is a number; one that differs must be the value of an earlier site. What was written is executed and
scored, and only given out where it scores as the program does.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, MixtureSameFamily

from arviz_resampler.programs.axes import plates_around
from arviz_resampler.programs.columns import CachedSite
from arviz_resampler.programs.handler import Message
from arviz_resampler.programs.program import Program, plain_tensors
from arviz_resampler.programs.score_handler import ScoreHandler
from arviz_resampler.programs.source_parts import (
    Unwritable,
    argument,
    arguments_of,
    event_ndim,
    is_flat,
    literal,
    quote,
    repeats,
    same,
    variable,
)

_HEAD = ("import pyro", "import pyro.distributions as dist")
_OWN = ("pyro.distributions", "torch.distributions")
_TAKEN = ("pyro", "dist", "torch", "prior")


@dataclass(frozen=True)
class _Reference:
    """A parameter that is the value of an earlier site."""

    text: str


@plain_tensors()
def write_source(program: Program, columns: Mapping[str, CachedSite], n: int) -> str:
    """Source of a function ``prior`` with the latent sites of a program.

    Parameters
    ----------
    program : Program
        The model.
    columns : mapping of str to CachedSite
        Particles in its support.
    n : int
        How many they are; more than one, so that what depends on other sites can be told.

    Returns
    -------
    str
        Source that scores the particles as the program does.

    Raises
    ------
    Unwritable
        If there is a site that cannot be written, saying which.
    """
    try:
        return _checked(program, columns, n, brief=True)
    except Unwritable:
        # Some distributions want tensors, or all parameters in full.
        return _checked(program, columns, n, brief=False)


def _checked(program: Program, columns: Mapping[str, CachedSite], n: int, brief: bool) -> str:
    runs, score, result = _run(program, columns, n)
    writer = _Writer(brief)
    for messages in zip(*runs, strict=True):
        writer.visit(messages)
    text = writer.text(result, score)
    namespace: dict[str, Any] = {}
    try:
        exec(compile(text, "<prior>", "exec"), namespace)
        _, again, _ = _run(Program(namespace["prior"], "model"), columns, n)
    except Exception as error:
        raise Unwritable(f"the model cannot be written as source: {error}") from error
    for name, log_p in score.items():
        if name not in again or not torch.allclose(again[name], log_p, rtol=1e-4, atol=1e-4, equal_nan=True):
            raise Unwritable(f"site {name!r} cannot be written as source: it does not score the same")
    return text


def _run(
    program: Program, columns: Mapping[str, CachedSite], n: int
) -> tuple[list[list[Message]], dict[str, Tensor], Any]:
    """The sites of each particle as they were met, their log densities, and what the first run returned."""
    runs: list[list[Message]] = []
    scores: list[dict[str, Tensor]] = []
    results = []
    for i in range(n):
        met: list[Message] = []
        handler = ScoreHandler(columns, met.append)
        results.append(program.run_one(handler, i))
        runs.append(met)
        scores.append(handler.score.log_p)
    return runs, {name: torch.cat([score[name] for score in scores]) for name in scores[0]}, results[0]


class _Writer:
    """Writes each site, from what some particles saw of it; earlier sites have their values by then."""

    def __init__(self, brief: bool) -> None:
        self.brief = brief
        self.sites: list[tuple[Sequence[Message], str]] = []  # what was met, and its distribution
        self.variables: dict[str, str] = {}  # by site
        self.used: set[str] = set()
        self.left_out: list[str] = []
        self.failures: list[str] = []

    def visit(self, messages: Sequence[Message]) -> None:
        msg = messages[0]
        name, fn = msg["name"], msg["fn"]
        if type(fn).__name__ == "_Subsample":
            return
        try:
            if type(fn).__name__ == "Unit":
                raise Unwritable("it is a pyro.factor")
            if msg["infer"].get("_deterministic") or msg["is_observed"]:
                self.left_out.append(name)
                return
            scaled = isinstance(msg["scale"], Tensor) or msg["scale"] != 1.0
            if scaled or not (msg["mask"] is None or msg["mask"] is True):
                raise Unwritable("its density is scaled or masked")
            text = self._distribution([m["fn"] for m in messages], 0, plates_around(msg["cond_indep_stack"]))
        except Unwritable as why:
            self.failures.append(f"site {name!r} cannot be written as source: {why}")
            return
        self.sites.append((messages, text))
        self.variables[name] = variable(name, [*self.variables.values(), *_TAKEN])

    # ---------------------------------------------------------------- distributions

    def _distribution(self, fns: Sequence[Any], inner: int, frames: Mapping[int, Any]) -> str:
        """A distribution, as each particle has it, of which ``inner`` batch axes are no plates."""
        fn = fns[0]
        kind = type(fn).__name__
        bases = [getattr(f, "base_dist", None) for f in fns]
        if isinstance(fn, Independent):
            count = fn.reinterpreted_batch_ndims
            text = self._distribution(bases, inner + count, frames)
            return f"{text}.to_event({count})" if count else text
        if kind == "MaskedDistribution" and isinstance(fn._mask, bool):
            return f"{self._distribution(bases, inner, frames)}.mask({fn._mask})"
        if kind == "ExpandedDistribution":
            text = self._distribution(bases, inner, frames)
            return text + self._expanded(fn, inner, fn.base_dist.batch_shape[-inner:] if inner else ())
        if not type(fn).__module__.startswith(_OWN):
            raise Unwritable(f"{kind} is no distribution of Pyro")
        if kind == "TransformedDistribution":
            deeper = inner + len(fn.base_dist.batch_shape) - len(fn.batch_shape)
            base = self._distribution(bases, max(deeper, 0), frames)
            steps = zip(*(f.transforms for f in fns), strict=True)
            written = ", ".join(self._transform(step, inner, frames) for step in steps)
            return f"dist.TransformedDistribution({base}, [{written}])"
        return self._call(fns, kind, inner, frames)

    def _call(self, fns: Sequence[Distribution], kind: str, inner: int, frames: Mapping[int, Any]) -> str:
        fn = fns[0]
        given = arguments_of(fns)
        arrays: dict[str, Tensor | _Reference] = {}
        flat: dict[str, Tensor | _Reference] = {}
        for name, (values, _) in given.items():
            if isinstance(values[0], Tensor):
                event = event_ndim(fn, name, values[0])
                arrays[name] = array = self._array(values, inner + event, frames)
                if isinstance(array, Tensor) and is_flat(array, inner, event):
                    flat[name] = array if array.dim() <= event else array[(0,) * inner]
        # Where a batch is no plate, equal numbers are one number, if something else has its size.
        expand = ""
        sized = any(isinstance(array, Tensor) and name not in flat for name, array in arrays.items())
        if inner and len(flat) == len(given):
            expand, sized = self._expanded(fn, inner, (1,) * inner), True
        if self.brief and sized:
            arrays.update(flat)
        parts = []
        for name, (values, default) in given.items():
            if isinstance(values[0], Distribution):
                component = isinstance(fn, MixtureSameFamily) and values[0] is fn.component_distribution
                more = component or len(values[0].batch_shape) - len(fn.batch_shape)
                text = self._distribution(values, inner + max(int(more), 0), frames)
            else:
                text = self._plain(name, arrays.get(name, values[0]), kind)
            parts.append(argument(name, text, default))
        return f"dist.{kind}({', '.join(filter(None, parts))}){expand if self.brief else ''}"

    def _plain(self, name: str, value: Any, kind: str) -> str:
        """An argument that is an array, already looked at, or a constant."""
        if isinstance(value, Tensor):
            return literal(value, self.brief)
        if isinstance(value, _Reference):
            return value.text
        if isinstance(value, bool | int | float | str | tuple | None):
            return repr(value)
        raise Unwritable(f"its parameter {name!r} of {kind} is a {type(value).__name__}")

    def _expanded(self, fn: Distribution, inner: int, stated: Iterable[int]) -> str:
        shape = tuple(fn.batch_shape[len(fn.batch_shape) - inner :])
        return "" if tuple(stated) == shape else f".expand({list(shape)})"

    def _transform(self, steps: Sequence[Any], inner: int, frames: Mapping[int, Any]) -> str:
        step = steps[0]
        kind = type(step).__name__
        if hasattr(step, "parts"):
            parts = zip(*(s.parts for s in steps), strict=True)
            written = ", ".join(self._transform(part, inner, frames) for part in parts)
            return f"dist.transforms.ComposeTransform([{written}])"
        if kind.startswith("_") or not type(step).__module__.startswith(_OWN):  # an inverse, or not Pyro's
            raise Unwritable(f"it is transformed by {kind.strip('_')}")
        texts = []
        for name, (values, default) in arguments_of(steps).items():
            if name != "cache_size":
                first = values[0]
                array = self._array(values, inner, frames) if isinstance(first, Tensor) else first
                texts.append(argument(name, self._plain(name, array, kind), default))
        return f"dist.transforms.{kind}({', '.join(filter(None, texts))})"

    # ---------------------------------------------------------------- parameters

    def _array(self, values: Sequence[Tensor], inner: int, frames: Mapping[int, Any]) -> Tensor | _Reference:
        """A parameter with ``inner`` axes to the right of its plates: its numbers, or another site."""
        value = values[0].detach()
        outer = max(value.dim() - inner, 0)
        if not all(other.shape == value.shape and bool(same(other, value).all()) for other in values[1:]):
            return self._reference(values, inner)
        for dim in frames:
            axis = outer + dim
            if axis >= 0 and value.shape[axis] > 1:
                first = value.narrow(axis, 0, 1)
                value = first if bool(same(value, first).all()) else value
        while outer and value.shape[0] == 1:
            value, outer = value[0], outer - 1
        return value

    def _reference(self, values: Sequence[Tensor], inner: int) -> _Reference:
        for messages, _ in self.sites:
            msg = messages[0]
            event = len(msg["fn"].event_shape)
            if not isinstance(msg["value"], Tensor) or event not in (0, inner):
                continue
            if all(
                repeats(m["value"], value, event, inner) for m, value in zip(messages, values, strict=True)
            ):
                self.used.add(msg["name"])
                added = f"[{', '.join(['...'] + ['None'] * inner)}]" if inner and not event else ""
                return _Reference(self.variables[msg["name"]] + added)
        raise Unwritable("a parameter is computed from other sites")

    # ---------------------------------------------------------------- the whole

    def text(self, result: Any, scored: Container[str]) -> str:
        """The source of everything that was met and scored."""
        if self.failures:
            raise Unwritable("\n".join(self.failures))
        # A part of a site with obs_mask= is met as a latent, but belongs to data.
        self.left_out += [met[0]["name"] for met, _ in self.sites if met[0]["name"] not in scored]
        self.sites = [(met, text) for met, text in self.sites if met[0]["name"] in scored]
        if not self.sites:
            raise Unwritable("the model has no latent site")
        returned = self._returned(result)
        lines: list[str] = []
        around: list[str] = []
        for (msg, *_), text in self.sites:
            name = msg["name"]
            plates = _plates(plates_around(msg["cond_indep_stack"]))
            open_ = zip(plates, around, strict=False)
            shared = len(list(takewhile(lambda pair: pair[0] == pair[1], open_)))
            lines += [f"{'    ' * (1 + depth)}with {plates[depth]}:" for depth in range(shared, len(plates))]
            around = plates
            target = f"{self.variables[name]} = " if name in self.used else ""
            lines.append(f"{'    ' * (1 + len(plates))}{target}pyro.sample({quote(name)}, {text})")
        body = "\n".join(["def prior():", *lines, *([f"    return {returned}"] if returned else [])])
        head = [*_HEAD, *(["import torch"] if "torch." in body else [])]
        note = f"# Left out: {', '.join(map(repr, self.left_out))}.\n" if self.left_out else ""
        return "\n".join(head) + f"\n\n\n{note}{body}\n"

    def _returned(self, result: Any) -> str:
        """Value that the program returns, as source, where it is made of sites."""
        parts = result if isinstance(result, tuple | list) else [result]
        names = []
        for part in parts:
            name = next((met[0]["name"] for met, _ in self.sites if met[0]["value"] is part), None)
            if name is None:
                return ""
            names.append(name)
        self.used |= set(names)
        text = ", ".join(self.variables[name] for name in names)
        if isinstance(result, list):
            return f"[{text}]"
        return f"{text}," if isinstance(result, tuple) and len(names) == 1 else text


def _plates(frames: Mapping[int, tuple[str, int]]) -> list[str]:
    """Plates as they are written, the outermost first, with their dim where it is not the next free."""
    usual = list(frames) == [-1 - i for i in range(len(frames))]
    return [
        f"pyro.plate({quote(name)}, {size}{'' if usual else f', dim={dim}'})"
        for dim, (name, size) in frames.items()
    ]
