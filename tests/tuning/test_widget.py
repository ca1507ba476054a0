"""The widget's logic, without a browser."""

import asyncio
import base64
import builtins
import contextlib
import re
import sys
import warnings
from html import unescape
from types import SimpleNamespace
from typing import ClassVar

import pyro
import pyro.distributions as dist
import pytest

from arviz_resampler import ArgumentError, ExtraError, NameWarning, Resampler, WeightError, WeightWarning
from arviz_resampler.tuning.ranges import Range
from arviz_resampler.tuning.step import Step
from arviz_resampler.weights.weights import Weights

pytest.importorskip("ipywidgets")
import matplotlib
from matplotlib import pyplot as plt

from arviz_resampler.markup import COLORS
from arviz_resampler.plots.figures import Easel
from arviz_resampler.tuning import record, widget
from arviz_resampler.tuning.widget import Explorer

matplotlib.use("Agg")


class Fake:
    """A tuner of one slider ``x`` and another of whole numbers ``n``, whose update can be made to fail."""

    num_samples = 100

    def __init__(self):
        self.ranges = {"x": Range("x", 0.0, 10.0), "n": Range("n", 1, 9)}
        self.current = {"x": 5.0, "n": 3}
        self.updates, self.looks = [], []
        self.failure = None
        self.topped_up = []
        self.targets = {}

    def update(self, **hyper):
        self.updates.append(hyper)
        if self.failure is not None:
            raise self.failure
        prior = {"sample_stats_prior": SimpleNamespace(attrs={"n_unique": 61})}
        return {**prior, **hyper}, Weights({"mu": [0.0] * 500})

    def look(self, **hyper):
        self.looks.append(hyper)
        verdict = "good" if 2 <= hyper["x"] <= 8 else "low"
        return Step(hyper, Weights({"mu": [0.0] * 500}).diagnostics(100)._replace(verdict=verdict))

    def code(self, **hyper):
        return f"# {hyper}\n"

    def needed(self, **hyper):
        return 0 if self.topped_up or self.look(**hyper).good else 1702

    def top_up(self, **hyper):
        if self.failure is not None:
            raise self.failure
        self.topped_up.append(hyper)

    def fit(self):
        if self.failure is not None:
            raise self.failure
        return SimpleNamespace(
            hyper={"x": 4.0, "n": 3},
            summary="fit: median 4 (wished 4)",
            open=("only the sum of x and n is told",),
            notes=(),
        )


def plot(prior):
    plt.plot([0, prior["x"]], [0, prior["n"]])


@pytest.fixture
def fake():
    return Fake()


@pytest.fixture
def explorer(fake):
    return Explorer(fake, Easel(plot))


def words(html):
    return unescape(re.sub(r"\s+", " ", re.sub("<[^>]*>", " ", html.value)).strip())


def mark(explorer, name):
    return words(explorer.controls[name].label)


def test_slider_and_box_move_each_other_and_the_prior(explorer, fake):
    control = explorer.controls["x"]
    control.slider.value = 7.0
    assert (control.box.value, fake.updates[-1]) == (7.0, {"x": 7.0, "n": 3})
    control.box.value = 2.5
    assert (control.slider.value, fake.updates[-1]) == (2.5, {"x": 2.5, "n": 3})
    explorer.controls["n"].box.value = 4
    assert fake.updates[-1] == {"x": 2.5, "n": 4}
    assert len(fake.updates) == 4


def test_scales_follow_the_range(fake):
    fake.ranges = {"x": Range("x", 0.01, 10.0), "n": Range("n", 1, 9), "m": Range("m", 1, 1000)}
    fake.current = {"x": 1.0, "n": 3, "m": 10}
    controls = Explorer(fake, Easel(lambda prior: plt.plot([0, 1]))).controls
    kinds = {name: type(control.slider).__name__ for name, control in controls.items()}
    assert kinds == {"x": "FloatLogSlider", "n": "IntSlider", "m": "FloatLogSlider"}
    assert (controls["x"].slider.min, controls["x"].slider.max) == (-2, 1)
    controls["m"].slider.value = 20.4
    assert fake.updates[-1]["m"] == 20


