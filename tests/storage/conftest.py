import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from store_cases import ARRAYS, batch_of

import arviz_resampler
from arviz_resampler.storage import Store

# The room alone: programs and torch, which take seconds to import, are left out.
_PRELUDE = f"""
import sys, types
package = types.ModuleType("arviz_resampler")
package.__path__ = [{str(Path(arviz_resampler.__file__).parent)!r}]
sys.modules["arviz_resampler"] = package
import numpy as np
from arviz_resampler.errors import StoreError
from arviz_resampler.storage import ArraySpec, Store
"""


@pytest.fixture
def make(tmp_path):
    """A store whose first batches are written, and all of its values."""

    def make(arrays=None, *, size=5, num=4, done=None, name="p.zarr", **options):
        arrays = ARRAYS if arrays is None else arrays
        store = Store.create(
            tmp_path / name, arrays, batch_size=size, num_batches=num, attrs={"seed": 1}, **options
        )
        batches = [batch_of(arrays, size, b) for b in range(num if done is None else done)]
        for number, batch in enumerate(batches):
            store.write(number, batch, {})
        values = {key: np.concatenate([b[key] for b in batches]) for key in arrays} if batches else {}
        return store, values

    return make


@pytest.fixture
def start():
    """Another process that knows the room; what it prints is read."""
    running = []

    def start(code, *arguments):
        process = subprocess.Popen(
            [sys.executable, "-c", _PRELUDE + code, *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.PIPE,
            text=True,
        )
        running.append(process)
        return process

    yield start
    for process in running:
        process.kill()
        process.communicate()


@pytest.fixture
def run(start):
    """What a process prints that ends well."""

    def run(code, *arguments):
        process = start(code, *arguments)
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        return out.strip()

    return run


@pytest.fixture
def files_of():
    """The files of a directory and what they hold; lock files left out."""

    def files_of(root):
        return {
            str(path.relative_to(root)): path.read_bytes()
            for path in sorted(Path(root).rglob("*"))
            if path.is_file() and not path.name.startswith(".lock")
        }

    return files_of
