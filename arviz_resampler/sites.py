"""Description of a site: its name, role, axes and kind.

Pure descriptions and the arithmetic of axes; knows no other library.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from typing import Literal

from arviz_resampler.markup import Html, page, table

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


class Sites(dict[str, Site]):
    """Sites by name, which print themselves as a table."""

    def __repr__(self) -> str:
        return "\n".join(f"  {s.name:<16} {s.role:<13} {_axes(s)} {s.dtype}" for s in self.values())

    def html_table(self) -> Html:
        """A row for each site."""
        rows = [[site.name, site.role, _axes(site), site.dtype] for site in self.values()]
        return table(["site", "role", "axes", "dtype"], rows)

    def _repr_html_(self) -> str:
        return page("", self.html_table())


def _axes(site: Site) -> str:
    return f"({', '.join(f'{dim}: {size}' for dim, size in zip(site.dims, site.shape, strict=True))})"


def name_axes(site: str, names: Sequence[str | None]) -> tuple[str, ...]:
    """Give each axis without a plate the name ``<site>_dim_<i>``, counting only such axes."""
    number = count()
    return tuple(f"{site}_dim_{next(number)}" if name is None else name for name in names)
