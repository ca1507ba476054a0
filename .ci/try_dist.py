"""Try a wheel and an sdist: ``try_dist.py WHEEL SDIST``.

Each is installed into a fresh environment, which borrows the dependencies of the environment that runs this,
and nothing of the working tree. The wheel runs a program, the sdist some of its tests.
"""

import contextlib
import os
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import venv
from collections.abc import Iterator
from pathlib import Path
from zipfile import ZipFile

# Of the sdist: numbers, a script, pages, and what surrounds the package.
TESTS = ("weights/test_weights.py", "test_gallery.py", "test_docs.py", "test_project.py")
# Runs in the fresh environment.
TRIAL = """
import sys
from importlib.metadata import distribution
from pathlib import Path

import pyro
import pyro.distributions as dist

import arviz_resampler

package = Path(arviz_resampler.__file__).parent
assert package.is_relative_to(sys.prefix), package
assert distribution("arviz-resampler").version == arviz_resampler.__version__


def guide():
    pyro.sample("x", dist.Normal(0.0, 2.0))


def model():
    pyro.sample("x", dist.Normal(0.0, 1.0))


resampler = arviz_resampler.Resampler(guide, num_guide_samples=2_000, random_seed=0)
prior = resampler.sample_prior_predictive(model, 100)
assert prior["prior"]["x"].shape == (1, 100)
print(f"{package.name} {arviz_resampler.__version__} runs from its wheel")
"""


def check_files(wheel: Path) -> None:
    """The package with its marker of types is inside, and nothing else but metadata."""
    package = Path(__file__).parents[1] / "arviz_resampler"
    own = {path for path in package.rglob("*") if path.suffix in (".py", ".typed")}
    names = {name for name in ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert names == {path.relative_to(package.parent).as_posix() for path in own}
    assert "arviz_resampler/py.typed" in names


@contextlib.contextmanager
def installed(what: Path) -> Iterator[Path]:
    """The Python of a fresh environment with a wheel, or with the package of an unpacked sdist."""
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=False)
        python = Path(folder, "bin", "python")
        # Read as a path alone: what .pth files in there name, as an editable package, stays out.
        site = Path(sysconfig.get_path("purelib", vars={"base": folder}))
        Path(site, "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
        pip = [sys.executable, "-m", "pip", "--python", python, "install", "-qq"]
        options = ["--no-deps", "--no-index", "--no-build-isolation", "--ignore-installed"]
        subprocess.run([*pip, *options, what], check=True)
        yield python


def try_wheel(wheel: Path) -> None:
    """Install it and run a program."""
    with installed(wheel) as python:
        subprocess.run([python, "-W", "ignore", "-c", TRIAL], check=True, cwd=python.parent)


def try_sdist(sdist: Path) -> None:
    """Unpack it, install what it builds, and run some of its tests."""
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(sdist) as archive:
            archive.extractall(folder, filter="data")
        root = Path(folder, sdist.name.removesuffix(".tar.gz"))
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        with installed(root) as python:
            tests = [f"tests/{name}" for name in TESTS]
            command = [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests]
            subprocess.run(command, check=True, cwd=root, env=environment)


if __name__ == "__main__":
    check_files(Path(sys.argv[1]))
    try_wheel(Path(sys.argv[1]))
    try_sdist(Path(sys.argv[2]))
