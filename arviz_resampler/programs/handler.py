"""What to do at each site of a program that is run: see it as one particle does, and draw it.

Sites come as the messages of Pyro's effect handlers, which are dicts; Pyro itself is not needed. Knows
densities and records; nothing of weights or batches.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any, cast

import torch
from torch import Tensor
from torch.distributions import Distribution

from arviz_resampler.densities import closed_form, density, kinds
from arviz_resampler.densities.parameters import Check, checks, nested
from arviz_resampler.errors import MismatchError, ProgramError
from arviz_resampler.mapping.functorch import OneParticle, ParticleMap, to_rank, unmapped
from arviz_resampler.mapping.in_place import counted
from arviz_resampler.mapping.particle_mode import ParticleMode
from arviz_resampler.programs.axes import (
    Axes,
    arrange,
    describe_axes,
    plate_axes,
    plates_around,
)
from arviz_resampler.programs.columns import CachedSite, in_memory
from arviz_resampler.programs.plates import Rows, check_rows, named_rows, note_rows
from arviz_resampler.programs.runs import Invalid, SiteRun

Message = dict[str, Any]
# What a distribution may raise where it does not know that there are many particles.
FAILURES = (RuntimeError, ValueError, AssertionError, IndexError, TypeError, AttributeError)


Ask = Callable[[Any, Tensor], Tensor | None]  # of a distribution, and a value or rows of them


def density_of(known: Any, masks: bool) -> Ask:
    """The question for a log density; ``known`` and ``masks`` are those of :mod:`.density`."""
    return lambda fn, value: density.native_log_prob(fn, value, known=known, masks=masks)


class ChangedInPlaceError(RuntimeError):
    """A program has changed a value after it was drawn: it has to be given copies."""


class SiteHandler:
    """Handler of the sites of a run, sampled or scored. Outermost: sees a site after all other handlers.

    Parameters
    ----------
    role : str
        The word for the program in messages.
    """

    lean = False  # whether a program need not compute densities
    differentiable = False  # whether densities keep the gradients of what a program computes

    def __init__(self, role: str) -> None:
        self.role = role
        self.found: dict[str, SiteRun] = {}
        self.invalid: dict[str, Invalid] = {}
        self.sound: list[str] = []  # sites before linear algebra first failed
        self.looped: dict[str, str] = {}  # sites done one particle at a time, and why
        self.raised: Exception | None = None  # at a site, whether the program caught it or not
        self.current: str | None = None
        self.last: str | None = None
        self.particles: ParticleMap | OneParticle = OneParticle()
        self.row: int | None = None  # which of the cached particles, where one runs by itself
        self._mode: ParticleMode | None = None
        self._later: list[Callable[[], None]] = []
        self._rows: Rows = {}  # that plates take in all runs, if the program names them

    @property
    def failed(self) -> Tensor | None:
        """Particles for which linear algebra failed in the map, shape (n,)."""
        return None if self._mode is None else self._mode.failed

    @property
    def loose(self) -> bool:
        """Whether the program has drawn random numbers outside its sites."""
        return self._mode is not None and self._mode.loose

    def drew_outside(self) -> None:
        """Note that the program has drawn random numbers outside its sites, by a way that no mode sees."""
        if self._mode is not None:
            self._mode.loose = self._mode.unseen = True

    @property
    def unseen(self) -> bool:
        """Whether random numbers of the program may be the same for all particles of a map."""
        return self._mode is not None and self._mode.unseen

    @property
    def failed_at(self) -> str:
        """The line where it first failed."""
        return "" if self._mode is None else self._mode.failed_at

    @property
    def n(self) -> int:
        """Number of particles of the run."""
        return self.particles.num_particles

    def begin(
        self,
        particles: ParticleMap | OneParticle,
        mode: ParticleMode | None = None,
        *,
        row: int | None = None,
    ) -> None:
        """Forget what an earlier run has found."""
        self.particles, self._mode, self.row = particles, mode, row
        self.found, self.invalid, self.looped, self._later = {}, {}, {}, []
        self.sound = []
        self.current = self.last = self.raised = None

    def describe_invalid(self) -> str:
        """Invalid parameters of the run, for the message of a failure."""
        return "".join(f". At site {site!r}, {what.describe(self.n)}" for site, what in self.invalid.items())

    def process_site(self, msg: Message) -> None:
        """Meet a site."""
        self.current = name = msg["name"]
        mode = self._mode
        if mode is not None:
            mode.busy = True
        try:
            gradients = torch.is_grad_enabled() and not self.differentiable
            if gradients or torch.is_inference_mode_enabled():  # of the program
                with counted(), torch.no_grad():
                    self._process_site(msg)
            else:
                self._process_site(msg)
        except Exception as error:
            # A program that catches what its own distribution raises goes on; what is refused, it cannot.
            if self.raised is None and (mode is not None or isinstance(error, ProgramError)):
                self.raised = error
            raise
        finally:
            if mode is not None:
                mode.busy = False
        if self.failed is None:
            self.sound.append(name)
        self.current, self.last = None, name

    def _process_site(self, msg: Message) -> None:
        name, fn = msg["name"], msg["fn"]
        if self._mode is not None and self._mode.fresh:
            for key in ("value", "mask", "scale"):
                msg[key] = self._mode.shared(msg[key])
        kind = type(fn).__name__  # Pyro has classes for its own primitives
        if kind == "_Subsample":
            note_rows(msg, self.role, self.particles, self._rows)
            return
        if name in self.found:
            raise ProgramError(f"the {self.role} has two sites named {name!r}: give each its own name")
        if not isinstance(fn, Distribution) or not hasattr(fn, "event_dim"):
            raise ProgramError(
                f"site {name!r} of the {self.role} samples from a {type(fn).__name__}, which is not a "
                f"Pyro distribution; take one of pyro.distributions"
            )
        if kind == "Unit":
            self._factor(msg)
        elif self._is_deterministic(msg):
            self._deterministic(msg)
        else:
            self._stochastic(msg)

    def _is_deterministic(self, msg: Message) -> bool:
        """Whether a site holds a computed value, by pyro.deterministic or by poutine.reparam."""
        fn = msg["fn"]
        if not msg["infer"].get("_deterministic") and msg["is_observed"] and kinds.is_kind(fn, "Delta"):
            point, log_density = kinds.point_of(fn)
            point = point if self._mode is None else self._mode.shared(point)
            if _is_same(point, msg["value"]):  # not by value: what was drawn must not decide
                with self.particles.outside():
                    changes = bool((self.particles.rows(log_density) != 0).any())
                if changes:
                    raise ProgramError(
                        f"site {msg['name']!r} of the {self.role} is reparametrized in a way that changes "
                        f"the density of other sites; pass the {self.role} without this poutine.reparam"
                    )
                msg["infer"]["_deterministic"] = True
        return bool(msg["infer"].get("_deterministic"))

    def _deterministic(self, msg: Message) -> None:
        value, fn = torch.as_tensor(msg["value"]), msg["fn"]
        plates = plates_around(msg["cond_indep_stack"])
        batch = value.dim() - fn.event_dim
        if not batch and plates:  # the event is not declared: plates stand to its left
            batch = min(-min(plates), value.dim())
        axes = plate_axes(value.shape[:batch], plates)
        with self.particles.outside():
            rows = self.particles.rows(value).detach()
            # The program may change it afterwards, and external code may use its memory again.
            self._keep(msg, "deterministic", rows.clone(), axes)

    def _stochastic(self, msg: Message) -> None:
        raise NotImplementedError

    def _factor(self, msg: Message) -> None:
        raise NotImplementedError

    def _keep(self, msg: Message, kind: str, rows: Tensor, axes: Axes, **more: Any) -> SiteRun:
        found = SiteRun(msg["name"], kind, rows, axes, **more)
        found.rows = named_rows(msg["cond_indep_stack"], self._rows)
        self.found[msg["name"]] = found
        return found

    def end(self) -> None:
        """Do what could not be done before the program has ended."""
        later, self._later = self._later, []  # what refers to the handler would outlive it
        with self.particles.outside():
            for work in later:
                work()

    # ---------------------------------------------------------------- values

    def _column(self, name: str, columns: Mapping[str, CachedSite]) -> CachedSite | None:
        """The cached site of that name, or the whole that ``obs_mask=`` made it a part of."""
        column = columns.get(name)
        if column is None:
            for suffix in ("_observed", "_unobserved"):
                whole = name.removesuffix(suffix)
                if whole != name and whole in columns and _is_split():
                    return columns[whole]
        return column

    def _place(self, msg: Message, column: CachedSite) -> Tensor:
        """Cached values in the shape that this program's site expects, particles in front."""
        fn, site = msg["fn"], column.site
        if self._rows or column.rows:
            check_rows(msg, self.role, self._rows, column.rows)
        wanted = plate_axes(fn.batch_shape, plates_around(msg["cond_indep_stack"]))
        wanted += [(None, size) for size in fn.event_shape]
        value = in_memory(column.value if self.row is None else column.value[self.row : self.row + 1])
        placed = arrange(value, site.dims, site.shape, wanted)
        if placed is None:
            kept = [(n, s) for n, s in wanted if n is not None or s != 1]
            raise MismatchError(
                f"site {site.name!r} has axes {describe_axes([n for n, _ in kept], [s for _, s in kept])} "
                f"in the {self.role}, but {describe_axes(site.dims, site.shape)} in the particles. "
                f"Plates and events must keep their sizes; build a new Resampler for other ones."
            )
        return placed

    def _invalid(self, name: str, fn: Any) -> Tensor | None:
        """Which particles have an invalid parameter at a site, shape (n,); None: no particle has."""
        parts = nested(fn)
        if kinds.is_improper(parts):
            raise ProgramError(
                f"site {name!r} of the {self.role} has an improper distribution (ImproperUniform): "
                f"nothing can be drawn from it, and it cannot be resampled to. Use a proper one."
            )
        for check in checks(parts, self.particles):
            if self._puts_off(name, check):
                continue
            if not check.passed:
                return self._note_invalid(name, check)
        return None

    def _puts_off(self, _name: str, _check: Check) -> bool:
        """Whether a parameter is checked when the program has ended."""
        return False

    def _note_invalid(self, name: str, check: Check) -> Tensor:
        """Which particles a check fails for, shape (n,)."""
        bad = check.fault()
        flags = bad.bad.expand(self.n)
        self.invalid[name] = Invalid(bad.text, int(flags.sum()))
        return flags

    # ---------------------------------------------------------------- densities

    def _is_sound(self, fn: Any) -> bool:
        """Whether there is nothing to ask of a distribution but its density, as of what most priors are."""
        return closed_form.is_sound(fn, self.particles.varies)

    def _asked(self, name: str, fn: Any, rows: Tensor, ask: Ask, *, shared: bool = False) -> Tensor | None:
        """Answer of a distribution for each value, particles in front, shape ``(n or 1, *batch)``.

        Asked outside the map, where one distribution can answer for all particles, as one can that is known
        to be ``shared``; else inside.
        """
        whole = fn if shared else density.of_all(fn, self.particles)
        each = None if whole is None else self._asked_whole(fn, whole, rows, ask)
        if each is None:
            with self.particles.inside():
                each = self._asked_inside(name, fn, rows, ask)
        return each

    @staticmethod
    def _asked_whole(fn: Any, whole: Any, rows: Tensor, ask: Ask) -> Tensor | None:
        """The answer of one distribution for all particles; None: there is none."""
        try:
            each = ask(whole, rows)
        except FAILURES:
            return None
        if each is not None and each.shape[0] in (1, rows.shape[0]) and each.shape[1:] == fn.batch_shape:
            return each
        return None

    def _asked_inside(self, name: str, fn: Any, rows: Tensor, ask: Ask) -> Tensor | None:
        """The answer of the distribution as a particle sees it; one after the other if it has to be."""
        particles, mode = self.particles, self._mode
        if mode is None or not isinstance(particles, ParticleMap):
            each = ask(fn, particles.enter(rows))
            return None if each is None else particles.rows(each)
        with mode.at_site(name):
            try:
                each = ask(fn, particles.enter(rows))
                return None if each is None else particles.rows(each)
            except NotImplementedError:
                raise
            except FAILURES as error:
                self.looped[name] = f"{type(error).__name__}: {error}"

        def one(single: Any, i: int) -> Tensor:
            return cast(Tensor, ask(single, rows[min(i, len(rows) - 1)]))

        return particles.rows(density.each(fn, particles, one))

    def _aligned(self, factor: Any, each: Tensor) -> Tensor:
        """A scale or mask with the particles in front, to go with densities ``(n or 1, *batch)``."""
        return to_rank(self.particles.rows(torch.as_tensor(factor, device=each.device)), each.dim())

    def _total(self, each: Tensor) -> Tensor:
        """Sum over all axes but that of the particles, in float64, shape (n,)."""
        total, n = density.total(each), self.n
        return total if total.shape[0] == n else total.expand(n)


def _is_split() -> bool:
    """Whether Pyro is about to split a statement by its ``obs_mask=``: a site may have such a name, too."""
    frame = sys._getframe()
    while frame.f_back is not None:
        frame = frame.f_back
        if frame.f_code.co_name == "_masked_observe" and frame.f_globals["__name__"] == "pyro.primitives":
            return True
    return False


def _is_same(first: Tensor, second: Tensor) -> bool:
    """Whether two tensors are the same memory, expanded or not."""
    return unmapped(first).data_ptr() == unmapped(second).data_ptr()
