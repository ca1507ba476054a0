"""A Pyro program seen from outside: running it over many particles, and scoring particles under it.

The only file that knows Pyro. It knows nothing of weights, draws or containers.

A program runs as it is written: a map over particles (``torch.vmap``) shows each of them one draw.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pyro
import torch
from pyro.distributions.distribution import COERCIONS
from pyro.poutine.messenger import Messenger

from arviz_resampler.errors import ArgumentError, ProgramError, source_line
from arviz_resampler.mapping.functorch import OneParticle, ParticleMap, is_mapped_around, map_particles
from arviz_resampler.mapping.in_place import counted
from arviz_resampler.mapping.modules import modules_kept
from arviz_resampler.mapping.particle_mode import ParticleMode, forward_alone
from arviz_resampler.mapping.random_mode import UnmappableError
from arviz_resampler.mapping.streams import Streams, has_drawn
from arviz_resampler.programs.handler import SiteHandler
from arviz_resampler.programs.score_handler import EnoughError
from arviz_resampler.programs.validation import unvalidated

HYPER = "hyper-parameter "  # in front of the name of a site that holds one

_TRAINING = (
    ". A module in training mode computes statistics of its batch, but a program sees one of the particles: "
    "call .eval() on the module"
)

# Pyro has one stack of handlers for all threads: one program runs at a time.
_LOCK = threading.RLock()


@dataclass(frozen=True)
class Params:
    """Parameters that programs have made.

    Attributes
    ----------
    values : mapping of str to Tensor
        Their values.
    unconstrained : mapping of str to Tensor
        What the param store keeps of each.
    constraints : mapping of str to Constraint
        Of each.
    """

    values: Mapping[str, torch.Tensor] = field(default_factory=dict)
    unconstrained: Mapping[str, torch.Tensor] = field(default_factory=dict)
    constraints: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of_store(cls, names: Collection[str]) -> Params:
        """What the param store has under some names."""
        store = pyro.get_param_store()
        unconstrained = dict(store.named_parameters())
        constraints = store._constraints  # noqa: SLF001 - get_state() changes parameters that others hold
        return cls(
            {name: store[name].detach() for name in names},
            {name: unconstrained[name] for name in names},
            {name: constraints[name] for name in names},
        )

    def put_back(self, names: Collection[str]) -> None:
        """Give some of them to the param store, as it had them.

        Those of modules are the same tensors: a PyroModule replaces its own by any other one.
        """
        for name in names:
            kept = self.unconstrained[name]
            if not isinstance(kept, torch.nn.Parameter):
                kept = kept.detach().clone().requires_grad_(kept.requires_grad)
            state: Any = {"params": {name: kept}, "constraints": {name: self.constraints[name]}}
            pyro.get_param_store().set_state(state)


@contextmanager
def untouched_params(made: Params = Params()) -> Iterator[Callable[[], Params]]:
    """Leave the param store and modules as they were found.

    What programs add to the param store goes when their work is done; gives a function that says what was
    added so far. Parameters that were ``made`` before are there from the start.
    """
    store = pyro.get_param_store()
    with _LOCK, modules_kept():
        before = set(store.keys())
        made.put_back(made.values.keys() - before)
        try:
            yield lambda: Params.of_store(set(store.keys()) - before)
        finally:
            for name in set(store.keys()) - before:
                del store[name]


@contextmanager
def plain_tensors() -> Iterator[None]:
    """Neither gradients nor inference mode, in which tensors do not count how often they are changed."""
    if is_mapped_around():
        raise UnmappableError("a Resampler is used in the program")
    with counted(), torch.no_grad():
        yield


def _check_signature(fn: Callable[..., Any], role: str) -> None:
    try:
        signature = inspect.signature(fn)
    except (TypeError, ValueError):
        return
    try:
        signature.bind()
    except TypeError as error:
        raise ArgumentError(
            f"{role} must run without arguments: {error}. Bind them with functools.partial."
        ) from None


class Program:
    """A callable without required arguments, and the word for it in messages."""

    def __init__(
        self, fn: Callable[[], Any], role: str, params: Mapping[str, torch.Tensor] | None = None
    ) -> None:
        if not callable(fn):
            raise ArgumentError(
                f"{role} must be a callable, got {type(fn).__name__}: pass the program, not its result"
            )
        code = getattr(fn, "__code__", None)
        if code is None or code.co_argcount or code.co_kwonlyargcount:
            _check_signature(fn.forward if isinstance(fn, torch.nn.Module) else fn, role)
        self.fn = fn
        self.role = role
        self.params = params or {}  # of guide and simulator, where they start at random

    def without(self, names: Collection[str]) -> Program:
        """The program with some sites that nobody sees."""
        return (
            Program(pyro.poutine.block(self.fn, hide=list(names)), self.role, self.params) if names else self
        )

    def run_one(self, handler: SiteHandler, row: int | None = None) -> Any:
        """Run once, as it is written; return what the program returns.

        Parameters
        ----------
        handler : SiteHandler
            Meets the sites.
        row : int, optional
            Which cached particle to run.
        """
        handler.begin(OneParticle(), row=row)
        try:
            with _LOCK, modules_kept(), unvalidated(), _Listener(handler, self.params):
                result = self._call()
                if handler.raised is not None:
                    raise handler.raised
                handler.end()
        except (ProgramError, UnmappableError):  # a map around this run may refuse something
            raise
        except Exception as error:
            raise self._explain(error, handler) from error
        self._check_result(handler, result)
        return result

    def _call_mapped(self, handler: SiteHandler, mode: ParticleMode) -> Any:
        """The same in a map, where the program must not catch what the map refuses."""
        result = None
        try:
            result = self._call()
        except BaseException as error:
            if mode.raised is None or isinstance(error, Exception | KeyboardInterrupt | SystemExit):
                raise
        refused = mode.raised or handler.raised
        if refused is not None:
            raise refused
        return result

    def _call(self) -> Any:
        """Value that the program returns, if it comes to its end."""
        try:
            return self.fn()
        except EnoughError:
            return None

    def _check_result(self, handler: SiteHandler, result: Any) -> None:
        """Refuse a function that makes a program, passed instead of what it makes."""
        if callable(result) and not handler.found and not isinstance(result, torch.Tensor):
            name = getattr(self.fn, "__name__", type(self.fn).__name__)
            raise ProgramError(
                f"the {self.role} draws nothing and returns a {type(result).__name__}: did you mean {name}()?"
            )

    def run_mapped(self, handler: SiteHandler, num_particles: int, streams: Streams) -> Any:
        """Run once, mapped over particles; return what the program returns, inside the map.

        Raises
        ------
        UnmappableError
            If the program does something that particles cannot do together.
        """
        # The second time each tensor is a particle's own: the program may change one in place.
        for fresh in (False, True):
            try:
                return self._map(handler, num_particles, streams, fresh=fresh)
            except (ProgramError, UnmappableError):
                raise
            except Exception as error:
                # Tensor.set_ is no torch function for a mode, and would set a copy of each particle's row.
                if fresh or not isinstance(error, RuntimeError) or "aten::set_(" in str(error):
                    raise UnmappableError(f"{type(error).__name__}: {error}") from error
        raise AssertionError

    def _map(self, handler: SiteHandler, num_particles: int, streams: Streams, *, fresh: bool) -> Any:
        returned: list[Any] = []

        def work(particles: ParticleMap) -> None:
            mode = ParticleMode(particles, streams, handler.role, fresh)
            handler.begin(particles, mode)
            with mode:
                with _Listener(handler, self.params, outside=not fresh):
                    returned.append(self._call_mapped(handler, mode))
                handler.end()

        with _LOCK, modules_kept(), unvalidated(), forward_alone():
            before = torch.get_rng_state()
            try:
                map_particles(work, num_particles)
            finally:  # some functions draw by ways that no mode sees, such as dropout
                if has_drawn(before):
                    handler.drew_outside()
        self._check_result(handler, returned[0])
        return returned[0]

    def _explain(self, error: Exception, handler: SiteHandler) -> ProgramError:
        where = source_line(error, outside=("pyro", "torch"))
        site = f", after site {handler.last!r}" if handler.last else ""
        if handler.current is not None:
            site = f", at site {handler.current!r}"
        place = f"{where}{site}".lstrip(", ")
        hint = _TRAINING if "when training" in str(error) else ""
        return ProgramError(
            f"the {self.role} failed ({place}): {type(error).__name__}: {error}"
            f"{handler.describe_invalid()}{hint}"
        )


def with_hyper(make_model: Callable[..., Any], names: Sequence[str]) -> Callable[[], Any]:
    """The program of a family whose hyper-parameters are values that it is given, at sites of their own."""

    def program() -> Any:
        hyper = {name: pyro.sample(HYPER + name, pyro.distributions.Normal(0.0, 1.0)) for name in names}
        return make_model(**hyper)()

    return program


def uniform(limits: Mapping[str, tuple[torch.Tensor, torch.Tensor]]) -> Callable[[], None]:
    """The program that draws each site from a box, both of whose ends belong to it."""

    def box() -> None:
        for name, (low, high) in limits.items():
            distribution = pyro.distributions.Uniform(low, torch.nextafter(high, high.new_tensor(torch.inf)))
            pyro.sample(name, distribution.to_event(low.dim()))

    return box


class _Listener(Messenger):  # type: ignore[misc]
    """Hands each site to a handler. Outermost: sees a site after all handlers of the program.

    With ``outside``, distributions whose parameters all particles share are built outside the map, in half
    the time.
    """

    def __init__(
        self, handler: SiteHandler, params: Mapping[str, torch.Tensor], *, outside: bool = False
    ) -> None:
        super().__init__()
        self._handler = handler
        self._params = params
        self._outside = outside
        self._thread = threading.get_ident()

    def __enter__(self) -> Any:
        if self._outside:
            COERCIONS.append(self._build)
        return super().__enter__()

    def __exit__(self, *error: Any) -> None:
        if self._outside:
            COERCIONS.remove(self._build)
        super().__exit__(*error)

    def _build(self, cls: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """A distribution, built outside the map; None: it has to be built as it stands in the program."""
        particles = self._handler.particles
        for arg in (*args, *kwargs.values()):
            kind = type(arg)
            if kind is not float and kind is not int and (kind is not torch.Tensor or particles.varies(arg)):
                return None
        own = threading.get_ident() == self._thread and cls.__module__.startswith("pyro.")
        if not own or not particles.is_alone():
            return None
        with particles.outside():
            return type.__call__(cls, *args, **kwargs)

    def _process_message(self, msg: dict[str, Any]) -> None:
        if threading.get_ident() != self._thread:
            return
        if msg["type"] == "sample":
            self._handler.process_site(msg)
        elif msg["type"] == "param":
            self._param(msg)
        elif msg["type"] == "inspect" and self._handler.lean:
            msg["mask"] = False  # what poutine.get_mask() asks for
        msg["stop"] = True  # as poutine.block does: handlers around the call see nothing of it

    def _param(self, msg: dict[str, Any]) -> None:
        """Make a parameter at first sight outside the map, which it outlives."""
        if msg["done"] or msg["value"] is not None:
            return
        name, *args = msg["args"]
        particles = self._handler.particles
        if args and name not in pyro.get_param_store():
            random = callable(args[0]) or particles.varies(args[0])
            if random and name in self._params:
                msg["value"], msg["done"] = self._params[name], True
                return
            if not callable(args[0]):
                args[0] = particles.rows(args[0])[0]
        with particles.outside():
            msg["value"] = msg["fn"](name, *args, **msg["kwargs"])
        msg["done"] = True