def test_a_browser_that_puts_the_slider_on_its_nearest_step_moves_nothing(explorer, fake):
    explorer.controls["x"].box.value = 5.02  # steps are 0.05
    count = len(fake.updates)
    explorer.controls["x"].slider.value = 5.0
    assert (len(fake.updates), explorer.hyper["x"]) == (count, 5.02)
    explorer.controls["x"].slider.value = 5.05
    assert explorer.hyper["x"] == 5.05


def test_the_picture_changes_in_place_and_no_figure_stays(explorer):
    before, widget = explorer.picture.value, explorer.picture
    explorer.controls["x"].slider.value = 1.0
    assert explorer.picture is widget
    assert widget.value != before
    assert bytes(widget.value).startswith(b"\x89PNG")
    assert plt.get_fignums() == []


def test_the_badge_has_verdict_numbers_and_a_color(explorer):
    text = words(explorer.badge)
    assert text.startswith("✔ good ESS 500 of 500 61 of 100 draws distinct")
    assert "site 'mu' costs most" in text
    assert COLORS["good"] in explorer.badge.value
    assert 'role="status"' in explorer.badge.value


def test_a_slider_outside_of_what_is_covered_is_marked_in_words(explorer):
    assert mark(explorer, "x").startswith("x reliable from 2")
    explorer.controls["x"].slider.value = 9.0
    assert re.match(r"x ✖ outside the reliable range, from 2\S* to [78]", mark(explorer, "x"))
    # At that x nothing is good, whatever n is.
    assert mark(explorer, "n") == "n ✖ no reliable values at the current other sliders"
    explorer.controls["x"].slider.value = 4.0
    assert mark(explorer, "n") == "n reliable from 1 to 9"


@pytest.mark.parametrize(
    "failure", [WeightError("no draw can be made: <b>"), ZeroDivisionError("by zero"), MemoryError("full")]
)
def test_a_model_that_fails_leaves_the_last_good_picture_and_says_why(explorer, fake, failure):
    before = explorer.picture.value
    fake.failure = failure
    explorer.controls["x"].slider.value = 1.0
    assert explorer.picture.value == before
    text = explorer.badge.value
    assert "✖ no picture" in text
    assert f"{type(failure).__name__}: " in text
    assert "<b>" not in text.partition("no draw can be made")[2]
    assert "The picture is still that of x=5, n=3." in text
    fake.failure = None
    explorer.controls["x"].slider.value = 2.0
    assert "good" in words(explorer.badge)
    assert explorer.picture.value != before


def test_a_plot_that_fails_is_treated_the_same(fake):
    def fussy(prior):
        if prior["x"] > 6:
            raise ValueError("too far right")
        plot(prior)

    explorer = Explorer(fake, Easel(fussy))
    before = explorer.picture.value
    explorer.controls["x"].slider.value = 7.0
    assert explorer.picture.value == before
    assert "ValueError: too far right" in words(explorer.badge)


def test_a_widget_whose_first_picture_fails_is_there_all_the_same(fake):
    fake.failure = ValueError("not at the start")
    explorer = Explorer(fake, Easel(plot))
    assert "not at the start" in words(explorer.badge)
    assert "still" not in words(explorer.badge)
    explorer.pin.value = True
    fake.failure = None
    explorer.controls["x"].slider.value = 2.0
    assert explorer.picture.value


