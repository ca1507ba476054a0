"""A family of priors with hyper-parameters, looked at one by one.

Knows weights, ranges and how programs are written as source; nothing of sliders or pictures.
"""

from __future__ import annotations

import inspect
import math
import warnings
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import torch

from arviz_resampler.errors import (
    ArgumentError,
    ProgramError,
    ResamplerError,
    ResamplerWarning,
    from_extra,
    quoted,
    suggestion,
)
from arviz_resampler.particles.particles import Particles
from arviz_resampler.programs.columns import select
from arviz_resampler.programs.program import Program
from arviz_resampler.programs.source import written
from arviz_resampler.programs.source_parts import Unwritable
from arviz_resampler.scoring.scored import ScoredModel
from arviz_resampler.tuning.coverage import Coverage, Step, cover
from arviz_resampler.tuning.ranges import Number, Range
from arviz_resampler.weights.weights import Weights

Model = Callable[[], Any]
Hyper = Mapping[str, Number]

_READ = 16  # particles on which a program is read to be written as source


class Update(NamedTuple):
    """What a position of the hyper-parameters comes to.

    Attributes
    ----------
    prior : InferenceData or DataTree
        The draws, as of :meth:`.Resampler.sample_prior_predictive`.
    weights : Weights
        The weights that they were drawn with.
    """

    prior: Any
    weights: Weights


class Tuner:
    """Priors of one family, on the particles of a resampler.

    Made by :meth:`.Resampler.tune`.

    Attributes
    ----------
    ranges : mapping of str to Range
        Where each hyper-parameter may be.
    start : mapping of str to number
        Where each begins: at the default that ``make_model`` gives it, if that is in its range, else in
        the middle of it.
    num_samples : int
        How many draws an update makes.

    Examples
    --------
    >>> import pyro, pyro.distributions as dist
    >>> from arviz_resampler import Resampler
    >>> def make_model(scale):
    ...     return lambda: pyro.sample("mu", dist.Normal(0.0, scale))
    >>> resampler = Resampler(make_model(10.0), num_guide_samples=20_000, random_seed=0)
    >>> tuner = resampler.tune(make_model, scale=(1.0, 9.0))
    >>> prior, weights = tuner.update(scale=3.0)
    >>> weights.verdict
    'good'
    >>> print(tuner.code())
    import pyro
    import pyro.distributions as dist
    <BLANKLINE>
    <BLANKLINE>
    def prior():
        mu = pyro.sample("mu", dist.Normal(0.0, 3.0))
        return mu
    <BLANKLINE>
    """

    def __init__(
        self,
        make_model: Callable[..., Model],
        num_samples: int,
        ranges: Mapping[str, Any],
        *,
        particles: Particles,
        weigh: Callable[[Model], ScoredModel],
        draw: Callable[[ScoredModel, int, str], tuple[Any, Any]],
    ) -> None:
        defaults = _check_signature(make_model, ranges)
        self.ranges: Mapping[str, Range] = MappingProxyType(
            {name: Range.checked(name, given) for name, given in ranges.items()}
        )
        self.start: Hyper = MappingProxyType(
            {name: _start(own, defaults.get(name)) for name, own in self.ranges.items()}
        )
        self.num_samples = num_samples
        self._make_model = make_model
        self._particles, self._weigh, self._draw = particles, weigh, draw
        self._current: Hyper = self.start
        self._history: list[Step] = []
        self._latest: tuple[Hyper, Update] | None = None
        self._steps: dict[tuple[Number, ...], Step] = {}

    def __repr__(self) -> str:
        lines = [f"Tuner of {_name(self._make_model)}, {self.num_samples} draws an update"]
        lines += [
            f"  {own.name:<16} {self.current[own.name]} in {own.low} to {own.high}"
            for own in self.ranges.values()
        ]
        return "\n".join(lines)

    @property
    def current(self) -> Hyper:
        """The hyper-parameters of the last update; before any, where they start."""
        return self._current

    @property
    def history(self) -> tuple[Step, ...]:
        """What became of each update: its hyper-parameters, verdict, ESS and more, but not its draws."""
        return tuple(self._history)

    def update(self, /, **hyper: Number) -> Update:
        """Draws and weights of the prior at some hyper-parameters.

        Depends on what is passed alone, not on earlier updates. The same again is not computed again.

        Parameters
        ----------
        **hyper : number
            Hyper-parameters, in their ranges; those left out are where they start.

        Returns
        -------
        Update
            ``prior``, the draws in a container, and ``weights``.

        Raises
        ------
        WeightError
            If no particle is in the support of this prior.
        ProgramError
            If the prior cannot be made or run.
        """
        position = self._position(hyper)
        if self._latest is not None and self._latest[0] == position:
            return self._latest[1]
        self._current = position
        try:
            weighed = self._weigh(self._model(position))
        except Exception as error:
            self._history.append(Step.failed(position, error))
            raise
        self._history.append(self._keep(position, weighed.weights))
        _, prior = self._draw(weighed, self.num_samples, self._call(position))
        self._latest = position, Update(prior, weighed.weights)
        return self._latest[1]

    def look(self, /, **hyper: Number) -> Step:
        """The verdict at some hyper-parameters, without draws and without a place in the history.

        Parameters
        ----------
        **hyper : number
            Hyper-parameters, in their ranges; those left out are where they start.

        Returns
        -------
        Step
            Verdict, ESS and more. Where the prior fails, the verdict is "failed" and the advice says why.
        """
        position = self._position(hyper)
        key = tuple(position.values())
        if key not in self._steps:
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", ResamplerWarning)
                    weights = self._weigh(self._model(position)).weights
            except Exception as error:
                self._steps[key] = Step.failed(position, error)
            else:
                self._keep(position, weights)
        return self._steps[key]

    def _keep(self, position: Hyper, weights: Weights) -> Step:
        step = Step.of(position, weights, self.num_samples)
        self._steps[tuple(position.values())] = step
        return step

    def coverage(self, num_points: int = 32) -> Coverage:
        """Where in the box of the ranges the particles carry the prior.

        Looks at a design that fills the box, and along each range from where the last update was, the
        other hyper-parameters staying there.

        Parameters
        ----------
        num_points : int, default 32
            Size of the design.

        Returns
        -------
        Coverage
            ``table``, ``safe`` by hyper-parameter, ``share`` of the box, and ``plot()``.
        """
        return cover(self.look, self.ranges, self.current, num_points)

    def code(self, /, **hyper: Number) -> str:
        """Source of a prior: a program ``prior`` with its numbers in place.

        It has the latent sites of the model, their plates and distributions; it returns what the model
        returns, where those are values of sites. Deterministic sites and what carries ``obs=`` are left
        out. The source was executed and scored beside the model before it is returned.

        Parameters
        ----------
        **hyper : number
            Hyper-parameters, as in :meth:`update`; without any, those of the last update.

        Returns
        -------
        str
            Python source. Where a site cannot be written, a comment says which, and ``prior`` is made by
            a call of ``make_model``.
        """
        position = self._position(hyper) if hyper else self.current
        model = self._model(position)
        weights = self._weigh(model).weights
        inside = torch.as_tensor(weights.log_ratio > -math.inf).nonzero()[:, 0]
        index = inside[torch.linspace(0, len(inside) - 1, min(len(inside), _READ)).long()]
        try:
            if len(index) < 2:
                raise Unwritable("no two particles are in the support of this prior, to read it on")
            columns = select(self._particles.columns, index)
            return written(Program(model, "model"), columns, len(index))
        except Unwritable as why:
            notes = "".join(f"# {line}\n" for line in str(why).splitlines())
            return f"{notes}prior = {self._call(position)}\n"

    def widget(self, plot: str | Callable[[Any], Any] | None = None) -> Any:
        """Sliders with a picture and the verdict, for a notebook.

        Parameters
        ----------
        plot : callable or {"predictive", "curves", "prior"}, optional
            Function that takes a prior, the container, and draws it with matplotlib or ArviZ: on the
            current figure of pyplot, or on one that it returns. By name: the predictive by ArviZ; its
            draws as curves, which keep their colours; or the prior. If absent, the predictive, as curves
            where its axis has numbers for ``coords``; the prior where nothing is predicted.

        Returns
        -------
        Explorer
            A widget of ipywidgets: display it, or make it the last line of a cell.

        Raises
        ------
        ExtraError
            If ipywidgets or matplotlib is not installed.
        """
        with from_extra("widgets"):
            import matplotlib.pyplot  # noqa: F401 - the widget would only say so in its badge

            from arviz_resampler.tuning.widget import Explorer
        from arviz_resampler.plots.priors import resolve

        return Explorer(self, resolve(plot))

    # ---------------------------------------------------------------- hyper-parameters

    def _position(self, hyper: Mapping[str, Any]) -> Hyper:
        """All hyper-parameters: those that are given, checked, and where the others start."""
        for name in hyper:
            if name not in self.ranges:
                raise ArgumentError(
                    f"there is no range for {name!r}; there are {quoted(self.ranges)}."
                    f"{suggestion(name, self.ranges)}"
                )
        given = {name: self.ranges[name].value(value) for name, value in hyper.items()}
        return MappingProxyType({**self.start, **given})

    def _model(self, position: Hyper) -> Model:
        try:
            return self._make_model(**position)
        except ResamplerError:
            raise
        except Exception as error:
            call = self._call(position)
            raise ProgramError(f"the call {call} failed: {type(error).__name__}: {error}") from error

    def _call(self, position: Hyper) -> str:
        arguments = ", ".join(f"{name}={value!r}" for name, value in position.items())
        return f"{_name(self._make_model)}({arguments})"


