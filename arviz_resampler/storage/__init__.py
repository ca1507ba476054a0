"""Directories of arrays that are written in batches, by one process or many, and survive kills.

Knows NumPy, JSON and zarr; nothing of programs or of what arrays are for.

=============  ===================================================================================
store.py       a store: batches written, read and checked
creation.py    a new one, and one that is opened
layout.py      what is in it, as the metadata of zarr say it
chunks.py      the files of one array: whole batches and scattered rows
records.py     the record of a batch, which is written last
compressed.py  values that all particles share, and data; the home of zarr
names.py       names of folders for names of sites
files.py       files that are there as a whole or not at all
locks.py       who may write
=============  ===================================================================================
"""

from arviz_resampler.storage.layout import ArraySpec, Key
from arviz_resampler.storage.store import Store

__all__ = ["ArraySpec", "Key", "Store"]
