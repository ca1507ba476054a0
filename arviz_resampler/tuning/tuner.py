"""`Tuner`: a family of priors with hyper-parameters, on one cache of particles.

Knows the pipeline and ranges; nothing of sliders or plots.
"""

from __future__ import annotations

import contextlib
import inspect
import warnings
from collections.abc import Callable, Mapping
from typing import Any

from numpy.typing import ArrayLike

from arviz_resampler.arguments import as_count
from arviz_resampler.errors import ArgumentError, ResamplerError, ResamplerWarning, from_extra, quoted
from arviz_resampler.markup import page, table
from arviz_resampler.particles.reach import Reach, TopUp
from arviz_resampler.pipeline import Model
from arviz_resampler.plots.lines import Line, as_references
from arviz_resampler.tuning.code import write
from arviz_resampler.tuning.coverage import Coverage, cover
from arviz_resampler.tuning.family import Family, Hyper
from arviz_resampler.tuning.ranges import Number
from arviz_resampler.tuning.step import Step
from arviz_resampler.tuning.update import Source, Update
from arviz_resampler.weights.verdict import wanted_ess

_ROOM = 1.02  # for the error of what a top-up is found from


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
    targets : mapping of str to tuple, Target or Targets
        What the predictive is expected to be, as of :meth:`.Resampler.fit`; empty before any are given. A
        widget has a button that fits the hyper-parameters to them.

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
        self, make_model: Callable[..., Model], num_samples: int, ranges: Mapping[str, Any], source: Source
    ) -> None:
        self._family = Family.checked(make_model, ranges)
        self.ranges, self.start = self._family.ranges, self._family.start
        self.num_samples = num_samples
        self._source = source
        self._current: Hyper = self.start
        self._history: list[Step] = []
        self._steps: dict[tuple[Number, ...], Step] = {}
        self.targets: Mapping[str, Any] = {}
        self.lines: dict[str, list[Line]] = {}

    def _shown(self) -> tuple[str, list[list[str]]]:
        """Title and rows of what is printed."""
        rows = [[n, str(self.current[n]), f"{r.low} to {r.high}"] for n, r in self.ranges.items()]
        return f"Tuner of {self._family.name}, {self.num_samples} draws an update", rows

    def __repr__(self) -> str:
        title, rows = self._shown()
        return "\n".join([title, *(f"  {name:<16} {now} in {box}" for name, now, box in rows)])

    def _repr_html_(self) -> str:
        title, rows = self._shown()
        return page(title, table(["hyper-parameter", "now", "range"], rows))

    @property
    def current(self) -> Hyper:
        """The hyper-parameters of the last update; before any, where they start."""
        return self._current

    @property
    def history(self) -> tuple[Step, ...]:
        """Log of the updates: hyper-parameters, verdict, ESS and more of each, but not its draws."""
        return tuple(self._history)

    def update(self, /, **hyper: Number) -> Update:
        """Draws and weights of the prior at some hyper-parameters.

        Depends on what is passed alone, not on earlier updates.

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
        ArgumentError
            If there is no range for a name, or a value is outside its range.
        WeightError
            If no particle is in the support of this prior.
        ProgramError
            If the prior cannot be made or run.
        """
        position = self._family.position(hyper)
        self._current = position
        try:
            scored = self._source.pipeline.score(self._family.model(position))
        except Exception as error:
            self._log(Step.failed(position, error))
            raise
        self._log(Step.of(position, scored.weights, self.num_samples))
        drawn = self._source.pipeline.draw_container(scored, self.num_samples, self._family.call(position))
        return Update(drawn.container, scored.weights)

    def look(self, /, **hyper: Number) -> Step:
        """The verdict at some hyper-parameters, without draws and without a place in the history.

        It is good only where draws of the prior, too, expect the effective sample size that is wanted:
        weights do not show a part of the prior that no particle has met.

        Parameters
        ----------
        **hyper : number
            Hyper-parameters, in their ranges; those left out are where they start.

        Returns
        -------
        Step
            Verdict, ESS and more. Where the prior fails, the verdict is "failed" and the advice says why.

        Raises
        ------
        ArgumentError
            If there is no range for a name, or a value is outside its range.
        """
        position = self._family.position(hyper)
        key = self._key(position)
        if key not in self._steps:
            try:
                with warnings.catch_warnings(action="ignore", category=ResamplerWarning):
                    model = self._family.model(position)
                    weights = self._source.pipeline.score(model).weights
                    step = Step.of(position, weights, self.num_samples, self._reach(model))
            except Exception as error:
                step = Step.failed(position, error)
            self._steps[key] = step
        return self._steps[key]

    def _log(self, step: Step) -> None:
        """Add an update to the history, unless it repeats the last one."""
        if not self._history or self._history[-1].hyper != step.hyper:
            self._history.append(step)

    def _reach(self, model: Model) -> Reach | None:
        """How far the particles reach into a prior; None where it cannot be drawn from."""
        with contextlib.suppress(ResamplerError):
            return self._source.reach(model, self._wish)
        return None

    def _key(self, position: Hyper) -> tuple[Number, ...]:
        """What a step depends on: a top-up may have added particles since."""
        return self._source.pipeline.particles.num_particles, *position.values()

    def needed(self, /, **hyper: Number) -> int:
        """How many new particles a top-up would simulate; 0 where the verdict is good already.

        Parameters
        ----------
        **hyper : number
            As of :meth:`top_up`.

        Raises
        ------
        ArgumentError
            If there is no range for a name, or a value is outside its range.
        """
        step = self.look(**hyper)
        if step.good or step.num_needed is not None:
            return step.top_up
        return self._source.reach(self._family.model(step.hyper), self._wish).num_needed

    def top_up(self, /, **hyper: Number) -> TopUp:
        """Simulate as many new particles at some hyper-parameters as make the verdict good.

        Parameters
        ----------
        **hyper : number
            Hyper-parameters, in their ranges; those left out are where they start.

        Returns
        -------
        TopUp
            What :meth:`.Resampler.top_up` has done.

        Raises
        ------
        ArgumentError
            If there is no range for a name, or a value is outside its range.
        """
        return self._source.top_up(self._family.model(self._family.position(hyper)), self._wish)

    @property
    def _wish(self) -> float:
        return _ROOM * wanted_ess(self.num_samples)

    def fit(self, targets: Mapping[str, Any] | None = None, **options: Any) -> Any:
        """Hyper-parameters at which the predictive is what is expected; sliders move there.

        Parameters
        ----------
        targets : mapping of str to tuple, Target or Targets, optional
            As of :meth:`.Resampler.fit`; those of ``targets`` if absent.
        **options
            ``ess``, ``starts``, ``simulator`` and ``at_most`` as there.

        Returns
        -------
        Fit

        Raises
        ------
        ArgumentError
            If one of the targets cannot be used, or a hyper-parameter has the name of an argument of fit.
        """
        arguments = inspect.signature(type(self._source).fit).parameters.values()
        taken = {argument.name for argument in arguments if argument.kind is not argument.VAR_KEYWORD}
        if names := [name for name in self.ranges if name in taken]:
            raise ArgumentError(f"{quoted(names)} is an argument of fit: rename the hyper-parameter")
        self.targets = self.targets if targets is None else targets
        ranges = {name: (range_.low, range_.high) for name, range_ in self.ranges.items()}
        found = self._source.fit(self._family.make_model, self.targets, **ranges, **options)
        self.lines.clear()
        self.lines.update(found.lines)
        self._current = self._family.position(found.hyper)
        self._log(Step.of(self._current, found.weights, self.num_samples))
        return found

    def coverage(self, num_points: int = 32) -> Coverage:
        """For which hyper-parameters of the box of ranges the particles are reliable.

        Looks at a design that fills the box, and along each range from where the last update was, the
        other hyper-parameters staying there.

        Parameters
        ----------
        num_points : int, default 32
            Size of the design.

        Returns
        -------
        Coverage
            ``table``, ``covered`` by hyper-parameter, ``covered_fraction`` of the box, and ``plot()``.

        Raises
        ------
        ArgumentError
            If ``num_points`` is no positive integer.
        """
        num_points = as_count("num_points", num_points)
        progressbar = self._source.pipeline.progressbar
        return cover(self.look, self.ranges, self.current, num_points, progressbar=progressbar)

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

        Raises
        ------
        ArgumentError
            If there is no range for a name, or a value is outside its range.
        ProgramError
            If the prior cannot be made or run.
        """
        position = self._family.position(hyper) if hyper else self.current
        return write(self._source.pipeline, self._family, position)

    def widget(
        self,
        plot: str | Callable[[Any], Any] | None = None,
        *,
        references: Mapping[str, ArrayLike] | None = None,
    ) -> Any:
        """Sliders with a plot and the verdict, for a notebook.

        Parameters
        ----------
        plot : callable or {"predictive", "curves", "prior"}, optional
            Function that takes a prior, the container, and draws it with matplotlib or ArviZ: on the
            current figure of pyplot, or on one that it returns. By name: the predictive, with a row for each
            value where there are few; its draws as curves, which keep their colors; or the prior. These are
            quick: they follow a slider. If absent, the predictive, as curves
            where its axis has numbers for ``coords``; the prior where nothing is predicted. What goes by name
            is shown first; the widget has choices of the group, the variable and the kind of plot.
        references : mapping of str to array_like, optional
            Values of variables, under their names in the container, as those that are thought extreme: lines
            in the plots that go by name, with the fraction of draws above each. Targets of a variable itself
            have lines, too.

        Returns
        -------
        Explorer
            A widget of ipywidgets: display it, or make it the last line of a cell.

        Raises
        ------
        ArgumentError
            If there is no such plot, or references are no numbers or of no variable.
        ExtraError
            If ipywidgets or matplotlib is not installed.
        """
        with from_extra("widgets"):
            import matplotlib.pyplot  # noqa: F401 - the widget would only say so in its badge

            from arviz_resampler.tuning.widget import Explorer
        from arviz_resampler.plots.views import resolve

        known = self._variables() if references else []
        return Explorer(self, resolve(plot, (as_references(references, known), self.lines)))

    def _variables(self) -> list[str]:
        """Variables of a container; without those that a prior computes itself, where it fails."""
        pipeline, scored = self._source.pipeline, None
        with contextlib.suppress(Exception):  # the widget says what it is
            scored = pipeline.score(self._family.model(self.current))
        columns = pipeline.particles.columns if scored is None else scored.columns
        names = pipeline.labels(scored).names
        return [names[name] for name in columns]
