"""What to do at each site of a model: score the cached values, and refuse what does not fit them.

Sites come as the messages of Pyro's effect handlers, as in :mod:`.handler`. Knows densities and
records; nothing of weights or draws.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

import torch
from torch import Tensor

from arviz_resampler.densities import kinds
from arviz_resampler.densities.parameters import Check, nested, on_device
from arviz_resampler.devices import numbers
from arviz_resampler.errors import MismatchError, ProgramError, quoted, suggestion
from arviz_resampler.programs.columns import CachedSite
from arviz_resampler.programs.handler import Message, SiteHandler, density_of
from arviz_resampler.programs.plates import own_scale
from arviz_resampler.programs.runs import ScoredRun


class EnoughError(BaseException):
    """All sites that are wanted have been met. No error: it ends a run that has more to come."""


class ScoreHandler(SiteHandler):
    """Run a model at the cached values and add up its log density by site.

    Parameters
    ----------
    columns : mapping of str to CachedSite
        The cached sites.
    visit : callable, optional
        Is shown each site before anything is asked of it.
    wanted : collection of str, optional
        Sites after which the run may end.
    drawn : collection of str
        Sites that are scored at the values that were drawn there, also if they carry ``obs=``.
    """

    def __init__(
        self,
        columns: Mapping[str, CachedSite],
        visit: Callable[[Message], None] = lambda msg: None,
        wanted: Collection[str] = (),
        *,
        drawn: Collection[str] = (),
    ) -> None:
        super().__init__("model")
        self.drawn = drawn
        self.columns = columns
        self.visit = visit
        self.wanted = wanted
        self.score = ScoredRun()

    def begin(self, *args: Any, **kwargs: Any) -> None:
        """Forget what an earlier run has found."""
        super().begin(*args, **kwargs)
        self.score = ScoredRun()
        self._put_off: list[tuple[str, Check]] = []
        self._left = set(self.wanted)

    def process_site(self, msg: Message) -> None:
        """Meet a site before it has a value."""
        self.visit(msg)
        super().process_site(msg)
        if self._left:
            self._left.discard(msg["name"])
            if not self._left:
                raise EnoughError

    def end(self) -> None:
        """Do what could not be done before the program has ended; densities stand in its order."""
        super().end()
        if self._put_off:
            with self.particles.outside():
                self._settle()
        log_p = self.score.log_p
        self.score.log_p = {name: log_p[name] for name in self.score.kinds if name in log_p}

    def _deterministic(self, msg: Message) -> None:
        name = msg["name"]
        column = self.columns.get(name)
        drawn = column is not None and column.reason != "deterministic"
        if drawn and name not in self.score.observed:
            raise MismatchError(
                f"site {name!r} is deterministic in the model, but was drawn for the particles: it "
                f"has no density there. Pass the model without poutine.reparam, or build the "
                f"Resampler from a guide that is written the same way."
            )
        super()._deterministic(msg)
        self.score.deterministic[name] = self.found[name]
        self.score.kinds[name] = "deterministic"

    def _stochastic(self, msg: Message) -> None:
        name, fn = msg["name"], msg["fn"]
        column = self._column(name, self.columns)
        part = column is not None and column.site.name != name
        if column is not None and column.reason == "deterministic":
            raise MismatchError(
                f"site {name!r} is drawn in the model, but deterministic in the particles: it has no "
                f"density there. Put the sites it is computed from in the model, or draw it in the guide."
            )
        if (msg["is_observed"] and name not in self.drawn) or part:
            whole = column.site.name if column is not None else name
            if whole not in self.score.observed:
                self.score.observed.append(whole)
            self.score.kinds[name] = "observed"
            if column is not None:
                with self.particles.outside():
                    rows = self._place(msg, column).clone()
                msg["value"] = self.particles.enter(rows)
            msg["done"] = True
            return
        if column is None:
            raise self._unknown(name)
        self._check_kind(name, fn, column)
        self.score.kinds[name] = "latent"
        with self.particles.outside():
            masks, sound = not column.masked, self._is_sound(fn)
            if masks and not sound and kinds.is_masked(nested(fn)):
                self.score.unnormalized.add(name)
            invalid = None if sound else self._invalid(name, fn)
            if invalid is not None:
                self._note(name, invalid)
            rows = self._place(msg, column)
            fn = fn if sound else self._on_device(fn, rows.device)
            # A copy: a program that changes it in place would change the particles.
            given = rows.clone(memory_format=torch.contiguous_format)
            try:
                each = self._asked(name, fn, rows, density_of(column.support, masks), shared=sound)
            except NotImplementedError as error:
                reason = str(error) or f"{type(fn).__name__} has no density"
                raise ProgramError(f"site {name!r} of the model: {reason}") from None
            assert each is not None
            self._add_up(msg, each, invalid, masks)
        self._keep(msg, "latent", rows, [])
        msg["value"] = self.particles.enter(given)
        msg["done"] = True

    def _on_device(self, fn: Any, device: torch.device) -> Any:
        """A distribution that can be asked of values on a device, wherever the program has made it."""
        with self.particles.inside():
            return on_device(fn, device)

    def _puts_off(self, name: str, check: Check) -> bool:
        """Whether the result is on a device, which would have to be waited for."""
        if check.passed.is_cpu:
            return False
        self._put_off.append((name, check))
        return True

    def describe_invalid(self) -> str:
        """Invalid parameters of the run, also those that were to be asked for at its end."""
        for name, check in self._put_off:
            if name not in self.invalid and not check.passed:
                self._note_invalid(name, check)
        return super().describe_invalid()

    def _settle(self) -> None:
        """Results of the checks that were put off, in one transfer."""
        passed = numbers(*(check.passed for _, check in self._put_off))
        for (name, check), good in zip(self._put_off, passed, strict=True):
            if not good and name not in self.invalid:
                invalid = self._note_invalid(name, check)
                self._note(name, invalid)
                self.score.log_p[name] = self.score.log_p[name].masked_fill(invalid, torch.nan)

    def _note(self, name: str, invalid: Tensor) -> None:
        """Note particles with an invalid parameter; refuse a model in which all have one."""
        if invalid.all() and self.row is None:
            raise ProgramError(f"site {name!r} of the model: {self.invalid[name].text}")
        self.score.notes[name] = self.invalid[name]

    def _add_up(self, msg: Message, each: Tensor, invalid: Tensor | None = None, masks: bool = True) -> None:
        """Add up the log density of a site, outside the map."""

        def settle() -> None:
            self.score.log_p[msg["name"]] = self._scaled(each, msg, invalid, masks)

        # A program may change a mask after its use; what counts is what it is in the end.
        self._later.append(settle) if masks and isinstance(msg["mask"], Tensor) else settle()

    def _check_kind(self, name: str, fn: Any, column: CachedSite) -> None:
        if column.reason is not None:
            raise MismatchError(
                f"site {name!r} cannot be scored: it was drawn from a distribution without a density "
                f"({column.reason}). Leave it out of the model to keep it as simulated."
            )
        if kinds.is_kind(fn, "Delta"):
            if not (column.point_mass or column.transform or column.site.discrete):
                raise MismatchError(
                    f"site {name!r} is a point mass (Delta) in the model, but was drawn from a "
                    f"continuous distribution: no particle equals it. Use a narrow distribution, or "
                    f"fix the value in the guide too."
                )
        elif (column.site.discrete and kinds.is_continuous(fn)) or (
            column.continuous and kinds.is_discrete(fn)
        ):
            words = ("discrete", "continuous") if column.site.discrete else ("continuous", "discrete")
            raise MismatchError(
                f"site {name!r} was drawn from a {words[0]} distribution, but {type(fn).__name__} of the "
                f"model is {words[1]}: particles cannot be resampled from one to the other. Draw it from "
                f"a {words[1]} distribution in the guide."
            )
        elif column.point_mass:
            raise MismatchError(
                f"site {name!r} is a point mass (Delta) in the guide: all particles are equal there, "
                f"so it cannot be resampled to a {type(fn).__name__}. Draw it in the guide."
            )

    def _unknown(self, name: str) -> MismatchError:
        known = [n for n, c in self.columns.items() if c.site.role != "auxiliary" and c.reason is None]
        text = (
            f"site {name!r} of the model was not drawn for the particles, which have "
            f"{quoted(known)}.{suggestion(name, known)}"
        )
        base = next((n for n in known if name.startswith(f"{n}_")), None)
        if base is not None:
            text += (
                f" If {name!r} comes from poutine.reparam of {base!r}, pass the model without it, or "
                f"use the same reparametrization in the guide."
            )
        return MismatchError(text)

    def _scaled(self, each: Tensor, msg: Message, invalid: Tensor | None, masks: bool) -> Tensor:
        """Add up a log density as the model has it, with its scale and mask.

        Where a mask stood around the site when it was drawn, too, masks say which data there are, and
        change neither what is drawn nor the weights.
        """
        scale, mask = msg["scale"], msg["mask"]
        if type(msg["fn"]).__name__ != "Unit":  # a factor estimates what it would be of all rows
            scale = own_scale(scale, msg["cond_indep_stack"])
        if isinstance(scale, Tensor) or scale != 1.0:
            self.score.unnormalized.add(msg["name"])
            each = each * self._aligned(scale, each)
        if masks and mask is not None and mask is not True:
            self.score.unnormalized.add(msg["name"])
            each = torch.where(self._aligned(mask, each), each, 0.0)
        total = self._total(each)
        return total if invalid is None else total.masked_fill(invalid, torch.nan)

    def _factor(self, msg: Message) -> None:
        name = msg["name"]
        column = self.columns.get(name)
        if column is not None and column.site.role != "auxiliary" and column.reason != "deterministic":
            raise MismatchError(
                f"site {name!r} is a factor in the model, but was drawn for the particles: it would be taken "
                f"for the density of what was drawn. Give the factor a name of its own."
            )
        with self.particles.outside():
            log_factor = self.particles.rows(msg["fn"].log_factor).to(torch.float64, copy=True)
            self._add_up(msg, log_factor)
        self.score.unnormalized.add(name)
        self.score.kinds[name] = "factor"
        self._keep(msg, "factor", torch.empty(0), [])
