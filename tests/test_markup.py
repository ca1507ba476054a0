"""The style of objects that show themselves, and all of these with names that would be markup."""

import functools
import re
import warnings
from html.parser import HTMLParser

import pyro
import pyro.distributions as dist
import pytest

from arviz_resampler import Resampler, WeightWarning, family, plan
from arviz_resampler.markup import COLORS, SIGNS, Html, badge, escaped, page, table

HOSTILE = "x<script>alert(1)&more<b>"
TAGS = {"div", "style", "p", "b", "table", "thead", "tbody", "tr", "th", "td"}


class Reader(HTMLParser):
    """Texts of a page, which must have no other tags than the package's, each of them closed."""

    def __init__(self, text):
        super().__init__()
        self.texts, self._open = [], []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag, attrs):
        assert tag in TAGS
        assert {name for name, _ in attrs} <= {"class", "style"}
        self._open.append(tag)

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        if self._open[-1] != "style":
            self.texts.append(data)


def test_what_is_no_html_yet_is_escaped_once():
    assert escaped("<a> & 'b'") == "&lt;a&gt; &amp; &#x27;b&#x27;"
    assert escaped(escaped("<a>")) == "&lt;a&gt;"
    assert escaped(Html("<b>")) == "<b>"
    assert [escaped(1.23456), escaped(12345), escaped(None)] == ["1.235", "12345", "None"]


@pytest.mark.parametrize("verdict", COLORS)
def test_a_badge_has_color_sign_and_word(verdict):
    assert Reader(badge(verdict)).texts == [f"{SIGNS[verdict]} {verdict}"]
    assert f"--verdict: {COLORS[verdict]}" in badge(verdict)
    assert Reader(badge(verdict, "a < b")).texts == [f"{SIGNS[verdict]} {verdict}", ": a < b"]


def test_a_badge_of_another_word_has_the_color_of_the_text():
    assert Reader(badge("<i>")).texts == [" <i>"]
    assert "--verdict: currentColor" in badge("<i>")


def test_a_table_has_as_many_cells_in_its_rows_as_titles():
    made = table(["a", "b", "c"], [["x", "y", 1.0], ["<z>", "", 2]], keys=2)
    assert made.count("<th>") == 3 + 2 * 2
    assert Reader(made).texts == ["a", "b", "c", "x", "y", "1", "<z>", "2"]
    assert "thead" not in table([], [["x", 1]])


def test_a_page_has_one_style_that_touches_nothing_else():
    shown = page("A <title>", table([], [["x", 1]]), "A note.")
    assert Reader(shown).texts == ["A <title>", "x", "1", "A note."]
    style = shown.split("<style>")[1].split("</style>")[0]
    rules = [rule.split("{")[0].strip() for rule in style.split("}") if rule.strip()]
    assert all(rule.startswith("div.arviz-resampler") for rule in rules)


# ---------------------------------------------------------------- all objects


def make_model(scale=3.0):
    return lambda: pyro.sample(HOSTILE, dist.Normal(0.0, scale))


@functools.cache
def things():
    """Objects that show themselves, by name."""
    ranges = {"scale": (0.1, 10.0)}
    with warnings.catch_warnings(action="ignore", category=WeightWarning):
        guide = family(make_model, **ranges)
        resampler = Resampler(guide, num_guide_samples=2000, random_seed=0, progressbar=False)
        tuner = resampler.tune(make_model, **ranges)
        fit = resampler.fit(make_model, {HOSTILE: (lambda ds: abs(ds[HOSTILE]), 1.0)}, **ranges)
        models = {HOSTILE: make_model(1e-3), "b": make_model(2.0)}
        comparison = resampler.compare(models, 500)
        return {
            "resampler": resampler,
            "sites": resampler.sites,
            "weights": resampler.weigh(make_model(2.0)),
            "weights that are unreliable": resampler.weigh(make_model(1e-3)),
            "comparison": comparison,
            "summary": comparison.summary(),
            "tuner": tuner,
            "coverage": tuner.coverage(4),
            "plan": plan(make_model(10.0), models, 1000, pilot=2000, random_seed=0),
            "guide": guide,
            "fit": fit,
            "region": fit.region,
        }


NAMED = ["resampler", "sites", "weights that are unreliable", "comparison", "summary", "plan", "guide", "fit"]


@pytest.mark.parametrize("name", ["weights", "tuner", "coverage", "region", *NAMED])
def test_an_object_shows_itself_with_all_words_of_its_print_and_no_markup_of_a_user(name):
    thing = things()[name]
    shown = " ".join(Reader(thing._repr_html_()).texts)
    assert (HOSTILE in shown) == (name in NAMED)
    said, html_said = (set(re.findall(r"[^\W\d]{2,}", text)) for text in (repr(thing), shown))
    assert said - html_said <= {"advice", "in"}


def test_verdicts_have_badges():
    for name, verdict in {"weights": "good", "comparison": "unreliable", "plan": "good"}.items():
        assert f"{SIGNS[verdict]} {verdict}" in Reader(things()[name]._repr_html_()).texts
