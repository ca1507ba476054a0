"""Try every distribution of Pyro in small programs, mapped over particles.

Run with ``python scripts/distributions.py``: draws and log densities are compared with those of one
particle at a time; ``--double`` does it in float64, ``--particles`` says for how many. ``--law`` compares
the means of many draws with those of plain ones. ``--transforms`` tries one distribution behind every
transform instead. Names limit each to those named. Exits with 1 if a cell is wrong or refused.
"""
# ruff: noqa: D102, D103 - the programs are what their names say

from __future__ import annotations

import argparse
import contextlib
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pyro
import pyro.distributions as dist
import torch
from families import CASES, WIDE, Case, vec
from pyro import poutine
from torch import Tensor
from transformed import TRANSFORMED

from arviz_resampler import ProgramError, Resampler
from arviz_resampler.densities import kinds
from arviz_resampler.mapping.random_mode import UnmappableError
from arviz_resampler.mapping.streams import Streams, generators_kept
from arviz_resampler.programs.model_runner import run_model
from arviz_resampler.programs.program import Program
from arviz_resampler.programs.sample_handler import SampleHandler
from arviz_resampler.programs.score_handler import ScoreHandler

NUM_PARTICLES = 13  # no size of any program
NUM_MAPPED, NUM_PLAIN = 6000, 2000
BOUND = 5  # standard errors
SEED = 7
LAW = ("varied", "constant", "vector")  # contexts whose draws are compared in their law, too

Runs = Callable[[], Any]

# ------------------------------------------------------------------ programs


@dataclass(frozen=True)
class Context:
    """Where a distribution stands in a program: ``x``, made from the value of ``t``.

    Attributes
    ----------
    size : int or None
        Of the plate around it.
    vector : bool
        Whether each entry of the plate has a ``t`` of its own.
    shift : callable
        What the distribution is made from, of ``t``.
    wrap : callable
        What becomes of the distribution, of itself and ``t``.
    mask : callable, optional
        Entries that its density keeps, of ``t``.
    dtype : torch.dtype, optional
        Of ``t``; the default one if absent.
    """

    size: int | None = None
    vector: bool = False
    shift: Callable[[Tensor], Tensor] = lambda t: t
    wrap: Callable[[Any, Tensor], Any] = lambda fn, t: fn
    mask: Callable[[Tensor], Tensor] | None = None
    dtype: torch.dtype | None = None

    def parent(self) -> Any:
        """What ``t`` is drawn from."""
        return dist.Normal(torch.zeros((), dtype=self.dtype), 0.5)


CONTEXTS = {
    "varied": Context(),
    "constant": Context(shift=lambda t: torch.tensor(0.2)),
    "plate": Context(size=3),
    "vector": Context(size=3, vector=True),
    "expanded": Context(wrap=lambda fn, t: fn.expand([2, 3]).to_event(1)),
    "masked": Context(mask=lambda t: torch.tensor(False)),
    "masked by particle": Context(mask=lambda t: t > 0),
    "masked in a plate": Context(size=3, mask=lambda t: torch.tensor([True, False, True])),
}


def program(case: Case, context: Context, *, masked: bool = True, handled: bool = False) -> Runs:
    """The program of a cell.

    Parameters
    ----------
    case : Case
        The distribution.
    context : Context
        Where it stands.
    masked : bool
        Whether with masks: that of the context, and that of handlers.
    handled : bool
        Whether in a scale and a mask of handlers, both of which vary by particle.
    """

    def run() -> tuple[Tensor, Tensor]:
        none: Any = contextlib.nullcontext()
        plate = none if context.size is None else pyro.plate("item", context.size)
        with plate if context.vector else none:
            t = pyro.sample("t", context.parent())
        with plate, contextlib.ExitStack() as around:
            if handled:
                around.enter_context(poutine.scale(scale=t.sum().exp()))
                around.enter_context(poutine.mask(mask=t < 0.3) if masked else none)
            fn = context.wrap(case.at(context.shift(t)), t)
            if masked and context.mask is not None:
                fn = fn.mask(context.mask(t))
            x = pyro.sample("x", fn)
        return t, x

    return run


def parent(context: Context) -> Runs:
    """What ``x`` depends on, alone."""

    def run() -> None:
        with pyro.plate("item", context.size) if context.vector else contextlib.nullcontext():
            pyro.sample("t", context.parent())

    return run


class BoundedPareto(dist.Pareto):
    """A Pareto without density below its scale, where torch gives it one."""

    def log_prob(self, value: Tensor) -> Tensor:
        inside = value >= self.scale
        return super().log_prob(torch.where(inside, value, self.scale)).masked_fill(~inside, -torch.inf)


