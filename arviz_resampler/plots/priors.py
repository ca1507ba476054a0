"""Plots that the widget knows by name: of the predictive, of curves, of the prior.

Knows ArviZ and matplotlib, which are imported where something is drawn, and the groups of a container;
nothing of how it was made.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import xarray as xr

from arviz_resampler.containers.container import drawn_groups, major_version
from arviz_resampler.errors import ArgumentError, quoted
from arviz_resampler.plots.figures import SIZE
from arviz_resampler.plots.lines import Lines, draw_lines

_SHOWN = 50  # draws
_PANELS = 6
_TAIL = 0.005  # of the predictive values at either end may lie outside of the picture


def plot_default(prior: Any, lines: Sequence[Lines] = ()) -> Any:
    """Curves where the predictive has an x-axis, else the predictive, else the prior."""
    predictive = _group(prior, drawn_groups(prior).predictive)
    if predictive is None:
        return plot_prior(prior, lines)
    curves = any(map(_is_curve, predictive.values()))
    return plot_curves(prior, lines) if curves else plot_predictive(prior, lines)


def plot_predictive(prior: Any, lines: Sequence[Lines] = ()) -> Any:
    """Densities of the predictive draws, with the data where there are such: ArviZ's own plot."""
    predictive, observed = _group(prior, drawn_groups(prior).predictive), _group(prior, "observed_data")
    if predictive is None:
        raise ArgumentError("there is no predictive to be plotted; take plot='prior'")
    names = [str(name) for name, values in predictive.items() if max(values.shape[2:], default=1) > 1]
    if not names:
        return _plot_marginals(prior, drawn_groups(prior).predictive, list(map(str, predictive)), lines)
    names = names[:_PANELS]
    data = observed if observed is not None and set(names) <= set(observed) else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of densities that cannot be estimated and the like
        if major_version() == 0:
            figure = _predictive_old(prior, names, data is not None)
        else:
            figure = _predictive_new(predictive, names, data)
    for ax, name in zip(figure.axes, names, strict=False):
        _limit(ax, predictive[name], None if data is None else data[name])
        draw_lines(ax, lines, name, predictive[name], horizontal=False)
    return figure


def _predictive_old(prior: Any, names: list[str], data: bool) -> Any:
    """By ArviZ 0.x."""
    import arviz as az
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(*_rows(len(names)), figsize=SIZE, squeeze=False, layout="constrained")
    how = {"num_pp_samples": _SHOWN, "random_seed": 0, "observed": data, "textsize": 10}
    az.plot_ppc(prior, group=drawn_groups(prior).latents, var_names=names, ax=axes.flat[: len(names)], **how)
    for ax in axes.flat[len(names) :]:
        ax.remove()
    return figure


def _predictive_new(predictive: Any, names: list[str], data: Any) -> Any:
    """By ArviZ 1.x."""
    import arviz as az

    groups = {"prior_predictive": predictive.isel(draw=slice(_SHOWN))}
    if data is not None:
        groups["observed_data"] = data
    plots = az.plot_ppc_dist(
        xr.DataTree.from_dict(groups),
        group="prior_predictive",
        var_names=names,
        cols=["__variable__"],
        num_samples=min(_SHOWN, predictive.sizes["draw"]),
        visuals={} if data is None else {"observed_dist": {}},
        figure_kwargs={"figsize": SIZE},
    )
    return plots.viz["figure"].item()


def _limit(ax: Any, predictive: Any, data: Any) -> None:
    """Limits that leave out the farthest values of heavy tails, and no data."""
    values = predictive.isel(draw=slice(4 * _SHOWN)).values
    values = values[np.isfinite(values)]
    ends = [*np.quantile(values, [_TAIL, 1 - _TAIL])] if values.size else []
    if data is not None:
        ends += [np.nanmin(data), np.nanmax(data)]
    if ends and min(ends) < max(ends):
        margin = 0.1 * (max(ends) - min(ends))
        ax.set_xlim(min(ends) - margin, max(ends) + margin, auto=True)