def test_undo_goes_back_move_by_move_where_a_drag_is_one(explorer, fake, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(widget, "monotonic", lambda: clock[0])
    assert explorer.undo.disabled
    for x in (5.5, 6.0, 6.5):  # a drag
        explorer.controls["x"].slider.value = x
    explorer.controls["n"].slider.value = 7
    clock[0] += 10.0
    explorer.controls["n"].slider.value = 8
    positions = []
    while not explorer.undo.disabled:
        explorer.undo.click()
        positions.append((explorer.hyper["x"], explorer.controls["n"].box.value))
        assert fake.updates[-1] == explorer.hyper
    assert positions == [(6.5, 7), (6.5, 3), (5.0, 3)]


def test_a_pinned_prior_lies_behind_the_following_ones(explorer):
    explorer.controls["x"].slider.value = 6.0
    alone = explorer.picture.value
    explorer.controls["x"].slider.value = 5.0
    explorer.pin.value = True
    assert words(explorer.pinned) == "pinned, in gray: x=5, n=3"
    explorer.controls["x"].slider.value = 6.0
    assert explorer.picture.value != alone
    explorer.pin.value = False
    assert explorer.pinned.value == ""
    assert explorer.picture.value == alone


def test_the_code_is_shown_when_asked_for_and_follows_the_sliders(explorer, fake):
    assert explorer.code.layout.display == "none"
    assert explorer.code.text.value == ""
    explorer.copy.value = True
    assert explorer.code.layout.display != "none"
    assert explorer.code.text.value == "# {'x': 5.0, 'n': 3}\n"
    explorer.controls["x"].slider.value = 6.0
    assert explorer.code.text.value == "# {'x': 6.0, 'n': 3}\n"
    fake.code = lambda **hyper: 1 / 0
    explorer.controls["x"].slider.value = 7.0
    assert explorer.code.text.value == "# There is no source: ZeroDivisionError: division by zero"


def test_warnings_are_notes_in_the_badge_except_of_weights_which_it_shows(fake):
    def noisy(prior):
        for _ in range(2):
            warnings.warn("odd <data>", UserWarning, stacklevel=1)
        warnings.warn("weights are low", WeightWarning, stacklevel=1)
        plot(prior)

    text = Explorer(fake, Easel(noisy)).badge.value
    assert text.count("Note: odd &lt;data&gt;") == 1
    assert "weights are low" not in text


def test_a_move_that_changes_no_draw_in_the_picture_says_so(fake):
    explorer = Explorer(fake, Easel(lambda prior: plt.plot([0, 1], [0, round(prior["x"])])))
    said = "Note: No draw in the picture has changed."
    assert said not in words(explorer.badge)
    explorer.controls["x"].box.value = 5.2
    assert said in words(explorer.badge)
    explorer.controls["x"].box.value = 7.2
    assert said not in words(explorer.badge)
    explorer._update()  # no move
    assert said not in words(explorer.badge)


def is_updating(explorer):
    return "arviz-resampler-updating" in explorer._dom_classes


# ------------------------------------------------------------------ in an event loop, as in a notebook


class JumpingLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock jumps to the next timer: no test waits, or depends on a host's speed."""

    now = 0.0

    def time(self):
        return self.now

    def _run_once(self):
        ready, scheduled = (getattr(self, name) for name in ("_ready", "_scheduled"))
        if scheduled and not ready:
            self.now = max(self.now, scheduled[0].when())
        super()._run_once()


def run(coroutine):
    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        runner.run(coroutine)


def test_while_a_slider_is_dragged_the_newest_value_wins(fake):
    async def drag():
        explorer = Explorer(fake, Easel(plot))
        for i in range(100):
            explorer.controls["x"].slider.value = 0.1 * i
        assert len(fake.updates) == 1  # nothing is computed while moves come in
        await asyncio.sleep(0.09)
        assert fake.updates[1:] == [{"x": 9.9, "n": 3}]
        explorer.close()

    run(drag())


@pytest.mark.parametrize("failure", [None, WeightError("no draw")])
def test_badge_and_picture_are_marked_from_a_move_until_they_are_renewed(fake, failure):
    async def move():
        explorer = Explorer(fake, Easel(plot))
        assert not is_updating(explorer)
        for way in (
            lambda: explorer.controls["x"].box.set_trait("value", 6.0),
            explorer.undo.click,
            lambda: explorer.pin.set_trait("value", True),
        ):
            fake.failure = failure
            picture, badge = explorer.picture.value, explorer.badge.value
            way()
            assert is_updating(explorer)
            assert (explorer.picture.value, explorer.badge.value) == (picture, badge)
            await asyncio.sleep(0.05)
            assert not is_updating(explorer)
        explorer.close()

    run(move())


@pytest.mark.parametrize("button", ["fit", "more"])
def test_badge_and_picture_are_marked_from_a_fit_or_top_up_until_they_are_renewed(fake, button):
    async def press():
        fake.targets = {"median": 4.0}
        explorer = Explorer(fake, Easel(plot))
        explorer.more.disabled = False
        getattr(explorer, button).click()
        assert is_updating(explorer)
        await asyncio.sleep(0.05)
        assert not is_updating(explorer)
        explorer.close()

    run(press())


def test_what_is_marked_is_badge_and_picture_and_the_mark_has_words(explorer):
    marked = [w for w in walk(explorer) if "arviz-resampler-renewed" in getattr(w, "_dom_classes", ())]
    assert explorer.badge in marked
    assert [explorer.picture] in [list(getattr(w, "children", ())) for w in marked]
    assert len(marked) == 2
    style = explorer.children[0].value
    assert ".arviz-resampler-updating .arviz-resampler-renewed" in style
    assert "updating …" in style


def walk(view):
    yield view
    for child in getattr(view, "children", ()):
        yield from walk(child)


def test_a_drag_that_does_not_end_is_followed(fake):
    async def drag():
        explorer = Explorer(fake, Easel(plot))
        for i in range(20):
            explorer.controls["x"].slider.value = 0.1 * i
            await asyncio.sleep(0.02)
        # A move waits 30 ms for more, and here they come every 20 ms: an update for every two of them.
        assert fake.updates == [{"x": x, "n": 3} for x in (5.0, *(i / 10 for i in range(1, 20, 2)))]
        explorer.close()

    run(drag())


def test_what_is_covered_is_searched_in_small_steps_once_all_is_quiet(fake):
    async def wait():
        explorer = Explorer(fake, Easel(plot))
        assert fake.looks == []
        assert mark(explorer, "x") == "x looking for reliable values …"
        await asyncio.sleep(0.405)  # 0.4 s without a move, then a step every 10 ms
        assert len(fake.looks) == 1
        explorer.controls["x"].slider.value = 6.0
        explorer._update()
        assert explorer._search is None  # a move stops it
        while "looking" in mark(explorer, "n"):
            await asyncio.sleep(0.01)
        assert mark(explorer, "x").startswith("x reliable from 2")
        assert fake.looks[-1]["x"] == 6.0
        explorer.close()

    run(asyncio.wait_for(wait(), 20))


def test_what_is_covered_is_in_doubt_while_another_slider_has_moved(fake):
    async def move():
        explorer = Explorer(fake, Easel(plot))
        while "looking" in mark(explorer, "n"):
            await asyncio.sleep(0.01)
        explorer.controls["x"].slider.value = 9.0
        assert "looking again" not in mark(explorer, "x")
        assert mark(explorer, "n") == "n reliable from 1 to 9; looking again …"
        while "looking" in mark(explorer, "n"):
            await asyncio.sleep(0.01)
        assert "no reliable values" in mark(explorer, "n")
        explorer.undo.click()
        assert "looking again" in mark(explorer, "n")
        explorer.close()

    run(asyncio.wait_for(move(), 20))


def test_closing_in_the_middle_of_an_update_does_no_harm(fake):
    async def close():
        def closing(prior):
            plot(prior)
            if prior["x"] == 6.0:
                explorer.close()  # type: ignore[attr-defined]

        explorer = Explorer(fake, Easel(closing))
        before = explorer.picture.value
        explorer.controls["x"].slider.value = 6.0
        await asyncio.sleep(0.09)
        assert fake.updates[-1]["x"] == 6.0
        assert explorer.picture.value == before
        explorer.controls["x"].slider.value = 7.0
        await asyncio.sleep(0.09)
        assert fake.updates[-1]["x"] == 6.0
        assert explorer._timers.waiting == {}

    run(close())


# ------------------------------------------------------------------ with a tuner


def test_a_tuner_has_a_widget():
    def make(scale):
        return lambda: pyro.sample("mu", dist.Normal(0.0, scale))

    tuner = Resampler(make(5.0), num_guide_samples=20_000, random_seed=0).tune(make, 400, scale=(0.001, 8.0))
    tuner.update(scale=2.0)
    explorer = tuner.widget()
    assert explorer.hyper == {"scale": 2.0}
    assert "of 400 draws distinct" in words(explorer.badge)
    assert "reliable from 0.0" in mark(explorer, "scale")
    explorer.controls["scale"].box.value = 0.001
    assert "unreliable" in words(explorer.badge)
    assert "Site 'mu' costs most" in words(explorer.badge)
    explorer.copy.value = True
    assert 'pyro.sample("mu", dist.Normal(0.0, 0.001))' in explorer.code.text.value


@pytest.mark.parametrize("missing", ["ipywidgets", "matplotlib"])
def test_a_missing_library_is_named_with_the_extra_that_brings_it(missing, monkeypatch):
    def make(scale):
        return lambda: pyro.sample("mu", dist.Normal(0.0, scale))

    tuner = Resampler(make(5.0), num_guide_samples=1000, random_seed=0).tune(make, scale=(1.0, 4.0))
    real = builtins.__import__

    def without(name, *rest):
        if name.partition(".")[0] == missing:
            raise ModuleNotFoundError(f"No module named {missing!r}")
        return real(name, *rest)

    for module in [m for m in sys.modules if m == "arviz_resampler.tuning.widget"]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ExtraError, match=rf"{missing}.*pip install 'arviz-resampler\[widgets\]'"):
        tuner.widget("prior")


