"""What to do at each site of a program that is run: see it as it is, and draw it for all particles.

Sites come as the messages of Pyro's effect handlers, which are dicts; Pyro itself is not needed. Knows
densities and records; nothing of weights or batches.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution

from arviz_resampler import density
from arviz_resampler.errors import MismatchError, ProgramError
from arviz_resampler.parameters import BadParameter, bad_parameter, nested
from arviz_resampler.records import Column, Found, Invalid
from arviz_resampler.sites import describe_axes, match_axes

Message = dict[str, Any]
Axes = list[tuple[str | None, int]]


class TooShallow(Exception):
    """A program has plates where the particle axis was put; it needs ``nesting`` axes."""

    def __init__(self, nesting: int, text: str) -> None:
        super().__init__(text)
        self.nesting = nesting


class Handler:
    """What running and scoring have in common. Outermost: sees a site after all other handlers."""

    keeps = False  # whether what it finds outlives the run

    def __init__(self, role: str, n: int, nesting: int) -> None:
        self.role = role
        self.n = n
        self.nesting = nesting
        self.found: dict[str, Found] = {}
        self.current: str | None = None
        self.last: str | None = None
        self.invalid: dict[str, Invalid] = {}
        self.needed = nesting
        self.needed_text = ""

    def hint(self) -> str:
        """What was odd about parameters, for the message of a failure."""
        return "".join(f". At site {site!r}, {what.describe(self.n)}" for site, what in self.invalid.items())

    def at(self, msg: Message) -> None:
        """Meet a site before it has a value."""
        name = msg["name"]
        self.current = name
        fn = msg["fn"]
        if _is_kind(msg, "_Subsample"):
            size = fn.size if fn.subsample_size is None else fn.subsample_size
            if msg["value"] is not None:
                size = len(msg["value"])
            if size < fn.size:
                raise ProgramError(
                    f"plate {name!r} of the {self.role} takes a subsample of {size} of "
                    f"{fn.size}: every run picks other rows, so particles cannot be scored. Remove "
                    f"subsample_size."
                )
            return
        if name in self.found:
            raise ProgramError(f"the {self.role} has two sites named {name!r}: give each its own name")
        if not isinstance(fn, Distribution) or not hasattr(fn, "event_dim"):
            raise ProgramError(
                f"site {name!r} of the {self.role} samples from a {type(fn).__name__}, which is not a "
                f"Pyro distribution; take one of pyro.distributions"
            )
        if _is_kind(msg, "Unit") or self._is_deterministic(msg):
            self._batch(name, torch.Size(), frames_of(msg))  # for the depth of its plates
            if not _is_kind(msg, "Unit"):
                self._deterministic(msg)
            return
        parts = nested(fn)
        if density.is_improper(parts):
            raise ProgramError(
                f"site {name!r} of the {self.role} has an improper distribution (ImproperUniform): "
                f"nothing can be drawn from it, and it cannot be resampled to. Use a proper one."
            )
        self._stochastic(msg, self._batch(name, fn.batch_shape, frames_of(msg)), parts)

    def _is_deterministic(self, msg: Message) -> bool:
        """Whether a site holds a computed value, by pyro.deterministic or by poutine.reparam."""
        fn = msg["fn"]
        if not msg["infer"].get("_deterministic") and msg["is_observed"] and density.is_kind(fn, "Delta"):
            point, log_density = density.point_of(fn)
            if bool((point == msg["value"]).all()):
                if bool((log_density != 0).any()):
                    raise ProgramError(
                        f"site {msg['name']!r} of the {self.role} is reparametrised in a way that changes "
                        f"the density of other sites; pass the {self.role} without this poutine.reparam"
                    )
                msg["infer"]["_deterministic"] = True
        return bool(msg["infer"].get("_deterministic"))

    def _deterministic(self, msg: Message) -> None:
        pass

    def _stochastic(self, msg: Message, batch: tuple[int, ...], parts: list[Distribution]) -> None:
        raise NotImplementedError

    def _batch(self, name: str, own: torch.Size, frames: dict[int, tuple[str, int]]) -> tuple[int, ...]:
        """Batch axes of a site without the particle axis, padded to the nesting.

        A run over one particle goes on where the nesting is too small, and says what is needed.
        """
        wide = [len(own) - i for i, size in enumerate(own) if size != 1]
        depth = max([-dim for dim in frames] + [d for d in wide if d > self.nesting + 1], default=0)
        outer = own[-1 - self.nesting] if len(own) > self.nesting else 1
        if outer not in (1, self.n):
            depth = max(depth, self.nesting + 1)
        if depth > self.nesting:
            plates = [plate for dim, (plate, _) in frames.items() if -dim == depth]
            inside = f" inside plate {plates[0]!r}" if plates else ""
            text = (
                f"site {name!r} of the {self.role}{inside} has batch shape {tuple(own)}: it needs "
                f"max_plate_nesting={depth}, not {self.nesting}"
            )
            if not plates:
                text += ". Stack a vector that is no plate along the last dim: torch.stack(..., -1)"
            if self.n > 1 and len(wide) > 0 and own[len(own) - wide[0]] == self.n and not plates:
                raise self._misplaced(name, tuple(own), -wide[0])
            if self.n > 1:
                raise TooShallow(depth, text)
            if depth > self.needed:
                self.needed, self.needed_text = depth, text
        if self.n == 1 and depth > self.nesting:
            return tuple(own)
        inner = tuple(own)[max(len(own) - self.nesting, 0) :]
        return (1,) * (self.nesting - len(inner)) + inner

    def _misplaced(self, name: str, own: tuple[int, ...], dim: int) -> ProgramError:
        return ProgramError(
            f"site {name!r} of the {self.role} has batch shape {own}: the axis of the {self.n} particles is "
            f"at dim {dim}, not at dim {-1 - self.nesting} where it was put. Index events from the right "
            f"(z[..., 0]), and keep the axes of plates: z.sum(-1, keepdim=True), z[..., :1]."
        )

    def _refuse_particles(self, name: str, axes: Axes, alone: Axes) -> None:
        """Refuse an axis, no plate, that is as long as there are particles and one long for one of them."""
        before = [(None, 1)] * len(axes) + alone
        for dim in range(-len(axes), 0):
            if self.n > 1 and axes[dim] == (None, self.n) and before[dim] == (None, 1):
                raise self._misplaced(name, tuple(size for _, size in axes), dim)

    def _check_parameters(self, msg: Message, parts: list[Distribution]) -> BadParameter | None:
        bad = bad_parameter(parts)
        if bad is not None:
            self.invalid[msg["name"]] = Invalid(bad.text, int(self._by_particle(bad.bad).sum()))
        return bad

    def _by_particle(self, entries: Tensor) -> Tensor:
        """Which particles have any of the flagged entries, from flags of any batch shape."""
        if entries.dim() > self.nesting and entries.shape[0] == self.n:
            return entries.reshape(self.n, -1).any(-1)
        return entries.any().expand(self.n)

    def _sum(self, name: str, values: Tensor, frames: Mapping[int, tuple[str, int]] | None = None) -> Tensor:
        """Sum over all axes but the particle axis: shape (n,), sums in float64."""
        if values.dim() == 0 or values.numel() == 1:
            return values.reshape(()).expand(self.n)
        if values.shape == (self.n,) and self.nesting == 0:
            return values
        plate = (frames or {}).get(-values.dim())
        if plate is not None and plate[1] == values.shape[0] and values.dim() <= self.nesting:
            return values.sum(dtype=torch.float64).expand(self.n)  # along a plate, the same for all
        if values.shape[0] == self.n and (self.n > 1 or values.dim() > self.nesting):
            flat = values.reshape(self.n, -1)
            return flat[:, 0] if flat.shape[1] == 1 else flat.sum(-1, dtype=torch.float64)
        if self.n in values.shape and self.n > 1:
            raise ProgramError(
                f"the log density at site {name!r} of the {self.role} has shape {tuple(values.shape)}: its "
                f"first axis must be that of the {self.n} particles; stack other axes to its right"
            )
        return values.sum(dtype=torch.float64).expand(self.n)

    def after(self, msg: Message) -> None:
        """Keep what a site has come to."""
        name = msg["name"]
        self.current, self.last = None, name
        if _is_kind(msg, "_Subsample") or msg["value"] is None:
            return
        if _is_kind(msg, "Unit"):
            self._factor(msg)
        elif msg["infer"].get("_deterministic"):
            value = torch.as_tensor(msg["value"]).detach()
            if self.keeps:
                value = value.clone()  # external code may use the memory of its result again
            self.found[name] = Found(
                name,
                "deterministic",
                value,
                None,
                frames_of(msg),
                event_dim=msg["fn"].event_dim,
                version=value._version,
            )

    def _factor(self, msg: Message) -> None:
        raise NotImplementedError

    def _column(self, name: str, columns: Mapping[str, Column]) -> Column | None:
        """The cached site of that name, or the whole that ``obs_mask=`` made it a part of."""
        if name in columns:
            return columns[name]
        for suffix in ("_observed", "_unobserved"):
            if name.endswith(suffix) and name[: len(name) - len(suffix)] in columns:
                return columns[name[: len(name) - len(suffix)]]
        return None

    def _axes(self, msg: Message, batch: tuple[int, ...]) -> Axes:
        frames = frames_of(msg)
        depth = len(batch)
        names = [frames[i - depth][0] if i - depth in frames else None for i in range(depth)]
        return list(zip(names, batch, strict=True))

    def _place(self, msg: Message, batch: tuple[int, ...], column: Column) -> Tensor:
        """Cached values in the shape that this program's site expects."""
        axes = self._axes(msg, batch)
        wanted = axes + [(None, size) for size in msg["fn"].event_shape]
        site = column.site
        sizes = tuple(size for _, size in wanted)
        # Most often the axes are the same; to see that is three times as fast as to match them.
        same = sizes == site.shape and all(
            plate in (None, dim) for (plate, _), dim in zip(wanted, site.dims, strict=True)
        )
        order = tuple(range(len(sizes))) if same else match_axes(site.dims, site.shape, wanted)
        if order is None:
            self._refuse_particles(msg["name"], axes, [])
            kept = [(n, s) for n, s in wanted if n is not None or s != 1]
            raise MismatchError(
                f"site {site.name!r} has axes {describe_axes([n for n, _ in kept], [s for _, s in kept])} "
                f"in the {self.role}, but {describe_axes(site.dims, site.shape)} in the particles. "
                f"Plates and events must keep their sizes; build a new Resampler for other ones."
            )
        value = column.value
        if order != tuple(range(len(order))):
            value = value.permute(0, *(1 + i for i in order))
        return value.reshape(value.shape[0], *sizes)


