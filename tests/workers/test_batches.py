"""Numbered batches on other processes: what comes, and what becomes of batches that fail or kill."""

import functools
import importlib
import itertools
import logging
import multiprocessing
import os
import signal
import sys
import threading
import time
import warnings
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import loky
import pytest
from distributed import Client, LocalCluster

from arviz_resampler import ArgumentError, ProgramError, ProgramWarning, WeightWarning, WorkerError
from arviz_resampler.errors import warn
from arviz_resampler.workers.batches import _batches, run_batches
from arviz_resampler.workers.executors import as_workers
from arviz_resampler.workers.payload import pack
from arviz_resampler.workers.worker import call

SPAWN = multiprocessing.get_context("spawn")


def spawn_pool():
    return ProcessPoolExecutor(2, mp_context=SPAWN)


@pytest.fixture(scope="module")
def pool():
    with spawn_pool() as made:
        yield made


@pytest.fixture(scope="module")
def cluster():
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0", silence_logs=50) as made,
        Client(made) as client,
    ):
        yield client


def run(executor, task, batches=range(8), **parts):
    return run_batches(as_workers(executor), task, batches, parts=parts)


def gathered(iterator):
    """What comes, and the error that comes then."""
    got = {}
    try:
        for number, result in iterator:
            assert number not in got
            got[number] = result
    except WorkerError as error:
        return got, error
    return got, None


def killing(number, folder, *, times):
    """A task that kills its worker at one batch, as often as is said, and counts its calls in files."""

    def task(batch):
        calls = Path(folder) / str(batch)
        with calls.open("a") as file:
            file.write("x")
        if batch == number and len(calls.read_text()) <= times:
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(0.02)
        return batch * batch

    return task


def calls(folder):
    return {int(path.name): len(path.read_text()) for path in Path(folder).iterdir()}


SQUARES = {n: n * n for n in range(8)}


class Counting(Executor):
    """Runs a call when the next is waited for, and knows how many it had at most."""

    _max_workers = 3

    def __init__(self):
        self.calls, self.waiting, self.most, self.was_shut_down = [], [], 0, False

    def submit(self, fn, /, *args, **kwargs):
        future = Future()
        if not args:
            future.set_result(fn())
            return future
        self.waiting = [one for one in self.waiting if not one.done()]
        self.waiting.append(future)
        self.most = max(self.most, len(self.waiting))
        self.calls.append(args)
        if len(self.waiting) == 6:
            self.waiting[2].set_result(fn(*self.calls[-4]))
        elif len(self.calls) == 20:
            for one, given in zip(self.waiting, self.calls[-len(self.waiting) :], strict=True):
                one.set_result(fn(*given))
        return future

    def shutdown(self, wait=True, *, cancel_futures=False):
        self.was_shut_down = True


class Immediate(Executor):
    """Runs a call at once."""

    _max_workers = 2

    def __init__(self, client=None):
        self._client = client

    def submit(self, fn, /, *args, **kwargs):
        future = Future()
        future.set_result(fn(*args))
        return future


# ---------------------------------------------------------------- what comes


def test_batches_come_from_any_executor_in_any_order(pool, cluster):
    add = 10

    def task(batch):
        return batch + add

    expected = {batch: batch + 10 for batch in range(12)}
    for executor in (pool, cluster.get_executor(), 2, lambda: loky.get_reusable_executor(2)):
        assert dict(run(executor, task, range(12))) == expected
    assert dict(run(pool, task, [7, 3, 11])) == {7: 17, 3: 13, 11: 21}
    assert dict(run(pool, task, [])) == {}


def test_a_task_may_be_a_lambda_a_partial_or_a_method(pool):
    class Power:
        def __init__(self, exponent):
            self.exponent = exponent

        def of(self, batch, plus=0):
            return batch**self.exponent + plus

    assert dict(run(pool, lambda batch: batch * 2, range(3))) == {0: 0, 1: 2, 2: 4}
    assert dict(run(pool, Power(3).of, range(3))) == {0: 0, 1: 1, 2: 8}
    assert dict(run(pool, functools.partial(Power(2).of, plus=1), range(3))) == {0: 1, 1: 2, 2: 5}
    assert not pool._shutdown_thread


