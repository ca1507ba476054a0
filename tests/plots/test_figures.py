"""Pictures as PNG: drawn by any function, nothing shown, nothing left behind."""

import io

import matplotlib
import numpy as np
import pytest
from matplotlib import pyplot as plt

from arviz_resampler import ArgumentError
from arviz_resampler.plots.figures import Easel, draw

matplotlib.use("Agg")


@pytest.fixture(autouse=True)
def no_figures():
    plt.close("all")
    yield
    plt.close("all")


def pixels(png):
    return np.rint(255 * plt.imread(io.BytesIO(png))[..., :3]).astype(int)


def line(prior):
    plt.plot([0, 1], [prior, prior], color="red", lw=4)


def on_current_axes(prior):
    line(prior)


def returns_figure(prior):
    figure, ax = plt.subplots()
    ax.plot([0, prior])
    return figure


def returns_axes(prior):
    return returns_figure(prior).axes[0]


def returns_array_of_axes(prior):
    _, axes = plt.subplots(1, 2)
    axes[0].plot([0, prior])
    return axes


def returns_a_figure_that_pyplot_does_not_know(prior):
    figure = matplotlib.figure.Figure()
    figure.subplots().plot([0, prior])
    return figure


def makes_its_own(prior):
    returns_figure(prior)


def shows(prior):
    line(prior)
    plt.show()


def returns_something_else(prior):
    line(prior)
    return {"figure": prior}


WAYS = [on_current_axes, returns_figure, returns_axes, returns_array_of_axes, makes_its_own, shows]
WAYS += [returns_a_figure_that_pyplot_does_not_know, returns_something_else]


@pytest.mark.parametrize("plot", WAYS)
def test_however_a_function_draws_its_picture_is_found_and_no_figure_stays(plot):
    mine = plt.figure()
    picture = pixels(Easel(plot).paint(1.0).png)
    assert picture.ndim == 3
    assert picture.std() > 0
    assert plt.get_fignums() == [mine.number]
    assert plt.gcf() is mine
    assert mine.axes == []
    assert plt.isinteractive() == matplotlib.is_interactive()


def test_a_function_that_fails_leaves_no_figure_either():
    def fails(prior):
        line(prior)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        Easel(fails).paint(1.0)
    assert plt.get_fignums() == []


def test_a_function_that_draws_nothing_is_named():
    def nothing(prior):
        pass

    with pytest.raises(ArgumentError, match="the plot function 'nothing' drew nothing"):
        Easel(nothing).paint(1.0)


def limits(easel, *priors):
    """Limits of the y-axis after each of several pictures."""
    found = []
    for prior in priors:
        easel.paint(prior)
        found.append(easel._limits[0][1])
    return found


def test_axes_stay_while_the_picture_fills_them_and_move_where_it_does_not():
    easel = Easel(lambda top: plt.plot([0, 1], [0, top]))
    first, less, little, more = limits(easel, 1.0, 0.8, 0.1, 3.0)
    assert first == less
    assert little[1] == pytest.approx(0.105)
    assert more[1] == pytest.approx(3.15)


def test_limits_that_the_function_sets_are_kept():
    def plot(top):
        plt.plot([0, 1], [0, top])
        plt.ylim(0, top)

    assert limits(Easel(plot), 1.0, 0.8) == [(0.0, 1.0), (0.0, 0.8)]


def test_a_pinned_picture_is_gray_behind_the_others_in_the_same_axes():
    def plot(y):
        plt.axhline(y, color="red", lw=8)
        plt.axis("off")
        plt.ylim(0, 1)

    easel = Easel(plot)
    alone = pixels(easel.paint(0.25).png)
    easel.pin(0.75)
    both = pixels(easel.paint(0.25).png)
    height, width, _ = both.shape
    red, gray = both[height * 3 // 4, width // 2], both[height // 4, width // 2]
    assert red.tolist() == [255, 0, 0]
    assert len(set(gray.tolist())) == 1
    assert 100 < gray[0] < 220
    easel.unpin()
    assert np.array_equal(pixels(easel.paint(0.25).png), alone)


def test_a_pinned_picture_shares_the_wider_limits():
    easel = Easel(lambda x: plt.plot([x - 1, x + 1], [0, 1], color="black", lw=3))
    easel.paint(0.0)
    easel.pin(0.0)
    picture = pixels(easel.paint(10.0).png)
    middle = picture.shape[1] // 2
    assert (picture[30:-60, 60:middle] < 250).any()  # in gray, from -1 to 1
    assert (picture[30:-60, middle:-20] < 50).any()  # from 9 to 11


def test_a_pinned_picture_of_another_make_is_left_out():
    def plot(panels):
        figure, axes = plt.subplots(1, panels, squeeze=False)
        axes[0, 0].plot([0, 1])
        return figure

    easel = Easel(plot)
    alone = pixels(easel.paint(1).png)
    easel.pin(2)
    assert np.array_equal(pixels(easel.paint(1).png), alone)


def test_a_picture_is_unchanged_where_each_pixel_is_what_it_was():
    easel = Easel(line)
    assert [easel.paint(y).unchanged for y in (1.0, 1.0, 2.0, 2.0, 1.0)] == [False, True, False, True, False]


def test_the_figure_that_is_offered_is_of_one_size():
    assert pixels(Easel(line).paint(1.0).png).shape == (400, 700, 3)
    assert draw(line, 1.0).get_size_inches().tolist() == [7.0, 4.0]
