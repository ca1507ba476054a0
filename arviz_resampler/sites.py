"""Description of a site: its name, role, axes and kind.

Pure descriptions and the arithmetic of axes; imports no other library.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Role = Literal["latent", "deterministic", "predictive", "auxiliary"]


@dataclass(frozen=True)
class Site:
    """One site of a program, as it is stored for every particle.

    Attributes
    ----------
    name : str
        The name in the program.
    role : {"latent", "deterministic", "predictive", "auxiliary"}
        What the site is for. Auxiliary sites are kept, never exported.
    dims : tuple of str
        A name for each axis after the particle axis: plate names in the order of their axes, then
        ``<name>_dim_<i>`` for the axes of the event.
    shape : tuple of int
        The size of each axis, for one particle.
    num_plates : int
        How many of the axes are plates.
    dtype : str
        The dtype of the stored values, such as ``"float32"``.
    discrete : bool
        Whether the support is discrete.
    """

    name: str
    role: Role
    dims: tuple[str, ...]
    shape: tuple[int, ...]
    num_plates: int
    dtype: str
    discrete: bool


def name_axes(site: str, names: Sequence[str | None]) -> tuple[str, ...]:
    """Give each axis without a plate the name ``<site>_dim_<i>``, counting only such axes."""
    count = 0
    named = []
    for name in names:
        if name is None:
            name = f"{site}_dim_{count}"
            count += 1
        named.append(name)
    return tuple(named)


def describe_axes(dims: Sequence[str | None], shape: Sequence[int]) -> str:
    """Axes as they are shown in messages, such as ``(school=8, 3)``."""
    parts = [str(s) if d is None else f"{d}={s}" for d, s in zip(dims, shape, strict=True)]
    return "(" + ", ".join(parts) + ")"


def match_axes(
    dims: Sequence[str],
    shape: Sequence[int],
    wanted: Sequence[tuple[str | None, int]],
) -> tuple[int, ...] | None:
    """Order in which stored axes must stand to fill the wanted axes, or None if they cannot.

    Axes of size one fit anywhere. Plates of the same name go together; what is left is matched in
    order, so that a plate may stand where another program has an axis of an event.
    """
    stored = [i for i, size in enumerate(shape) if size != 1]
    places = [j for j, (_, size) in enumerate(wanted) if size != 1]
    if len(stored) != len(places):
        return None
    by_name = {dims[i]: i for i in stored}
    taken: dict[int, int] = {}
    for j in places:
        name = wanted[j][0]
        if name is not None and name in by_name:
            taken[j] = by_name[name]
    rest = iter([i for i in stored if i not in taken.values()])
    order = [taken[j] if j in taken else next(rest) for j in places]
    if any(shape[i] != wanted[j][1] for i, j in zip(order, places, strict=True)):
        return None
    return (*order, *(i for i in range(len(shape)) if shape[i] == 1))
