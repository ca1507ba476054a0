"""Simulations in memory, or in a store: begun, gone on with, and shared among tasks.

Knows calls, how particles are simulated, and stores; nothing of models.
"""

from __future__ import annotations

import contextlib
import datetime
import inspect
import logging
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from arviz_resampler.arguments import as_shard
from arviz_resampler.calls import Call
from arviz_resampler.draws.chooser import global_seed
from arviz_resampler.errors import ArgumentError, ProgramWarning, StoreError, StoreWarning, quoted, warn
from arviz_resampler.mapping.streams import BLOCK
from arviz_resampler.opening import data_of, read, settings_of
from arviz_resampler.particles.filling import Filling, check_identity
from arviz_resampler.particles.simulation import simulate
from arviz_resampler.particles.stored import about, added_to, specs_of, to_attrs, versions
from arviz_resampler.particles.top_up import Cache
from arviz_resampler.pipeline import Model, Pipeline
from arviz_resampler.programs.program import Program
from arviz_resampler.progress import shown
from arviz_resampler.storage import Store
from arviz_resampler.workers import Workers, run_batches

_LARGEST = 10_000  # particles of a batch, where nobody has said how many
_LONG = 600.0  # seconds of a batch, which is what a kill costs

_log = logging.getLogger(__name__)

Path = str | os.PathLike[str]


@dataclass(frozen=True)
class SimulationReport:
    """What a call that fills a store has done, and what is left.

    Attributes
    ----------
    path : str
        Of the store.
    num_batches : int
        How many batches the store is to have.
    done : int
        How many it has.
    missing : tuple of int
        Numbers of the others.
    written : int
        How many this call has added.
    seconds : float
        How long that took.
    """

    path: str
    num_batches: int
    done: int
    missing: tuple[int, ...]
    written: int
    seconds: float

    def __str__(self) -> str:
        left = f"{len(self.missing)} missing" if self.missing else "complete"
        return (
            f"{self.path}: {self.done} of {self.num_batches} batches ({left}); {self.written} written in "
            f"{self.seconds:.3g} s"
        )


# ---------------------------------------------------------------- in memory


def simulated(call: Call) -> tuple[Pipeline, Cache]:
    """Particles in memory, and what they come from."""
    seed = global_seed() if call.seed is None else call.seed
    call.warn_thin()
    options = {**call.options, "seed": seed, "batch_size": call.batch_size}
    # Observed data without any predictive site has nothing to be compared with; it is kept as it is.
    particles = simulate(
        call.guide,
        call.simulator,
        call.num_particles,
        predictive=call.predictive,
        data_names=frozenset(call.observed),
        **options,
    )
    cache = Cache(call.guide, call.simulator, particles, {**options, "workers": None})
    return call.pipeline(particles, seed), cache


def simulated_into(call: Call, path: Path, top_ups: Sequence[Model] = ()) -> tuple[Pipeline, Cache | None]:
    """Particles in a store, once all of them are there, and what they come from.

    None where models have topped the store up that are not among ``top_ups``.
    """
    store, filling, _ = fill(call, path)
    particles, seed = read(store, list(range(store.num_batches))), filling.looked.seed
    options = {**call.options, "seed": seed, "batch_size": store.batch_size, "workers": None}
    cache = Cache(filling.guide, call.simulator, particles, options, store)
    added = added_to(store)
    if len(top_ups) > len(added):
        raise ArgumentError(
            f"top_ups has {len(top_ups)} models, but the store was topped up {len(added)} times"
        )
    models = [
        (Program(model, "model", particles.params), each["num_particles"])
        for model, each in zip(top_ups, added, strict=False)
    ]
    whole = len(top_ups) == len(added)
    return call.pipeline(particles, seed), cache.with_models(models) if whole else None


def extended(call: Call, cache: Cache, workers: Workers | None) -> Cache:
    """The cache of a call for more particles, which has those that a cache has."""
    if cache.store is None:
        return cache.with_more(call.num_particles, workers)
    call = replace(call, options={**call.options, "workers": workers}, batch_size=cache.store.batch_size)
    found = simulated_into(call, cache.store.path)[1]
    assert found is not None
    return found