def test_a_task_is_loaded_once_a_worker_with_one_thread(pool):
    class Loaded:
        def __setstate__(self, state):
            import torch

            self.threads = torch.get_num_threads()
            self.at = time.monotonic_ns()

        def __getstate__(self):
            return {"some": "state"}

    loaded = Loaded()
    results = dict(run(pool, lambda b: (os.getpid(), loaded.at, loaded.threads), range(20))).values()
    assert os.getpid() not in {pid for pid, _, _ in results}
    assert len({(pid, at) for pid, at, _ in results}) == len({pid for pid, _, _ in results})
    assert {threads for *_, threads in results} == {1}


def test_a_second_run_is_not_answered_from_the_first(cluster):
    task = lambda batch: time.monotonic_ns()  # noqa: E731
    executor = cluster.get_executor()
    kept = [executor.submit(sum, (1, 2))]
    first, second = dict(run(executor, task, range(2))), dict(run(executor, task, range(2)))
    assert first.keys() == second.keys()
    assert not set(first.values()) & set(second.values())
    assert kept[0].result() == 3


def test_no_more_batches_are_given_than_twice_the_workers():
    executor = Counting()
    iterator = run(executor, lambda batch: batch, range(20))
    assert next(iterator) == (2, 2)
    iterator.close()
    assert executor.most == 6
    assert all(future.done() for future in executor.waiting)
    assert not executor.was_shut_down


def test_workers_go_on_while_a_result_is_handled(pool, tmp_path):
    task = killing(-1, tmp_path, times=0)
    iterator = run(pool, task, range(8))
    next(iterator)
    time.sleep(1.0)
    assert len(calls(tmp_path)) >= 5  # two workers with two batches each, and one for the first that came
    assert len(dict(iterator)) == 7


# ---------------------------------------------------------------- warnings


def test_what_workers_warn_of_is_said_once_and_at_the_line(pool):
    def task(batch):
        warn("weights are odd", WeightWarning)
        warnings.warn(f"even: {batch % 2 == 0}", RuntimeWarning, stacklevel=1)
        warnings.warn("for developers", DeprecationWarning, stacklevel=1)
        return batch

    line = task.__code__.co_firstlineno + 2
    with pytest.warns() as caught:
        assert len(dict(run(pool, task))) == 8
    said = {(w.category, str(w.message)): (w.filename, w.lineno) for w in caught}
    assert len(said) == len(caught) == 3
    assert said[RuntimeWarning, "even: True"] == (__file__, line)
    assert said[WeightWarning, "weights are odd"][0] == __file__


# ---------------------------------------------------------------- tasks that raise


def test_a_task_that_raises_is_not_tried_again_and_what_runs_is_kept(pool, tmp_path):
    count = killing(-1, tmp_path, times=0)

    def task(batch):
        result = count(batch)
        if batch == 3:
            raise ValueError("no steady state")
        return result

    got, error = gathered(run(pool, task, range(40)))
    assert str(error) == "batch 3 failed: ValueError: no steady state"
    assert isinstance(error.__cause__, ValueError)
    assert 'raise ValueError("no steady state")' in error.__cause__.__notes__[0]
    assert set(calls(tmp_path).values()) == {1}
    assert calls(tmp_path).keys() == got.keys() | {3}
    assert len(got) < 10


def test_errors_of_this_package_are_raised_as_they_are(pool):
    def task(batch):
        raise ProgramError("the guide draws nothing")

    with pytest.raises(ProgramError, match="the guide draws nothing") as caught:
        dict(run(pool, task, [7]))
    assert caught.value.__notes__ == ["batch 7"]


class TakesTwo(Exception):
    """It has a pickle that cannot be read: it was given two arguments and keeps one."""

    def __init__(self, first, second):
        super().__init__(first)


