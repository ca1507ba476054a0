"""The task as bytes, and what is said of one that cannot be sent or is large."""

import functools
import pickle
import sys
import threading
import types
import warnings

import cloudpickle
import numpy as np
import pytest

from arviz_resampler import ExtraError, ProgramWarning, WorkerError
from arviz_resampler.workers.payload import LARGE, _pickler, pack
from arviz_resampler.workers.worker import Payload, Reply, Report, call, read


def packed(**parts):
    return pack(lambda batch: parts, parts)


def refusal(**parts):
    with pytest.raises(WorkerError) as caught:
        packed(**parts)
    return str(caught.value)


def closing_over(value):
    def simulator():
        return value

    return simulator


def outcome(payload):
    reply = call(payload, 2, 0, "run")
    return reply.value, read(reply)


# ---------------------------------------------------------------- payloads


def test_a_payload_is_known_by_its_digest():
    first, second = pack(closing_over(1), {}), pack(closing_over(2), {})
    assert first != second
    assert first == Payload(first.digest, b"other")
    assert hash(first) == hash(Payload(first.digest, b"other"))
    assert first.__dask_tokenize__() == first.digest
    assert len(repr(first)) < 200


def test_a_program_keeps_the_file_that_it_is_from():
    def program():
        return lambda: None

    loaded = pickle.loads(pack(program, {}).data)
    assert loaded.__code__.co_filename == program.__code__.co_filename
    assert loaded().__code__.co_filename == program.__code__.co_filename


def test_the_extra_is_named_where_cloudpickle_is_missing(monkeypatch):
    _pickler.cache_clear()
    monkeypatch.setitem(sys.modules, "cloudpickle", None)
    with pytest.raises(ExtraError, match=r"pip install 'arviz-resampler\[workers\]'"):
        pack(abs, {})


# ---------------------------------------------------------------- what cannot be sent


def test_what_cannot_be_sent_is_named_by_the_path_to_it():
    lock = threading.Lock()

    class Model:
        def __init__(self, inner):
            self.inner = inner

        def __call__(self):
            return self.inner

    def with_default(x=1, *, guard=lock):
        return guard

    def place(part):
        return refusal(guide=abs, simulator=part).partition(" is of type lock: ")[0]

    start = "the simulator cannot be sent to other processes: its "
    assert place(closing_over(lock)) == start + "variable 'value'"
    assert place(with_default) == start + "default of 'guard'"
    assert place(functools.partial(max, 1, lock)) == start + "argument 1"
    assert place(functools.partial(max, key=lock)) == start + "argument 'key'"
    assert place(Model(lock)) == start + "attribute 'inner'"
    assert place(Model(lock).__call__) == start + "object, its attribute 'inner'"
    assert place(closing_over({"a": [1, lock]})) == start + "variable 'value', its item 'a', its item 1"


def test_a_global_of_the_script_that_cannot_be_sent_is_named():
    script = {"__name__": "__main__", "handle": sys.stdout}
    exec("def simulator():\n    return (lambda: handle.name)()", script)
    said = refusal(simulator=script["simulator"])
    assert said.startswith(
        f"the simulator cannot be sent to other processes: its variable 'handle' is of type "
        f"{type(sys.stdout).__name__}: "
    )
    assert said.endswith("; make or open it inside the program")


def test_the_task_is_named_where_no_part_is_the_cause():
    lock = threading.Lock()
    with pytest.raises(
        WorkerError, match="the task cannot be sent to other processes: its variable 'lock' is"
    ):
        pack(lambda batch: lock, {"guide": abs})


def test_a_part_that_is_itself_the_cause_is_named():
    said = refusal(guide=threading.Lock())
    assert said.startswith("the guide cannot be sent to other processes: it is of type lock: cannot pickle")


def test_a_circle_of_objects_ends_the_search():
    class Node:
        def __init__(self):
            self.next = self

        def __reduce__(self):
            raise TypeError("no pickle")

    node = Node()
    assert refusal(guide=node) == (
        "the guide cannot be sent to other processes: it is of type Node: no pickle; "
        "make or open it inside the program"
    )


# ---------------------------------------------------------------- what is large


def of_size(total):
    """A task whose payload has exactly so many bytes."""

    def task(filling):
        return lambda batch: filling

    start = total - 10_000
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        length = start + total - len(pack(task(b"x" * start), {}).data)
        assert len(pack(task(b"x" * length), {}).data) == total
    return task(b"x" * length)


def test_a_payload_of_a_megabyte_is_sent_in_silence():
    assert len(pack(of_size(LARGE), {}).data) == LARGE


def test_a_payload_of_one_byte_more_is_told():
    with pytest.warns(
        ProgramWarning, match=r"takes along to its worker has 1\.0 MB: the task has 1\.0 MB, of"
    ):
        pack(of_size(LARGE + 1), {})


def test_what_makes_a_payload_large_is_named():
    table, small = np.zeros(300_000), np.zeros(20_000)

    def simulator():
        return {"small": small, "tables": [table]}

    with pytest.warns(ProgramWarning) as caught:
        packed(guide=closing_over(small), simulator=simulator)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert str(caught[0].message) == (
        "what each batch takes along to its worker has 2.6 MB: the simulator has 2.6 MB, of which its "
        "variable 'table' has 2.4 MB. Load large data inside the program, or with dask scatter it beforehand"
    )


# ---------------------------------------------------------------- loading


def test_a_module_that_a_worker_lacks_is_named(monkeypatch):
    module = types.ModuleType("of_the_lab")
    exec("def simulate():\n    return 1", vars(module))
    module.simulate.__module__ = "of_the_lab"
    monkeypatch.setitem(sys.modules, "of_the_lab", module)
    payload = pack(closing_over(module.simulate), {})
    monkeypatch.delitem(sys.modules, "of_the_lab")
    _, report = outcome(payload)
    assert isinstance(report.error, WorkerError)
    assert str(report.error).startswith(
        "a worker cannot import the module 'of_the_lab', which the programs use"
    )


def test_a_worker_of_another_version_of_python_is_refused():
    data = cloudpickle.dumps(abs)
    _, report = outcome(Payload("other", data, "3.9.1"))
    assert "and this process 3.9.1: programs can be sent between equal versions only" in str(report.error)
    same = f"{sys.version_info.major}.{sys.version_info.minor}.99"
    assert outcome(Payload("same", data, same)) == (2, Report())


def test_programs_that_cannot_be_loaded_are_told():
    _, report = outcome(Payload("cut", cloudpickle.dumps(abs)[:-4]))
    assert str(report.error).startswith("a worker cannot load the programs: ")


def test_what_is_known_to_the_worker_only_does_not_end_a_run():
    data = pickle.dumps(Report()).replace(
        b"arviz_resampler.workers.worker", b"arviz_resampler.workers.wanted"
    )
    assert read(Reply(3, report=data)) == Report()
