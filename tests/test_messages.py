"""Every message of the package is explained in docs/messages.md, and no other.

Messages are read from the source: the text given to each error and to ``warn``, with the pieces that
come from variables, attributes and functions of the package. What is known at run time only is
written "…", in the texts read here as in the quotes of the page. That the examples of the page raise
what they show is for its doctests to say.
"""

import ast
import doctest
import functools
import re
import textwrap
from pathlib import Path
from typing import NamedTuple

import pytest

import arviz_resampler
from arviz_resampler import errors

PACKAGE = Path(arviz_resampler.__file__).parent
PAGE = Path(__file__).parents[1] / "docs" / "messages.md"
CLASSES = [
    name
    for name, thing in vars(errors).items()
    if isinstance(thing, type) and issubclass(thing, errors.ResamplerError | errors.ResamplerWarning)
]
BASES = ("ResamplerError", "ResamplerWarning")
ALIASES = {"containers": "container"}  # of rooms
GAP = "…"


# ---------------------------------------------------------------- messages, from the source


class Message(NamedTuple):
    """A text, or a piece of one, with "…" for what is filled in."""

    kind: str  # the class that it is given to
    place: str
    text: str
    whole: bool  # whether it is written where the class is called


def spans(text, within, start=0):
    """Where the literal fragments of a text stand in another, in order; nothing if one is missing."""
    found, end = [], start
    for fragment in text.split(GAP):
        start = within.find(fragment, end)
        if start < 0:
            return []
        end = start + len(fragment)
        found.append(slice(start, end))
    return found