@pytest.mark.parametrize("error", [TakesTwo, SystemExit, KeyboardInterrupt])
def test_no_exception_of_a_task_is_taken_for_a_death(pool, error):
    def task(batch):
        raise TakesTwo("one", "two") if error is TakesTwo else error()

    with pytest.raises(WorkerError, match=rf"^batch 5 failed: .*{error.__name__}"):
        dict(run(pool, task, [5]))
    assert dict(run(pool, abs, range(3))) == {0: 0, 1: 1, 2: 2}


def test_a_module_that_workers_lack_is_named(pool, monkeypatch, tmp_path):
    (tmp_path / "of_the_lab.py").write_text("def simulate(batch):\n    return batch\n")
    monkeypatch.syspath_prepend(tmp_path)
    simulate = importlib.import_module("of_the_lab").simulate
    with pytest.raises(
        WorkerError, match=r"^a worker cannot import the module 'of_the_lab', which the programs"
    ):
        dict(run(pool, lambda batch: simulate(batch), [0]))
    monkeypatch.delitem(sys.modules, "of_the_lab")


def test_a_result_that_cannot_be_sent_back_is_named(pool):
    with pytest.raises(WorkerError, match=r"^the executor could not run batch 2: .*pickle"):
        dict(run(pool, lambda batch: lambda: batch, [2]))


def test_a_retry_is_not_answered_from_the_cache_of_dask(cluster):
    payload, executor = pack(lambda batch: time.monotonic_ns(), {}), cluster.get_executor()
    futures = [
        executor.submit(call, payload, 0, attempt, run) for attempt, run in [(0, "a"), (1, "a"), (0, "b")]
    ]
    again = executor.submit(call, payload, 0, 0, "a")
    values = [future.result().value for future in futures]
    assert len(set(values)) == 3
    assert again.result().value == values[0]


# ---------------------------------------------------------------- workers that die


def test_a_batch_that_kills_its_worker_once_is_tried_again(tmp_path, caplog):
    with caplog.at_level(logging.INFO, "arviz_resampler"):
        got, error = gathered(run(2, killing(3, tmp_path, times=1)))
    assert error is None
    assert got == SQUARES
    assert calls(tmp_path) == {n: 2 if n == 3 else 1 for n in range(8)}
    made = "executor ProcessPoolExecutor, workers: 1"
    said = [record.getMessage() for record in caplog.records]
    assert said[:3] == ["batches: 8", made, made]
    assert sorted(said[3:]) == sorted(
        ["a worker died while batch 3 ran", "batch 3 is tried again", *[made] * (len(said) - 5)]
    )


def test_a_batch_that_always_kills_its_worker_is_named_when_all_others_are_there(tmp_path):
    got, error = gathered(run(2, killing(0, tmp_path, times=99)))
    assert got == {n: n * n for n in range(1, 8)}
    assert str(error).startswith("a worker died in each of 3 attempts at batch 0; all others are finished.")
    assert "memory" in str(error)
    assert "compiled code" in str(error)
    assert calls(tmp_path) == {n: 3 if n == 0 else 1 for n in range(8)}


def test_an_executor_that_is_made_again_goes_on(tmp_path):
    """A batch that kills every one that is made is in ``test_simulations_on_workers.py``."""
    made = []

    def make():
        made.append(loky.ProcessPoolExecutor(2))
        return made[-1]

    got, error = gathered(run(make, killing(3, tmp_path, times=1)))
    assert error is None
    assert got == SQUARES
    assert calls(tmp_path)[3] == 2
    assert len(made) == 2


def test_an_executor_that_is_given_and_breaks_says_what_ran(tmp_path):
    with loky.ProcessPoolExecutor(2) as executor:
        got, error = gathered(run(executor, killing(3, tmp_path, times=99), range(30)))
    assert 3 not in got
    assert len(got) < 8
    assert "broke with it while it had batches" in str(error)
    assert "executor=lambda: ProcessPoolExecutor(4)" in str(error)
    assert isinstance(error.__cause__, BrokenExecutor)


