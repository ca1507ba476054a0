"""Who may write."""

import contextlib
import errno
import fcntl
import os
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from arviz_resampler import errors
from arviz_resampler.storage import locks

HOLD = """
store = Store.open(sys.argv[1])
with store.lock(*sys.argv[2:]):
    print("held", flush=True)
    sys.stdin.read()
"""


def holder(start, store, *shard):
    process = start(HOLD, store.path, *shard)
    assert process.stdout.readline() == "held\n"
    return process


@pytest.fixture
def impatient(monkeypatch):
    """A lock that is held is not waited for long."""
    monkeypatch.setattr(locks, "_PATIENCE", 0.05)


def test_a_second_process_is_refused_and_told_who_the_first_is(make, start):
    store, _ = make()
    process = holder(start, store)
    with (
        pytest.raises(errors.StoreError, match=rf"is being written by process {process.pid} on host") as said,
        store.lock(),
    ):
        pass
    assert socket.gethostname() in str(said.value)
    assert str(store.path) in str(said.value)


def test_a_lock_that_is_held_for_a_moment_is_waited_for(make):
    store, _ = make()
    with ThreadPoolExecutor() as pool, contextlib.ExitStack() as held:
        held.enter_context(store.lock())  # as by who has written the last batch, and cleans up

        def release():
            time.sleep(0.2)
            held.close()

        pool.submit(release)
        with store.lock("1/2"):
            pass


def test_a_lock_ends_with_its_process_also_by_a_kill(make, start):
    store, _ = make()
    process = holder(start, store)
    process.kill()
    process.wait()
    with store.lock():
        pass


def test_a_lock_ends_with_its_block_also_by_an_error_that_is_kept(make):
    store, _ = make()
    with pytest.raises(ZeroDivisionError) as kept, store.lock():
        raise ZeroDivisionError
    with store.lock():
        assert kept.value is not None
    with store.lock():
        pass


def test_shards_are_locked_one_by_one_and_all_of_a_store_alone(make, start):
    store, _ = make()
    process = holder(start, store, "3/100")
    with store.lock("4/100"):
        pass
    for shard, what in (("3/100", "shard 3/100 of "), ("all", "")):
        with (
            pytest.raises(errors.StoreError, match=f"^{what}{store.path} is being written"),
            store.lock(shard),
        ):
            pass
    process.kill()
    process.wait()
    holder(start, store)
    with pytest.raises(errors.StoreError, match="is being written"), store.lock("4/100"):
        pass


@pytest.mark.parametrize("held", ["0/2", "2/4", "1/3", "3/6", "0/1"])
@pytest.mark.parametrize("shard", ["0/2", "00/02", "0/4", "1/4", "2/3", "1/6", "5/12"])
def test_shards_that_have_batches_in_common_are_not_written_at_a_time(make, impatient, held, shard):
    store, _ = make()
    (i, n), (j, m) = (map(int, text.split("/")) for text in (held, shard))
    common = set(range(i, 12, n)) & set(range(j, 12, m))
    with store.lock(held), contextlib.ExitStack() as second:
        if common:
            with pytest.raises(errors.StoreError, match=f"^shard {held} of {store.path} is being written by"):
                second.enter_context(store.lock(shard))
        else:
            second.enter_context(store.lock(shard))
    with store.lock(shard):  # what was locked before is in nobody's way
        pass


def test_of_those_that_take_overlapping_shards_at_a_time_one_at_most_has_its_own(make, impatient):
    store, _ = make()
    has = []

    def take(shard):
        with contextlib.suppress(errors.StoreError), store.lock(shard):
            has.append(shard)
            assert len(has) == 1
            time.sleep(0.01)
            has.remove(shard)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(take, ["0/2", "0/4", "0/3", "00/2"] * 5))


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, 524])
def test_a_file_system_without_locks_is_said_and_gone_on_with(make, monkeypatch, number):
    store, _ = make()

    def refuse(*args):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.warns(errors.StoreWarning, match="its file system has no locks") as said, store.lock():
        went_on = True
    assert went_on
    assert [warning.filename for warning in said] == [__file__]


def test_another_error_of_a_lock_is_an_error(make, monkeypatch):
    store, _ = make()

    def refuse(*args):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(errors.StoreError, match="cannot be locked: Input/output error"), store.lock():
        pass


def test_a_lock_file_that_cannot_be_made_is_an_error(make):
    store, _ = make()
    (store.path / "records/.lock-all").symlink_to("/dev/null")
    with pytest.raises(errors.StoreError, match=r"cannot be locked: .*\.lock-all"), store.lock():
        pass
