"""Files that are there as a whole or not at all."""

import errno
import os

import pytest

from arviz_resampler.storage import files


@pytest.fixture
def root(tmp_path):
    (tmp_path / "s" / "records").mkdir(parents=True)
    return tmp_path / "s"


def test_files_are_written_and_replaced(root, files_of):
    files.put(root, {"a/c/0": b"one", "b": b""})
    files.put(root, {"a/c/0": b"two", "a/c/1": b"three"})
    assert files_of(root) == {"a/c/0": b"two", "a/c/1": b"three", "b": b""}


def test_what_is_in_a_file_and_above_it_is_synced_before_put_returns(root, monkeypatch):
    steps = []
    sync, replace = files.sync, os.replace

    def syncing(path):
        steps.append(("sync", path))
        sync(path)

    def replacing(source, target):
        steps.append(("replace", target))
        replace(source, target)

    monkeypatch.setattr(files, "sync", syncing)
    monkeypatch.setattr(os, "replace", replacing)
    files.put(root, {"a/c/0": b"x", "b": b"y"})
    made, moved, folders = steps[:2], steps[2:4], steps[4:]
    assert [path.parent.name for what, path in made if what == "sync"] == ["records"] * 2
    assert moved == [("replace", root / "a/c/0"), ("replace", root / "b")]
    assert folders == [("sync", root), ("sync", root / "a"), ("sync", root / "a/c")]


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_an_interrupted_put_leaves_nothing_in_the_making(root, files_of, monkeypatch, call, error):
    def refuse(*args):
        raise error

    monkeypatch.setattr(os, call, refuse)
    with pytest.raises(type(error)):
        files.put(root, {"a": b"x", "b": b"y"})
    assert files_of(root) == {}


def test_a_folder_that_cannot_be_synced_is_let_pass_and_a_file_is_not(root, monkeypatch):
    (root / "file").write_bytes(b"")

    def refuse(descriptor):
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(os, "fsync", refuse)
    files.sync(root)
    with pytest.raises(OSError, match="Invalid argument"):
        files.sync(root / "file")


@pytest.mark.parametrize("link", ["a", "a/c", "a/c/0"])
def test_links_are_neither_read_nor_written_through(root, tmp_path, link):
    outside = tmp_path / "outside"
    (outside / "c" / "0").mkdir(parents=True)
    (root / link).parent.mkdir(parents=True, exist_ok=True)
    (root / link).symlink_to(outside)
    with pytest.raises(OSError, match=rf"{root}/{link} is a symbolic link"):
        files.read(root, "a/c/0")
    with pytest.raises(OSError, match="is a symbolic link"):
        files.put(root, {"a/c/0": b"x"})
    assert sorted(p.name for p in outside.rglob("*")) == ["0", "c"]


def test_a_file_that_ends_early_is_an_error(root):
    (root / "x").write_bytes(b"123")
    with files.opened(root, "x") as (descriptor, size):
        assert size == 3
        with pytest.raises(OSError, match="has ended before its size"):
            files.fill(descriptor, memoryview(bytearray(4)), 0)


def test_a_file_that_is_read_in_pieces_is_whole(root, monkeypatch):
    (root / "x").write_bytes(bytes(range(100)))
    preadv = os.preadv
    monkeypatch.setattr(os, "preadv", lambda fd, views, offset: preadv(fd, [views[0][:7]], offset))
    assert files.read(root, "x") == bytes(range(100))


def test_what_interrupted_writers_left_is_removed_and_nothing_else(root):
    left = [root / "records" / files.temporary_name(), root.with_name(files.temporary_name("s"))]
    left[0].write_bytes(b"x")
    (left[1] / "values").mkdir(parents=True)
    kept = [
        root / "records/.lock-all",
        root / "records/0.json",
        root.with_name(files.temporary_name("s.t")),
        root.with_name(".s.partial"),
        root.with_name("x.partial"),
    ]
    for path in kept:
        path.write_bytes(b"")
    assert files.remove_unfinished(root) == 2
    assert not any(path.exists() for path in left)
    assert all(path.exists() for path in kept)
    assert files.remove_unfinished(root) == 0
