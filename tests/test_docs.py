"""The pages of the documentation, as text. ``make docs`` sees that they build and that their code runs."""

import inspect
import json
import re
import runpy
from pathlib import Path

import pytest

import arviz_resampler

DOCS = Path(__file__).parents[1] / "docs"
MADE = {"_figures", "gallery"}  # folders of what commands write
PAGES = sorted(path for path in DOCS.rglob("*.md") if not MADE & set(path.relative_to(DOCS).parts[:-1]))
RUN = {"pycon", "python", "{code-cell}"}
SHOWN = {"sh", "text", "bibtex", "{eval-rst}", "{glossary}", "{include}", "{toctree}"}
NAMES = sorted(set(arviz_resampler.__all__) - {"__version__"})


def members(thing):
    """Public methods and properties of a class, as far as this package defines them.

    Fields of a record are described in its docstring.
    """
    for base in thing.__mro__:
        if base.__module__.startswith("arviz_resampler"):
            for name, value in vars(base).items():
                inherited = any(hasattr(builtin, name) for builtin in (dict, tuple, BaseException))
                field = name in getattr(thing, "_fields", ())
                if not (name.startswith("_") or inherited or field) and (
                    callable(value) or hasattr(value, "__get__")
                ):
                    yield name, value


def reference():
    """Name and options of each directive of autodoc on the pages of the reference."""
    found = {}
    for page in (DOCS / "reference").glob("*.md"):
        for name, options in re.findall(r"\.\. auto\w+:: (\S+)\n((?: +:.*\n)*)", page.read_text()):
            found[name.removeprefix("arviz_resampler.")] = options
    return found


@pytest.mark.parametrize("name", NAMES)
def test_every_public_name_has_an_entry_in_the_reference(name):
    assert name in reference()


@pytest.mark.parametrize("name", [name for name in NAMES if inspect.isclass(getattr(arviz_resampler, name))])
def test_every_public_member_has_an_entry_in_the_reference(name):
    own = dict(members(getattr(arviz_resampler, name)))
    if own:
        assert ":members:\n" in reference()[name]  # of all that have a docstring
    assert not [member for member, value in own.items() if not value.__doc__]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(DOCS)))
def test_every_page_can_be_reached(page):
    name = str(page.relative_to(DOCS).with_suffix(""))
    listed = set()
    for other in PAGES:
        for tree in re.findall(r"^```\{toctree\}\n(.*?)^```", other.read_text(), re.MULTILINE | re.DOTALL):
            for line in tree.splitlines():
                entry = re.sub(r".*<(.*)>", r"\1", line.strip())
                listed.add(str((other.parent / entry).resolve().relative_to(DOCS.resolve())))
    assert name in listed | {"404", "index"}


def blocks(page):
    """Kind and text of the fenced blocks of a page."""
    return re.findall(r"^ *```(\S*)[^\n]*\n(.*?)^ *```$", page.read_text(), re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def copied():
    """What the copy button takes from a session: the lines that begin with a prompt, without it."""
    prompt = runpy.run_path(str(DOCS / "conf.py"))["copybutton_prompt_text"]
    return lambda session: "\n".join(re.findall(rf"^(?:{prompt})(.*)$", session, re.MULTILINE))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(DOCS)))
def test_every_block_of_python_is_run(page, copied):
    """By a kernel, as a doctest, by ``scripts/gallery.py`` on the gallery, or, on the landing page, below.

    Scripts that start processes, and cells of marimo, are shown only.
    """
    for kind, block in blocks(page):
        assert kind in RUN | SHOWN, f"nothing runs a block of {kind!r}"
        if kind == "pycon":
            assert block.startswith(">>>")
            assert block.endswith("\n\n"), "output would run into the end of the block"
            compile(copied(block), page.name, "exec")
        elif kind == "python":
            assert page.name in {"gallery.md", "tune.md", "workers.md"} or page == DOCS / "index.md"
            compile(block, page.name, "exec")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(DOCS)))
def test_no_doctest_is_hidden(page):
    """So that what doctest runs, in order of the page, is what can be copied from it."""
    shown = sum(block.count(">>> ") for kind, block in blocks(page) if kind == "pycon")
    assert page.read_text().count(">>> ") == shown


def test_the_code_of_the_landing_page_runs_as_it_is(capsys):
    (code,) = (block for kind, block in blocks(DOCS / "index.md") if kind == "python")
    exec(compile(code, "index.md", "exec"), {})
    assert capsys.readouterr().out == "good\n"


@pytest.mark.parametrize("name", ["hares_and_lynxes", "influenza"])
def test_notebooks_of_case_studies_have_the_code_of_their_pages(name):
    """``make notebooks`` renews them."""
    notebook = json.loads((DOCS / "case_studies" / f"{name}.ipynb").read_text(encoding="utf-8"))
    cells = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    shown = [block for kind, block in blocks(DOCS / "case_studies" / f"{name}.md") if kind == "{code-cell}"]
    assert cells == [re.sub(r"^:tags:.*\n+", "", block).strip("\n") for block in shown]


def test_the_map_for_contributors_has_every_room():
    package = Path(arviz_resampler.__file__).parent
    rooms = {path.parent.name for path in package.glob("*/__init__.py")}
    page = (DOCS.parent / "CONTRIBUTING.md").read_text()
    assert set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)) == rooms
