"""The record of a batch, which is written when all of the batch is on the disk.

Knows JSON alone.
"""

from __future__ import annotations

import json
import re
import zlib
from typing import Any

_NAME = re.compile(r"(0|[1-9][0-9]*)\.json")
# The last entry of the file is the checksum of the text before it.
_SUM = b', "sum": '


def record_name(batch: int) -> str:
    """Name of the file of a record, below the store."""
    return f"records/{batch}.json"


def batch_of(name: str) -> int | None:
    """Number of the batch of a file in the folder of records, None where it is no record."""
    found = _NAME.fullmatch(name)
    return int(found[1]) if found else None


def dump(record: dict[str, Any]) -> bytes:
    """A record as the content of a file."""
    text = json.dumps(record).encode("ascii")[:-1]
    return text + _SUM + b"%d}" % zlib.crc32(text)


def load(content: bytes, batch: int, rows: int, nodes: set[str]) -> dict[str, Any]:
    """The record that a file holds.

    Parameters
    ----------
    content : bytes
        Of the file.
    batch, rows : int
        Number and size of the batch.
    nodes : set of str
        Names of its arrays.

    Raises
    ------
    ValueError
        If it is damaged, or is the record of something else.
    """
    text, found, checksum = content.rpartition(_SUM)
    if not found or checksum != b"%d}" % zlib.crc32(text):
        raise ValueError(f"its {len(content)} bytes are cut short or damaged")
    record: dict[str, Any] = json.loads(text + b"}")
    for name, expected in (("batch", batch), ("rows", rows)):
        if record.get(name) != expected:
            raise ValueError(f"it is of another store: {name} is {record.get(name)!r}, not {expected}")
    if record.get("crc32", {}).keys() != nodes:
        raise ValueError("it is of another store: it names other arrays")
    return record
