"""What may be given to have batches run elsewhere."""

import multiprocessing
import os
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from types import SimpleNamespace

import loky
import pytest

from arviz_resampler import ArgumentError, WorkerError
from arviz_resampler.workers.executors import as_workers, num_workers, own_process, threads_by_worker


class Other(Executor):
    def __init__(self, **attributes):
        vars(self).update(attributes)


def of_dask(threads, **attributes):
    return Other(_client=SimpleNamespace(nthreads=lambda: threads), **attributes)


def test_nothing_is_nothing():
    assert as_workers(None) is None


def test_a_number_is_that_many_processes_of_our_own():
    workers = as_workers(3)
    assert (workers.own, workers.given, workers.make) == (3, None, own_process)


@pytest.mark.parametrize("number", [0, -1])
def test_fewer_than_one_process_are_refused(number):
    with pytest.raises(ArgumentError, match=f"executor must be a positive integer, got {number}"):
        as_workers(number)


@pytest.mark.parametrize("given", [True, 1.5, "loky", multiprocessing])
def test_what_is_no_executor_is_refused(given):
    with pytest.raises(ArgumentError, match=r"executor must be a concurrent\.futures\.Executor, a callable"):
        as_workers(given)


def test_a_client_of_dask_is_told_from_its_executor():
    client = SimpleNamespace(get_executor=None)
    with pytest.raises(ArgumentError, match=r"give what its method get_executor\(\) returns"):
        as_workers(client)


def test_an_executor_is_taken_as_it_is_and_a_callable_is_not_called():
    executor = Other()
    assert as_workers(executor).given is executor
    assert as_workers(lambda: 1 / 0).make


def test_threads_of_this_process_are_refused():
    with ThreadPoolExecutor(1) as executor:
        for given in (executor, ThreadPoolExecutor, of_dask(threads={"inproc://10.0.0.1/1": 4})):
            with pytest.raises(ArgumentError, match=r"runs threads of this process: every batch seeds"):
                as_workers(given)


def test_an_executor_that_is_shut_down_or_broken_is_refused():
    closed, closed_loky = ProcessPoolExecutor(1), loky.ProcessPoolExecutor(1)
    closed.shutdown()
    closed_loky.shutdown()
    client = SimpleNamespace(status="closed", nthreads=None)
    for executor in (closed, closed_loky, Other(_shutdown=True), Other(_client=client)):
        with pytest.raises(
            ArgumentError, match=f"{type(executor).__name__} is shut down: give one that is open"
        ):
            as_workers(executor)
    for executor in (Other(_broken="a worker died"), Other(_flags=SimpleNamespace(broken=OSError()))):
        with pytest.raises(ArgumentError, match="is broken: give one that is open, or a callable"):
            as_workers(executor)


def test_a_process_that_still_runs_its_script_starts_no_other(monkeypatch):
    monkeypatch.setattr(multiprocessing.process.current_process(), "_inheriting", True, raising=False)
    for given in (2, own_process):
        with pytest.raises(WorkerError, match='put it under `if __name__ == "__main__":`'):
            as_workers(given)


def test_the_number_of_workers_is_found_where_an_executor_has_it():
    assert num_workers(Other(_max_workers=5)) == 5
    assert num_workers(Other(_max_workers=None, num_workers=7)) == 7
    assert num_workers(Other(_max_workers=None)) == os.cpu_count()
    assert num_workers(of_dask(threads={"tcp://a": 2, "tcp://b": 1})) == 3
    assert num_workers(of_dask(threads={}, _max_workers=4)) == 4
    assert threads_by_worker(Other()) == {}
