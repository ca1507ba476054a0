"""Rooms: which folder may know which, one home for each foreign library, and files that can be read."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import arviz_resampler

PACKAGE = Path(arviz_resampler.__file__).parent
FILES = sorted(str(path.relative_to(PACKAGE)) for path in PACKAGE.rglob("*.py"))
# Everybody may import these, and they import at most each other.
GROUND = {"_version", "arguments", "devices", "errors", "frozen", "markup", "printed", "progress", "sites"}
MAY_IMPORT = {
    "mapping": set(),
    "densities": {"mapping"},
    "programs": {"densities", "mapping"},
    "particles": {"mapping", "programs", "storage", "workers"},
    "storage": set(),
    "weights": set(),
    "workers": set(),
    "draws": {"weights"},
    "scoring": {"mapping", "particles", "programs", "weights"},
    "containers": {"weights"},
    "plots": {"containers"},
    "pipeline": {"containers", "draws", "particles", "programs", "scoring", "weights"},
    "analysis": {"containers", "pipeline", "scoring", "weights"},
    "tuning": {"containers", "particles", "pipeline", "plots", "programs", "scoring", "weights"},
    "fitting": {
        "analysis",
        "containers",
        "particles",
        "pipeline",
        "plots",
        "programs",
        "scoring",
        "tuning",
        "weights",
    },
    "calls": {"particles", "pipeline", "programs", "tuning", "workers"},
    "opening": {"particles", "pipeline", "storage"},
    "simulations": {
        "calls",
        "draws",
        "mapping",
        "opening",
        "particles",
        "pipeline",
        "programs",
        "storage",
        "workers",
    },
    "received": {"containers", "draws", "opening", "particles", "pipeline", "programs", "storage"},
    "growing": {"analysis", "calls", "particles", "pipeline", "programs", "simulations", "workers"},
    "receiving": {"growing", "received"},
    "targeting": {"fitting", "particles", "pipeline", "programs", "receiving", "tuning", "workers"},
    "resampler": {
        "analysis",
        "calls",
        "containers",
        "opening",
        "particles",
        "pipeline",
        "simulations",
        "targeting",
        "tuning",
        "weights",
        "workers",
    },
    "planning": {"resampler", "weights"},
    "posteriors": {"containers", "particles", "programs"},
    "__main__": set(),
    "__init__": {
        "analysis",
        "fitting",
        "mapping",
        "particles",
        "planning",
        "posteriors",
        "resampler",
        "simulations",
        "tuning",
        "weights",
    },
}
HOMES = {
    "cloudpickle": {"workers/payload.py", "workers/worker.py"},
    "pyro": {"programs/program.py"},
    "arviz": {"containers/inference_data.py", "weights/chains.py"},
    "zarr": {"storage/compressed.py"},
    "IPython": {"tuning/record.py"},
    "ipywidgets": {"tuning/choices.py", "tuning/code_view.py", "tuning/controls.py", "tuning/widget.py"},
}


def room(file):
    """The folder of a file, or the file itself where it stands beside the folders."""
    return Path(file).parts[0].removesuffix(".py")


def imports(file, *, types=True):
    """What a file imports; with ``types=False``, without what it imports for annotations alone."""
    tree = ast.parse((PACKAGE / file).read_text())
    left_out = set()
    if not types:
        guards = (n for n in ast.walk(tree) if isinstance(n, ast.If) and "TYPE_CHECKING" in ast.dump(n.test))
        left_out = {node for guard in guards for node in ast.walk(guard)}
    for node in set(ast.walk(tree)) - left_out:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            yield from (f"{module}.{alias.name}" for alias in node.names)


def known_files(file, *, types=True):
    """Files of the package that a file imports."""
    for name in imports(file, types=types):
        parts = name.split(".")
        if parts[0] != "arviz_resampler":
            continue
        for end in range(len(parts), 0, -1):
            stem = "/".join(parts[1:end])
            found = {f"{stem}.py", f"{stem}/__init__.py".lstrip("/")} & set(FILES)
            if found:
                yield found.pop()
                break


@pytest.mark.parametrize("file", FILES)
def test_a_foreign_library_is_known_in_its_home_only(file):
    for name in imports(file):
        assert file in HOMES.get(name.split(".")[0], {file}), f"{file} imports {name}"


@pytest.mark.parametrize("file", FILES)
def test_a_room_knows_only_the_rooms_that_it_may_know(file):
    own = room(file)
    known = {room(f) for f in known_files(file)} - {own, "__init__"}
    assert known <= (GROUND if own in GROUND else GROUND | MAY_IMPORT[own])


def test_every_room_stands_in_the_table_and_no_other():
    assert {room(file) for file in FILES} == GROUND | set(MAY_IMPORT)


def test_no_files_import_each_other_in_a_circle():
    # A type may be named by the functions that it calls; rooms may not, as the test above has it.
    left = {file: set(known_files(file, types=False)) - {file} for file in FILES}
    while free := [file for file, known in left.items() if not known & left.keys()]:
        for file in free:
            del left[file]
    assert not left


# Public classes, most of whose lines are their documentation.
LONGER = {
    "analysis/comparison.py": 360,
    "growing.py": 390,
    "resampler.py": 680,
    "tuning/tuner.py": 370,
    "weights/weights.py": 530,
}


@pytest.mark.parametrize("file", FILES)
def test_a_file_is_of_a_size_to_be_read(file):
    assert len((PACKAGE / file).read_text().splitlines()) <= LONGER.get(file, 350)


def functions(file):
    """Functions of a file with the lines of their bodies, docstrings left out."""
    for node in ast.walk(ast.parse((PACKAGE / file).read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[1:] if ast.get_docstring(node) is not None else node.body
            yield node.name, body[-1].end_lineno - body[0].lineno + 1 if body else 0


@pytest.mark.parametrize("file", FILES)
def test_a_function_is_of_a_length_to_be_read(file):
    assert {name: lines for name, lines in functions(file) if lines > 45} == {}


def test_importing_the_package_imports_nothing_that_takes_long_and_may_not_be_needed():
    names = ("arviz", "matplotlib", "ipywidgets", "scipy.stats")
    code = f"import sys, arviz_resampler; print([m for m in {names} if m in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_every_public_name_is_documented():
    for name in arviz_resampler.__all__:
        if name != "__version__":
            assert getattr(arviz_resampler, name).__doc__, name
