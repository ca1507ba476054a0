"""Print versions and what is installed, for reports: ``python -m arviz_resampler``."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

from arviz_resampler._version import __version__
from arviz_resampler.errors import how_to_install

NEEDED = ("arviz", "numpy", "pandas", "pyro-ppl", "scipy", "torch", "tqdm", "xarray")
EXTRAS = {
    "plot": ("h5netcdf", "h5py", "matplotlib"),
    "store": ("zarr",),
    "workers": ("cloudpickle",),
    "dask": ("cloudpickle", "dask", "distributed"),
    "widgets": ("ipywidgets", "matplotlib"),
}


def installed(name: str) -> str | None:
    """The version of a library, read without importing it."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def report() -> str:
    """Versions of all that the package needs or can use, a line each, and how to get what is missing."""
    rows = [
        ("arviz_resampler", __version__),
        ("Python", platform.python_version()),
        ("system", platform.platform()),
        *((name, installed(name) or "missing") for name in NEEDED),
    ]
    for extra, names in EXTRAS.items():
        found = {name: installed(name) for name in names}
        text = ", ".join(f"{name} {found[name] or 'missing'}" for name in names)
        if None in found.values():
            text += f": {how_to_install(extra)}"
        rows.append((f"[{extra}]", text))
    return "\n".join(f"{name:<16} {text}" for name, text in rows)


if __name__ == "__main__":
    print(report())