class Source:
    """A package as text, and every text that an expression in it can come to."""

    def __init__(self, sources):
        self.trees = {room: ast.parse(text) for room, text in sources.items()}
        self.functions = {}  # the functions around each node
        self.classes = {}  # the class around each node
        self.returns = {}  # what functions return, by their name and whether they are methods
        self.calls = {}  # calls, by the name of what is called
        self.fields = {}  # names of the fields of a class, in order
        self.values = {}  # what attributes and the variables of a module are set to, by their name
        self.places = {}  # what fields are given by their place in a call, or by default, by their name
        self.defaults = set()  # of fields
        self.rooms = {node: room for room, tree in self.trees.items() for node in ast.walk(tree)}
        self.known = {room: {room} for room in self.trees}  # rooms that each room imports
        self.defined = set()  # rooms and the functions that they define
        nodes = list(self.rooms)
        for node in nodes:
            self._note_definition(node)
        for node in nodes:
            self._note_values(node)
        for name, values in self.places.items():
            self.values[name] = self.values.get(name, []) + values

    def _note_definition(self, node):
        if isinstance(node, ast.ClassDef):
            fields = [part for part in node.body if isinstance(part, ast.AnnAssign)]
            self.fields[node.name] = [field.target.id for field in fields]
            self.defaults |= set(fields)
            self.classes |= dict.fromkeys(ast.walk(node), node.name)
        elif isinstance(node, ast.Call):
            self.calls.setdefault(called(node), []).append(node)
        elif isinstance(node, ast.ImportFrom):
            names = [alias.name for alias in node.names]
            self.known[self.rooms[node]] |= {*(node.module or "").split("."), *names}
        elif isinstance(node, ast.FunctionDef):
            if not is_method(node):
                self.defined.add((self.rooms[node], node.name))
            for inner in ast.walk(node):
                self.functions.setdefault(inner, []).append(node)
                if isinstance(inner, ast.Return) and inner.value is not None:
                    self.returns.setdefault((node.name, is_method(node)), []).append(inner.value)

    def _note_values(self, node):
        for part, value in bindings(node):
            target = whole(part)
            if isinstance(target, ast.Attribute):
                self.values.setdefault(target.attr, []).append(value)
            elif isinstance(target, ast.Name) and node not in self.functions:
                found = self.places if node in self.defaults else self.values
                found.setdefault(target.id, []).append(value)
        if isinstance(node, ast.Call):
            for word in node.keywords:
                self.values.setdefault(word.arg, []).append(word.value)
                self.places.setdefault((called(node), word.arg), []).append(word.value)
            for name, value in zip(self.fields.get(called(node), ()), node.args, strict=False):
                self.places.setdefault(name, []).append(value)
                self.places.setdefault((called(node), name), []).append(value)

    def messages(self):
        """Every message, and every piece of one that is more than a word."""
        found = {}
        for room, tree in self.trees.items():
            for node in ast.walk(tree):
                for kind, expression in given_to_classes(node):
                    for number, text in enumerate(self.texts(expression, set())):
                        if len(re.findall("[A-Za-z]+", text)) > 1 and " " in text:
                            whole = number == 0 and isinstance(expression, ast.JoinedStr | ast.Constant)
                            message = Message(kind, f"{room}.py:{expression.lineno}", text, whole)
                            found.setdefault((kind, text), message)
        return list(found.values())

    def texts(self, expression, seen):
        """The texts in an expression, and in what it is made of."""
        if expression in seen:
            return
        seen.add(expression)
        if isinstance(expression, ast.Constant) and isinstance(expression.value, str):
            yield normal(expression.value)
        elif isinstance(expression, ast.JoinedStr):
            pieces = [part.value if isinstance(part, ast.Constant) else GAP for part in expression.values]
            yield normal(re.sub(f"{GAP}+", GAP, "".join(pieces))).strip(f"{GAP} ")
        for part in self._parts(expression):
            yield from self.texts(part, seen)

    def _parts(self, expression):
        """Expressions that another one takes its text from."""
        match expression:
            case ast.JoinedStr():
                return [part.value for part in expression.values if isinstance(part, ast.FormattedValue)]
            case ast.Name():
                return list(self._variable(expression))
            case ast.Attribute(value=ast.Name("self"), attr=name) if own := self.values.get(
                (self.classes.get(expression), name)
            ):
                return own
            case ast.Attribute():
                values = self.values.get(expression.attr, [])
                return [value for value in values if self._meet(value, expression)] or values
            case ast.IfExp():
                return [expression.body, expression.orelse]
            case ast.BoolOp():
                return expression.values
            case ast.BinOp():
                return [expression.left, expression.right]
            case ast.Subscript():
                return [expression.value]
            case ast.GeneratorExp():
                return [expression.elt]
            case ast.Tuple() | ast.List():
                return expression.elts
            case ast.Dict():
                return expression.values
            case ast.DictComp():
                return [expression.value]
            case ast.Call() if returned := self.returns.get(
                (called(expression), self._calls_method(expression))
            ):
                return returned
            case ast.Call() if called(expression) in {*self.fields, "join", "str"}:
                return expression.args
        return []

    def _variable(self, name):
        """What a variable is given in its module, or in the functions that it stands in."""
        if name.id.isupper():
            yield from self.values.get(name.id, [])
        for function in self.functions.get(name, []):
            parameters = [
                argument.arg for argument in function.args.args if argument.arg not in ("self", "cls")
            ]
            for target, value in bindings_in(function):
                handed = isinstance(target, ast.Subscript) and name.id in parameters
                if getattr(whole(target), "id", None) == name.id and not handed:
                    yield value
            for handler in handlers_in(function):
                if handler.name == name.id:
                    for call in self.calls.get(getattr(handler.type, "id", None), []):
                        yield from call.args
            if name.id in parameters:
                for call in self._calls_of(function):
                    yield from call.args[parameters.index(name.id) :][:1]

    def _calls_method(self, call):
        """Whether a method is called, and no function of a room."""
        if not isinstance(call.func, ast.Attribute):
            return False
        room = getattr(call.func.value, "id", "")
        return (ALIASES.get(room, room), call.func.attr) not in self.defined

    def _meet(self, first, second):
        """Whether one of the rooms of two nodes knows the other."""
        rooms = self.rooms[first], self.rooms[second]
        return rooms[1] in self.known[rooms[0]] or rooms[0] in self.known[rooms[1]]

    def _calls_of(self, function):
        """Calls of a function, in rooms that know the one that defines it."""
        for call in self.calls.get(function.name, []):
            known = self.rooms[function] in self.known[self.rooms[call]]
            if known and self._calls_method(call) == is_method(function):
                yield call


def called(call):
    """Name of the function, method or class that is called."""
    return getattr(call.func, "id", getattr(call.func, "attr", None))


def is_method(function):
    return [argument.arg for argument in function.args.args][:1] in (["self"], ["cls"])