def slowly(batch):
    time.sleep(0.05)
    return batch * batch


def test_a_dask_worker_that_is_killed_costs_nothing(cluster):
    pids = list(cluster.run(os.getpid).values())
    got = {}
    for number, result in run(cluster.get_executor(), slowly, range(30)):
        got[number] = result
        if len(got) == 5:
            os.kill(pids[0], signal.SIGKILL)
    assert got == {n: n * n for n in range(30)}


class Fragile(Executor):
    """Runs calls in a thread, one after the other; a batch that kills breaks it, as it does pools.

    It does so first while others run beside it, as there are as long as there are batches.
    """

    _max_workers = 3

    def __init__(self, kills, log):
        self._kills, self._log, self._waiting, self._broken = kills, log, {}, False
        self._lock = threading.Lock()

    def submit(self, fn, /, *args, **kwargs):
        future = Future()
        if not args:
            future.set_result(fn())
            return future
        with self._lock:
            if self._broken:
                raise BrokenExecutor("broken")
            self._waiting[future] = (fn, args)
        threading.Timer(0.02, self._finish, [future]).start()
        return future

    def _finish(self, future):
        with self._lock:
            if future not in self._waiting:
                return
            number = self._waiting[future][1][1]
            time = 1 + sum(number == n for n, _ in self._log)
            kills = self._kills(number, time)
            if kills and time == 1 and len(self._waiting) == 1:  # others are on their way
                threading.Timer(0.02, self._finish, [future]).start()
                return
            self._log.append((number, sorted(args[1] for _, args in self._waiting.values())))
            if kills:
                self._broken = True
                for one in self._waiting:
                    one.set_exception(BrokenExecutor("a worker died"))
                self._waiting.clear()
                return
            fn, args = self._waiting.pop(future)
            future.set_result(fn(*args))

    def shutdown(self, wait=True, *, cancel_futures=False):
        pass


def test_suspects_run_alone_until_it_is_known_which_of_them_kills():
    log, made = [], []

    def make():
        made.append(Fragile(lambda number, time: number == 2, log))
        return made[-1]

    got, error = gathered(run(make, abs, range(12)))
    assert len(made) == 3
    assert got == {n: n for n in range(12) if n != 2}
    assert "3 attempts at batch 2; all others are finished" in str(error)
    of_killer = [beside for number, beside in log if number == 2]
    assert len(of_killer) == 3
    assert len(of_killer[0]) > 1
    assert of_killer[1:] == [[2], [2]]
    assert log[-1] == (2, [2])  # after all others
    known = max(i for i, entry in enumerate(log[:-1]) if entry == (2, [2]))
    assert any(len(beside) > 1 for _, beside in log[known + 1 :])  # which are no suspects then


def test_two_batches_that_kill_are_both_found():
    log = []
    got, error = gathered(run(lambda: Fragile(lambda number, time: number in {1, 7}, log), abs, range(10)))
    assert got == {n: n for n in range(10) if n not in {1, 7}}
    assert "3 attempts at batches 1 and 7; all others" in str(error)


def test_a_death_that_does_not_happen_again_costs_no_batch():
    log = []
    got, error = gathered(run(lambda: Fragile(lambda number, time: number == 4 and time == 1, log), abs))
    assert error is None
    assert got == {n: n for n in range(8)}


class Unborn(Immediate):
    """Breaks before a worker has said that it started, as often as is said."""

    times = 0

    def submit(self, fn, /, *args, **kwargs):
        if type(self).times <= 0:
            return super().submit(fn, *args)
        type(self).times -= 1
        future = Future()
        future.set_exception(BrokenExecutor("a worker died"))
        return future


