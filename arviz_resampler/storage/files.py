"""Files that are there as a whole or not at all, also after a power cut, and that lie in their directory.

Knows the file system alone.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import shutil
import stat
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

# Files are made here and moved to where they belong, so that what is left of them is found at once.
WORKSHOP = "records"
_UNSYNCED = {errno.EINVAL, errno.ENOTSUP, errno.ENOSYS}


def reason(error: OSError) -> str:
    """What the system says about an error."""
    return error.strerror or str(error)


def temporary_name(name: str = "") -> str:
    """A name for a file or directory in the making."""
    return f".{name}.{uuid.uuid4().hex}.partial"


def put(root: Path, files: Mapping[str, Any]) -> None:
    """Write or replace files of a directory; on return they are on the disk.

    Parameters
    ----------
    root : Path
        The directory, which has the folder ``records``.
    files : mapping
        From names below ``root`` to bytes, or to anything that shows its bytes.

    Raises
    ------
    OSError
        What the system says. Nothing is left in the making; some of the files may be there.
    """
    made: dict[str, Path] = {}
    try:
        for name, content in files.items():
            made[name] = root / WORKSHOP / temporary_name()
            with open(made[name], "xb") as file:
                file.write(content)
        # Data first, then names: a name that is there stands for data that are there.
        for path in made.values():
            sync(path)
        for name, path in made.items():
            check_links(root, name)
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            os.replace(path, root / name)
        for folder in sorted({folder for name in files for folder in PurePosixPath(name).parents}):
            sync(root / folder)
    except BaseException:
        for path in made.values():
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
        raise


def sync(path: Path) -> None:
    """Have a file or the names in a folder written to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if not (path.is_dir() and error.errno in _UNSYNCED):  # some file systems sync no folders
            raise
    finally:
        os.close(descriptor)


def sync_tree(root: Path) -> None:
    """Have a small directory written to the disk."""
    for folder, _, names in os.walk(root):
        for name in names:
            sync(Path(folder, name))
        sync(Path(folder))


def check_links(root: Path, name: str) -> None:
    """Refuse a name below a directory that leads elsewhere by a symbolic link."""
    path = str(root)
    for part in name.split("/"):
        path = f"{path}/{part}"
        with contextlib.suppress(FileNotFoundError):
            if stat.S_ISLNK(os.lstat(path).st_mode):
                raise OSError(errno.ELOOP, f"{path} is a symbolic link: a store holds its files itself")


@contextlib.contextmanager
def opened(root: Path, name: str, *, size: int | None = None) -> Iterator[tuple[int, int]]:
    """A file below a directory, to be read: its descriptor and its size, which may be known before."""
    check_links(root, name)
    descriptor = os.open(f"{root}/{name}", os.O_RDONLY | os.O_NOFOLLOW)
    try:
        found = os.fstat(descriptor).st_size
        if size not in (None, found):
            raise OSError(errno.EIO, f"the file has {found} bytes, not {size}")
        yield descriptor, found
    finally:
        os.close(descriptor)


def fill(descriptor: int, view: memoryview, offset: int) -> None:
    """Read bytes of a file into memory, from the offset on, until the memory is full."""
    while view:
        count = os.preadv(descriptor, [view], offset)
        if not count:
            raise OSError(errno.EIO, "the file has ended before its size")
        view, offset = view[count:], offset + count


def read(root: Path, name: str) -> bytes:
    """All of a file below a directory."""
    with opened(root, name) as (descriptor, size):
        content = bytearray(size)
        fill(descriptor, memoryview(content), 0)
        return bytes(content)


def to_json(value: Any) -> bytes:
    """A value as JSON in ASCII."""
    return json.dumps(value).encode("ascii")


def remove_unfinished(root: Path) -> int:
    """Remove what interrupted writers left in a directory and beside it; the number of things removed."""
    root = Path(os.path.realpath(root))
    beside = re.compile(rf"\.{re.escape(root.name)}\.[0-9a-f]{{32}}\.partial")
    inside = re.compile(r"\.\.[0-9a-f]{32}\.partial")
    left = [path for path in root.parent.iterdir() if beside.fullmatch(path.name)]
    left += [path for path in (root / WORKSHOP).iterdir() if inside.fullmatch(path.name)]
    for path in left:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    return len(left)
