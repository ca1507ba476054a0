"""Log ratios of a model on the particles: what weights go for, less what the particles were drawn with.

Knows the cache; nothing of programs or draws.
"""

from __future__ import annotations

import functools
from collections.abc import Collection, Iterator, Mapping

import torch
from torch import Tensor

from arviz_resampler.devices import all_finite
from arviz_resampler.errors import DrawWarning, MismatchError, WeightError, quoted, warn
from arviz_resampler.particles.particles import Particles
from arviz_resampler.programs.columns import example


def check_mentioned(particles: Particles, mentioned: Collection[str]) -> None:
    """Refuse a model that leaves out latents of the guide."""
    required = particles.guide_latents
    if not required <= set(mentioned):
        raise MismatchError(
            f"the model does not mention {quoted(required - set(mentioned))}, which the guide draws. "
            f"The model has {quoted(mentioned)}; the guide has {quoted(required)}. Pass "
            f"partial=True to the Resampler to keep the guide's distribution there."
        )


def check_joint(particles: Particles, scored: Collection[str]) -> None:
    """Refuse a model of some sites of a mixture whose densities are known together."""
    for group in particles.joint:
        names = {name for name in group if particles.columns[name].site.role != "auxiliary"}
        here, left_out = names & set(scored), names - set(scored)
        if here and left_out:
            raise MismatchError(
                f"the model has a density at {quoted(here)} but not at {quoted(left_out)}: the density that "
                f"the particles were drawn with is known of these sites together only. Give the model all of "
                f"them."
            )


def unchanged_targets(particles: Particles, scored: Collection[str]) -> dict[str, Tensor]:
    """Log densities that the weights go for where a model has none: those that particles were drawn with.

    Parameters
    ----------
    particles : Particles
        The cache.
    scored : collection of str
        Sites that the model has a density for.
    """
    unchanged = {}
    for name, column in particles.columns.items():
        if name in scored:
            continue
        if column.site.role == "auxiliary" and column.from_guide and column.log_q is not None:
            unchanged[name] = _zeros(column.log_q)
        elif column.log_conditional is not None:
            unchanged[name] = column.log_conditional
    if not unchanged and not scored:  # a partial model without any site
        name, log_q = next((n, c.log_q) for n, c in particles.columns.items() if c.log_q is not None)
        unchanged[name] = log_q
    return {name: log_density.to(particles.device) for name, log_density in unchanged.items()}


def offset(particles: Particles, mentioned: Collection[str], unchanged: Mapping[str, Tensor]) -> Tensor:
    """Offset of a model: its log densities are added to it to become log ratios.

    Parameters
    ----------
    mentioned : collection of str
        Sites that the model has a density for.
    unchanged : mapping of str to Tensor
        What the weights go for at other sites.

    Returns
    -------
    Tensor
        Shape (N,), float64.
    """
    parts = {}
    for name, column in particles.columns.items():
        if name in unchanged:
            parts[name] = unchanged[name]
        elif name in mentioned and column.log_q is not None:
            parts[name] = _zeros(column.log_q.to(particles.device))
    room = torch.zeros(particles.num_particles, dtype=torch.float64, device=particles.device)
    return add_up(particles, parts, room)


def add_up(particles: Particles, targets: Mapping[str, Tensor], out: Tensor) -> Tensor:
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
        out += _ratio(particles, name, target)
    return out


def _ratio(particles: Particles, name: str, target: Tensor) -> Tensor:
    column = particles.columns.get(name)
    if column is None or column.log_q is None:
        return target
    log_q = column.log_q.to(target.device)  # sites may be on several devices
    ratio = target.double() - log_q
    if not column.finite:
        # A simulation that failed or overflowed failed under every model: it says nothing about one.
        lost = -torch.inf if column.from_guide and column.site.role != "predictive" else 0.0
        ratio = ratio.masked_fill(~torch.isfinite(log_q), lost)
    return ratio


