"""What surrounds the package: versions, addresses, workflows, the report, the page on an index."""

import importlib.util
import re
import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest
import yaml

import arviz_resampler
from arviz_resampler import __main__ as report

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
ADDRESSES = PROJECT["urls"]
WORKFLOWS = {path.stem: yaml.safe_load(path.read_text()) for path in ROOT.glob(".github/workflows/*.yml")}
RECIPE = yaml.safe_load((ROOT / "conda/recipe.yaml").read_text())
# Pages that a repository browser shows; Sphinx looks after the others.
PAGES = sorted(path.name for path in ROOT.glob("*.md"))


def script(name):
    """A script of .ci as a module."""
    spec = importlib.util.spec_from_file_location(name, ROOT / ".ci" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# ---------------------------------------------------------------- the report


def test_the_report_has_the_versions_of_all_that_is_needed_or_can_be_used():
    command = [sys.executable, "-m", "arviz_resampler"]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    for name, value in (("arviz_resampler", arviz_resampler.__version__), ("torch", version("torch"))):
        assert f"{name:<16} {value}" in lines
    assert [line.split()[0] for line in lines[3:]] == [*report.NEEDED, *map("[{}]".format, report.EXTRAS)]


def test_the_report_says_what_is_missing_and_what_to_type(monkeypatch):
    def without(name):
        if name in ("zarr", "xarray"):
            raise PackageNotFoundError(name)
        return "9.9"

    monkeypatch.setattr(report, "version", without)
    lines = report.report().splitlines()
    assert "xarray           missing" in lines
    command = "pip install 'arviz-resampler[store]', or from a clone, pip install '.[store]'"
    assert f"[store]          zarr missing: {command}" in lines
    assert "[workers]        cloudpickle 9.9" in lines


def libraries(requirements):
    """Names of requirements, with those of the extras that they name."""
    for requirement in requirements:
        name, _, extras = re.match(r"([\w.-]+)(\[([\w,]+)\])?", requirement).groups()
        if name == "arviz-resampler":
            for extra in extras.split(","):
                yield from libraries(PROJECT["optional-dependencies"][extra])
        else:
            yield from filter(None, (name, *(extras or "").split(",")))


def test_the_report_knows_what_is_needed_and_what_each_extra_brings():
    assert set(report.NEEDED) == set(libraries(PROJECT["dependencies"]))
    for extra, names in report.EXTRAS.items():
        assert set(names) == set(libraries(PROJECT["optional-dependencies"][extra]))
    of_developers = {"browser", "dev", "dist", "docs", "test"}
    assert set(PROJECT["optional-dependencies"]) - set(report.EXTRAS) == of_developers


# ---------------------------------------------------------------- versions and addresses


def test_the_version_is_the_same_everywhere():
    number = arviz_resampler.__version__
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == number
    assert RECIPE["context"]["version"] == number
    assert f"version = {{{number}}}" in (ROOT / "docs/community.md").read_text()
    assert re.search(rf"^## {re.escape(number)} - ", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)


def test_a_release_is_refused_with_what_keeps_it(tmp_path, monkeypatch):
    release = script("release")
    monkeypatch.setattr(release, "ROOT", tmp_path)
    monkeypatch.setattr(release, "git", lambda *command: answers[command[0]])
    answers = {"status": "", "tag": ""}
    files = {
        "arviz_resampler/_version.py": '__version__ = "0.2.0"\n',
        "CHANGELOG.md": "# Changelog\n\n## Unreleased\n\n## 0.2.0 - 2027-01-02\n\n- More.\n",
        "CITATION.cff": "version: 0.2.0\ndate-released: 2027-01-02\n",
    }
    (tmp_path / "arviz_resampler").mkdir()

    def faults(file=None, text=""):
        for name, content in (files | ({file: text} if file else {})).items():
            (tmp_path / name).write_text(content)
        return list(release.faults())

    assert faults() == []
    assert "a release has three numbers" in faults(next(iter(files)), '__version__ = "0.2.0.dev0"\n')[0]
    assert "no heading '## 0.2.0 - YEAR" in faults("CHANGELOG.md", "## Unreleased\n\n- More.\n")[0]
    unreleased = files["CHANGELOG.md"].replace("Unreleased\n", "Unreleased\n\n- Other.\n")
    assert faults("CHANGELOG.md", unreleased) == [
        "CHANGELOG.md has changes under Unreleased: they belong to the version"
    ]
    assert faults("CITATION.cff", "version: 0.2.0\ndate-released: 2026-01-02\n") == [
        "CITATION.cff has another date-released than 2027-01-02"
    ]
    answers |= {"status": " M README.md", "tag": "v0.2.0"}
    assert [fault.rpartition(" ")[2] for fault in faults()] == ["know", "released"]


def test_the_addresses_of_the_project_are_those_of_its_metadata():
    hosts = rf"https://(?:github\.com/{PROJECT['name']}|{PROJECT['name']}\.)[^\s)\"'}}>]*"
    listed = [path for folder in ("docs", ".github", "conda") for path in (ROOT / folder).rglob("*.*")]
    for path in [*listed, *map(ROOT.joinpath, PAGES), ROOT / "CITATION.cff", ROOT / "pyproject.toml"]:
        if path.suffix in (".md", ".yml", ".yaml", ".cff", ".toml", ".py"):
            for address in re.findall(hosts, path.read_text()):
                assert address.startswith((ADDRESSES["Repository"], ADDRESSES["Documentation"])), path


@pytest.mark.parametrize("page", PAGES)
def test_every_relative_link_leads_to_a_file(page):
    for target in re.findall(r"\]\((?!https?:|#)([^)\s#]+)", (ROOT / page).read_text()):
        assert (ROOT / target).exists(), target


def test_pictures_of_the_readme_are_small_and_those_of_the_demo_are_renewed():
    pictures = set(re.findall(r"\]\((docs/images/[^)]+)\)", (ROOT / "README.md").read_text()))
    assert all((ROOT / path).stat().st_size < 150_000 for path in pictures)
    renewed = re.search(r"cp (demo/.*) docs/images/", (ROOT / "Makefile").read_text())[1]
    drawn = {Path(path).stem for path in renewed.split()}
    assert drawn < {Path(path).stem for path in pictures}
    examples = "".join(path.read_text() for path in ROOT.glob("examples/*.py"))
    assert all(f', "{name}")' in examples for name in drawn)


def test_the_page_of_an_index_has_absolute_links_and_pictures_alone():
    pytest.importorskip("hatchling")
    text = (ROOT / "README.md").read_text()
    page = script("index_page").absolute(text, ADDRESSES["Repository"], "v1.2.3")
    assert re.findall(r"\]\((?!https?:|#)", page) == []
    assert f"]({ADDRESSES['Repository']}/raw/v1.2.3/docs/images/tuner.png)" in page
    assert f"[Apache 2.0]({ADDRESSES['Repository']}/blob/v1.2.3/LICENSE)" in page
    assert page.count("](") == text.count("](")


def test_the_conda_recipe_needs_what_the_package_needs():
    run = [line.replace("pytorch ", "torch ").replace(" ", "") for line in RECIPE["requirements"]["run"]]
    assert [line for line in run if not line.startswith("python>")] == PROJECT["dependencies"]


# ---------------------------------------------------------------- workflows


def commands(workflow):
    """What the steps of a workflow run."""
    for job in workflow["jobs"].values():
        yield from (step["run"] for step in job["steps"] if "run" in step)


def targets(text):
    return set(re.findall(r"\bmake ([a-z]+)", text))


@pytest.mark.parametrize("workflow", WORKFLOWS)
def test_workflows_run_targets_of_make(workflow):
    makefile = (ROOT / "Makefile").read_text()
    named = targets("\n".join(commands(WORKFLOWS[workflow])))
    assert named
    assert named <= set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))


def test_hosted_checks_are_those_of_the_repository():
    text = (ROOT / ".ci/run").read_text()
    own = set(re.findall(r'^ *(?:generation "\$\w+"|step "[^"]+" make) ([a-z]+)', text, re.MULTILINE))
    hosted = targets("\n".join(commands(WORKFLOWS["checks"])))
    assert own - {"install"} == hosted - {"coverage"}  # which is the tests, with their lines counted
    assert "coverage" in hosted


def test_classifiers_are_what_is_promised_and_tried():
    named = {line.rpartition(" :: ")[2] for line in PROJECT["classifiers"] if "Python :: 3." in line}
    for workflow, job in (("checks", "tests"), ("weekly", "newest")):
        assert set(WORKFLOWS[workflow]["jobs"][job]["strategy"]["matrix"]["python"]) == named
    assert PROJECT["requires-python"] == f">={min(named)}"
    # Other systems are tried, and may fail.
    systems = [line for line in PROJECT["classifiers"] if line.startswith("Operating System")]
    assert systems == ["Operating System :: POSIX :: Linux"]
    assert WORKFLOWS["checks"]["jobs"]["systems"]["continue-on-error"]
