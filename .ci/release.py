"""Say what keeps the working tree from being a release: ``release.py``."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]


def git(*command: str) -> str:
    """What a command of git prints."""
    return subprocess.run(["git", "-C", ROOT, *command], check=True, capture_output=True, text=True).stdout


def found(pattern: str, file: str) -> str | None:
    """The first group of a pattern in a file."""
    match = re.search(pattern, Path(ROOT, file).read_text(encoding="utf-8"), re.MULTILINE)
    return match and match[1]


def faults() -> Iterator[str]:
    """What has to be mended first."""
    version = found(r'^__version__ = "(.+)"', "arviz_resampler/_version.py")
    if not re.fullmatch(r"\d+\.\d+\.\d+", str(version)):
        yield f"arviz_resampler/_version.py has the version {version}: a release has three numbers"
    date = found(rf"^## {re.escape(str(version))} - (\d{{4}}-\d\d-\d\d)$", "CHANGELOG.md")
    if date is None:
        yield f"CHANGELOG.md has no heading '## {version} - YEAR-MONTH-DAY'"
    if found(r"^## Unreleased\n+(?!## )(.)", "CHANGELOG.md"):
        yield "CHANGELOG.md has changes under Unreleased: they belong to the version"
    for key, value in {"version": version, "date-released": date}.items():
        if found(rf"^{key}: (\S+)$", "CITATION.cff") != value:
            yield f"CITATION.cff has another {key} than {value}"
    if git("status", "--porcelain"):
        yield "there are changes that are not committed, or files that git does not know"
    if git("tag", "--list", f"v{version}"):
        yield f"the tag v{version} is there already: the version has been released"


if __name__ == "__main__":
    sys.exit("\n".join(f"release: {fault}" for fault in faults()) or None)
