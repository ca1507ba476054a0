"""Names of sites and plates, where a container had to change them. Knows arrays; nothing of sites."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import xarray as xr

from arviz_resampler.containers.labels import as_file_name
from arviz_resampler.containers.matching import Part, Variable


class OwnNames(NamedTuple):
    """Names by those that they have in a container.

    They are changed in variables one by one: a Dataset cannot have a plate that is called as its site, nor
    two dims of one name, of which a plate of two sizes had to be made.
    """

    variables: dict[str, str]
    dims: dict[str, str]

    def part(self, found: Part) -> Part:
        """Variables and labels under the names of the sites."""
        back = self.dims
        # Labels of a dim that goes back into one of another size are of neither.
        coords: dict[str, Any] = {}
        for dim, labels in found.coords.items():
            coords.setdefault(back.get(dim, dim), labels)
        return found._replace(
            variables={
                self.variables.get(name, name): Variable(values, tuple(back.get(dim, dim) for dim in dims))
                for name, (values, dims) in found.variables.items()
            },
            coords=coords,
            shared=self.data(found.shared),
        )

    def data(self, arrays: Mapping[Any, xr.DataArray]) -> dict[str, xr.DataArray]:
        """Data under the names of the sites."""
        return {
            self.variables.get(str(name), str(name)): values.rename(
                {dim: self.dims[str(dim)] for dim in values.dims if str(dim) in self.dims}
            )
            for name, values in arrays.items()
        }


def own_names(attrs: Mapping[Any, Any], groups: Mapping[str, xr.Dataset]) -> OwnNames:
    """What a container says of the names that were changed for it."""
    renamed = {}
    with contextlib.suppress(TypeError, ValueError):  # of others, who may call anything "renamed"
        renamed = dict(json.loads(attrs.get("renamed", "{}")))
    arrays = {str(name): values for group in groups.values() for name, values in group.data_vars.items()}
    dims = {str(dim) for group in groups.values() for dim in group.dims}
    variables = {new: old for old, new in renamed.items() if new in arrays and new not in dims}
    sites = {variables.get(name, name): values for name, values in arrays.items()}
    return OwnNames(
        variables, {new: _own_dim(old, new, sites) for old, new in renamed.items() if new in dims}
    )


def _own_dim(old: str, new: str, sites: Mapping[str, xr.DataArray]) -> str:
    """The plate in "dim plate" or "dim plate of site", of which both may have an "of" in their names."""
    plate = old.removeprefix("dim ")
    for site, values in sites.items():
        of_site = new in values.dims and new.startswith(f"{as_file_name(site)}_")
        if of_site and plate.endswith(f" of {site}"):
            return plate.removesuffix(f" of {site}")
    return plate