def bindings(node):
    """Names and attributes that an assignment or a loop sets, each with what it is given."""
    pairs = []
    if isinstance(node, ast.Assign):
        pairs = [(target, node.value) for target in node.targets]
    elif isinstance(node, ast.AugAssign | ast.AnnAssign) and node.value is not None:
        pairs = [(node.target, node.value)]
    elif isinstance(node, ast.For):
        pairs = [(node.target, node.iter)]
    for target, value in pairs:
        if isinstance(target, ast.Tuple):
            # What a loop runs over is no value of its target, even where it is written as a tuple.
            values = [value] * len(target.elts)
            starred = any(isinstance(part, ast.Starred) for part in getattr(value, "elts", ()))
            if isinstance(value, ast.Tuple) and not isinstance(node, ast.For) and not starred:
                values = value.elts
            yield from zip(target.elts, values, strict=True)
        else:
            yield target, value


@functools.cache
def bindings_in(function):
    """All that a function binds."""
    return [pair for node in ast.walk(function) for pair in bindings(node)]


@functools.cache
def handlers_in(function):
    """Where a function catches exceptions."""
    return [node for node in ast.walk(function) if isinstance(node, ast.ExceptHandler)]


def whole(target):
    """What is set: of an item, that which has it."""
    return target.value if isinstance(target, ast.Subscript) else target


def given_to_classes(node):
    """Class and text of a call such as ``ProgramError(text)`` or ``warn(text, NameWarning)``."""
    if isinstance(node, ast.Call) and node.args:
        if called(node) in CLASSES:
            yield called(node), node.args[0]
        elif called(node) == "warn" and isinstance(last := node.args[-1], ast.Name) and last.id in CLASSES:
            yield last.id, node.args[0]


def normal(text):
    return re.sub(r"\s+", " ", text)


# ---------------------------------------------------------------- the page


class Entry(NamedTuple):
    """A part of the page under one heading."""

    kind: str  # the class whose section it stands in
    title: str
    text: str

    @property
    def quotes(self):
        """Messages as the page quotes them, one for each paragraph of a block quote."""
        blocks = re.findall(r"(?:^>(?!>).*\n)+", self.text, re.MULTILINE)
        lines = "\n\n".join(re.sub(r"^> ?", "", block, flags=re.MULTILINE) for block in blocks)
        return [normal(quote).strip() for quote in re.split(r"\n\s*\n", lines) if quote.strip()]

    @property
    def examples(self):
        return re.findall(r"^```pycon\n(.*?)^```$", self.text, re.MULTILINE | re.DOTALL)


def entries(page):
    found = []
    for section in re.split(r"^## ", page, flags=re.MULTILINE)[1:]:
        kind, _, rest = section.partition("\n")
        for entry in re.split(r"^### ", rest, flags=re.MULTILINE)[1:]:
            title, _, text = entry.partition("\n")
            found.append(Entry(kind.strip(), title.strip(), text))
    return found


def unexplained(messages, page):
    """Messages that no quote of the page holds."""
    quotes = [quote for entry in entries(page) for quote in entry.quotes]
    return [message for message in messages if not any(spans(message.text, quote) for quote in quotes)]


def invented(messages, page):
    """Words in the quotes of the page that no message has."""
    left_over = []
    for entry in entries(page):
        for quote in entry.quotes:
            rest = list(quote)
            for message in messages:
                found = spans(message.text, quote)
                while found:  # a piece may stand in a quote more than once
                    for span in found:
                        rest[span] = GAP * (span.stop - span.start)
                    found = spans(message.text, quote, found[0].start + 1)
            if re.search("[A-Za-z]", "".join(rest)):
                left_over.append((entry.title, "".join(rest).replace(GAP, "")))
    return left_over


@functools.cache
def package():
    files = sorted(PACKAGE.rglob("[!_]*.py"))
    assert len({path.stem for path in files}) == len(files)  # what is imported is known by these names
    return Source({path.stem: path.read_text() for path in files}).messages()


# ---------------------------------------------------------------- tests


def test_every_message_is_quoted_on_the_page():
    assert unexplained(package(), PAGE.read_text()) == []


def test_the_page_quotes_nothing_that_is_no_message():
    assert invented(package(), PAGE.read_text()) == []


def test_every_message_stands_in_the_section_of_its_class():
    by_class = {}
    for entry in entries(PAGE.read_text()):
        by_class.setdefault(entry.kind, []).extend(entry.quotes)
    for message in package():
        if message.whole:
            assert any(spans(message.text, quote) for quote in by_class[message.kind]), message


def test_the_sections_of_the_page_are_the_classes_that_are_issued():
    sections = list(dict.fromkeys(entry.kind for entry in entries(PAGE.read_text())))
    assert sections == [name for name in CLASSES if name not in BASES]


