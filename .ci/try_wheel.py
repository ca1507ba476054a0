"""Try a wheel: ``try_wheel.py WHEEL``.

It is installed into a fresh environment, which borrows the dependencies of the environment that runs this,
and nothing of the working tree.
"""

import subprocess
import sys
import sysconfig
import tempfile
import venv
from pathlib import Path
from zipfile import ZipFile

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


def try_wheel(wheel: Path) -> None:
    """Install it and run a program."""
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=False)
        python = Path(folder, "bin", "python")
        pip = [sys.executable, "-m", "pip", "--python", str(python)]
        subprocess.run([*pip, "install", "-qq", "--no-deps", "--no-index", str(wheel)], check=True)
        # Read as a path alone: what .pth files in there name, as an editable package, stays out.
        site = Path(sysconfig.get_path("purelib", vars={"base": folder}))
        Path(site, "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
        subprocess.run([str(python), "-W", "ignore", "-c", TRIAL], check=True, cwd=folder)


if __name__ == "__main__":
    check_files(Path(sys.argv[1]))
    try_wheel(Path(sys.argv[1]))