def plot_curves(prior: Any, lines: Sequence[Lines] = ()) -> Any:
    """Predictive draws as curves over their plate; each draw keeps its color from prior to prior."""
    from matplotlib import pyplot as plt

    predictive, observed = _group(prior, drawn_groups(prior).predictive), _group(prior, "observed_data")
    names = [] if predictive is None else [str(n) for n, values in predictive.items() if values.ndim == 3]
    names = [n for n in names if _is_curve(predictive[n])] or names
    if not names:
        raise ArgumentError("there is no predictive site with one axis, to be plotted as curves")
    names = names[:_PANELS]
    figure, axes = plt.subplots(*_rows(len(names)), figsize=SIZE, squeeze=False, layout="constrained")
    colors = plt.get_cmap("tab20")
    for ax, name in zip(axes.flat, names, strict=False):
        values = predictive[name].isel(chain=0, draw=slice(_SHOWN))
        dim = values.dims[-1]
        x = values[dim].values if values[dim].dtype.kind in "iuf" else np.arange(values.sizes[dim])
        for draw, y in enumerate(values.values):
            ax.plot(x, y, color=colors(draw % colors.N), lw=1, alpha=0.7)
        if observed is not None and name in observed:
            ax.plot(x, observed[name].values, "o", color="black", ms=4, label="observed")
            ax.legend(loc="best")
        ax.set(xlabel=dim, ylabel=name)
        draw_lines(ax, lines, name, predictive[name], horizontal=True)
    for ax in axes.flat[len(names) :]:
        ax.remove()
    return figure


def plot_prior(prior: Any, lines: Sequence[Lines] = ()) -> Any:
    """Densities of the prior draws."""
    latents = drawn_groups(prior).latents
    return _plot_marginals(prior, latents, list(map(str, _group(prior, latents))), lines)


PLOTS: dict[str, Callable[..., Any]] = {
    "predictive": plot_predictive,
    "curves": plot_curves,
    "prior": plot_prior,
}


def resolve(plot: Any, lines: Sequence[Lines] = ()) -> Callable[[Any], Any]:
    """The plot function that a user asked for: one of their own, or by name or default one that has lines."""
    if plot is None:
        return functools.partial(plot_default, lines=lines)
    if isinstance(plot, str) and plot in PLOTS:
        return functools.partial(PLOTS[plot], lines=lines)
    if not callable(plot):
        raise ArgumentError(f"plot must be a function of a prior or one of {quoted(PLOTS)}, got {plot!r}")
    found: Callable[[Any], Any] = plot
    return found


def _plot_marginals(prior: Any, group: str, names: list[str], lines: Sequence[Lines]) -> Any:
    """Densities of the sites of a group, as many as there is room for."""
    import arviz as az

    values = _group(prior, group)
    chosen: list[str] = []
    for name in names:
        if sum(_size(values[n]) for n in [*chosen, name]) <= _PANELS:
            chosen.append(name)
    chosen = chosen or names[:1]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if major_version() == 0:
            axes = az.plot_density(
                prior, group=group, var_names=chosen, hdi_prob=0.99, figsize=SIZE, textsize=10
            )
            figure = np.ravel(axes)[0].figure
            _draw_marginal_lines(figure, values[chosen], lines)
            return figure
        tree = xr.DataTree.from_dict({group: values[chosen]})
        look = {"visuals": {"point_estimate_text": False}, "figure_kwargs": {"figsize": SIZE}}
        figure = az.plot_dist(tree, group=group, cols=["__variable__"], **look).viz["figure"].item()
    _draw_marginal_lines(figure, values[chosen], lines)
    return figure


def _draw_marginal_lines(figure: Any, values: xr.Dataset, lines: Sequence[Lines]) -> None:
    """Draw lines into the axes of variables that have one each."""
    axes = [ax for ax in figure.axes if ax.get_visible()]
    if len(axes) >= len(values) and all(_size(array) == 1 for array in values.values()):
        for ax, (name, array) in zip(axes, values.items(), strict=False):
            draw_lines(ax, lines, str(name), array, horizontal=False)


def _group(prior: Any, name: str) -> Any:
    """A group of a container as a dataset, or None where there is none."""
    try:
        group = prior[name]
    except KeyError:
        return None
    return group.to_dataset() if isinstance(group, xr.DataTree) else group


def _size(values: Any) -> int:
    return int(np.prod(values.shape[2:]))


def _rows(panels: int) -> tuple[int, int]:
    columns = min(panels, 3)
    return -(-panels // columns), columns


def _is_curve(values: Any) -> bool:
    """True if draws have one axis, with ascending numbers for labels that are not a mere count."""
    if values.ndim != 3:
        return False
    labels = values[values.dims[-1]].values
    if labels.dtype.kind not in "iuf" or len(labels) < 2:
        return False
    return bool((np.diff(labels) > 0).all() and not np.array_equal(labels, np.arange(len(labels))))
