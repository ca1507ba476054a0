"""Arrays as compressed chunks, which zarr writes and reads.

The home of zarr; knows NumPy and nothing of files.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from arviz_resampler.errors import from_extra

# As it stands in the metadata of an array. The checksum makes a flipped bit an error for every reader.
ZSTD = {"name": "zstd", "configuration": {"level": 3, "checksum": True}}


def compress(array: NDArray[Any]) -> bytes:
    """An array that has elements, as one chunk."""
    chunks: dict[str, Any] = {}
    _in_memory(chunks, array.shape, array.dtype)[...] = array
    content: bytes = chunks[_name(array.shape)].to_bytes()
    return content


def decompress(content: bytes, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    """The array of a chunk.

    Raises
    ------
    ValueError
        If the chunk is damaged, or is of another size.
    """
    with from_extra("store"):
        from zarr.core.buffer import default_buffer_prototype
    chunk = default_buffer_prototype().buffer.from_bytes(content)
    try:
        return np.array(_in_memory({_name(shape): chunk}, shape, dtype)[...])
    except Exception as error:  # of zarr, of its codecs, and of libraries of them
        raise ValueError(f"it cannot be decompressed: {error}") from error


def _in_memory(chunks: dict[str, Any], shape: tuple[int, ...], dtype: np.dtype[Any]) -> Any:
    """An array of zarr whose one chunk is in a dictionary."""
    with from_extra("store"):
        import zarr
        from zarr.codecs import ZstdCodec
        from zarr.storage import MemoryStore
    return zarr.create_array(
        MemoryStore(chunks),
        shape=shape,
        chunks=shape,
        dtype=dtype,
        filters=None,
        compressors=ZstdCodec(**ZSTD["configuration"]),  # type: ignore[arg-type]
        fill_value=0,
        config={"write_empty_chunks": True},
        zarr_format=3,
    )


def _name(shape: tuple[int, ...]) -> str:
    return "/".join(["c", *["0"] * len(shape)])