# ---------------------------------------------------------------- top-up


def test_a_top_up_is_offered_with_its_size_where_the_verdict_is_not_good(explorer, fake):
    assert (explorer.more.description, explorer.more.disabled) == ("Top up", True)
    explorer.controls["x"].set(9.0)
    explorer._moved("x", 9.0)
    assert (explorer.more.description, explorer.more.disabled) == ("Top up (1,702)", False)
    explorer._moved("x", 7.0)
    assert explorer.more.disabled


def test_after_a_top_up_picture_verdict_and_ranges_are_renewed(explorer, fake):
    explorer._moved("x", 9.0)
    updates, looks = len(fake.updates), len(fake.looks)
    explorer.more.click()
    assert fake.topped_up == [{"x": 9.0, "n": 3}]
    assert len(fake.updates) == updates + 1
    assert len(fake.looks) > looks
    assert explorer.more.disabled


def test_the_progress_of_a_top_up_is_shown_while_it_runs(explorer, fake):
    class Output(contextlib.AbstractContextManager):
        steps: ClassVar = []

        def __enter__(self):
            self.steps.append(("opened", len(fake.topped_up)))

        def __exit__(self, *_):
            self.steps.append(("closed", len(fake.topped_up)))

        def clear_output(self):
            self.steps.append(("cleared", len(fake.topped_up)))

    explorer._moved("x", 9.0)
    explorer.progress = Output()
    explorer.more.click()
    assert Output.steps == [("opened", 0), ("cleared", 1), ("closed", 1)]