# ---------------------------------------------------------------- filling


def fill(call: Call, path: Path, *, shard: str | None = None) -> tuple[Store, Filling, SimulationReport]:
    """Simulate the batches that a store lacks, or those of a shard."""
    start, share = time.perf_counter(), as_shard(shard)
    if share is not None and call.seed is None:
        raise ArgumentError("a shard needs random_seed=: each task would draw a seed of its own")
    store, filling = begun(call, path)
    with store.lock("all" if shard is None else shard):
        i, n = share or (0, 1)
        missing = _missing(store)
        pending = [batch for batch in missing if batch % n == i]
        for batch, record in shown(
            _written(store, filling, pending, call),
            f"Simulating into {store.path}",
            total=store.num_batches,
            done=store.num_batches - len(missing),
            quiet=not call.options["progressbar"],
        ):
            _log.info("batch %d written, %.3g s", batch, record["seconds"])
            _warn_long(record["seconds"], batch)
        missing = store.missing()
        if not missing:
            store = store.changed()
    if not missing:
        with contextlib.suppress(StoreError), store.lock():  # while nobody else writes
            store.clean()
    seconds, total = time.perf_counter() - start, store.num_batches
    report = SimulationReport(
        str(store.path), total, total - len(missing), tuple(missing), len(pending), seconds
    )
    return store, filling, report


def begun(call: Call, path: Path) -> tuple[Store, Filling]:
    """The store of a call, made where there is none, and what fills it."""
    known = Store.open(path) if Store.is_store(path) else None
    call = _completed(call, known)
    filling = _tried(call)
    pipeline = call.pipeline(filling.particles, filling.looked.seed)
    if known is None:
        size = filling.looked.batch_size
        assert size is not None
        known = Store.create(
            path,
            specs_of(filling.particles.columns, masks=filling.masks),
            batch_size=size,
            num_batches=call.num_particles // size,
            attrs=to_attrs(
                {
                    **filling.identity(),
                    **_notes(call),
                    "settings": settings_of(pipeline, seeded=call.seed is not None),
                }
            ),
            data=data_of(filling.particles, pipeline),
        )
    check_identity(known, filling)
    _warn_changed(known, call)
    return _with_room(known, call.num_particles), filling