@pytest.mark.parametrize("entry", entries(PAGE.read_text()), ids=lambda entry: entry.title)
def test_every_entry_says_why_and_what_to_do_and_shows_what_it_quotes(entry):
    assert entry.quotes
    assert "* **Why:** " in entry.text
    assert "* **Do:** " in entry.text
    if not entry.examples:
        assert "No example: " in entry.text
        return
    shown = "\n".join(entry.examples).splitlines()
    for quote in entry.quotes:
        assert any(spans(quote, line) for line in shown), quote


def test_every_traceback_is_of_the_class_of_its_section():
    for entry in entries(PAGE.read_text()):
        for line in "\n".join(entry.examples).splitlines():
            if line.startswith("arviz_resampler.errors."):
                assert line.startswith(f"arviz_resampler.errors.{entry.kind}: "), entry.title


def test_the_examples_of_the_page_are_found_by_its_doctest():
    assert len(doctest.DocTestParser().get_examples(PAGE.read_text())) > 100


# ---------------------------------------------------------------- the checks themselves

MODULE = """
    from errors import ArgumentError, NameWarning, ProgramError, warn

    _REASONS = ("is too wide", "is too blue")

    class Part:
        role: str
        text: str

    def reason(size):
        return f"it has {size} legs" if size else ""

    def check(name, size, part):
        note = f"site {name!r} is odd"
        note += f". It is {size} wide."
        if size > 3:
            raise ProgramError(note)
        if size > 2:
            error = ArgumentError(f"{name} must be a number, got {size!r}: {reason(size)}")
            raise error
        if size > 1:
            raise ProgramError(f"the {part.role} failed: {part.text}")
        warn("some names were changed", NameWarning)
        print("this is no message", name)

    class Note:
        words: str

        def told(self):
            return f"{self.words} (seen twice)"

    def look(note):
        raise ProgramError(f"this was found: {note.told()}")

    def all_of_it():
        words = "not of a note"
        look(Note("nothing was there"))

    def again(name):
        check(name, 2, Part("guide", f"nothing came of {name}"))
"""
PAGE_OF_MODULE = """
## ArgumentError

### A number

> … must be a number, got …: it has
> … legs

## ProgramError

### Odd

> site … is odd. It is … wide.

### Failed

> the … failed: nothing came of …

### A note

> this was found: nothing was there (seen twice)

## NameWarning

### Names

> some names were changed
"""


def messages_of(code):
    return Source({"module": textwrap.dedent(code)}).messages()


def test_messages_are_found_in_calls_variables_functions_and_fields():
    assert {(message.kind, message.text) for message in messages_of(MODULE)} == {
        ("ProgramError", "site … is odd"),
        ("ProgramError", ". It is … wide."),
        ("ArgumentError", "must be a number, got …:"),
        ("ArgumentError", "it has … legs"),
        ("ProgramError", "the … failed:"),
        ("ProgramError", "nothing came of"),
        ("ProgramError", "this was found:"),
        ("ProgramError", "(seen twice)"),
        ("ProgramError", "nothing was there"),
        ("NameWarning", "some names were changed"),
    }


def test_a_page_that_explains_everything_passes_both_checks():
    assert unexplained(messages_of(MODULE), PAGE_OF_MODULE) == []
    assert invented(messages_of(MODULE), PAGE_OF_MODULE) == []


@pytest.mark.parametrize("new", ['raise ProgramError("a new message")', 'warn("a new message", NameWarning)'])
def test_a_message_that_the_page_does_not_have_is_noticed(new):
    code = textwrap.dedent(MODULE) + f"\ndef fresh():\n    {new}\n"
    assert [message.text for message in unexplained(messages_of(code), PAGE_OF_MODULE)] == ["a new message"]


@pytest.mark.parametrize(
    ("old", "new"),
    [("is odd", "is strange"), ("It is", "It was"), ("number, got", "word, got"), ("legs", "wheels")],
)
def test_a_message_that_changed_is_noticed_on_both_sides(old, new):
    changed = messages_of(MODULE.replace(old, new))
    assert len(unexplained(changed, PAGE_OF_MODULE)) == 1
    assert len(invented(changed, PAGE_OF_MODULE)) == 1


def test_a_quote_of_a_message_that_is_gone_is_noticed():
    page = PAGE_OF_MODULE + "\n### Gone\n\n> site … was eaten\n"
    assert [title for title, _ in invented(messages_of(MODULE), page)] == ["Gone"]