def test_a_top_up_that_fails_says_why(explorer, fake):
    explorer._moved("x", 9.0)
    fake.failure = WeightError("no such luck")
    explorer.more.click()
    assert "WeightError: no such luck" in explorer.badge.value
    assert not fake.topped_up


def test_a_top_up_of_a_tuner_makes_its_verdict_good():
    def make_model(mean):
        return lambda: pyro.sample("mu", dist.Normal(mean, 0.5))

    resampler = Resampler(
        lambda: pyro.sample("mu", dist.Normal(0.0, 1.0)), num_guide_samples=2000, random_seed=0
    )
    tuner = resampler.tune(make_model, 200, mean=(0.0, 8.0))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", WeightWarning)
        explorer = Explorer(tuner, Easel(lambda prior: plt.plot([0, 1])))
        explorer._moved("mean", 8.0)
        assert explorer.more.description == "Top up (204)"
        explorer.more.click()
    assert "good" in explorer.badge.value
    assert tuner.look(mean=8.0).good
    assert resampler.pipeline.particles.num_particles == 2204
    explorer.close()


def test_the_button_that_fits_is_there_once_there_are_targets(explorer, fake):
    assert explorer.fit.layout.display == "none"
    fake.targets = {"median": 4.0}
    explorer.controls["x"].box.value = 6.0
    assert explorer.fit.layout.display == ""


