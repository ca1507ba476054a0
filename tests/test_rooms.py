"""One room for each foreign library, and arrows that point one way."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import arviz_resampler

PACKAGE = Path(arviz_resampler.__file__).parent
ROOMS = sorted(path.stem for path in PACKAGE.glob("*.py"))
HOMES = {
    "pyro": {"program"},
    "arviz": {"container", "plots"},
    "ipywidgets": {"explore"},
    "zarr": {"store"},
    "dask": {"store"},
}
MAY_IMPORT = {
    "_version": set(),
    "errors": set(),
    "arguments": {"errors"},
    "sites": set(),
    "functorch": set(),
    "streams": set(),
    "random_mode": {"functorch", "streams"},
    "particle_mode": {"errors", "functorch", "random_mode", "streams"},
    "batched": {"errors"},
    "parameters": {"functorch"},
    "kinds": {"functorch", "parameters"},
    "support": {"kinds", "parameters"},
    "closed": {"parameters"},
    "density": {"closed", "functorch", "kinds", "parameters", "support"},
    "race": set(),
    "schemes": {"race"},
    "pareto": set(),
    "weights": {"errors", "pareto"},
    "records": {"kinds", "sites"},
    "handlers": {
        "closed",
        "density",
        "errors",
        "functorch",
        "kinds",
        "parameters",
        "particle_mode",
        "records",
        "sites",
    },
    "sampling": {
        "density",
        "errors",
        "handlers",
        "kinds",
        "parameters",
        "random_mode",
        "records",
        "streams",
        "support",
    },
    "scoring": {"errors", "handlers", "kinds", "records"},
    "program": {"errors", "functorch", "handlers", "particle_mode", "random_mode", "scoring", "streams"},
    "ways": {"errors", "handlers", "program", "random_mode", "records", "scoring", "streams"},
    "runner": {"errors", "program", "random_mode", "records", "sampling", "streams", "ways"},
    "particles": {"errors", "records", "sites"},
    "checks": {"errors", "records"},
    "simulation": {"checks", "errors", "particles", "program", "records", "runner", "streams"},
    "weighing": {"errors", "particles", "program", "records", "ways", "weights"},
    "container": {"_version", "errors", "sites"},
    "ranges": {"errors"},
    "source": {"handlers", "program", "records", "scoring"},
    "coverage": {"errors", "ranges", "weights"},
    "pictures": {"errors"},
    "plots": {"container", "errors", "pictures"},
    "explore": {"coverage", "errors", "pictures", "ranges"},
    "tuner": {
        "coverage",
        "explore",
        "errors",
        "plots",
        "particles",
        "program",
        "ranges",
        "records",
        "source",
        "weighing",
        "weights",
    },
    "choosing": {"errors", "race", "schemes", "weights"},
    "drawing": {"container", "race", "records", "weighing", "weights"},
    "estimates": set(),
    "quantities": {"arguments", "errors"},
    "compare": {"container", "drawing", "errors", "estimates", "quantities", "weighing", "weights"},
    "sensitivity": {"estimates", "quantities", "weighing", "weights"},
    "resampler": set(ROOMS) - {"__init__", "planning"},
    "planning": {"arguments", "errors", "resampler", "weights"},
    "__init__": {
        "_version",
        "batched",
        "compare",
        "coverage",
        "errors",
        "planning",
        "resampler",
        "sites",
        "tuner",
        "weights",
    },
}


def imports(room):
    tree = ast.parse((PACKAGE / f"{room}.py").read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("room", ROOMS)
def test_a_foreign_library_is_known_in_its_room_only(room):
    for name in imports(room):
        top = name.split(".")[0]
        assert room in HOMES.get(top, {room}), f"{room} imports {name}"


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_knows_only_the_rooms_below_it(room):
    known = {n.split(".")[1] for n in imports(room) if n.startswith("arviz_resampler.")}
    assert known & set(ROOMS) <= MAY_IMPORT[room]


# The documentation of the front door, and the verdict, which is to have a room of its own.
LONGER = {"resampler": 510, "weights": 470}


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_is_of_a_size_to_be_read(room):
    assert len((PACKAGE / f"{room}.py").read_text().splitlines()) <= LONGER.get(room, 450)


def test_importing_the_package_imports_neither_arviz_nor_matplotlib_nor_ipywidgets():
    names = ("arviz", "matplotlib", "ipywidgets")
    code = f"import sys, arviz_resampler; print([m for m in {names} if m in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_every_public_name_is_documented():
    for name in arviz_resampler.__all__:
        if name != "__version__":
            assert getattr(arviz_resampler, name).__doc__, name