class BoundedLogNormal(dist.LogNormal):
    """A log-normal without density at zero, where torch gives it NaN."""

    def log_prob(self, value: Tensor) -> Tensor:
        inside = value > 0
        return super().log_prob(torch.where(inside, value, 1.0)).masked_fill(~inside, -torch.inf)


def bounded_mixture(t: Tensor) -> Any:
    scale = torch.exp(vec(0.3 * t, 0.0, 1.0))
    parts = BoundedPareto(scale, 3.0, validate_args=False)
    return dist.MixtureSameFamily(dist.Categorical(logits=0 * scale), parts, validate_args=False)


def inflated_log_normal(t: Tensor) -> Any:
    return dist.ZeroInflatedDistribution(BoundedLogNormal(t, 1.0), gate=torch.tensor(0.3))


# What to compare with, where the density that Pyro gives is wrong outside the support of a part.
RIGHT = {
    "MixtureSameFamily of Pareto": bounded_mixture,
    "ZeroInflatedDistribution of LogNormal": inflated_log_normal,
}


# ------------------------------------------------------------------ one cell


@dataclass
class Cell:
    """What became of a distribution in a context."""

    plain: str = ""  # why Pyro does not run it, one draw at a time
    wrong: list[str] = field(default_factory=list)
    refused: str = ""
    unscorable: str = ""  # why it has no density
    looped: list[str] = field(default_factory=list)  # what was done one particle at a time
    seconds: float = 0.0

    @property
    def outcome(self) -> str:
        if self.plain:
            return "not plain"
        if self.wrong:
            return "wrong"
        return "refused" if self.refused else "right"


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """Without gradients and warnings, and without torch's check of values, as in the package."""
    with torch.no_grad(), warnings.catch_warnings(), pyro.validation_enabled(False):
        warnings.simplefilter("ignore")
        yield


def try_cell(
    case: Case, context: Context, num_particles: int = NUM_PARTICLES, tolerance: float = 1e-4
) -> Cell:
    """Draw and score one cell, and compare it with one particle at a time."""
    cell, start = Cell(), time.perf_counter()
    run = program(case, context)
    pyro.set_rng_seed(SEED)
    try:
        trace = plain_trace(run)
    except Exception as error:
        cell.plain = said(error)
        return cell
    try:
        resampler = particles(cell, run, parent(context), num_particles)
        _compare_draws(cell, case, run, trace, resampler)
        if not cell.unscorable and not cell.wrong:
            _compare_densities(cell, case, context, trace, resampler, tolerance)
            cell.looped += _looped(run, resampler)
    except Exception as error:
        cell.refused = said(error)
    cell.seconds = time.perf_counter() - start
    return cell


def plain_trace(run: Runs) -> Any:
    """One run in plain Pyro, drawn and scored; what has no density is drawn alone."""
    with quietly():
        trace = poutine.trace(run).get_trace()
        with contextlib.suppress(NotImplementedError):
            trace.compute_log_prob()
    return trace


def particles(cell: Cell, run: Runs, base: Runs, n: int) -> Resampler:
    """Particles of a program; where it has no density, with the program as simulator."""
    try:
        return mapped(cell, (run,), n)
    except ProgramError as error:
        if "it has no weights" not in str(error):
            raise
        cell.unscorable = said(error)
        return mapped(cell, (base, run), n)


def mapped(cell: Cell, programs: tuple[Runs, ...], n: int) -> Resampler:
    """Particles of programs, mapped, or one at a time where they cannot be."""
    try:
        return Resampler(*programs, num_guide_samples=n, random_seed=SEED, vectorize=True)
    except ProgramError as error:
        if "cannot be mapped" not in str(error):
            raise
        cell.looped.append(f"program ({said(error)})")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Resampler(*programs, num_guide_samples=n, random_seed=SEED, progressbar=False)


def _compare_draws(cell: Cell, case: Case, run: Runs, trace: Any, resampler: Resampler) -> None:
    """Shape and dtype are those of one draw; continuous draws are as many numbers as plain ones."""
    node, value = trace.nodes["x"], resampler.pipeline.particles.columns["x"].value
    one = node["value"]
    if value[0].numel() != one.numel() or value.dtype != one.dtype:
        cell.wrong.append(f"{tuple(value.shape)} {value.dtype}, not of {tuple(one.shape)} {one.dtype}")
    elif kinds.is_continuous(node["fn"]) and "ZeroInflated" not in case.name:  # which repeats its zero
        with quietly():
            counts = [torch.stack([run()[1] for _ in value]).unique().numel() for _ in range(2)]
        own = value.unique().numel()
        # Fewer where particles share draws; many more where draws are not rounded that should be.
        if len(set(counts)) == 1 and not 0.8 * counts[0] < own < 2 * counts[0]:
            cell.wrong.append(f"{own} different numbers, {counts[0]} in plain draws")


