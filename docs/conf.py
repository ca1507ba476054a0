"""How Sphinx builds the documentation: ``make docs``.

Everything that is shown is run while it is built: notebooks by MyST-NB, the gallery by
``scripts/gallery.py`` beforehand, and the doctests of all pages by ``make test``. Whatever does not run,
warns or points nowhere stops the build.
"""

import inspect
import os
import tomllib
from collections.abc import Callable
from pathlib import Path

import arviz_resampler

project = "arviz_resampler"
author = "The arviz_resampler developers"
copyright = f"2026, {author}"  # noqa: A001 - Sphinx's name
release = version = arviz_resampler.__version__
_PROJECT = Path(__file__).parents[1].joinpath("pyproject.toml").read_text(encoding="utf-8")
_ADDRESSES = tomllib.loads(_PROJECT)["project"]["urls"]

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.intersphinx",
    "sphinx.ext.viewcode",
    "notfound.extension",
    "numpydoc",
    "myst_nb",
    "sphinx_copybutton",
    "sphinx_design",
]
exclude_patterns = ["**/.ipynb_checkpoints", "_figures", "case_studies/*.ipynb"]  # kept by make notebooks

# ---------------------------------------------------------------- notebooks

nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 600  # of a cell that takes seconds, for a machine that has much else to do
nb_output_stderr = "error"  # a warning that a reader would see is a fault
nb_merge_streams = True
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3

# ---------------------------------------------------------------- reference

autodoc_typehints = "none"
autodoc_member_order = "bysource"
autosummary_generate = False
add_function_parentheses = False
numpydoc_show_class_members = False
numpydoc_xref_param_type = True
numpydoc_xref_ignore = {
    "default",
    "length",
    "matplotlib",
    "of",
    "optional",
    "or",
    "shape",
    "to",
    "Drawn",
    "Pipeline",
    "ScoredModel",
    "with",
}
numpydoc_xref_aliases = {
    **{name: f"arviz_resampler.{name}" for name in arviz_resampler.__all__},
    "array_like": "numpy.typing.ArrayLike",
    "bool": ":class:`bool`",
    "callable": "collections.abc.Callable",
    "DataArray": "xarray.DataArray",
    "DataFrame": "pandas.DataFrame",
    "Dataset": "xarray.Dataset",
    "DataTree": "xarray.DataTree",
    "InferenceData": "arviz.InferenceData",
    "Generator": "numpy.random.Generator",
    "iterable": "collections.abc.Iterable",
    "Race": "arviz_resampler.draws.race.Race",
    "Explorer": "arviz_resampler.Explorer",
    "Axes": "matplotlib.axes.Axes",
    "Figure": "matplotlib.figure.Figure",
    "MCMC": "pyro.infer.mcmc.api.MCMC",
    "number": "numbers.Real",
    "mapping": "collections.abc.Mapping",
    "mappings": "collections.abc.Mapping",
    "ndarray": "numpy.ndarray",
    "path_like": "os.PathLike",
    "sequence": "collections.abc.Sequence",
    "Tensor": "torch.Tensor",
}

# ---------------------------------------------------------------- links to other projects

# The names that these pages use, in plain text, beside this file: what builds does not depend on
# whether other sites can be reached.
_SITES = {
    "arviz": "https://python.arviz.org/en/v0.23.4/",
    "arviz_plots": "https://python.arviz.org/projects/plots/en/stable/",
    "arviz_stats": "https://python.arviz.org/projects/stats/en/stable/",
    "matplotlib": "https://matplotlib.org/stable/",
    "numpy": "https://numpy.org/doc/stable/",
    "pandas": "https://pandas.pydata.org/docs/",
    "pyro": "https://docs.pyro.ai/en/stable/",
    "python": "https://docs.python.org/3/",
    "torch": "https://docs.pytorch.org/docs/stable/",
    "xarray": "https://docs.xarray.dev/en/stable/",
}
intersphinx_mapping = {name: (url, f"_inventories/{name}.txt") for name, url in _SITES.items()}

nitpicky = True

# ``make links`` asks whether pages are there; what the inventories name is looked up in them.
linkcheck_anchors = False
linkcheck_retries = 3

# ---------------------------------------------------------------- pages

html_theme = "sphinx_book_theme"
html_title = "arviz_resampler"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_baseurl = os.environ.get("READTHEDOCS_CANONICAL_URL", "")
html_theme_options = {
    "logo": {"text": f"arviz_resampler {release}"},
    "repository_url": _ADDRESSES["Repository"],
    "use_repository_button": True,
    "use_issues_button": True,
    "show_toc_level": 2,
    "show_navbar_depth": 1,
    "home_page_in_toc": True,
    "navbar_persistent": [],
}
html_math_renderer = "mathml"
html_copy_source = False
html_show_sourcelink = False

# Of a session, what was typed: neither prompts nor output, be it a traceback.
copybutton_prompt_text = r">>> |\.\.\. |\.\.\.$"
copybutton_prompt_is_regexp = True


def _check_reference(_app: object, env: object) -> None:
    """Warn of public names, and public members of public classes, that no page documents."""
    from sphinx.util import logging

    documented = set(env.get_domain("py").objects)
    for name in set(arviz_resampler.__all__) - {"__version__"}:
        thing = getattr(arviz_resampler, name)
        names = {f"arviz_resampler.{name}"}
        if inspect.isclass(thing):
            names |= {f"arviz_resampler.{name}.{member}" for member in _members(thing)}
        for missing in sorted(names - documented):
            logging.getLogger(__name__).warning("%s has no entry in the reference", missing)


def _members(thing: type) -> set[str]:
    """Public members that a class of this package defines: no fields, nor methods of a dict."""
    return {
        name
        for base in thing.__mro__
        if base.__module__.startswith("arviz_resampler")
        for name, value in vars(base).items()
        if not name.startswith("_") and name not in getattr(base, "_fields", ()) and not hasattr(dict, name)
        if callable(value) or hasattr(value, "__get__")
    }


def _mathml(display: str) -> tuple[Callable, None]:
    """Write formulas as MathML, which browsers show by themselves: no script, and no other site."""

    def visit(translator: object, node: object) -> None:
        from docutils.nodes import SkipNode
        from latex2mathml.converter import convert

        formula = convert(node.astext(), display=display)
        translator.body.append(f'<div class="math">{formula}</div>' if display == "block" else formula)
        raise SkipNode

    return visit, None


def setup(app: object) -> None:
    """Hook the check of the reference and the formulas into the build."""
    app.connect("env-updated", _check_reference)
    app.add_html_math_renderer("mathml", _mathml("inline"), _mathml("block"))
