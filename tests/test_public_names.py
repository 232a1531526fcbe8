"""Names and their docstrings: what is public is explained, axes are spelt out, and nothing is called plain ``mask``."""

import ast
import re
from collections.abc import Callable, Collection, Iterator, Sequence

import gpcp.core
from tests.source_tree import PACKAGES, Function, Source, functions, parsed, sources

BUILT = sources(*PACKAGES)
EVERYTHING = tuple(
    # What outsiders write has outsiders' names.
    one
    for one in sources(*PACKAGES, "examples", "tests")
    if not one.path.startswith("tests/outside/")
)

EMPTY_WORDS = {"utils", "util", "helpers", "helper", "base", "manager", "managers", "common", "misc"}
"""Names under which anything could be put away."""

LONGEST_FILE, LONGEST_TEST_FILE, LONGEST_FUNCTION = 350, 450, 50
"""Lines, a function's without its signature and docstring. A longer one holds more than one idea."""

SUFFIX = re.compile(r"^_?[a-z]\w*_([A-Z]{1,4})$")
"""An array's axes at the end of its name, such as ``delta_BG``."""

LETTER = re.compile(r"``([A-Z])``")

AXES = set(re.findall(r"^``([A-Z])`` ", gpcp.core.__doc__ or "", flags=re.MULTILINE))
"""The axes of the glossary in ``gpcp/core/__init__.py``, one a line."""


def found_by(rule: Callable[[Source], Collection[object]], among: Sequence[Source]) -> dict[str, Collection[object]]:
    """What a rule finds, by the path of the file: one test for all files, of which there are hundreds."""
    return {source.path: found for source in among if (found := rule(source))}


def without_docstring(source: Source) -> list[str]:
    """The public module, classes, functions and methods that have none; functions in functions are private."""

    def below(body: list[ast.stmt], prefix: str) -> Iterator[str]:
        for node in body:
            if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)) and not node.name.startswith(
                "_"
            ):
                overload = any(ast.unparse(one).endswith("overload") for one in node.decorator_list)
                if not overload and ast.get_docstring(node) is None:
                    yield f"{prefix}{node.name}"
                if isinstance(node, ast.ClassDef):
                    yield from below(node.body, f"{prefix}{node.name}.")

    return [*([] if ast.get_docstring(source.tree) else ["the module"]), *below(source.tree.body, "")]


def names_given(source: Source) -> Iterator[tuple[str, int]]:
    """Every name that a file gives: to variables, fields, arguments, functions and classes."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id, node.lineno
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr, node.lineno
        elif isinstance(node, ast.arg):
            yield node.arg, node.lineno
        elif isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node.name, node.lineno


def unexplained_axes(source: Source) -> set[str]:
    """Letters that end names of arrays and are not in the glossary."""
    letters = {letter for name, _ in names_given(source) if (found := SUFFIX.match(name)) for letter in found[1]}
    return letters - AXES


def _lacking(decorator: str, node: ast.ClassDef) -> list[str]:
    """What a dataclass's decorator does not say; a value of one or two fields may be written by position."""
    if not decorator.split("(")[0].endswith("dataclass"):
        return []
    n_fields = sum(isinstance(one, ast.AnnAssign) for one in node.body)
    words = ("frozen", "slots") if n_fields <= 2 else ("frozen", "slots", "kw_only")
    return [word for word in words if f"{word}=True" not in decorator]


def loose_classes(source: Source) -> list[str]:
    """Classes that are neither final nor an interface nor an exception, and dataclasses that are no frozen values."""
    loose: list[str] = []
    for node in ast.walk(source.tree):
        if not isinstance(node, ast.ClassDef):
            continue
        bases = {ast.unparse(one).split("[")[0].split(".")[-1] for one in node.bases}
        thresholds = [ast.unparse(one) for one in node.decorator_list]
        if not bases & {"Protocol", "ABC"} and not node.name.endswith("Error") and "final" not in thresholds:
            loose.append(f"{node.name} is neither @final nor a Protocol")
        loose += [f"{node.name} is a dataclass without {word}" for mark in thresholds for word in _lacking(mark, node)]
    return loose


def n_code_lines(function: Function) -> int:
    """Lines from a function's first statement after its docstring to its last."""
    body = function.body[1:] if ast.get_docstring(function) else function.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def long_parts(source: Source) -> dict[str, int]:
    """The functions of a file, and the file itself, that have too many lines."""
    long = {name: n for name, node in functions(source) if (n := n_code_lines(node)) > LONGEST_FUNCTION}
    n_lines = len(source.text.splitlines())
    longest = LONGEST_TEST_FILE if source.package == "tests" else LONGEST_FILE
    return long | ({"the file": n_lines} if n_lines > longest else {})


def test_what_is_public_is_explained():
    assert found_by(without_docstring, BUILT) == {}


def test_the_axes_of_arrays_are_explained():
    assert found_by(unexplained_axes, BUILT) == {}


def test_classes_are_final_or_interfaces_and_values_are_frozen():
    assert found_by(loose_classes, BUILT) == {}


def test_no_name_is_plain_mask():
    assert found_by(lambda source: [line for name, line in names_given(source) if name == "mask"], EVERYTHING) == {}


def test_a_file_is_named_by_what_it_holds():
    assert found_by(lambda source: EMPTY_WORDS & set(source.module.split(".")), EVERYTHING) == {}


def test_files_and_functions_are_short():
    assert found_by(long_parts, EVERYTHING) == {}


def test_the_way_of_the_data_names_files_that_exist():
    way = (gpcp.__doc__ or "").split("The way of the data", 1)[1]
    named = set(re.findall(rf"\b(?:{'|'.join(PACKAGES)})(?:\.[a-z0-9_]+)+", way))
    assert named
    assert named - {source.module for source in BUILT} == set()


def test_each_axis_of_the_glossary_has_one_line_and_a_meaning():
    lines = [line for line in (gpcp.core.__doc__ or "").splitlines() if LETTER.match(line)]
    assert len(lines) == len(AXES)
    assert all(len(line.split()) > 1 for line in lines)


def test_a_wrong_file_is_found():
    wrong = parsed(
        '"""No key."""\n'
        "class Loose:\n"
        "    def told(self, mask): ...\n"
        "@dataclass(frozen=True)\n"
        "class Value:\n"
        '    """Explained."""\n'
        "    delta_BGJ: int = 0\n",
        "gpcp/utils.py",
    )
    assert without_docstring(wrong) == ["Loose", "Loose.told"]
    assert unexplained_axes(wrong) == {"J"}
    assert loose_classes(wrong) == [
        "Loose is neither @final nor a Protocol",
        "Value is neither @final nor a Protocol",
        "Value is a dataclass without slots",
    ]
    assert ("mask", 3) in set(names_given(wrong))
    assert EMPTY_WORDS & set(wrong.module.split("."))
    assert found_by(loose_classes, (wrong,)) == {"gpcp/utils.py": loose_classes(wrong)}
    assert long_parts(parsed("x = 1\n" * 351, "gpcp/long.py")) == {"the file": 351}