def _compare_densities(  # noqa: PLR0917 - a cell and what it is compared with
    cell: Cell, case: Case, context: Context, trace: Any, resampler: Resampler, tolerance: float
) -> None:
    """Log densities are those of a trace of each particle by itself."""
    n = resampler.pipeline.particles.num_particles
    ratios = resampler.weigh(program(case, context)).log_ratio_by_site
    allowed = tolerance if cell.looped else 0.0  # one at a time, and mapped: they round differently
    cell.wrong += [f"log ratio of {name} is not zero" for name in ratios if abs(ratios[name]).max() > allowed]
    _compare_scores(cell, case, context, trace, resampler, tolerance)
    if context.mask is not None:
        unmasked = program(case, context, masked=False)
        try:
            plain_trace(unmasked)
        except TypeError:
            return  # a TruncatedPolyaGamma, which a mask alone can repeat
        _compare_scores(cell, case, context, trace, mapped(cell, (unmasked,), n), tolerance)
    if context.mask is None:
        _compare_outside(cell, case, context, n, max(tolerance, 1e-6))  # values of the default dtype


def _compare_scores(  # noqa: PLR0917 - a cell and what it is compared with
    cell: Cell, case: Case, context: Context, trace: Any, resampler: Resampler, tolerance: float
) -> None:
    """The particles' own density and that of two models.

    A mask does not change what a guide draws. Where it has one, it says which data there are, and no mask
    of a model counts.
    """
    columns, n = resampler.pipeline.particles.columns, resampler.pipeline.particles.num_particles
    values = {name: columns[name].value.reshape(n, *trace.nodes[name]["value"].shape) for name in ("t", "x")}
    right = replace(case, at=RIGHT.get(case.name, case.at))
    log_q = {name: columns[name].log_q for name in values}
    cell.wrong += differing("log q", log_q, singly(program(right, context, masked=False), values), tolerance)
    masked = not columns["x"].masked
    for handled in (False, True):
        scored = resampler.pipeline.score(program(case, context, handled=handled)).scored
        expected = singly(program(right, context, masked=masked, handled=handled), values)
        cell.wrong += differing("handled log p" if handled else "log p", scored, expected, tolerance)


def _compare_outside(cell: Cell, case: Case, context: Context, n: int, tolerance: float) -> None:
    """Values of a wide distribution, some outside the support, have the densities of single particles."""
    wide = WIDE[case.wide] if isinstance(case.wide, str) else case.wide
    try:
        other = mapped(Cell(), (program(replace(case, at=lambda t: wide()), context),), n)
    except ProgramError:
        return  # a distribution that Pyro does not repeat
    columns, model = other.pipeline.particles.columns, Program(program(case, context), "model")
    with quietly():
        try:
            expected = run_model(model, columns, n, vectorize=False).log_p
        except ProgramError:
            return  # Pyro cannot score what is outside, or there are no others, as of a point mass
        cell.wrong += differing(
            "wide", run_model(model, columns, n, vectorize="auto").log_p, expected, tolerance
        )


def _looped(run: Runs, resampler: Resampler) -> list[str]:
    """Sites that are drawn or scored one particle at a time."""
    found, n = [], resampler.pipeline.particles.num_particles
    for handler in (
        SampleHandler("guide", {}, (), Streams(SEED)),
        ScoreHandler(resampler.pipeline.particles.columns),
    ):
        with contextlib.suppress(UnmappableError), generators_kept():
            Program(run, handler.role).run_mapped(handler, n, Streams(SEED))
        found += [f"{handler.role}: {reason[:60]}" for reason in handler.looped.values()]
    return found


def singly(run: Runs, values: dict[str, Tensor]) -> dict[str, Tensor]:
    """Log density of each particle by itself, by site."""
    found: dict[str, list[Tensor]] = {name: [] for name in values}
    for i in range(len(values["x"])):
        data = {name: rows[i].clone() for name, rows in values.items()}
        trace = plain_trace(poutine.condition(run, data))
        for name, parts in found.items():
            parts.append(trace.nodes[name]["log_prob_sum"].double())
    return {name: torch.stack(parts) for name, parts in found.items()}


def differing(what: str, own: Any, single: dict[str, Tensor], tolerance: float) -> list[str]:
    """Sites at which log densities differ."""
    found = []
    for name, expected in single.items():
        got = own[name].double()
        if got.shape != expected.shape:
            found.append(f"{what} of {name} has shape {tuple(got.shape)}")
            continue
        off = ~torch.isclose(got, expected.double(), rtol=tolerance, atol=tolerance)
        if off.any():
            which = int(off.nonzero()[0])
            found.append(f"{what} of {name}: {got[which]:.6g}, not {expected[which]:.6g}")
    return found


