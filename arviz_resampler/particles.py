"""The cached particles, and the log ratios of a model on them.

Knows records; nothing of programs, draws or containers.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from arviz_resampler.errors import DrawWarning, MismatchError, WeightError, quoted, warn
from arviz_resampler.records import Column, Score, example
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
    nesting : int
        How many axes the programs have to the left of events.
    num_particles : int
        N.
    """

    columns: Mapping[str, Column]
    data: Mapping[str, Tensor]
    nesting: int
    num_particles: int

    @property
    def sites(self) -> dict[str, Site]:
        """The sites that may be exported, by name."""
        return {name: column.site for name, column in self.columns.items() if column.site.role != "auxiliary"}

    def targets(self, score: Score, rows: slice, *, partial: bool) -> dict[str, Tensor]:
        """Log density that the weights go for, by site, for a stretch of particles.

        That of the model where it mentions the site, else that of the simulator.
        """
        required = {
            name
            for name, column in self.columns.items()
            if column.from_guide and column.site.role == "latent" and column.reason != "deterministic"
        }
        mentioned = score.log_p.keys() | set(score.observed)
        if not required <= mentioned and not partial:
            raise MismatchError(
                f"the model does not mention {quoted(required - mentioned)}, which the guide draws. "
                f"The model has {quoted(mentioned)}; the guide has {quoted(required)}. Pass "
                f"partial=True to the Resampler to keep the guide's distribution there."
            )
        targets = {}
        for name, column in self.columns.items():
            if name in score.log_p:
                targets[name] = score.log_p[name]
            elif column.site.role == "auxiliary" and column.from_guide and column.log_q is not None:
                targets[name] = torch.zeros((), device=column.log_q.device)
            elif column.log_conditional is not None:
                targets[name] = column.log_conditional[rows]
        targets.update(score.log_p)
        if not targets:  # a partial model without any site
            name, column = next((n, c) for n, c in self.columns.items() if c.log_q is not None)
            assert column.log_q is not None
            targets[name] = column.log_q[rows]
        return targets

    def add_up(self, log_p: Mapping[str, Tensor], rows: slice, out: Tensor) -> Tensor:
        """Write the log ratio of some sites together to ``out``, float64, for a stretch of particles.

        Parameters
        ----------
        log_p : mapping of str to Tensor
            What the weights go for, by site, for these particles.
        rows : slice
            Which particles they are.
        out : Tensor
            Where the sum goes; it is returned too.
        """
        each = out
        for i, (name, target) in enumerate(log_p.items()):
            if i == 1:
                each = torch.empty_like(out)
            self._subtract(name, target, rows, each)
            if i > 0:
                out += each
        return out

    def _subtract(self, name: str, target: Tensor, rows: slice, out: Tensor) -> None:
        """Write the log ratio of a site to ``out``: log p - log q.

        A particle whose own log q is not finite keeps its conditional, or is dropped.
        """
        column = self.columns.get(name)
        if column is None or column.log_q is None:
            out.copy_(target)
            return
        log_q = column.log_q[rows]
        torch.sub(target, log_q, out=out)
        if not column.finite:
            # A simulation that failed or overflowed failed under every model: it says nothing about one.
            out.masked_fill_(~torch.isfinite(log_q), -torch.inf if column.from_guide else 0.0)

    def settle(self, log_p: dict[str, Tensor], notes: Mapping[str, str]) -> None:
        """See to log ratios that are not finite: no NaN for a particle that counts, no infinite weight.

        Parameters
        ----------
        log_p : dict of str to Tensor
            What the weights go for, by site, shape (N,); changed in place.
        notes : mapping of str to str
            What else is known of a site, for the message.
        """
        dead = torch.zeros(self.num_particles, dtype=torch.bool, device=next(iter(log_p.values())).device)
        odd: dict[str, Tensor] = {}
        for name, target in log_p.items():
            ratio = torch.empty(self.num_particles, dtype=torch.float64, device=dead.device)
            self._subtract(name, target, slice(None), ratio)
            if not math.isfinite(float(ratio.sum())):
                odd[name] = ratio
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
            log_p[name].masked_fill_(~torch.isfinite(ratio), -torch.inf)

    def labels(self, names: Collection[str]) -> dict[str, list[str]]:
        """Names to show log ratios under: the auxiliary sites of an automatic guide go with those made of them."""
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
