"""The script that uses resamplers in many threads, in short; and that it finds what is wrong."""

import itertools
import threading

import pytest
import soak

pytestmark = pytest.mark.filterwarnings("ignore")


def test_all_jobs_give_the_same_bits_in_threads(capsys):
    todo = soak.jobs()
    assert len(todo) > 40
    assert soak.soak(5.0, 8, todo=todo, report=1.0) == []
    line = capsys.readouterr().out.splitlines()[-1]
    assert int(line.split()[2]) > 8  # jobs
    assert "0 faults" in line


def test_another_result_and_an_error_are_faults():
    count = itertools.count()
    lock = threading.Lock()

    def other() -> bytes:
        with lock:
            return b"first" if next(count) == 0 else b"later"

    def failing() -> bytes:
        if threading.current_thread() is not threading.main_thread():
            raise RuntimeError("not here")
        return b""

    faults = soak.soak(0.3, 2, todo={"other": other, "failing": failing, "same": lambda: b""})
    assert set(faults) == {"other: another result than by itself", "failing: RuntimeError: not here"}


def test_memory_that_grows_is_told_by_its_slope():
    times = [float(t) for t in range(0, 600, 10)]
    assert soak.slope_of(times, [100.0 + t for t in times]) == pytest.approx(60.0)
    assert soak.slope_of(times, [min(100.0 + t, 300.0) for t in times]) == pytest.approx(0.0, abs=1e-9)
    assert soak.slope_of(times[:2], [1.0, 2.0]) == 0.0