def _with_room(store: Store, num_particles: int) -> Store:
    """A store with room for so many particles of its guide, which others see once they are there."""
    added = _added(store)
    of_guide = store.num_batches * store.batch_size - added
    if num_particles < of_guide:
        raise StoreError(
            f"{store.path} has {of_guide} particles, num_guide_samples={num_particles} is less: a store can "
            f"only grow. Resampler.open takes all that it has"
        )
    if added and num_particles > of_guide:
        raise StoreError(
            f"{store.path} was topped up, so the {of_guide} particles of its guide cannot become "
            f"{num_particles}: top it up once more, or use another path"
        )
    return store.with_room((num_particles + added) // store.batch_size)


def _missing(store: Store) -> list[int]:
    """Batches that are still to be simulated; what a killed top-up has left is one of them."""
    known = Store.open(store.path)
    known.forget(
        batch for batch in known.surplus() if batch < store.num_batches and store.record(batch)["component"]
    )
    missing = store.missing()
    for batch in missing:
        if 0 < (known.num_batches - batch) * store.batch_size <= _added(store):
            raise StoreError(
                f"{store.path} lacks batch {batch} of a top-up, which the guide does not draw: begin another "
                f"store, or put the batch back"
            )
    return missing


def _added(store: Store) -> int:
    return sum(each["num_particles"] for each in added_to(store))


def _completed(call: Call, known: Store | None) -> Call:
    """A call with the seed and the batch size of the store that there is, if it has none."""
    if known is not None:
        said = about(known)
        if not said["first_draws"]:
            raise StoreError(
                f"{known.path} has particles from elsewhere, which no program here has drawn: open it by "
                f"Resampler.open, or pass another path for those of these programs"
            )
        seed = said["random_seed"] if call.seed is None else call.seed
        call = replace(call, seed=seed, batch_size=call.batch_size or known.batch_size)
        if call.batch_size != known.batch_size:
            raise StoreError(
                f"{known.path} has batch_size={known.batch_size}, this call batch_size={call.batch_size}: "
                f"give the call that of the store, or another path"
            )
    size = call.batch_size or _default_size(call.num_particles)
    if call.num_particles % size:
        more = -(-call.num_particles // size) * size
        raise ArgumentError(
            f"num_guide_samples={call.num_particles} is no multiple of batch_size={size}, which a store "
            f"needs: take {more}"
        )
    return replace(call, batch_size=size)


def _default_size(num_particles: int) -> int:
    """The largest number of particles of a batch that leaves no rest, of whole blocks if there is one."""
    sizes = [size for size in range(min(num_particles, _LARGEST), 0, -1) if num_particles % size == 0]
    size = next((size for size in sizes if size % BLOCK == 0), sizes[0])
    if size < min(num_particles, _LARGEST) / 10:
        more = -(-num_particles // 1000) * 1000
        raise ArgumentError(
            f"num_guide_samples={num_particles} has no divisor that is a good batch size: pass batch_size=, "
            f"or take {more}"
        )
    return size


def _tried(call: Call) -> Filling:
    seed = global_seed() if call.seed is None else call.seed
    assert call.batch_size is not None
    call.warn_thin()
    return Filling.tried(
        call.guide,
        call.simulator,
        num_particles=call.num_particles,
        seed=seed,
        batch_size=call.batch_size,
        predictive=call.predictive,
        data_names=frozenset(call.observed),
        vectorize=call.options["vectorize"],
        on_error=call.options["on_error"],
    )


def _written(
    store: Store, filling: Filling, pending: list[int], call: Call
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Batches as they are written, and their records."""
    workers = call.options["workers"]
    if workers is None:
        yield from ((batch, filling.write(store, batch)) for batch in pending)
        return
    for batch, record in run_batches(workers, filling.into(store), pending, parts=filling.looked.programs()):
        try:
            store.record(batch)
        except StoreError as error:
            raise StoreError(
                f"a worker has written batch {batch} where this process does not see it ({error}): "
                f"{store.path} must be one directory for all of them"
            ) from error
        yield batch, record


def _warn_long(seconds: float, batch: int) -> None:
    if seconds > _LONG:
        warn(
            f"batch {batch} took {seconds / 60:.0f} min, which is what is lost when the process is killed: "
            f"take a smaller batch_size for another store",
            ProgramWarning,
        )


def _notes(call: Call) -> dict[str, Any]:
    """What is kept for people: versions, and the source of the programs, which nothing executes."""
    created = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    return {"versions": versions(), "created": created, "source": _sources(call)}


def _sources(call: Call) -> dict[str, list[str]]:
    """Texts of guide and simulator."""
    programs = {"guide": [p.program.fn for p in call.guide.parts(call.num_particles, 0)[:20]]}
    programs["simulator"] = [] if call.simulator is None else [call.simulator.fn]
    return {role: list(dict.fromkeys(map(_source, fns))) for role, fns in programs.items()}


def _source(fn: Any) -> str:
    """The text of a program, empty where there is none; of a member of a family, that of what makes it."""
    if (getattr(fn, "__module__", None) or "").startswith("arviz_resampler."):
        made = (cell.cell_contents for cell in getattr(fn, "__closure__", None) or ())
        return "".join(_source(part) for part in made if callable(part))
    with contextlib.suppress(OSError, TypeError):
        return inspect.getsource(fn if inspect.isroutine(fn) else type(fn))
    return ""


def _warn_changed(store: Store, call: Call) -> None:
    """Say that the text of a program is another one than when the store was begun."""
    there, here = about(store)["source"], _sources(call)
    changed = [role for role, text in here.items() if there.get(role, text) != text]
    if changed:
        warn(
            f"{store.path} was begun with another text of {quoted(changed)}. The first draws are the same; "
            f"if others are not, its batches do not go together: use another path then",
            StoreWarning,
        )