def said(error: Exception) -> str:
    """An error in one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


# ------------------------------------------------------------------ law


def features(t: Tensor, x: Tensor, center: Tensor, width: Tensor) -> Tensor:
    """Bounded functions of ``x``, alone and with those of ``t``, of a neighbor and of the next particle."""
    flat = x.double().reshape(len(x), -1)[:, :6]
    own = torch.tanh((flat - center) / width)
    parent = torch.tanh(2 * t.double()).reshape(len(t), -1)
    both = (own[:, :, None] * parent[:, None, :]).flatten(1)
    return torch.cat([own, own**2, both, own[:, :-1] * own[:, 1:], own * own.roll(1, 0)], 1)


def distance(case: Case, context: Context, num_mapped: int = NUM_MAPPED, num_plain: int = NUM_PLAIN) -> float:
    """How many standard errors mapped draws are from plain ones, at most."""
    run = program(case, context)
    pyro.set_rng_seed(SEED)
    with quietly():
        pairs = [run() for _ in range(num_plain)]
    plain = tuple(torch.stack(parts) for parts in zip(*pairs, strict=True))
    columns = particles(Cell(), run, parent(context), num_mapped).pipeline.particles.columns
    own = tuple(columns[n].value.reshape(num_mapped, *p.shape[1:]) for n, p in zip("tx", plain, strict=True))
    flat = plain[1].double().reshape(num_plain, -1)[:, :6]
    low, center, high = torch.nanquantile(flat, torch.tensor([0.1, 0.5, 0.9], dtype=torch.float64), dim=0)
    width = (high - low).clamp(min=1e-3)
    first, second = (features(t, x, center, width) for t, x in (own, plain))
    variance = torch.maximum(first.var(0), second.var(0)).clamp(min=1e-12)
    error = (variance / num_mapped + variance / num_plain).sqrt()
    return float(((first.mean(0) - second.mean(0)).abs() / error).max())


# ------------------------------------------------------------------ tables


def compare_cells(cases: list[Case], num_particles: int, tolerance: float) -> int:
    cells = {}
    for case in cases:
        for name, context in CONTEXTS.items():
            cell = cells[case.name, name] = try_cell(case, context, num_particles, tolerance)
            if cell.outcome in ("wrong", "refused") or cell.looped:
                what = "; ".join([*cell.wrong, cell.refused, *cell.looped])
                print(f"{cell.outcome:8} {case.name:36} {name:20} {what[:400]}", flush=True)
    outcomes = Counter(cell.outcome for cell in cells.values())
    tried = sum(outcomes.values()) - outcomes["not plain"]
    print(f"\n{tried} of {len(cells)} cells run in plain Pyro: {dict(outcomes)}")
    for name in CONTEXTS:
        print(f"{name:20} {dict(Counter(cells[case.name, name].outcome for case in cases))}")
    none = {case for (case, _), cell in cells.items() if cell.unscorable}
    print(f"without a density: {sorted(none)}")
    looped = Counter(case for (case, _), cell in cells.items() if cell.looped)
    print(f"one particle at a time, in so many cells: {dict(looped)}")
    print(f"{sum(cell.seconds for cell in cells.values()):.0f} s")
    for case in cases:
        missing = [name for name in CONTEXTS if cells[case.name, name].plain]
        if missing:
            print(f"not plain: {case.name}: {', '.join(missing)}: {cells[case.name, missing[0]].plain[:150]}")
    return outcomes["wrong"] + outcomes["refused"]


def compare_laws(cases: list[Case]) -> int:
    found = []
    for case in cases:
        for name in LAW:
            try:
                plain_trace(program(case, CONTEXTS[name]))
            except Exception:
                continue
            far = distance(case, CONTEXTS[name])
            found.append((far, case.name, name))
            if far > 4:
                print(f"{case.name:36} {name:10} {far:.1f} standard errors", flush=True)
    print(f"{len(found)} cells, at most {max(found)[0]:.2f} standard errors")
    return sum(far > BOUND for far, _, _ in found)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--law", action="store_true")
    parser.add_argument("--transforms", action="store_true")
    parser.add_argument("--double", action="store_true")
    parser.add_argument("--particles", type=int, default=NUM_PARTICLES)
    options = parser.parse_args()
    torch.set_num_threads(1)
    table = TRANSFORMED if options.transforms else CASES
    cases = [case for case in table if not options.names or case.name in options.names]
    if options.law:
        return int(compare_laws(cases) > 0)
    if options.double:
        torch.set_default_dtype(torch.float64)
    return int(compare_cells(cases, options.particles, 1e-10 if options.double else 1e-4) > 0)


if __name__ == "__main__":
    sys.exit(main())
