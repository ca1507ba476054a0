"""A lock that the system releases when its process ends, however it ends.

Knows the file system alone.
"""

from __future__ import annotations

import contextlib
import errno
import math
import os
import re
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from arviz_resampler.errors import StoreError, StoreWarning, warn
from arviz_resampler.storage.files import reason

_PAUSE = 0.02  # seconds
_PATIENCE = 1.0  # seconds: who has written the last batch cleans up, which takes less
# 524 is what Lustre and NFS servers without locks let through: ENOTSUPP, which is no errno of programs.
_WITHOUT_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, 524}
_SHARD = re.compile(r"\.lock-(\d+)-of-(\d+)")  # a file that locks a shard


@contextlib.contextmanager
def lock(path: Path, what: str, *, shared: bool = False) -> Iterator[None]:
    """The lock of a file, for as long as the block runs.

    Parameters
    ----------
    path : Path
        Of the file, made where it is missing. It stays, and says who held it last.
    what : str
        What is locked, in messages.
    shared : bool
        Whether others may share it.

    Raises
    ------
    StoreError
        If another process holds it for longer than a second, or the file cannot be made.

    Warns
    -----
    StoreWarning
        If the file system has no locks.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
    except OSError as error:
        raise StoreError(f"{what} cannot be locked: {path}: {reason(error)}") from error
    # Closed in any case: an exception that is kept keeps its frames, and an open file keeps the lock.
    try:
        _take(descriptor, what, shared)
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def lock_shard(folder: Path, shard: tuple[int, int], what: str) -> Iterator[None]:
    """The lock of the batches i, i + n, i + 2 n … of a shard (i, n), for as long as the block runs.

    Two that write one batch may leave the values of one under the checksums of the other, which differ where
    their processors round differently. So it is held beside no other shard that has some of these batches.

    Parameters
    ----------
    folder : Path
        Of the locks of all shards.
    shard : tuple of int
        Its number, and how many there are.
    what : str
        What has the shards, in messages.

    Raises
    ------
    StoreError
        If another process holds it, or a shard with some of its batches, for longer than a second.
    """

    def of(i: int, n: int, *, shared: bool = False) -> contextlib.AbstractContextManager[None]:
        return lock(folder / f".lock-{i}-of-{n}", f"shard {i}/{n} of {what}", shared=shared)

    i, n = shard
    with of(i, n):
        names = (_SHARD.fullmatch(path.name) for path in folder.glob(".lock-*"))
        for j, m in sorted((int(name[1]), int(name[2])) for name in names if name):
            if m != n and (i - j) % math.gcd(n, m) == 0:
                with of(j, m, shared=True):  # nobody has it; who takes it from here on sees this one
                    pass
        yield


def _take(descriptor: int, what: str, shared: bool) -> None:
    import fcntl  # not on Windows, where everything but stores can be used without it

    kind = (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB
    until = time.monotonic() + _PATIENCE
    try:
        while not _is_free(lambda: fcntl.flock(descriptor, kind)) and time.monotonic() < until:
            time.sleep(_PAUSE)
        fcntl.flock(descriptor, kind)
    except BlockingIOError:
        holder = os.pread(descriptor, 1000, 0).decode("utf-8", "replace") or "another process"
        raise StoreError(f"{what} is being written by {holder}: wait until it has ended, or end it") from None
    except OSError as error:
        if error.errno not in _WITHOUT_LOCKS:
            raise StoreError(f"{what} cannot be locked: {reason(error)}") from error
        warn(
            f"{what} cannot be locked, for its file system has no locks ({reason(error)}): see to it that "
            f"no other process writes the same batches",
            StoreWarning,
        )
    with contextlib.suppress(OSError):  # a full disk is no reason not to hold the lock
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"process {os.getpid()} on host {socket.gethostname()}".encode(), 0)


def _is_free(take: Callable[[], None]) -> bool:
    """Whether a lock could be taken."""
    try:
        take()
    except BlockingIOError:
        return False
    return True