def resolve_nonfinite(
    particles: Particles, targets: Mapping[str, Tensor], notes: Mapping[str, str]
) -> dict[str, Tensor]:
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
    resolved = dict(targets)
    ratios = {name: _ratio(particles, name, target) for name, target in targets.items()}
    odd = {name: ratio for name, ratio in ratios.items() if not all_finite(ratio)}
    dead = torch.zeros(particles.num_particles, dtype=torch.bool, device=next(iter(ratios.values())).device)
    for ratio in odd.values():
        dead |= ratio == -torch.inf
    for name, ratio in odd.items():
        bad = torch.isnan(ratio) & ~dead
        if bad.any():
            note = f": {notes[name]}" if name in notes else ""
            raise WeightError(
                f"the log density at site {name!r} is NaN for {int(bad.sum())} of "
                f"{particles.num_particles} particles{_shown(particles, name, bad)}{note}"
            )
        infinite = (ratio == torch.inf) & ~dead
        if infinite.any():
            warn(
                f"the density at site {name!r} is infinite for {int(infinite.sum())} of "
                f"{particles.num_particles} particles{_shown(particles, name, infinite)}; they get weight "
                f"zero",
                DrawWarning,
            )
        resolved[name] = targets[name].masked_fill(~torch.isfinite(ratio), -torch.inf)
    return resolved


def labels(particles: Particles, names: Collection[str]) -> dict[str, list[str]]:
    """Names for log ratios: those of auxiliary sites of an automatic guide go with what they became."""
    labels = {name: [name] for name in names}
    together: set[str] = set()
    for group in particles.joint:
        shown = [name.removesuffix("_unconstrained") for name in group if name in labels]
        made = [name for name in shown if name in labels and particles.columns[name].transform]
        members = dict.fromkeys([*(name for name in group if name in labels), *made])
        if len(members) > 1:
            labels[" & ".join(shown)] = [name for first in members for name in labels.pop(first)]
        together |= set(members)
    made = [n for n, c in particles.columns.items() if c.transform and n in names and n not in together]
    base = [
        name
        for name, column in particles.columns.items()
        if column.site.role == "auxiliary" and column.from_guide and name in names and name not in together
    ]
    if not made or not base:
        return labels
    for name in base[:]:
        constrained = name.removesuffix("_unconstrained")
        if constrained != name and constrained in made:
            labels[constrained] += labels.pop(name)
            made.remove(constrained)
            base.remove(name)
    if base:
        labels[" & ".join(made or base)] = [n for name in made + base for n in labels.pop(name)]
    return labels


def _shown(particles: Particles, name: str, which: Tensor) -> str:
    if name not in particles.columns:
        return ""
    return f", {example(particles.columns[name].value, which)}"


def _zeros(like: Tensor) -> Tensor:
    """Zeros that take no memory."""
    return like.new_zeros(()).expand_as(like)


class SiteLogRatios(Mapping[str, Tensor]):
    """Log ratios by site, each made when it is first asked for: draws need their sum alone."""

    def __init__(self, particles: Particles, targets: Mapping[str, Tensor]) -> None:
        self._particles, self._targets = particles, targets
        self._made: dict[str, Tensor] = {}

    @functools.cached_property
    def _labels(self) -> Mapping[str, list[str]]:
        return labels(self._particles, self._targets)

    def __getitem__(self, label: str) -> Tensor:
        if label not in self._made:
            parts = {name: self._targets[name] for name in self._labels[label]}
            device = next(iter(parts.values())).device
            room = torch.empty(self._particles.num_particles, dtype=torch.float64, device=device)
            self._made[label] = add_up(self._particles, parts, room)
        return self._made[label]

    def labels_of(self, names: Collection[str]) -> tuple[str, ...]:
        """Labels of the log ratios that hold any of these sites."""
        if not names:
            return ()
        return tuple(label for label, parts in self._labels.items() if not set(names).isdisjoint(parts))

    def __iter__(self) -> Iterator[str]:
        return iter(self._labels)

    def __len__(self) -> int:
        return len(self._labels)

    def __repr__(self) -> str:
        return repr(dict(self))
