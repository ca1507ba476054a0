"""Axes of a site: their plates and sizes, and cached values in the order that a program expects.

Arithmetic of axes alone; knows no distributions and nothing of particles but that they stand in front.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

Axes = list[tuple[str | None, int]]  # plate and size


def plates_around(stack: Sequence[Any]) -> dict[int, tuple[str, int]]:
    """Name and size of each vectorized plate, by dim, of Pyro's stack of plates around a site.

    >>> from collections import namedtuple
    >>> Frame = namedtuple("Frame", "name, dim, size")
    >>> plates_around([Frame("school", -1, 8), Frame("step", None, 3)])  # the second is a loop
    {-1: ('school', 8)}
    """
    return {frame.dim: (frame.name, frame.size) for frame in stack if frame.dim is not None}


def plate_axes(batch: Sequence[int], plates: Mapping[int, tuple[str, int]]) -> Axes:
    """Plate and size of each axis of a batch; a plate over which a batch only broadcasts is not in it.

    >>> plate_axes((2, 1, 8), {-1: ("school", 8), -2: ("year", 5)})
    [(None, 2), (None, 1), ('school', 8)]
    """
    rank = len(batch)
    axes: Axes = []
    for i, size in enumerate(batch):
        name, plate_size = plates.get(i - rank, (None, size))
        axes.append((name if plate_size == size else None, size))
    return axes


def match_axes(
    dims: Sequence[str],
    shape: Sequence[int],
    wanted: Sequence[tuple[str | None, int]],
) -> tuple[int, ...] | None:
    """Order in which stored axes must stand to fill the wanted axes, or None if they cannot.

    Axes of size one fit anywhere. Plates of the same name go together; what is left is matched in
    order, so that a plate may stand where another program has an axis of an event.

    >>> match_axes(("a", "b"), (3, 3), [("b", 3), ("a", 3)])
    (1, 0)
    >>> match_axes(("school",), (8,), [(None, 7)]) is None
    True
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


def arrange(value: Tensor, dims: Sequence[str], shape: Sequence[int], wanted: Axes) -> Tensor | None:
    """Values of particles, ``(n, *shape)``, with the wanted axes; None where they cannot have them.

    >>> import torch
    >>> arrange(torch.zeros(10, 2, 3), ("a", "b"), (2, 3), [("b", 3), (None, 1), ("a", 2)]).shape
    torch.Size([10, 3, 1, 2])
    """
    sizes = tuple(size for _, size in wanted)
    # Most often the axes are the same; to see that is three times as fast as to match them.
    if sizes == shape and all(plate in (None, dim) for (plate, _), dim in zip(wanted, dims, strict=True)):
        return value
    order = match_axes(dims, shape, wanted)
    if order is None:
        return None
    return value.permute(0, *(1 + i for i in order)).reshape(value.shape[0], *sizes)


def describe_axes(dims: Sequence[str | None], shape: Sequence[int]) -> str:
    """Axes as they are shown in messages, such as ``(school=8, 3)``.

    >>> describe_axes(["school", None], [8, 3])
    '(school=8, 3)'
    """
    parts = [str(s) if d is None else f"{d}={s}" for d, s in zip(dims, shape, strict=True)]
    return "(" + ", ".join(parts) + ")"