def _name(make_model: Callable[..., Model]) -> str:
    name = getattr(make_model, "__name__", "")
    return name if name.isidentifier() else "make_model"


def _check_signature(make_model: Callable[..., Model], ranges: Mapping[str, Any]) -> dict[str, Any]:
    """Check that ``make_model`` can be called with the hyper-parameters; return its defaults."""
    if not callable(make_model):
        raise ArgumentError(
            f"make_model must be a callable that takes hyper-parameters and returns a program, got "
            f"{make_model!r}"
        )
    if not ranges:
        raise ArgumentError("tune needs a range for each hyper-parameter, as in scale=(1.0, 10.0)")
    try:
        parameters = inspect.signature(make_model).parameters
    except (TypeError, ValueError):
        return {}
    by_name = {n: p for n, p in parameters.items() if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    for name in ranges:
        if name not in by_name and not takes_any:
            draws = " The number of draws goes second, without a name." if name == "num_samples" else ""
            raise ArgumentError(
                f"{_name(make_model)} takes no hyper-parameter {name!r}; it takes {quoted(by_name)}."
                f"{draws or suggestion(name, by_name)}"
            )
    missing = [n for n, p in by_name.items() if p.default is p.empty and n not in ranges]
    if missing:
        raise ArgumentError(
            f"{_name(make_model)} needs {quoted(missing)}: give a range, or a default in its signature"
        )
    return {name: p.default for name, p in by_name.items() if p.default is not p.empty}


def _start(own: Range, default: Any) -> Number:
    """The default of a hyper-parameter where that is in its range, else the middle of the range."""
    try:
        return own.value(default)
    except ArgumentError:
        return own.at(0.5)
