"""Arrays of stores and names of sites, for the tests of the room `storage`."""

import numpy as np

from arviz_resampler.storage import ArraySpec

ARRAYS = {
    ("values", "mu"): ArraySpec((), "float64", ()),
    ("values", "y"): ArraySpec((8, 3), "float32", ("school", "k")),
    ("values", "x"): ArraySpec((4,), "int64", ("j",), shared=True),
    ("log_q", "mu"): ArraySpec((), "float32", ()),
}

# Names that zarr, a file system or xarray has a use for, or cannot have.
AWKWARD = ["", ".", "..", "...", ".x", "a/b", "/", "zarr.json", "c", "__x", "_x", "Ä", "A", "a", "%", "%41"]
AWKWARD += ["a%2Fb", "\0", "\n", " ", "\ud800", "%-", "x" * 255, "x" * 256, "ö" * 200, "." * 300, "_" * 300]


def batch_of(arrays, size, number):
    """Values of a batch, which are another's in each."""
    rng = np.random.default_rng([7, number])
    return {
        key: np.broadcast_to(np.arange(4), (size, 4)).astype(spec.dtype)
        if spec.shared
        else (rng.normal(size=(size, *spec.shape)) * 50).astype(spec.dtype)
        for key, spec in arrays.items()
    }
