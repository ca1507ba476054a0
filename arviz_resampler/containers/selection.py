"""Which sites a container of draws holds. Knows names of variables and groups; nothing of draws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from arviz_resampler.arguments import as_names, as_variables
from arviz_resampler.containers.container import Groups
from arviz_resampler.containers.labels import Labels
from arviz_resampler.errors import ArgumentError, quoted
from arviz_resampler.sites import Site


class Selection(NamedTuple):
    """What a user wants a container to hold; None is all.

    Attributes
    ----------
    var_names : str or sequence of str, optional
        Variables, by their names in the container.
    group : str or sequence of str, optional
        Groups of draws.
    """

    var_names: str | Sequence[str] | None = None
    group: str | Sequence[str] | None = None

    def of(self, labels: Labels, sites: Mapping[str, Site], groups: Groups) -> list[str]:
        """Names of the sites that are held.

        Raises
        ------
        ArgumentError
            If there is no such group, or no such variable in the groups.
        """
        drawn = [groups.latents, groups.predictive]
        wanted = drawn if self.group is None else as_names("group", self.group)
        for name in wanted:
            if name not in drawn:
                raise ArgumentError(f"group holds {name!r}; the groups of draws are {quoted(drawn)}")
        by_name = {labels.names[n]: n for n, site in sites.items() if groups.of(site) in wanted}
        return [by_name[name] for name in as_variables(self.var_names, list(by_name))]


ALL = Selection()
