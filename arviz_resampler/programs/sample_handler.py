"""What to do at each site of a guide or simulator: draw it, for all particles or for one.

Sites come as the messages of Pyro's effect handlers, as in :mod:`.handler`. Knows densities and records;
nothing of weights or batches.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from arviz_resampler.arguments import as_array
from arviz_resampler.densities import density, kinds, support
from arviz_resampler.densities.parameters import any_tensor, nested
from arviz_resampler.densities.together import Asked, asked_later
from arviz_resampler.errors import MismatchError, ProgramError
from arviz_resampler.mapping.functorch import ParticleMap, to_rank
from arviz_resampler.mapping.streams import Streams, seed_torch
from arviz_resampler.programs.axes import plate_axes, plates_around
from arviz_resampler.programs.columns import CachedSite
from arviz_resampler.programs.handler import (
    FAILURES,
    ChangedInPlaceError,
    Message,
    SiteHandler,
    density_of,
)
from arviz_resampler.programs.runs import Invalid, SiteRun

_WHOLE = ("Categorical", "OrderedLogistic")  # draw integers, which have no NaN


class SampleHandler(SiteHandler):
    """Run a guide or simulator: sample every site for all particles at once, or for one.

    Parameters
    ----------
    role : str
        The word for the program in messages.
    replay : mapping of str to CachedSite
        Sites that have their values already.
    predictive : collection of str
        Sites that are simulated whatever they are in the guide.
    streams : Streams
        Where random numbers come from.
    given : mapping of str to CachedSite
        Sites that an earlier try of this run has drawn.
    lean : bool
        Whether the program is told, by ``poutine.get_mask()``, that it need not compute densities.
    later : bool
        Whether log densities that can be asked of many particles together are left to the caller.
    """

    def __init__(
        self,
        role: str,
        replay: Mapping[str, CachedSite],
        predictive: Collection[str],
        streams: Streams,
        *,
        given: Mapping[str, CachedSite] | None = None,
        lean: bool = False,
        later: bool = False,
    ) -> None:
        super().__init__(role)
        self.later = later
        self.given = given or {}
        self.lean = lean
        self.replay = replay
        self.predictive = predictive
        self.streams = streams
        self._kinds: dict[Any, kinds.Kind] = {}
        self._asked_first: dict[str, Asked] = {}

    def _deterministic(self, msg: Message) -> None:
        name = msg["name"]
        if name in self.replay and f"{name}_unobserved" not in self.found:
            raise MismatchError(f"site {name!r} is deterministic in the {self.role}, but the guide draws it")
        super()._deterministic(msg)

    def _stochastic(self, msg: Message) -> None:
        name, fn = msg["name"], msg["fn"]
        replayed = self._column(name, self.replay)
        column = self._column(name, self.given) if replayed is None else replayed
        with self.particles.outside():
            flags = None if self._is_sound(fn) else self._invalid(name, fn)
            kind = "observed" if msg["is_observed"] else "latent"
            simulated = self.role == "simulator" or kind == "observed" or name in self.predictive
            if flags is not None and not simulated:
                self._refuse_invalid(name, flags)
            data, broadcast = self._data(msg) if kind == "observed" else (None, None)
            if column is not None:
                rows = self._place(msg, column)
            elif msg["value"] is not None and kind == "latent":
                rows = self.particles.rows(torch.as_tensor(msg["value"])).detach()
        if column is None and (msg["value"] is None or kind == "observed"):
            rows = self._draw(name, fn, flags)
            if rows.shape[1:] != fn.shape():  # some distributions leave out axes of a batch
                rows = self._broadcast(name, fn, rows)
            if simulated and flags is None:
                rows, flags = self._within_support(name, fn, rows)
        # A program that is known to change values in place is handed copies.
        copies = column is not None or self._mode is None or self._mode.fresh
        with self.particles.outside():
            given = rows.clone(memory_format=torch.contiguous_format) if copies else rows
        kind_of, mask = self._kind_of(name, fn), msg["mask"]
        found = self._keep(
            msg,
            kind,
            rows,
            plate_axes(fn.batch_shape, plates_around(msg["cond_indep_stack"])),
            auxiliary=bool(msg["infer"].get("is_auxiliary")),
            data=data,
            broadcast=broadcast,
            replayed=replayed is not None,
            masked=kind_of.masked or not (mask is None or mask is True),
            kind_of=kind_of,
        )
        if flags is not None:
            found.bad, found.bad_text = flags, self.invalid[name].text
        self._score(found, fn, rows, mask)
        self._later.append(self._check_unchanged(name, rows, given))
        msg["value"] = self.particles.enter(given)
        msg["done"] = True

    def _check_unchanged(self, name: str, rows: Tensor, given: Tensor) -> Callable[[], None]:
        """A check of what the program was handed at a site: in place, it may change copies alone."""
        version, mode = given._version, self._mode

        def check() -> None:
            changed = given._version != version
            # What counts no version shows in the values of one particle, and in a map by its use.
            hidden = _differ(given, rows) and not changed if mode is None else changed and mode.exposes(given)
            if hidden:
                raise ProgramError(
                    f"site {name!r} of the {self.role} is changed in place through .numpy() or .data after "
                    f"it was drawn, and would no longer be the value that its density belongs to. Compute a "
                    f"new value from it, and name that with pyro.deterministic."
                )
            if changed and given is rows:
                raise ChangedInPlaceError(f"site {name!r} is changed in place after it was drawn")

        return check

    def _refuse_invalid(self, name: str, flags: Tensor) -> None:
        """Refuse a latent of the guide with an invalid parameter, but where linear algebra had failed."""
        if (flags if self.failed is None else flags & ~self.failed).any():
            raise ProgramError(
                f"site {name!r} of the {self.role}: {self.invalid[name].describe(self.n)}. Keep the "
                f"parameter in range: a particle without a value of a latent has no weight."
            )

    def _kind_of(self, name: str, fn: Any) -> kinds.Kind:
        """Kind of the distribution at a site: asked once where particles run one at a time."""
        key = name, type(fn), type(getattr(fn, "base_dist", None))
        if self._mode is not None or key not in self._kinds:
            self._kinds[key] = kinds.kind_of(fn)
        return self._kinds[key]

    def _draw(self, name: str, fn: Any, bad: Tensor | None) -> Tensor:
        """Draws of all particles, NaN where parameters are invalid."""
        if bad is not None and bad.all():
            if kinds.is_discrete(fn) and type(fn).__name__ in _WHOLE:
                raise self._no_nan(name)
            with self.particles.outside():
                return _missing(fn, self.n)
        if self._mode is None:
            return self.particles.rows(fn())
        particles = self._mode.particles
        self._mode.spared = bad
        try:
            with self._mode.at_site(name):
                value = self._mode.individual(fn())
        except torch.linalg.LinAlgError:  # type: ignore[attr-defined]
            raise
        except FAILURES as error:
            value = self._draw_alike(name, fn)
            if value is None:
                self.looped[name] = f"{type(error).__name__}: {error}"
                value = self._draw_each(name, fn, particles)
        finally:
            self._mode.spared = None
        with particles.outside():
            rows = particles.rows(value).detach().contiguous()  # as they are when they are scored
            if bad is None:
                return rows
            if not value.is_floating_point():
                raise self._no_nan(name)
            return _without(rows, bad)

    def _no_nan(self, name: str) -> ProgramError:
        return ProgramError(
            f"site {name!r} of the {self.role}: {self.invalid[name].describe(self.n)}; there is no NaN in "
            f"whole numbers to mark them with. Keep the parameter in range."
        )

    def _within_support(self, name: str, fn: Any, rows: Tensor) -> tuple[Tensor, Tensor | None]:
        """Draws, NaN where they left the support of their own distribution, and which particles' that are.

        A Poisson of a very large rate gives negative counts.
        """
        if support.is_everywhere(fn) or not rows.is_floating_point():
            return rows, None
        with self.particles.outside():
            inside = self._asked(name, fn, rows, support.inside)
            if inside is None or inside.all():
                return rows, None
            lost = ~inside.reshape(len(inside), -1).all(-1).expand(self.n)
            shown = rows[~inside.expand(self.n, *inside.shape[1:])].flatten()[0].item()
            self.invalid[name] = Invalid(
                f"a draw of {type(fn).__name__} left its support, {shown:.4g}", int(lost.sum())
            )
            return _without(rows, lost), lost

    def _broadcast(self, name: str, fn: Any, rows: Tensor) -> Tensor:
        shape = fn.shape()
        try:
            return to_rank(rows, len(shape) + 1).expand(len(rows), *shape)
        except RuntimeError:
            raise ProgramError(
                f"site {name!r} of the {self.role}: draws of its {type(fn).__name__} have shape "
                f"{tuple(rows.shape[1:])}, but it says {tuple(shape)}"
            ) from None

    def _draw_alike(self, name: str, fn: Any) -> Tensor | None:
        """Draws from one distribution for all particles, outside the map; None: it is not one."""
        shape, particles = fn.shape(), self.particles
        if any_tensor(fn, particles.varies) or not kinds.draws_alike(fn):
            return None
        with contextlib.suppress(*FAILURES), particles.outside():
            draws = self.streams.draw(
                f"site {name}/alike",
                self.n,
                [],
                max(shape.numel(), 1),
                torch.get_default_device(),
                lambda n, rows: fn(torch.Size((n,))),
            )
            if draws.shape == (self.n, *shape):
                with particles.inside():
                    return particles.enter(draws)
        return None

    def _draw_each(self, name: str, fn: Any, particles: ParticleMap) -> Tensor:
        """Draws of one particle after the other, each from its own stream at this site."""

        def draw(one: Any, i: int) -> Tensor:
            seed_torch(self.streams.seed, f"site {name}", self.streams.first + i)
            value: Tensor = one()
            return value

        before = torch.get_rng_state()
        try:
            return density.each(fn, particles, draw)
        finally:  # the program has not set a seed
            torch.set_rng_state(before)

    def _factor(self, msg: Message) -> None:
        with self.particles.outside():
            total = self._total(self.particles.rows(msg["fn"].log_factor)).clone()
        self._keep(msg, "factor", total, [], auxiliary=True, log_density=total)

    def _data(self, msg: Message) -> tuple[Tensor | None, tuple[int, ...] | None]:
        """The data of ``obs=``, in the shape of one particle, ``(*batch, *event)``; None: no data.

        A value that depends on what was drawn is no data. Nor is one that Pyro only broadcasts with the site,
        which cannot be compared with its draws: its shape is returned.
        """
        name, fn = msg["name"], msg["fn"]
        value = _as_tensor(name, msg["value"])
        if self.particles.varies(value):
            return None, None
        shape = torch.Size((*fn.batch_shape, *fn.event_shape))
        extra = max(value.dim() - len(shape), 0)
        try:
            return value.detach().reshape(value.shape[extra:]).expand(shape).clone(), None
        except RuntimeError:
            if _broadcasts(value.shape, fn):
                return None, tuple(value.shape)
            raise ProgramError(
                f"site {name!r} of the {self.role} has obs= of shape {tuple(value.shape)}, but "
                f"one particle has shape {tuple(shape)}"
            ) from None

    def _score(self, found: SiteRun, fn: Any, rows: Tensor, mask: Any) -> None:
        """The density that a site was drawn with."""
        replayed = self.replay.get(found.name)
        if replayed is not None and found.kind == "latent" and found.name not in self.predictive:
            return
        found.support = support.support_key(fn)
        if self.later and not isinstance(mask, Tensor):
            found.asked = asked_later(fn, self._asked_first.get(found.name))
            if found.asked is not None:
                self._asked_first.setdefault(found.name, found.asked)
                return
        with self.particles.outside():
            try:
                each = self._asked(found.name, fn, rows, density_of(None, masks=False))
            except NotImplementedError as error:
                found.unscorable = str(error) or f"{type(fn).__name__} has no density"
                return
            assert each is not None
            found.log_density = self._total(each)

        def masked() -> None:
            found.mask = self._aligned(mask, each)
            found.log_density_masked = self._total(torch.where(found.mask, each, 0.0))

        if isinstance(mask, Tensor):  # a program may change a mask after its use
            self._later.append(masked)


def _as_tensor(name: str, values: Any) -> Tensor:
    """Data of any library as a tensor, NaN where one is missing."""
    if isinstance(values, Tensor):
        return values
    array = as_array(name, values)
    return torch.from_numpy(np.array(array, array.dtype.newbyteorder("=")))


def _broadcasts(shape: torch.Size, fn: Any) -> bool:
    """Whether a value of a shape has a density, as Pyro computes it."""
    batch = len(shape) - len(fn.event_shape)
    try:
        torch.broadcast_shapes(shape[:batch], fn.batch_shape)  # type: ignore[no-untyped-call]
    except RuntimeError:
        return False
    return bool(shape[batch:] == fn.event_shape)


def _differ(one: Tensor, other: Tensor) -> bool:
    """Whether two values differ; NaN is NaN."""
    return not torch.equal(one, other) and not bool(((one == other) | (one.isnan() & other.isnan())).all())


def _missing(fn: Any, n: int) -> Tensor:
    """NaN in place of draws, in the dtype of the parameters."""
    tensors = [value for part in nested(fn) for value in vars(part).values() if isinstance(value, Tensor)]
    like = next((tensor for tensor in tensors if tensor.is_floating_point()), torch.empty(()))
    return torch.full((n, *fn.shape()), torch.nan, dtype=like.dtype, device=like.device)


def _without(rows: Tensor, which: Tensor) -> Tensor:
    """Values of all particles, NaN for those that are flagged."""
    return rows.masked_fill(which.reshape(-1, *(1,) * (rows.dim() - 1)), torch.nan)
