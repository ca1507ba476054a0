"""Batches written, read and checked, and every kind of damage."""

import errno
import json
import os
import pickle
import shutil

import numpy as np
import pytest
import xarray as xr
from store_cases import ARRAYS, batch_of

from arviz_resampler import errors
from arviz_resampler.storage import Store

Y, MU, X = ("values", "y"), ("values", "mu"), ("values", "x")


def test_batches_come_in_any_order_and_are_done_when_written(make):
    store, _ = make(num=12, done=0)
    for number in (11, 2, 0):
        record = store.write(number, batch_of(ARRAYS, 5, number), {"seconds": 0.5, "failed": [1]})
        assert store.record(number) == record
        assert (record["batch"], record["rows"], record["failed"]) == (number, 5, [1])
        assert record["crc32"].keys() == {"values/mu", "values/y", "values/x", "log_q/mu"}
    assert store.done() == [0, 2, 11]
    assert list(store.records([11, 0])) == [11, 0]
    np.testing.assert_array_equal(store.read(Y, [11]), batch_of(ARRAYS, 5, 11)[Y])


def test_a_store_travels_by_its_path(make):
    store, _ = make()
    assert pickle.loads(pickle.dumps(store)) == store
    assert len(pickle.dumps(store)) < 500


def test_a_relative_path_stays_where_it_was(make, monkeypatch, tmp_path):
    make()
    monkeypatch.chdir(tmp_path)
    store = Store.open("p.zarr")
    monkeypatch.chdir("/")
    assert store.done() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: a.pop(Y), "batch 2: site 'y' of group 'values' is in the store, but not in it"),
        (lambda a: a.update({("values", "z"): a[Y]}), "'z' of group 'values' is in it, but not in the store"),
        (
            lambda a: a.update({Y: a[Y][:4]}),
            r"batch 2, site 'y' of group 'values': found ndarray of shape \(4, 8, 3\) and dtype float32, but "
            r"every batch of this store has shape \(5, 8, 3\) and dtype float32",
        ),
        (lambda a: a.update({Y: a[Y].astype("f8")}), r"found .* dtype float64, but .* dtype float32"),
        (lambda a: a.update({X: a[X].astype("i4")}), r"site 'x' .* found .* dtype int32, but .* dtype int64"),
        (lambda a: a.update({MU: a[MU][:, None]}), r"site 'mu' .* shape \(5, 1\) .* has shape \(5,\)"),
    ],
)
def test_a_batch_that_is_not_as_the_others_is_refused(make, files_of, change, message):
    store, _ = make(done=2)
    before = files_of(store.path)
    arrays = batch_of(ARRAYS, 5, 2)
    change(arrays)
    with pytest.raises(errors.StoreError, match=message):
        store.write(2, arrays, {})
    assert files_of(store.path) == before


def test_numbers_and_notes_that_are_no_ones_are_refused(make):
    store, _ = make(done=1)
    for number in (-1, 4):
        with pytest.raises(errors.ArgumentError, match=f"numbers from 0 to 3, got {number}"):
            store.write(number, batch_of(ARRAYS, 5, 1), {})
    with pytest.raises(errors.ArgumentError, match="the notes 'rows' are the record's own"):
        store.write(1, batch_of(ARRAYS, 5, 1), {"rows": 4})
    assert store.done() == [0]


def test_a_chunk_without_a_record_is_written_again(make):
    store, values = make()
    (store.path / "records/2.json").unlink()
    (store.path / "values/y/c/2/0/0").write_bytes(b"half of it")
    assert store.done() == [0, 1, 3]
    with pytest.raises(errors.StoreError, match=r"batch 2 is missing: it has no record records/2\.json"):
        store.records(range(4))
    store.write(2, batch_of(ARRAYS, 5, 2), {})
    store.check(range(4))
    np.testing.assert_array_equal(store.read(Y, range(4)), values[Y])


def test_the_record_goes_before_chunks_of_another_run_come(make, monkeypatch):
    store, _ = make()

    def refuse(*args):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(errors.StoreError, match="3 of 4 batches are done"):
        store.write(2, batch_of(ARRAYS, 5, 99), {})
    assert store.done() == [0, 1, 3]