def _is_kind(msg: Message, kind: str) -> bool:
    """Whether the distribution at a site is of a class that Pyro makes for its own primitives."""
    return type(msg["fn"]).__name__ == kind


def frames_of(msg: Message) -> dict[int, tuple[str, int]]:
    """Name and size of each vectorised plate around a site, by dim."""
    stack = msg["cond_indep_stack"]
    return {f.dim: (f.name, f.size) for f in stack if f.dim is not None} if stack else {}


class Drawing(Handler):
    """Run a guide or simulator: sample every site for all particles at once.

    Where it is known what a site was like ``alone``, an axis that only many particles have is refused.
    """

    keeps = True

    def __init__(
        self,
        role: str,
        n: int,
        nesting: int,
        replay: Mapping[str, Column],
        predictive: frozenset[str],
        alone: Mapping[str, Found],
    ) -> None:
        super().__init__(role, n, nesting)
        self.replay = replay
        self.predictive = predictive
        self.alone = alone

    def _deterministic(self, msg: Message) -> None:
        name = msg["name"]
        if name in self.replay and f"{name}_unobserved" not in self.found:
            raise MismatchError(f"site {name!r} is deterministic in the {self.role}, but the guide draws it")

    def _stochastic(self, msg: Message, batch: tuple[int, ...], parts: list[Distribution]) -> None:
        name, fn = msg["name"], msg["fn"]
        found = Found(
            name,
            "observed" if msg["is_observed"] else "latent",
            torch.empty(0),
            self._axes(msg, batch),
            frames_of(msg),
            event_dim=fn.event_dim,
            auxiliary=bool(msg["infer"].get("is_auxiliary")),
            mask=msg["mask"] if isinstance(msg["mask"], Tensor) else None,
            discrete=density.is_discrete(fn),
            continuous=density.is_continuous(fn),
            drawn_otherwise=density.drawn_otherwise(fn),
            point_mass=density.is_kind(fn, "Delta"),
        )
        if name in self.alone:  # before each particle is drawn as many times as there are particles
            self._refuse_particles(name, found.axes or [], self.alone[name].axes or [])
        if msg["is_observed"]:
            found.data = self._data(msg, batch)
        bad = self._check_parameters(msg, parts)
        if bad is not None:
            found.bad, found.bad_text = self._by_particle(bad.bad), bad.text
            if self.role == "guide" or (self.n > 1 and found.bad.all()):
                raise ProgramError(f"site {name!r} of the {self.role}: {self.invalid[name].describe(self.n)}")
        msg["is_observed"] = False
        msg["fn"] = fn.expand((self.n, *batch))
        msg["value"] = None
        msg["done"] = False
        column = self._column(name, self.replay)
        if column is not None:
            found.replayed = True
            msg["value"] = self._place(msg, batch, column)
            msg["done"] = True
        self.found[name] = found

    def _factor(self, msg: Message) -> None:
        total = self._sum(msg["name"], msg["fn"].log_factor, frames_of(msg))
        self.found[msg["name"]] = Found(
            msg["name"], "factor", total, [], frames_of(msg), auxiliary=True, log_density=total
        )

    def _data(self, msg: Message, batch: tuple[int, ...]) -> Tensor:
        """The data of ``obs=``, in the shape of one particle: ``(*batch, *event)``."""
        data = torch.as_tensor(msg["value"]).detach()
        shape = (*batch, *msg["fn"].event_shape)
        extra = data.dim() - len(shape)
        if extra == 1 and self.n > 1 and data.shape[0] == self.n:
            raise ProgramError(
                f"site {msg['name']!r} of the {self.role} has obs= of shape {tuple(data.shape)}, with "
                f"a value for each particle: it depends on what was drawn, so it is not data"
            )
        try:
            return data.reshape(data.shape[max(extra, 0) :]).expand(shape).clone()
        except RuntimeError:
            raise ProgramError(
                f"site {msg['name']!r} of the {self.role} has obs= of shape {tuple(data.shape)}, but "
                f"one particle has shape {shape}"
            ) from None

    def after(self, msg: Message) -> None:
        """Keep what a site has come to."""
        found = None if _is_kind(msg, "_Subsample") else self.found.get(msg["name"])
        if found is None or found.kind not in ("latent", "observed"):
            super().after(msg)
            return
        self.current, self.last = None, msg["name"]
        value, fn = msg["value"].detach(), msg["fn"]
        if found.bad is not None and not found.replayed:
            if not value.is_floating_point():
                invalid = self.invalid[found.name].describe(self.n)
                raise ProgramError(
                    f"site {found.name!r} of the {self.role}: {invalid}; there is no NaN "
                    f"in whole numbers to mark them with. Keep the parameter in range."
                )
            value = value.masked_fill(found.bad.reshape(-1, *(1,) * (value.dim() - 1)), torch.nan)
            msg["value"] = value
        found.value, found.version = value, value._version
        own = self.replay.get(found.name)
        if own is not None and found.kind == "latent" and found.name not in self.predictive:
            return
        found.support = density.support_key(fn)
        try:
            each = density.native_log_prob(fn, value, masks=False)
        except NotImplementedError as error:
            found.unscorable = str(error) or f"{type(fn).__name__} has no density"
            return
        found.log_density = self._sum(found.name, each)
        if found.mask is not None:
            found.log_density_masked = self._sum(found.name, torch.where(found.mask, each, 0.0))