def test_workers_that_do_not_start_are_told_from_one_that_dies_before_another_starts(monkeypatch):
    monkeypatch.setattr(Unborn, "times", 2)  # the word that a worker has started, and a batch
    assert gathered(run(Unborn, abs)) == ({n: n for n in range(8)}, None)
    monkeypatch.setattr(Unborn, "times", 99)
    got, error = gathered(run(Unborn, abs))
    assert got == {}
    assert str(error).startswith("the worker processes ended while they started. Where no worker starts, ")
    got, error = gathered(run(Unborn(), abs))
    assert got == {}
    assert "broke with it while it had batches 0, 1, 2 and 3. What had finished stays" in str(error)
    assert 'put it under `if __name__ == "__main__":`' in str(error)


def test_a_callable_that_gives_the_broken_executor_again_is_refused():
    executor = Fragile(lambda number, time: number == 4, [])
    iterator = run(lambda: executor, abs)
    with pytest.raises(
        ArgumentError, match="the executor Fragile is broken: give one that is open, or a callable"
    ):
        dict(iterator)


# ---------------------------------------------------------------- executors that cannot run


def test_an_executor_that_is_closed_while_batches_run_is_named():
    class Closed(Immediate):
        def submit(self, fn, /, *args, **kwargs):
            if args and args[1] == 4:
                raise RuntimeError("cannot schedule new futures after shutdown")
            return super().submit(fn, *args)

    got, error = gathered(run(Closed(), abs))
    assert got == {0: 0, 1: 1, 2: 2, 3: 3}
    assert "batch 4 cannot be given to the executor: cannot schedule new futures after shutdown" in str(error)


def test_batches_that_an_executor_loses_are_named():
    class Losing(Immediate):
        def submit(self, fn, /, *args, **kwargs):
            if not args or args[1] != 2:
                return super().submit(fn, *args)
            future = Future()
            future.cancel()
            future.set_running_or_notify_cancel()
            return future

    got, error = gathered(run(Losing(), abs, range(3)))
    assert got == {0: 0, 1: 1}
    assert str(error).startswith("the executor could not run batch 2: it was canceled; the executor was shut")


@pytest.mark.parametrize("times", [1, 2, 3])
def test_an_executor_that_gives_up_a_batch_is_asked_again(times):
    """Dask tries a batch on several workers by itself, and says so when all have died."""

    class KilledWorker(Exception):
        pass

    class OfDask(Immediate):
        def submit(self, fn, /, *args, **kwargs):
            if args and args[1] == 2 and args[2] < times:
                future = Future()
                future.set_exception(KilledWorker("all died"))
                return future
            return super().submit(fn, *args)

    got, error = gathered(run(OfDask(), abs, range(9)))
    assert got == {n: n for n in range(9) if times < 3 or n != 2}
    assert (error is None) == (times < 3)
    assert error is None or "3 attempts at batch 2;" in str(error)


def test_what_a_callable_makes_is_checked(pool):
    with pytest.raises(ArgumentError, match="runs threads of this process"):
        next(run(lambda: ThreadPoolExecutor(2), abs))
    with pytest.raises(ArgumentError, match=r"must make a concurrent\.futures\.Executor, it made 3"):
        next(run(lambda: 3, abs))


def test_threads_of_a_worker_run_one_batch_at_a_time_and_are_told():
    payload = pack(_span, {})
    with ThreadPoolExecutor(2) as threads:
        spans = sorted(threads.map(lambda batch: call(payload, batch, 0, "run").value, range(4)))
    assert all(before[1] <= after[0] for before, after in itertools.pairwise(spans))
    client = SimpleNamespace(nthreads=lambda: {"tcp://a": 1, "tcp://b": 2})
    with pytest.warns(ProgramWarning, match="up to 2 threads, but run one batch at a time") as caught:
        assert dict(run(Immediate(client), abs, range(9))) == {n: n for n in range(9)}
    assert len(caught) == 1


def _span(batch):
    start = time.monotonic_ns()
    time.sleep(0.05)
    return start, time.monotonic_ns()


def test_an_error_names_its_batches_in_order():
    assert [_batches(n) for n in ([3], [4, 3], [3, 5, 4])] == [
        "batch 3",
        "batches 3 and 4",
        "batches 3, 4 and 5",
    ]
    assert _batches([10, 9]) == "batches 9 and 10"
