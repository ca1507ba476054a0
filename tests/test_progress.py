import threading
import time

import pytest

from arviz_resampler import progress


@pytest.mark.parametrize(
    ("done", "seconds", "expected"),
    [
        (12, 30.0, "x: 12 of 100 batches, 2 a minute, 44 min left"),
        (100, 0.5, "x: 100 of 100 batches, 120 a minute"),
        (99, 0.0, "x: 99 of 100 batches, 6e+10 a minute, 0 min left"),
    ],
)
def test_a_line_says_what_is_done_how_fast_and_what_is_left(done, seconds, expected):
    assert progress.line("x", done, 100, seconds) == expected


def test_a_log_gets_a_line_now_and_then_and_one_at_the_end(capsys, monkeypatch):
    clock = iter([0.0, 59.0, 60.0, 119.0, 120.0, 121.0])
    monkeypatch.setattr("arviz_resampler.progress.time.monotonic", lambda: next(clock))
    assert list(progress.shown("abcde", "x", total=8, done=3, quiet=False)) == list("abcde")
    assert [line.split(",")[0] for line in capsys.readouterr().err.splitlines()] == [
        "x: 5 of 8 batches",
        "x: 7 of 8 batches",
        "x: 8 of 8 batches",
    ]


@pytest.mark.parametrize("terminal", [True, False])
def test_nothing_is_shown_where_nothing_shall_be(capsys, monkeypatch, terminal):
    monkeypatch.setattr("sys.stderr.isatty", lambda: terminal, raising=False)
    assert list(progress.shown("ab", "x", total=2, quiet=True)) == ["a", "b"]
    assert capsys.readouterr().err == ""


@pytest.fixture
def terminal(monkeypatch):
    monkeypatch.setattr("arviz_resampler.progress._is_watched", lambda: True)
    monkeypatch.setattr("arviz_resampler.progress._DELAY", 0.0)


def test_a_terminal_gets_a_bar(capsys, terminal):
    assert list(progress.shown("ab", "x", total=4, done=2, quiet=False)) == ["a", "b"]
    assert "x: 100%" in capsys.readouterr().err


def test_a_bar_waits_for_two_seconds(capsys, terminal, monkeypatch):
    monkeypatch.setattr("arviz_resampler.progress._DELAY", 2.0)
    assert list(progress.shown("ab", "x", total=2, quiet=False)) == ["a", "b"]
    assert list(progress.shown("a", "x", total=1, quiet=False)) == ["a"]
    with progress.counted("x", "step", total=3, quiet=False) as count:
        count()
    assert capsys.readouterr().err == ""


def test_a_single_batch_gets_a_clock_until_it_is_done(capsys, terminal):
    def batch():
        time.sleep(0.2)
        yield "a"

    before = threading.active_count()
    assert list(progress.shown(batch(), "x", total=1, quiet=False)) == ["a"]
    assert "x: 00:00" in capsys.readouterr().err
    assert threading.active_count() <= before + 1  # of tqdm's own monitor


def test_a_clock_stops_where_a_batch_fails(terminal):
    def batch():
        raise ValueError("no")
        yield

    with pytest.raises(ValueError, match="no"):
        list(progress.shown(batch(), "x", total=1, quiet=False))
    assert not [thread for thread in threading.enumerate() if "tick" in thread.name]


@pytest.mark.parametrize(("quiet", "watched"), [(True, True), (False, False), (False, True)])
def test_steps_are_counted_where_somebody_watches(capsys, terminal, monkeypatch, quiet, watched):
    monkeypatch.setattr("arviz_resampler.progress._is_watched", lambda: watched)
    with progress.counted("x", "step", total=3, quiet=quiet) as count:
        count()
    assert ("x:   0%" in capsys.readouterr().err) == (watched and not quiet)
