"""Pictures on a figure that is kept while curves move."""

import io

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
from matplotlib import pyplot as plt

from arviz_resampler import Resampler
from arviz_resampler.plots.densities import densities
from arviz_resampler.plots.kept import KeptFigure
from arviz_resampler.plots.lines import Line
from arviz_resampler.plots.panels import Layer, Panel
from arviz_resampler.plots.views import PLOTS, resolve


def pixels(picture):
    return np.rint(255 * plt.imread(io.BytesIO(picture.png))[..., :3]).astype(int)


def panel(values, **options):
    """A panel of densities of some samples."""
    samples = np.atleast_2d(values)
    grid, heights = densities(samples, (-5.0, 5.0))
    xy = np.stack([np.broadcast_to(grid, heights.shape), heights], axis=-1)
    given = {"labels": ("x", ""), "limits": ((-5.0, 5.0), (0.0, 1.0))} | options
    return Panel(layers=(Layer("density", xy, "draws"),), shown=samples, **given)


def samples(mean, size=200):
    return np.random.default_rng(0).normal(mean, 1.0, size=size)


def kept(**options):
    """A figure of priors that are means."""
    return KeptFigure(lambda mean: [panel(samples(mean), **options)])


def test_a_picture_after_moves_is_that_of_a_new_figure():
    figure = kept()
    for mean in (2.0, -1.0):
        figure.paint(mean)
    assert np.array_equal(pixels(figure.paint(0.5)), pixels(kept().paint(0.5)))


def test_axes_and_curves_are_kept_while_panels_are_made_alike():
    figure = kept()
    figure.paint(0.0)
    sheet = figure._sheet
    figure.paint(1.0)
    assert figure._sheet is sheet
    figure.pin(1.0)
    figure.paint(2.0)
    assert figure._sheet is not sheet


def test_ticks_are_drawn_again_only_where_their_numbers_change(monkeypatch):
    limits = {"x": (-5.0, 5.0), "y": (0.0, 1.0)}
    figure = KeptFigure(lambda mean: [panel(samples(mean), limits=(limits["x"], limits["y"]))])
    figure.paint(0.0)
    drawn = []
    draw = figure._sheet._canvas.draw
    monkeypatch.setattr(figure._sheet._canvas, "draw", lambda: drawn.append(draw()))
    figure.paint(1.0)
    limits["y"] = 0.0, 9.0  # heights of densities have no numbers
    figure.paint(1.0)
    assert len(drawn) == 0
    limits["x"] = -9.0, 9.0
    figure.paint(1.0)
    assert len(drawn) == 1


def test_limits_stay_while_the_picture_fills_them_and_move_with_room_where_it_does_not():
    ends = {}
    figure = KeptFigure(lambda top: [panel(samples(0.0), limits=((-5.0, 5.0), (0.0, top)))])
    for top in (1.0, 0.8, 0.1, 3.0):
        figure.paint(top)
        ends[top] = figure._limits[0][1][1]
    assert ends == {1.0: 1.0, 0.8: 1.0, 0.1: 0.1, 3.0: pytest.approx(3.3)}  # with room to go on


def test_a_pinned_prior_is_gray_behind_the_others_until_it_is_taken_away():
    figure = kept()
    alone = pixels(figure.paint(-3.0))
    figure.pin(3.0)
    both = pixels(figure.paint(-3.0))
    changed = (both != alone).any(axis=-1)
    changed[320:] = False  # where both densities are zero
    assert changed.any()
    assert np.nonzero(changed)[1].min() > 350  # on the right
    assert (np.ptp(both[changed], axis=-1) == 0).all()  # gray
    figure.unpin()
    assert np.array_equal(pixels(figure.paint(-3.0)), alone)


def test_a_pinned_prior_widens_the_limits():
    def panels_of(end):
        return [panel(samples(0.0), limits=((-end, end), (0.0, 1.0)))]

    figure = KeptFigure(panels_of)
    figure.paint(5.0)
    figure.pin(20.0)
    figure.paint(5.0)
    assert figure._sheet.figure.axes[0].get_xlim() == (-20.0, 20.0)


def test_a_pinned_prior_that_is_shown_another_way_is_left_out():
    figure = KeptFigure(lambda label: [panel(samples(0.0), labels=(label, ""))])
    alone = pixels(figure.paint("a"))
    figure.pin("b")
    assert np.array_equal(pixels(figure.paint("a")), alone)


