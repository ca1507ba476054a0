"""What to do at each site of a model: score the cached values, and refuse what does not fit them.

Sites come as the messages of Pyro's effect handlers, as in :mod:`handlers`. Knows densities and
records; nothing of weights or draws.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution

from arviz_resampler import density
from arviz_resampler.errors import MismatchError, ProgramError, quoted, suggestion
from arviz_resampler.handlers import Handler, Message, frames_of
from arviz_resampler.records import Column, Found, Score


class Scoring(Handler):
    """Run a model at the cached values and add up its log density by site.

    Each site is shown to ``visit`` before anything is asked of it.
    """

    def __init__(
        self,
        role: str,
        n: int,
        nesting: int,
        columns: Mapping[str, Column],
        visit: Callable[[Message], None] = lambda msg: None,
    ) -> None:
        super().__init__(role, n, nesting)
        self.columns = columns
        self.visit = visit
        self.score = Score()

    def at(self, msg: Message) -> None:
        """Meet a site before it has a value."""
        self.visit(msg)
        super().at(msg)

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

    def _stochastic(self, msg: Message, batch: tuple[int, ...], parts: list[Distribution]) -> None:
        name, fn = msg["name"], msg["fn"]
        column = self._column(name, self.columns)
        part = column is not None and column.site.name != name
        if column is not None and column.reason == "deterministic":
            raise MismatchError(
                f"site {name!r} is drawn in the model, but deterministic in the particles: it has no "
                f"density there. Put the sites it is computed from in the model, or draw it in the guide."
            )
        if msg["is_observed"] or part:
            whole = column.site.name if column is not None else name
            if whole not in self.score.observed:
                self.score.observed.append(whole)
            if column is not None:
                msg["value"] = self._place(msg, batch, column).clone()
            msg["done"] = True
            return
        if column is None:
            raise self._unknown(name)
        self._check_kind(name, fn, column)
        bad = self._check_parameters(msg, parts)
        invalid = None if bad is None else self._by_particle(bad.bad)
        if bad is not None and invalid is not None and invalid.all():
            raise ProgramError(f"site {name!r} of the model: {bad.text}")
        value = self._place(msg, batch, column)
        # A copy: a program that changes it in place would change the particles.
        msg["value"] = value.clone()
        msg["done"] = True
        try:
            each = density.native_log_prob(fn, value, known=column.support)
        except NotImplementedError as error:
            reason = str(error) or f"{type(fn).__name__} has no density"
            raise ProgramError(f"site {name!r} of the model: {reason}") from None
        total = self._scaled(name, each, msg)
        if invalid is not None:
            total = total.masked_fill(invalid, torch.nan)
        self.score.log_p[name] = total
        self.found[name] = Found(name, "latent", value, None, frames_of(msg), log_density=total)
        self.score.notes.update(self.invalid)

    def _check_kind(self, name: str, fn: Any, column: Column) -> None:
        if column.reason is not None:
            raise MismatchError(
                f"site {name!r} cannot be scored: it was drawn from a distribution without a density "
                f"({column.reason}). Leave it out of the model to keep it as simulated."
            )
        if density.is_kind(fn, "Delta"):
            if not (column.point_mass or column.transform or column.site.discrete):
                raise MismatchError(
                    f"site {name!r} is a point mass (Delta) in the model, but was drawn from a "
                    f"continuous distribution: no particle equals it. Use a narrow distribution, or "
                    f"fix the value in the guide too."
                )
        elif (column.site.discrete and density.is_continuous(fn)) or (
            column.continuous and density.is_discrete(fn)
        ):
            kinds = ("discrete", "continuous") if column.site.discrete else ("continuous", "discrete")
            raise MismatchError(
                f"site {name!r} was drawn from a {kinds[0]} distribution, but {type(fn).__name__} of the "
                f"model is {kinds[1]}: particles cannot be resampled from one to the other. Draw it from "
                f"a {kinds[1]} distribution in the guide."
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
                f"use the same reparametrisation in the guide."
            )
        return MismatchError(text)

    def _scaled(self, name: str, each: Tensor, msg: Message) -> Tensor:
        """Add up a log density as the model has it, with its scale and mask."""
        scale, mask = msg["scale"], msg["mask"]
        if isinstance(scale, Tensor) or scale != 1.0:
            self.score.normalised = False
            each = each * scale
        if mask is not None and mask is not True:
            self.score.normalised = False
            each = torch.where(torch.as_tensor(mask, device=each.device), each, 0.0)
        return self._sum(name, each, frames_of(msg))

    def _factor(self, msg: Message) -> None:
        self.score.normalised = False
        name, log_factor = msg["name"], msg["fn"].log_factor
        total = self._scaled(name, log_factor.double(), msg)
        self.score.log_p[name] = total
        self.found[name] = Found(name, "factor", log_factor, None, frames_of(msg), log_density=total)
