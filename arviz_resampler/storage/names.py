"""Names of folders for names of sites: any string becomes a safe one, and no two become the same.

Knows strings alone.
"""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Collection, Iterator

# A file name has 255 bytes at most; what is longer keeps its beginning and ends in a digest of all of it.
_LONGEST, _KEPT = 200, 120
_UNSAFE = re.compile(rb"[^A-Za-z0-9_.-]")


def escape(name: str, taken: Collection[str] = ()) -> str:
    """A name that zarr, a file system and xarray take, in ASCII.

    Parameters
    ----------
    name : str
        Any string.
    taken : collection of str
        Names that the result may not have: xarray takes a variable that is named as a dim for its labels
        and reads it at once.

    Returns
    -------
    str
        The name itself where it is safe. Other characters become ``%`` and two digits for each byte of
        their UTF-8; of a safe name that zarr or the file system has a use for, the first ones do.
    """
    whole = itertools.takewhile(lambda text: len(text) <= _LONGEST, _candidates(name))
    return next((text for text in whole if _is_free(text, taken)), None) or _digested(name)


def _candidates(name: str) -> Iterator[str]:
    """The name with its unsafe bytes escaped, then with the first byte too, the first two, and so on."""
    raw = name.encode("utf-8", "surrogatepass")
    for count in range(len(raw) + 1):
        yield "".join(f"%{byte:02X}" for byte in raw[:count]) + _UNSAFE.sub(_escaped, raw[count:]).decode()
    if not raw:
        yield "%"  # which escapes nothing, so no other name becomes this one


def _escaped(found: re.Match[bytes]) -> bytes:
    return b"%%%02X" % found[0][0]


def _is_free(text: str, taken: Collection[str]) -> bool:
    # A leading dot is for files in the making, and two underscores are reserved by zarr.
    return bool(text) and not text.startswith((".", "__")) and text != "zarr.json" and text not in taken


def _digested(name: str) -> str:
    """The beginning of a name and the digest of all of it, joined by what escapes nothing."""
    raw = name.encode("utf-8", "surrogatepass")
    start = _UNSAFE.sub(_escaped, raw[:_KEPT])[:_KEPT].decode()
    lead = "%" if start.startswith((".", "__")) else ""
    return f"{lead}{start}%-{hashlib.sha256(raw).hexdigest()}"
