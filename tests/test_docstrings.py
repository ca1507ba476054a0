"""What a public function raises by itself, or lets a check of its arguments raise, its docstring says."""

import ast
import inspect
import re
import textwrap

import pytest

import arviz_resampler
from arviz_resampler import arguments, errors

ERRORS = {
    name
    for name, thing in vars(errors).items()
    if isinstance(thing, type) and issubclass(thing, errors.ResamplerError)
}


def documented():
    """Name, function and docstring of what is public; the docstring of a constructor is that of its class."""
    for name in arviz_resampler.__all__:
        thing = getattr(arviz_resampler, name)
        if inspect.isfunction(thing):
            yield name, thing, thing.__doc__
        if inspect.isclass(thing):
            for member, value in vars(thing).items():
                function = getattr(value, "fget", getattr(value, "func", getattr(value, "__func__", value)))
                if not inspect.isfunction(function) or function.__code__.co_filename.startswith("<"):
                    continue  # no function, or one that a decorator wrote
                if member in ("__init__", "__post_init__"):
                    yield name, function, thing.__doc__
                elif not (member.startswith("_") or hasattr(dict, member)):
                    yield f"{name}.{member}", function, function.__doc__


def called(expression):
    """The name that an expression calls, or is."""
    function = expression.func if isinstance(expression, ast.Call) else expression
    return getattr(function, "id", getattr(function, "attr", ""))


def raised(function):
    """Classes of the package that are raised in the body of a function, or by checks of ``arguments``."""
    found = set()
    for node in ast.walk(ast.parse(textwrap.dedent(inspect.getsource(function)))):
        if isinstance(node, ast.Raise) and node.exc is not None:
            name = called(node.exc)
            # What is raised may be made by a function, whose annotation says of which class it is.
            made = getattr(function.__globals__.get(name), "__annotations__", {}).get("return", "")
            found |= ERRORS & {name, getattr(made, "__name__", made)}
        elif isinstance(node, ast.Call):
            check = vars(arguments).get(called(node))
            if inspect.isfunction(check) and check.__module__ == arguments.__name__:
                found |= raised(check)
    return found


def section(docstring, title):
    """Names that a section of a docstring has entries for."""
    pattern = rf"^{title}\n-+\n(.*?)(?=^\S[^\n]*\n-+$|\Z)"
    match = re.search(pattern, inspect.cleandoc(docstring), re.MULTILINE | re.DOTALL)
    return set(re.findall(r"^(\w+)", match[1], re.MULTILINE)) if match else set()


RAISING = {name: (raised(function), docstring) for name, function, docstring in documented()}


@pytest.mark.parametrize("name", [name for name, (classes, _) in RAISING.items() if classes])
def test_what_a_public_function_raises_stands_in_its_docstring(name):
    classes, docstring = RAISING[name]
    assert section(docstring, "Raises") >= classes


def test_what_is_raised_is_found_in_bodies_in_checks_and_in_what_makes_errors():
    def refuse(value):
        return arguments.as_count("value", value)

    assert raised(refuse) == {"ArgumentError"}
    assert raised(errors.from_extra) == {"ExtraError"}
    assert section("Do.\n\nRaises\n------\nArgumentError\n    If so.\n\nNotes\n-----\nText", "Raises") == {
        "ArgumentError"
    }
