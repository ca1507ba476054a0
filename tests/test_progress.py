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


def test_a_terminal_gets_a_bar(capsys, monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    assert list(progress.shown("ab", "x", total=4, done=2, quiet=False)) == ["a", "b"]
    assert "x: 100%" in capsys.readouterr().err
