"""New stores, and what is there already."""

import errno
import os
import shutil
import sys

import numpy as np
import pytest

from arviz_resampler import errors
from arviz_resampler.storage import ArraySpec, Store, creation

ARRAYS = {("values", "y"): ArraySpec((2,), "float32", ("k",))}


def create(path, **changes):
    return Store.create(path, ARRAYS, **{"batch_size": 2, "num_batches": 3, "attrs": {"seed": 1}, **changes})


def test_a_store_is_made_where_nothing_is_or_nothing_but_an_empty_directory(tmp_path):
    (tmp_path / "empty").mkdir()
    for name in ("new", "empty"):
        store = create(tmp_path / name)
        assert store.done() == []
        assert Store.is_store(tmp_path / name)
    assert sorted(os.listdir(tmp_path)) == ["empty", "new"]


def test_a_store_that_is_there_is_opened(tmp_path):
    first = create(tmp_path / "s", attrs={"seed": 1})
    first.write(0, {("values", "y"): np.zeros((2, 2), "f4")}, {})
    second = create(tmp_path / "s", attrs={"seed": 2}, num_batches=7)
    assert second == first
    assert second.done() == [0]


def test_the_store_of_a_quicker_process_is_opened(tmp_path, monkeypatch):
    build = creation._build

    def slowly(root, *args):
        build(root, *args)
        monkeypatch.setattr(creation, "_build", build)
        create(tmp_path / "s", attrs={"seed": "the other's"})

    monkeypatch.setattr(creation, "_build", slowly)
    assert create(tmp_path / "s").attrs == {"seed": "the other's"}
    assert os.listdir(tmp_path) == ["s"]


def test_a_store_that_is_made_between_two_looks_at_its_path_is_opened(tmp_path, monkeypatch):
    check = creation._check_free

    def after_another(target, path):
        monkeypatch.setattr(creation, "_check_free", check)
        create(tmp_path / "s", attrs={"seed": "the other's"})
        check(target, path)

    monkeypatch.setattr(creation, "_check_free", after_another)
    assert create(tmp_path / "s").attrs == {"seed": "the other's"}
    assert os.listdir(tmp_path) == ["s"]


def test_a_build_that_another_process_cleans_away_is_given_up_for_its_store(tmp_path, monkeypatch):
    build = creation._build

    def disturbed(root, *args):
        monkeypatch.setattr(creation, "_build", build)
        assert create(tmp_path / "s", attrs={"seed": "the other's"}).clean() == 0
        root.mkdir()
        assert Store.open(tmp_path / "s").clean() == 1
        os.mkdir(root / "records")

    monkeypatch.setattr(creation, "_build", disturbed)
    assert create(tmp_path / "s").attrs == {"seed": "the other's"}


CREATE = """
store = Store.create(sys.argv[1], {("values", "y"): ArraySpec((2,), "float32", ("k",))}, batch_size=2,
                     num_batches=30, attrs={"who": sys.argv[2]})
me = int(sys.argv[2])
with store.lock(f"{me}/3"):
    for b in range(me, 30, 3):
        store.write(b, {("values", "y"): np.full((2, 2), b, "f4")}, {})
print(store.attrs["who"])
"""


def test_processes_that_start_at_once_make_one_store_and_fill_it(tmp_path, start):
    for turn in range(3):
        processes = [start(CREATE, tmp_path / f"s{turn}", i) for i in range(3)]
        said = {process.communicate(timeout=60)[0].strip() for process in processes}
        assert len(said) == 1
        store = Store.open(tmp_path / f"s{turn}")
        assert store.attrs == {"who": said.pop()}
        store.check(range(30))
        np.testing.assert_array_equal(store.read(("values", "y"), range(30))[:, 0], np.repeat(range(30), 2))
    assert sorted(os.listdir(tmp_path)) == ["s0", "s1", "s2"]


@pytest.mark.parametrize("call", [create, Store.open])
def test_a_file_is_refused(tmp_path, call):
    (tmp_path / "s").write_text("mine")
    with pytest.raises(errors.StoreError, match=rf"{tmp_path}/s is .*a file"):
        call(tmp_path / "s")
    assert (tmp_path / "s").read_text() == "mine"
    assert not Store.is_store(tmp_path / "s")


def test_a_directory_of_something_else_is_refused(tmp_path):
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "thesis.tex").write_text("mine")
    with pytest.raises(
        errors.StoreError, match=r"no store of particles and not empty \(it holds 'thesis.tex'\)"
    ):
        create(tmp_path / "s")
    with pytest.raises(errors.StoreError, match=r"is no store of particles: it has no zarr\.json"):
        Store.open(tmp_path / "s")
    assert os.listdir(tmp_path / "s") == ["thesis.tex"]
    assert os.listdir(tmp_path) == ["s"]


def test_zarr_of_another_kind_is_refused(tmp_path):
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "zarr.json").write_text('{"zarr_format": 3, "node_type": "group", "attributes": {}}')
    with pytest.raises(errors.StoreError, match=r"it holds 'zarr\.json'"):
        create(tmp_path / "s")
    with pytest.raises(errors.StoreError, match="is no store of particles: its attributes lack"):
        Store.open(tmp_path / "s")


def test_what_is_not_there_is_said(tmp_path):
    with pytest.raises(errors.StoreError, match="is no store of particles: it is not there"):
        Store.open(tmp_path / "s")
    with pytest.raises(errors.StoreError, match=rf"the directory {tmp_path}/no does not exist"):
        create(tmp_path / "no" / "s")


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.ENOSPC])
@pytest.mark.parametrize("call", ["mkdir", "fsync", "rename"])
def test_a_directory_that_takes_nothing_is_said_and_left_as_it_was(tmp_path, monkeypatch, number, call):
    def refuse(*args, **options):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, call, refuse)
    with pytest.raises(errors.StoreError, match=f"s cannot be made: {os.strerror(number)}"):
        create(tmp_path / "s")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("length", [240, 300])  # too long with what is added while it is made, and by itself
def test_a_name_that_is_too_long_is_said(tmp_path, length):
    path = tmp_path / ("x" * length)
    with pytest.raises(errors.StoreError, match="cannot be made: File name too long"):
        create(path)
    with pytest.raises(errors.StoreError, match="it is not there"):
        Store.open(path)


def test_a_link_to_a_place_for_stores_is_followed(tmp_path):
    (tmp_path / "scratch").mkdir()
    (tmp_path / "s").symlink_to(tmp_path / "scratch" / "s")
    store = create(tmp_path / "s")
    assert store.path == tmp_path / "s"
    assert sorted(os.listdir(tmp_path / "scratch")) == ["s"]
    assert (tmp_path / "s").is_symlink()


@pytest.mark.parametrize("inside", ["values", "values/y", "values/y/c", "records", "zarr.json"])
def test_links_out_of_a_store_are_refused(tmp_path, inside):
    store = create(tmp_path / "s")
    store.write(0, {("values", "y"): np.zeros((2, 2), "f4")}, {})
    shutil.move(store.path / inside, tmp_path / "outside")
    (store.path / inside).symlink_to(tmp_path / "outside")
    with pytest.raises(errors.StoreError, match=rf"{store.path}/{inside} is a symbolic link"):
        Store.open(store.path)


def test_a_missing_library_is_said_with_the_extra_that_brings_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "zarr", None)
    create(tmp_path / "raw")
    with pytest.raises(errors.ExtraError, match=r"pip install 'arviz-resampler\[store\]'"):
        create(tmp_path / "s", data={("observed", "y"): ((), np.array(1.0))})
    assert os.listdir(tmp_path) == ["raw"]
