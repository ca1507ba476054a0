"""The cached particles, and the log ratios of a model on them.

Knows records; nothing of programs, draws or containers.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

from arviz_resampler.errors import DrawWarning, MismatchError, WeightError, quoted, warn
from arviz_resampler.programs.runs import Column, Score, example
from arviz_resampler.sites import Site


@dataclass(frozen=True)
class Particles:
    """N joint draws from a guide, extended by a simulator.

    Attributes
    ----------
    columns : mapping of str to Column
        By site, in the order of the programs: the values, shape ``(N, *plates, *event)``, and the
        log density they were drawn with.
    data : mapping of str to Tensor
        The data of ``obs=``, in the shape of one particle.
    num_particles : int
        N.
    failed : Tensor or None
        Which particles could not be simulated, shape (N,); None where all could.
    singly : tuple of int
        For guide and simulator, the first particle that drew from a stream of its own; N where all drew
        together.
    params : mapping of str to Tensor
        Parameters that guide and simulator made, for programs that start them at random.
    """

    columns: Mapping[str, Column]
    data: Mapping[str, Tensor]
    num_particles: int
    failed: Tensor | None = None
    singly: tuple[int, ...] = ()
    params: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def sites(self) -> dict[str, Site]:
        """The sites that may be exported, by name."""
        return {name: column.site for name, column in self.columns.items() if column.site.role != "auxiliary"}

    def elsewhere(self, score: Score, *, partial: bool) -> dict[str, Tensor]:
        """Log densities that the weights go for where the model has none: those of the simulator."""
        required = self._required
        mentioned = score.log_p.keys() | set(score.observed)
        if not required <= mentioned and not partial:
            raise MismatchError(
                f"the model does not mention {quoted(required - mentioned)}, which the guide draws. "
                f"The model has {quoted(mentioned)}; the guide has {quoted(required)}. Pass "
                f"partial=True to the Resampler to keep the guide's distribution there."
            )
        elsewhere = {}
        for name, column in self.columns.items():
            if name in score.log_p:
                continue
            if column.site.role == "auxiliary" and column.from_guide and column.log_q is not None:
                elsewhere[name] = _zeros(column.log_q)
            elif column.log_conditional is not None:
                elsewhere[name] = column.log_conditional
        if not elsewhere and not score.log_p:  # a partial model without any site
            name, column = next((n, c) for n, c in self.columns.items() if c.log_q is not None)
            assert column.log_q is not None
            elsewhere[name] = column.log_q
        return elsewhere

    def offset(self, mentioned: Collection[str], elsewhere: Mapping[str, Tensor]) -> Tensor:
        """What the log densities of a model are added to, to become log ratios.

        Parameters
        ----------
        mentioned : collection of str
            Sites that the model has a density for.
        elsewhere : mapping of str to Tensor
            What the weights go for elsewhere.

        Returns
        -------
        Tensor
            Shape (N,), float64.
        """
        parts = {}
        for name, column in self.columns.items():
            if name in elsewhere:
                parts[name] = elsewhere[name]
            elif name in mentioned and column.log_q is not None:
                parts[name] = _zeros(column.log_q)
        device = next(iter(self.columns.values())).value.device
        return self.add_up(parts, torch.zeros(self.num_particles, dtype=torch.float64, device=device))

    def comparable(self, mentioned: Collection[str]) -> bool:
        """Whether all particles have a density of their own at the sites of a model."""
        return self._broken.isdisjoint(mentioned)

    @cached_property
    def _required(self) -> frozenset[str]:
        """Latent sites that the guide draws."""
        return frozenset(
            name
            for name, column in self.columns.items()
            if column.from_guide and column.site.role == "latent" and column.reason != "deterministic"
        )

    @cached_property
    def _broken(self) -> frozenset[str]:
        """Sites at which some particle has no finite density of its own."""
        return frozenset(name for name, column in self.columns.items() if not column.finite)

    @cached_property
    def widths(self) -> list[int]:
        """How many numbers a particle has at each site of the guide."""
        return [max(1, math.prod(c.site.shape)) for c in self.columns.values() if c.from_guide]

    def add_up(self, targets: Mapping[str, Tensor], out: Tensor) -> Tensor:
        """Write the log ratio of some sites together to ``out``, float64, and return it.

        A particle whose own log q is not finite keeps its conditional, or is dropped.

        Parameters
        ----------
        targets : mapping of str to Tensor
            What the weights go for, by site, shape (N,).
        out : Tensor
            Where the sum goes, shape (N,), float64.
        """
        out.zero_()
        for name, target in targets.items():
            out += self._ratio(name, target)
        return out

    def _ratio(self, name: str, target: Tensor) -> Tensor:
        column = self.columns.get(name)
        if column is None or column.log_q is None:
            return target
        ratio = target.double() - column.log_q
        if not column.finite:
            # A simulation that failed or overflowed failed under every model: it says nothing about one.
            lost = -torch.inf if column.from_guide and column.site.role != "predictive" else 0.0
            ratio = ratio.masked_fill(~torch.isfinite(column.log_q), lost)
        return ratio

    def settled(self, targets: Mapping[str, Tensor], notes: Mapping[str, str]) -> dict[str, Tensor]:
        """See to log ratios that are not finite: no NaN for a particle that counts, no infinite weight.

        Parameters
        ----------
        targets : mapping of str to Tensor
            What the weights go for, by site, shape (N,).
        notes : mapping of str to str
            What else is known of a site, for the message.

        Returns
        -------
        dict of str to Tensor
            The same, with minus infinity for particles that are dropped.
        """
        settled = dict(targets)
        ratios = {name: self._ratio(name, target) for name, target in targets.items()}
        odd = {name: ratio for name, ratio in ratios.items() if not torch.isfinite(ratio).all()}
        dead = torch.zeros(self.num_particles, dtype=torch.bool, device=next(iter(ratios.values())).device)
        for ratio in odd.values():
            dead |= ratio == -torch.inf
        for name, ratio in odd.items():
            bad = torch.isnan(ratio) & ~dead
            if bad.any():
                note = f": {notes[name]}" if name in notes else ""
                raise WeightError(
                    f"the log density at site {name!r} is NaN for {int(bad.sum())} of "
                    f"{self.num_particles} particles{self._shown(name, bad)}{note}"
                )
            infinite = (ratio == torch.inf) & ~dead
            if infinite.any():
                warn(
                    f"the density at site {name!r} is infinite for {int(infinite.sum())} of "
                    f"{self.num_particles} particles{self._shown(name, infinite)}; they get weight "
                    f"zero",
                    DrawWarning,
                )
            settled[name] = targets[name].masked_fill(~torch.isfinite(ratio), -torch.inf)
        return settled

    def labels(self, names: Collection[str]) -> dict[str, list[str]]:
        """Names for log ratios: those of auxiliary sites of an automatic guide go with what they became."""
        made = [name for name, column in self.columns.items() if column.transform and name in names]
        base = [
            name
            for name, column in self.columns.items()
            if column.site.role == "auxiliary" and column.from_guide and name in names
        ]
        labels = {name: [name] for name in names}
        if not made or not base:
            return labels
        for name in base[:]:
            own = name.removesuffix("_unconstrained")
            if own != name and own in made:
                labels[own] += labels.pop(name)
                made.remove(own)
                base.remove(name)
        if base:
            labels[" & ".join(made or base)] = [n for name in made + base for n in labels.pop(name)]
        return labels

    def _shown(self, name: str, which: Tensor) -> str:
        if name not in self.columns:
            return ""
        return f", {example(self.columns[name].value, which)}"


def _zeros(like: Tensor) -> Tensor:
    """Zeros that take no memory."""
    return like.new_zeros(()).expand_as(like)