# What is done to a file, and whether its size tells.
DAMAGES = {
    "missing": (lambda path: path.unlink(), "No such file or directory"),
    "truncated": (lambda path: os.truncate(path, path.stat().st_size - 1), "bytes, not"),
    "empty": (lambda path: os.truncate(path, 0), "the file has 0 bytes, not"),
    "longer": (lambda path: path.write_bytes(path.read_bytes() + b"0"), "bytes, not"),
    "a folder": (lambda path: (path.unlink(), path.mkdir()), "bytes, not|Is a directory"),
    "a link": (
        lambda path: (path.rename(f"{path}x"), path.symlink_to(f"{path}x")),
        "symbolic link|bytes, not",
    ),
}
MENDING = r"Delete records/1\.json there: the same call then simulates the batch again"


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize(("key", "chunk"), [(Y, "values/y/c/1/0/0"), (MU, "values/mu/c/1")])
def test_a_chunk_of_a_wrong_size_is_noticed_by_all_and_mended(make, key, chunk, damage):
    store, values = make()
    spoil, why = DAMAGES[damage]
    spoil(store.path / chunk)
    calls = {
        "records": lambda: store.records(range(4)),
        "check": lambda: store.check(range(4)),
        "read": lambda: store.read(key, range(4)),
        "rows": lambda: store.rows(key, [0, 6]),
        "all rows": lambda: store.rows(key, range(20)),
    }
    for call in calls.values():
        with pytest.raises(errors.StoreError, match=why) as said:
            call()
        assert f"{store.path}: batch 1, site {key[1]!r} of group 'values': {chunk}" in str(said.value)
        assert MENDING.replace("\\", "") in str(said.value)
    np.testing.assert_array_equal(store.rows(key, [0, 10]), values[key][[0, 10]])
    if damage == "a folder":
        (store.path / chunk).rmdir()
    if damage == "a link":
        (store.path / chunk).unlink()
    store.write(1, batch_of(ARRAYS, 5, 1), {})
    store.check(range(4))
    np.testing.assert_array_equal(store.read(key, range(4)), values[key])


def flip(path, place=-1):
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


def test_a_flipped_bit_of_a_chunk_is_noticed_by_its_checksum_alone(make):
    store, values = make()
    flip(store.path / "values/y/c/1/0/0")
    store.records(range(4))
    store.check([0, 2, 3])
    with pytest.raises(errors.StoreError, match=rf"batch 1, site 'y' .* another checksum .*{MENDING}"):
        store.check(range(4))
    assert (store.read(Y, range(4)) != values[Y]).sum() == 1
    assert (store.rows(Y, [9]) != values[Y][9]).sum() == 1


@pytest.mark.parametrize(
    "spoil", [flip, lambda p: flip(p, 2), lambda p: os.truncate(p, 20), lambda p: os.truncate(p, 0)]
)
def test_a_damaged_chunk_that_is_compressed_is_noticed_by_all_who_read_it(make, spoil):
    store, _ = make()
    spoil(store.path / "values/x/c/1/0")
    store.records(range(4))
    for call in (lambda: store.check([1]), lambda: store.read(X, [1]), lambda: store.rows(X, [5])):
        with pytest.raises(errors.StoreError, match=r"batch 1, site 'x' of group 'values': values/x/c/1/0: "):
            call()
    store.rows(X, [0, 19])


def test_a_compressed_chunk_that_is_missing_is_no_fill_value(make):
    store, _ = make()
    (store.path / "values/x/c/1/0").unlink()
    calls = (lambda: store.records([1]), lambda: store.check([1]), lambda: store.read(X, [1]))
    for call in (*calls, lambda: store.rows(X, [5])):
        with pytest.raises(errors.StoreError, match=r"batch 1, site 'x' .* No such file"):
            call()


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: os.truncate(path, 30),
        lambda path: os.truncate(path, 0),
        lambda path: flip(path, 12),
        lambda path: path.write_text('{"batch": 1}'),
        lambda path: shutil.copy(path.with_name("2.json"), path),
        lambda path: (path.unlink(), path.mkdir()),
        lambda path: (path.unlink(), path.symlink_to(path.with_name("2.json"))),
    ],
)
def test_a_damaged_or_foreign_record_is_noticed_and_mended(make, spoil):
    store, _ = make()
    path = store.path / "records/1.json"
    spoil(path)
    assert store.done() == [0, 1, 2, 3]
    for call in (lambda: store.record(1), lambda: store.records(range(4)), lambda: store.check([1])):
        with pytest.raises(errors.StoreError, match=r"records/1\.json") as said:
            call()
        if path.is_file() and not path.is_symlink():
            assert "Delete it: the same call then simulates the batch again" in str(said.value)
            assert f"{store.path}: batch 1: records/1.json: it" in str(said.value)
    path.rmdir() if path.is_dir() else path.unlink()
    assert store.done() == [0, 2, 3]
    store.write(1, batch_of(ARRAYS, 5, 1), {})
    store.check(range(4))


def test_records_that_cannot_be_listed_are_said(make):
    store, _ = make()
    shutil.rmtree(store.path / "records")
    with pytest.raises(errors.StoreError, match="its records cannot be listed: No such file"):
        store.done()
    with pytest.raises(errors.StoreError, match="cannot be cleaned: No such file"):
        store.clean()
    with pytest.raises(errors.StoreError, match="the others are done"):
        store.write(0, batch_of(ARRAYS, 5, 0), {})


def test_damaged_data_are_noticed(make):
    store, _ = make(data={("observed", "y"): (("k",), np.arange(3.0))})
    path = store.path / "observed/y/c/0"
    flip(path)
    with pytest.raises(
        errors.StoreError, match="site 'y' of group 'observed' cannot be read: observed/y/c/0: it cannot"
    ):
        store.data("observed")
    path.unlink()
    with pytest.raises(errors.StoreError, match="observed/y/c/0: No such file or directory"):
        store.data("observed")