def test_a_fit_moves_the_sliders_and_says_what_is_reached(explorer, fake):
    fake.targets = {"median": 4.0}
    explorer.fit.click()
    assert explorer.hyper == {"x": 4.0, "n": 3}
    assert explorer.controls["x"].slider.value == 4.0
    assert "fit: median 4" in unescape(explorer.badge.value)
    assert "only the sum of x and n is told" in explorer.badge.value
    assert fake.updates[-1] == {"x": 4.0, "n": 3}
    explorer.controls["x"].box.value = 6.0
    assert "fit: median 4" not in explorer.badge.value
    explorer.undo.click()
    explorer.undo.click()
    assert explorer.hyper == {"x": 5.0, "n": 3}


def test_a_fit_that_fails_says_why_and_moves_nothing(explorer, fake):
    fake.targets = {"median": 400.0}
    fake.failure = WeightError("out of reach")
    explorer.fit.click()
    assert explorer.hyper == {"x": 5.0, "n": 3}
    assert "WeightError: out of reach" in explorer.badge.value
    assert not explorer.fit.disabled


# ---------------------------------------------------------------- what is shown


def family(scale=2.0):
    return lambda: (pyro.sample("mu", dist.Normal(0.0, scale)), pyro.sample("tau", dist.HalfNormal(scale)))


@pytest.fixture(scope="module")
def tuner():
    def simulator():
        mu, tau = family()()
        with pyro.plate("time", 5):
            pyro.sample("y", dist.Normal(mu, tau + 0.1))
        pyro.sample("total", dist.Normal(mu, 1.0))

    resampler = Resampler(family(), simulator, num_guide_samples=2000, random_seed=0)
    return resampler.tune(family, 100, scale=(1.0, 2.0))


def offered(explorer):
    """What can be chosen, and in front of it what is."""
    boxes = explorer.choices.boxes.items()
    return {
        name: [box.value, *(value for _, value in box.options)]
        for name, box in boxes
        if box.layout.display != "none"
    }


def test_group_variable_and_kind_of_plot_can_be_chosen_where_there_are_several(tuner):
    explorer = tuner.widget()
    both = ["distribution", "curves"]
    found = {"group": ["predictive", "predictive", "prior"], "variable": ["", "", "y", "total"]}
    assert offered(explorer) == {**found, "kind": ["distribution", *both]}
    boxes = explorer.choices.boxes
    pictures = {explorer.picture.value}
    boxes["kind"].value = "curves"
    assert explorer.picture.value not in pictures
    pictures.add(explorer.picture.value)
    boxes["variable"].value = "total"  # has no axis
    assert "kind" not in offered(explorer)
    assert explorer.picture.value not in pictures
    boxes["variable"].value = "y"
    assert offered(explorer)["kind"] == ["curves", *both]
    boxes["group"].value = "prior"
    assert offered(explorer) == {"group": ["prior", "predictive", "prior"], "variable": ["", "", "mu", "tau"]}
    assert explorer.picture.value not in pictures
    assert "good" in words(explorer.badge)


def test_references_go_by_the_names_of_the_container_and_have_a_line_each():
    def make(scale=2.0):
        return lambda: pyro.deterministic("a/b", pyro.sample("mu", dist.Normal(0.0, scale)))

    def guide():
        return pyro.sample("mu", dist.Normal(0.0, 2.0))

    def simulator():
        pyro.sample("variable", dist.Normal(guide(), 1.0))

    resampler = Resampler(guide, simulator, num_guide_samples=2000, random_seed=0)
    tuner = resampler.tune(make, 100, scale=(1.0, 2.0))
    plots = {"mu": "prior", "a.b": "prior", "variable_site": "predictive"}
    with pytest.warns(NameWarning, match="'variable' is 'variable_site', 'a/b' is 'a.b'"):
        prior = tuner.update().prior
    assert plots.keys() == {*prior["prior"].data_vars, *prior["prior_predictive"].data_vars}
    for name, plot in plots.items():
        lined = tuner.widget(plot, references={name: 0.5}).picture.value
        assert lined != tuner.widget(plot).picture.value
    with pytest.raises(ArgumentError, match=r"'variable', which .* Did you mean 'variable_site'\?"):
        tuner.widget(references={"variable": 0.5})


