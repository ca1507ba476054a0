"""Plates that take some of their rows: which ones, and what that does to the density of a site.

A program may name the rows, with ``subsample=``; that they are picked anew in each run is refused. Knows
neither distributions nor what is drawn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from arviz_resampler.errors import MismatchError, ProgramError
from arviz_resampler.mapping.functorch import OneParticle, ParticleMap

Rows = dict[str, list[int]]  # by plate


def note_rows(msg: Mapping[str, Any], role: str, particles: ParticleMap | OneParticle, rows: Rows) -> None:
    """Note the rows that a program names for a plate, in the message of its subsample.

    Raises
    ------
    ProgramError
        If they are not the same in all particles.
    """
    name, fn, value = msg["name"], msg["fn"], msg["value"]
    size = fn.size if fn.subsample_size is None else fn.subsample_size
    if value is None and size >= fn.size:
        return
    if value is not None:
        value = torch.as_tensor(value)
        size = len(value)
        if not particles.varies(value):
            taken = value.tolist()
            if rows.setdefault(name, taken) == taken:
                return
    raise ProgramError(
        f"plate {name!r} of the {role} takes a subsample of {size} of {fn.size}: every run picks other rows, "
        f"so particles cannot be scored. Remove subsample_size, or name the same rows in all of them with "
        f"subsample=."
    )


def named_rows(stack: Sequence[Any], rows: Rows) -> Rows:
    """Rows that plates around a site take, of those that name them."""
    return {frame.name: rows[frame.name] for frame in stack if frame.name in rows} if rows else {}


def check_rows(msg: Mapping[str, Any], role: str, here: Rows, drawn: Rows) -> None:
    """Refuse values of other rows than those that plates take now; a plate that names none takes all.

    Raises
    ------
    MismatchError
        If the site was drawn in other rows.
    """
    for frame in msg["cond_indep_stack"]:
        every = list(range(frame.size))
        if drawn.get(frame.name, every) != here.get(frame.name, every):
            raise MismatchError(
                f"plate {frame.name!r} of the {role} takes other rows than those in which site "
                f"{msg['name']!r} was drawn. Name the same rows with subsample=."
            )


def own_scale(scale: Any, stack: Sequence[Any]) -> Any:
    """Scale of the density of draws: that of a site, without what a subsample of a plate adds to it.

    Pyro takes some rows for all of them, to estimate the density of the whole data. The draws are those of
    the rows that there are.

    >>> from collections import namedtuple
    >>> Frame = namedtuple("Frame", "size, full_size")
    >>> own_scale(2.0 * 100 / 20, [Frame(20, 100), Frame(3, 3)])
    2.0
    """
    whole = 1.0
    for frame in reversed(stack):  # in the order in which Pyro has multiplied, so that one is exactly one
        if frame.full_size is not None and frame.full_size != frame.size:
            whole = whole * frame.full_size / frame.size
    return scale if whole == 1.0 else scale / whole