def test_rows_of_a_pinned_prior_are_below_those_of_the_others():
    def panels_of(shift):
        xy = np.array([[[shift, 0.0], [shift + 1.0, 0.0]]])
        limits = ((-1.0, 3.0), (-0.7, 0.7))
        return [Panel(("x", "row"), (Layer("inner", xy),), limits, np.zeros((1, 1)), ("a",))]

    figure = KeptFigure(panels_of)
    alone = pixels(figure.paint(0.0))
    figure.pin(0.0)
    both = pixels(figure.paint(0.0))
    middle = np.nonzero((np.ptp(alone, axis=-1) > 100).any(axis=1))[0].mean()
    assert np.nonzero((both != alone).any(axis=-1))[0].min() > middle


def test_a_picture_is_unchanged_where_it_shows_the_same_draws():
    figure = kept()
    found = [figure.paint(mean).unchanged for mean in (1.0, 1.0, 2.0, 2.0, 1.0, np.nan, np.nan)]
    assert found == [False, True, False, True, False, False, True]


def test_a_draw_keeps_its_color_from_prior_to_prior():
    def curves(order):
        x = np.linspace(0.0, 1.0, 5)
        lines = np.stack([np.broadcast_to(x, (50, 5)), np.arange(50.0)[:, None] + np.zeros(5)], axis=-1)
        limits = ((0.0, 1.0), (-1.0, 50.0))
        return [Panel(("x", "y"), (Layer("curves", lines),), limits, lines[..., 1], values_on="y")]

    figure = KeptFigure(curves)
    figure.paint(0)
    (artist,) = figure._sheet._artists
    before = artist.get_colors().tolist()
    figure.paint(1)
    assert artist.get_colors().tolist() == before
    assert len({tuple(color) for color in before}) == 20


def test_the_legend_says_the_newest_fractions_and_names_variables_where_there_are_several():
    def panels_of(share):
        lines = ((Line(1.0, "reference"), f"reference 1: {share:.1%} above"),)
        return [panel(samples(0.0), lines=lines), panel(samples(0.0), labels=("z", ""))]

    figure = KeptFigure(panels_of)
    for share in (0.5, 0.25):
        figure.paint(share)
    texts = [text.get_text() for text in figure._sheet.figure.legends[0].get_texts()]
    assert texts == ["draws", "x: reference 1: 25.0% above"]


def test_lines_that_move_are_drawn_where_they_are():
    figure = KeptFigure(lambda at: [panel(samples(0.0), lines=((Line(at, "target"), ""),))])
    first = pixels(figure.paint(1.0))
    assert not np.array_equal(pixels(figure.paint(3.0)), first)
    assert np.array_equal(pixels(figure.paint(1.0)), first)


def test_nothing_of_pyplot_is_used():
    plt.close("all")
    kept().paint(0.0)
    assert plt.get_fignums() == []


def model(scale):
    def program():
        mu = pyro.sample("mu", dist.Normal(0.0, scale))
        pyro.sample("rate", dist.Gamma(2.0, 1.0))
        return mu

    return program


def simulator():
    mu = model(8.0)()
    pyro.sample("total", dist.Cauchy(mu, 1.0))
    for name, size in (("few", 3), ("many", 30)):
        with pyro.plate(f"{name}_plate", size):
            pyro.sample(name, dist.Normal(mu, 1.0))
            pyro.sample(f"{name}_counts", dist.Poisson(3.0))


@pytest.mark.parametrize("name", list(PLOTS))
@pytest.mark.parametrize("spoiled", [False, True])
def test_every_kind_of_plot_is_drawn_pinned_and_moved(name, spoiled):
    resampler = Resampler(model(8.0), simulator, num_guide_samples=20_000, random_seed=0)
    figure = resolve(name, [{"few": [Line(1.0, "reference")], "mu": [Line(2.0, "target")]}])
    pictures = []
    for scale in (4.0, 4.2, 4.0):
        prior = resampler.sample_prior_predictive(model(scale), 100)
        if spoiled:
            for group in ("prior", "prior_predictive"):
                for values in prior[group].data_vars.values():
                    if values.dtype.kind == "f":
                        values.values[0, ::9] = np.nan
                        values.values[0, 1] = np.inf
        pictures.append(pixels(figure.paint(prior)))
        if scale == 4.2:
            figure.pin(prior)
    assert all(picture.shape == (400, 700, 3) for picture in pictures)
    assert not np.array_equal(pictures[0], pictures[1])
    assert not np.array_equal(pictures[0], pictures[2])  # the pinned one is behind