def test_references_of_a_prior_that_fails_are_those_of_the_particles():
    def make(scale=2.0):
        raise ValueError("not at the start")

    tuner = Resampler(family(), num_guide_samples=2000, random_seed=0).tune(make, 100, scale=(1.0, 2.0))
    assert "not at the start" in words(tuner.widget(references={"mu": 0.5}).badge)
    with pytest.raises(ArgumentError, match=r"there are 'mu', 'tau'"):
        tuner.widget(references={"nu": 0.5})


def test_a_choice_stays_while_sliders_move_and_holds_for_a_pinned_prior(tuner):
    explorer = tuner.widget()
    explorer.pin.value = True
    explorer.choices.boxes["variable"].value = "total"
    explorer.controls["scale"].box.value = 1.5
    assert offered(explorer)["variable"][0] == "total"
    shown, pinned = explorer._painter._panels, explorer._painter._pinned
    assert [panel.labels for panel in (*shown, *pinned)] == [("total", "")] * 2


def test_where_there_is_one_thing_to_show_nothing_is_to_be_chosen(explorer):
    def make(scale):
        return lambda: pyro.sample("mu", dist.Normal(0.0, scale))

    small = Resampler(make(2.0), num_guide_samples=2000, random_seed=0).tune(make, 100, scale=(1.0, 2.0))
    for each in (small.widget(), explorer):  # the other has a plot of the user's
        assert each.choices.view.layout.display == "none"


# ---------------------------------------------------------------- without a kernel


def test_beside_the_live_view_are_picture_and_words(explorer):
    view = "application/vnd.jupyter.widget-view+json"
    bundle = explorer._repr_mimebundle_()
    assert set(bundle) == {view, "image/png", "text/plain"}  # frontends may take HTML before the view
    assert bundle[view]["model_id"] == explorer.model_id
    assert base64.b64decode(bundle["image/png"]) == explorer.picture.value
    first, second, *_ = bundle["text/plain"].splitlines()
    assert first == "x=5, n=3"
    assert second.startswith("✔ good: ESS 500 of 500; 61 of 100 draws distinct; ")


@pytest.fixture
def outputs(monkeypatch):
    """What is displayed, by identity, as a notebook keeps it."""
    found = {}

    def display(bundle, *, raw, display_id="view"):
        found[display_id] = bundle

    monkeypatch.setattr(record, "display", display)
    monkeypatch.setattr(record, "update_display", display)
    return found


def test_a_notebook_keeps_the_last_picture_in_an_output_that_the_live_view_hides(explorer, fake, outputs):
    explorer.controls["x"].box.value = 6.0
    assert outputs == {}
    explorer._ipython_display_()
    view, name = outputs
    assert outputs[view]["application/vnd.jupyter.widget-view+json"]["model_id"] == explorer.model_id
    assert "image/png" not in outputs[view]
    assert f".{name} {{ display: none; }}" in explorer.children[0].value
    for x in (6.0, 7.0):
        explorer.controls["x"].box.value = x
        kept = outputs[name]
        assert kept["text/html"].startswith(f'<div class="{name}"><p>x={x:g}, n=3</p>')
        assert f"data:image/png;base64,{kept['image/png']}" in kept["text/html"]
        assert base64.b64decode(kept["image/png"]) == explorer.picture.value
    fake.failure = ValueError("<odd>")
    explorer.controls["x"].box.value = 8.0
    kept = outputs[name]
    assert "ValueError: <odd>\nThe picture is still that of x=7, n=3." in kept["text/plain"]
    assert "<odd>" not in kept["text/html"]


def test_a_widget_without_a_picture_keeps_its_words(fake, outputs):
    fake.failure = ValueError("not at the start")
    Explorer(fake, Easel(plot))._ipython_display_()
    kept = outputs.popitem()[1]
    assert "image/png" not in kept
    assert "<img" not in kept["text/html"]
    assert "not at the start" in kept["text/plain"]
