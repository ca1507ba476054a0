"""A store filled by guide and simulator: what must agree with it, and each batch that it lacks.

Knows how batches are drawn and the store; nothing of weights, draws or containers.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from arviz_resampler.errors import StoreError, StoreWarning, quoted, warn
from arviz_resampler.particles.checks import check_densities
from arviz_resampler.particles.gathering import Gathered, check_same
from arviz_resampler.particles.guides import Guide, Repeated, Single
from arviz_resampler.particles.looking import Looked, drawers, shown
from arviz_resampler.particles.particles import Particles
from arviz_resampler.particles.simulation import finished, structured
from arviz_resampler.particles.stored import (
    about,
    as_data,
    as_in,
    notes_of,
    signature,
    specs_of,
    to_arrays,
    to_json,
    versions,
)
from arviz_resampler.programs.columns import CachedSite, as_one
from arviz_resampler.programs.program import Program, plain_tensors
from arviz_resampler.programs.runner import Runner, beside
from arviz_resampler.storage import Store

_SHOWN = 8  # values that are kept of each of a few particles
_CLOSE = 1e-3  # of values that two processors draw from one seed, relative to the largest of a site


@dataclass(frozen=True)
class Filling:
    """Guide and simulator that were tried: draws any batch, and writes it into a store.

    Attributes
    ----------
    guide : Guide
        Who draws a batch.
    looked : Looked
        Guide and simulator.
    particles : Particles
        A few, which show what all of them have.
    predictive : frozenset of str
        Sites that are simulated whatever they are in the guide.
    options : mapping
        How the guide is run: ``vectorize``, ``on_error``.
    vectorize : bool or "auto"
        How the simulator is.
    """

    guide: Guide
    looked: Looked
    particles: Particles
    predictive: frozenset[str]
    options: Mapping[str, Any]
    vectorize: bool | str
    num_particles: int  # that there are to be in all, for what is said of time

    @classmethod
    @plain_tensors()
    def tried(
        cls,
        guide: Guide,
        simulator: Program | None,
        *,
        num_particles: int,
        seed: int,
        batch_size: int,
        predictive: frozenset[str],
        data_names: frozenset[str],
        vectorize: bool | str,
        on_error: str,
    ) -> Filling:
        """Try guide and simulator on a few particles."""
        names = predictive | data_names
        singly: dict[str, Any] = {"vectorize": vectorize, "on_error": on_error, "progressbar": False}
        options = {**singly, "vectorize": beside(vectorize, simulator)}
        guide = guide if isinstance(guide, Single) else Repeated(guide, batch_size)
        parts = drawers(_parts(guide, 0, seed, batch_size), 0, num_particles, names, options)
        replayed = None if simulator is None else Runner(simulator, num_particles, names, **singly)
        looked = Looked.at(parts, replayed, seed=seed, batch_size=batch_size, masks=on_error == "mask")
        run, batch = looked.few(masks=on_error == "mask")
        predictive = structured(run, predictive, data_names)
        gathered = Gathered(len(next(iter(batch.columns.values())).value), 0)
        gathered.add(batch)
        gathered.failed = {}  # dtypes are those without a failure
        columns, _, joint = finished(gathered, guide, looked, predictive, options["vectorize"])
        particles = Particles(
            columns, gathered.data, gathered.num_particles, joint=joint, params=looked.params[0].values
        )
        return cls(guide, looked, particles, predictive, options, vectorize, num_particles)

    @property
    def masks(self) -> bool:
        """Whether particles may fail."""
        return bool(self.options["on_error"] == "mask")

    # ---------------------------------------------------------------- batches

    @plain_tensors()
    def draw(self, number: int) -> tuple[dict[str, CachedSite], dict[str, Any]]:
        """A batch by its number, and what its record says."""
        size = self.looked.batch_size
        assert size is not None
        parts = drawers(
            _parts(self.guide, number, self.looked.seed, size),
            number * size,
            self.num_particles,
            self.predictive,
            self.options,
        )
        looked = self.looked.at_parts(parts, masks=self.masks)
        gathered = Gathered(size, number * size)
        for rows in looked.batches():
            gathered.add(looked.draw(rows)[1])
        columns, _, joint = finished(gathered, self.guide, looked, self.predictive, self.options["vectorize"])
        known = self.particles.columns
        dtypes = {name: column.site.dtype for name, column in known.items() if gathered.failed}
        check_same(
            {name: column.site for name, column in known.items()},
            {n: replace(c.site, dtype=dtypes.get(n, c.site.dtype)) for n, c in columns.items()},
            f"batch {number}",
        )
        columns = {name: as_one(column, known[name]) for name, column in columns.items()}
        check_densities(columns, gathered.observed)
        singly = [[len(rows), *flags] for i in sorted(gathered.singly) for rows, flags in gathered.singly[i]]
        notes = notes_of(columns, gathered.failed)
        notes |= {"bad": gathered.bad, "parts": singly, "joint": [list(sites) for sites in joint]}
        notes["component"] = 0
        return columns, notes

    def into(self, store: Store) -> Callable[[int], dict[str, Any]]:
        """What writes a batch by its number, in any process, and gives its record."""
        return _Task(store.path, store.num_batches, self)

    def write(self, store: Store, number: int) -> dict[str, Any]:
        """Draw a batch and write it; its record."""
        start = time.perf_counter()
        columns, notes = self.draw(number)
        arrays, lacks = as_in(store, to_arrays(columns, masks=self.masks))
        notes |= {"seconds": time.perf_counter() - start, **lacks, **signature()}
        return store.write(number, arrays, notes)

    # ---------------------------------------------------------------- what must agree

    def identity(self) -> dict[str, Any]:
        """What decides the particles, as a store keeps it."""
        looked, columns = self.looked, self.particles.columns
        return {
            "random_seed": looked.seed,
            "vectorize": self.vectorize,
            "mixture": not isinstance(self.guide, Single),
            "components": [part.num_particles for part in looked.parts],
            "sites": to_json(columns),
            "joint": [list(sites) for sites in self.particles.joint],
            "first_draws": {name: shown(column.value, _SHOWN) for name, column in columns.items()},
            "parts": looked.first_draws(_SHOWN),
        }


@dataclass(frozen=True)
class _Task:
    """The batches of a store."""

    path: Path
    num_batches: int
    filling: Filling

    def __call__(self, number: int) -> dict[str, Any]:
        """Draw a batch and write it; its record."""
        return self.filling.write(Store.open(self.path).with_room(self.num_batches), number)


def _parts(guide: Guide, number: int, seed: int, batch_size: int) -> list[Any]:
    """Who draws which particles of a batch."""
    return guide.of_batch(number, seed) if isinstance(guide, Repeated) else guide.parts(batch_size, seed)


def check_identity(store: Store, filling: Filling) -> None:
    """Refuse a store of other particles; say what differs without changing them.

    Raises
    ------
    StoreError
        If a call would draw other particles than those that are there.
    """
    there, here = about(store), json.loads(json.dumps(filling.identity()))
    for name in ("random_seed", "vectorize", "components", "mixture"):
        if there[name] != here[name]:
            raise StoreError(
                f"{store.path} has {name}={there[name]!r}, this call {name}={here[name]!r}: give the call "
                f"that of the store, or another path"
            )
    _check_sites(store, there["sites"], here["sites"])
    if dict(store.arrays) != specs_of(filling.particles.columns, masks=filling.masks):
        other = "raise" if filling.masks else "mask"
        raise StoreError(
            f"{store.path} was begun with on_error={other!r}, which matters for whole numbers that are "
            f"predicted: they have no NaN. Give the call that of the store, or another path"
        )
    _check_draws(store, there["first_draws"], here["first_draws"])
    for i, (kept, now) in enumerate(zip(there["parts"], here["parts"], strict=True)):
        _check_draws(store, kept, now, f" of part {i} of the guide")
    _check_data(store, filling.particles.data)
    changed = {n: (there["versions"][n], v) for n, v in versions().items() if there["versions"].get(n) != v}
    if changed:
        listed = ", ".join(f"{name} {old}, now {new}" for name, (old, new) in sorted(changed.items()))
        warn(
            f"{store.path} was begun with other versions ({listed}): particles may differ in their last bits",
            StoreWarning,
        )


Draws = Mapping[str, list[list[str]]]


def _check_draws(store: Store, there: Draws, here: Draws, where: str = "") -> None:
    for name, values in here.items():
        if not _alike(there[name], values):
            raise StoreError(
                f"{store.path} was simulated by other programs: from the same seed, site {name!r}{where} is "
                f"{_listed(values)} now, and was {_listed(there[name])}. A program, or a value that it "
                f"reads, has changed: use another path"
            )


def _check_data(store: Store, data: Mapping[str, Tensor]) -> None:
    now = as_data("data", data)
    for name, (_, kept) in store.data("data").items():
        if ("data", name) not in now or not np.array_equal(kept, now["data", name][1], equal_nan=True):
            raise StoreError(
                f"{store.path} has other data at site {name!r} than the obs= of this call: give the call "
                f"those of the store, or another path"
            )


def _check_sites(store: Store, there: Mapping[str, Any], here: Mapping[str, Any]) -> None:
    if there.keys() != here.keys():
        raise StoreError(
            f"{store.path} was simulated by other programs: site {quoted(there.keys() ^ here.keys())} is in "
            f"one of them only. Use another path"
        )
    for name, site in here.items():
        for field, value in site.items():
            if field != "support" and there[name].get(field, {}) != value:
                raise StoreError(
                    f"{store.path} was simulated by other programs: site {name!r} has {field} {value!r} "
                    f"now, and had {there[name].get(field)!r}. Use another path"
                )


def _alike(there: list[list[str]], here: list[list[str]]) -> bool:
    """Whether draws are the same but for the last bits, which processors round differently."""
    try:
        one, other = np.array(there, np.float64), np.array(here, np.float64)
    except ValueError:
        return False
    scale = float(np.abs(other[np.isfinite(other)]).max(initial=0.0))
    return one.shape == other.shape and np.allclose(one, other, _CLOSE, _CLOSE * scale, equal_nan=True)


def _listed(values: list[list[str]]) -> str:
    return ", ".join(value for row in values for value in row[:2])