FULL = """
import resource
sys.dont_write_bytecode = True  # Python would leave half of a module that is imported where files are small
store = Store.open(sys.argv[1])
arrays = {key: np.zeros((store.batch_size, *spec.shape), spec.dtype) for key, spec in store.arrays.items()}
resource.setrlimit(resource.RLIMIT_FSIZE, (300, resource.RLIM_INFINITY))
try:
    store.write(3, arrays, {})
except StoreError as error:
    print(error)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
store.write(3, arrays, {})
"""


def test_a_disk_that_takes_no_more_is_said_and_leaves_nothing_in_the_making(make, run):
    store, _ = make(done=3)
    said = run(FULL, store.path)
    assert said == (
        f"{store.path}: batch 3 cannot be written: File too large. 3 of 4 batches are done; once this is "
        f"mended, the same call goes on with the missing ones"
    )
    assert list(store.path.rglob("*.partial")) == []
    store.check(range(4))


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EIO, errno.EDQUOT])
@pytest.mark.parametrize("step", range(1, 6))
@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_write_that_fails_at_any_step_leaves_the_batch_missing(make, monkeypatch, number, step, call):
    store, _ = make(done=1)
    left, true = [step], getattr(os, call)

    def refuse(*args):
        left[0] -= 1
        if not left[0]:
            raise OSError(number, os.strerror(number))
        return true(*args)

    monkeypatch.setattr(os, call, refuse)
    with pytest.raises(errors.StoreError, match=f"batch 1 cannot be written: {os.strerror(number)}. 1 of 4"):
        store.write(1, batch_of(ARRAYS, 5, 1), {})
    assert list(store.path.rglob("*.partial")) == []
    assert store.done() == [0]
    store.write(1, batch_of(ARRAYS, 5, 1), {})
    store.check([0, 1])


def test_a_store_grows(make):
    store, values = make()
    longer = store.with_room(6).changed()
    assert (longer.num_batches, longer.attrs, longer.done()) == (6, store.attrs, [0, 1, 2, 3])
    for number in (5, 4):
        longer.write(number, batch_of(ARRAYS, 5, number), {})
    longer.check(range(6))
    expected = np.concatenate([values[Y], batch_of(ARRAYS, 5, 4)[Y], batch_of(ARRAYS, 5, 5)[Y]])
    np.testing.assert_array_equal(longer.read(Y, range(6)), expected)
    with xr.open_zarr(store.path, group="values") as dataset:
        np.testing.assert_array_equal(dataset["y"].values, expected)
    assert longer.with_room(6).changed() == longer
    with pytest.raises(errors.ArgumentError, match="has 6 batches, which cannot become 5"):
        longer.with_room(5)


def test_a_store_that_has_grown_is_the_one_that_was_made_so(make, files_of):
    store, _ = make(done=2)
    store.with_room(7).changed()
    other, _ = make(done=2, num=7, name="other.zarr")
    assert files_of(store.path) == files_of(other.path)


@pytest.mark.parametrize(("step", "num"), [(1, 4), (2, 4), (5, 4), (6, 6), (7, 6)])
def test_a_growth_that_is_interrupted_leaves_the_old_store_or_the_new_one(make, monkeypatch, step, num):
    store, values = make()
    replace, left = os.replace, [step]

    def interrupted(*args):
        left[0] -= 1
        if not left[0]:
            raise KeyboardInterrupt
        return replace(*args)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", interrupted)
        with pytest.raises(KeyboardInterrupt):
            store.with_room(6).changed()
    again = Store.open(store.path)
    assert again.num_batches == num
    again.check(again.done())
    with xr.open_zarr(store.path, group="values") as dataset:
        np.testing.assert_array_equal(dataset["y"].values[:20], values[Y])
        assert dataset.sizes["particle"] == 5 * num or (step > 5 and dataset.sizes["particle"] == 20)
    assert again.with_room(6).changed().num_batches == 6
    with xr.open_zarr(store.path, group="values") as dataset:
        assert dataset.sizes["particle"] == 30


def test_records_of_more_batches_than_the_store_has_do_not_count(make):
    store, _ = make(num=6)
    path = store.path / "zarr.json"
    root = json.loads(path.read_text())
    root["attributes"]["num_batches"] = 4
    path.write_text(json.dumps(root))
    again = Store.open(store.path)
    assert (again.num_batches, again.done()) == (4, [0, 1, 2, 3])


def test_attributes_are_replaced(make):
    store, _ = make()
    again = store.changed({"versions": {"torch": "3"}})
    assert again.attrs == {"versions": {"torch": "3"}}
    assert again.layout.arrays == store.layout.arrays
    assert again.done() == store.done()
    with pytest.raises(errors.StoreError, match="attributes 'num_batches' are the store's own"):
        store.changed({"num_batches": 9})


def test_a_change_of_metadata_that_fails_is_said(make, monkeypatch):
    store, _ = make()

    def refuse(*args):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(errors.StoreError, match="cannot be changed: Read-only file system"):
        store.with_room(9).changed()
    assert list(store.path.rglob("*.partial")) == []
