"""The project's own source files, parsed, for the tests that read code instead of running it."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

REPO = Path(__file__).resolve().parents[1]
PACKAGES = ("gpcp", "simulators", "diagnostics")

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Source:
    """One file: its path from the root, the name that imports it, its text and its tree."""

    path: str
    module: str
    text: str
    tree: ast.Module

    @property
    def package(self) -> str:
        return self.path.split("/")[0]


@dataclass(frozen=True)
class Import:
    """One imported module: ``at_top`` where importing the file imports it, ``typing`` where only a checker does."""

    module: str
    line: int
    at_top: bool
    typing: bool


def sources(*folders: str) -> tuple[Source, ...]:
    """Every Python file below some folders of the repository, folder by folder, in the order of their paths."""
    return tuple(source for folder in folders for source in _below(folder))


@cache
def _below(folder: str) -> tuple[Source, ...]:
    paths = sorted((REPO / folder).rglob("*.py"))
    return tuple(parsed(path.read_text(encoding="utf-8"), path.relative_to(REPO).as_posix()) for path in paths)


def parsed(text: str, path: str) -> Source:
    """A file of this text, as if it lay at ``path``."""
    module = path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    return Source(path, module, text, ast.parse(text))


def imports(source: Source, known: frozenset[str] = frozenset()) -> list[Import]:
    """What a file imports, once for each name.

    ``from a import b`` is an import of ``a.b`` where that is one of the modules ``known``, and of ``a`` otherwise.
    """
    found: list[Import] = []
    for node, at_top, typing in _statements(source.tree.body, at_top=True, typing=False):
        if isinstance(node, ast.Import):
            found += [Import(alias.name, node.lineno, at_top, typing) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            if node.level or not node.module:
                raise AssertionError(f"{source.path}:{node.lineno}: import by the full name")
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                found.append(Import(whole if whole in known else node.module, node.lineno, at_top, typing))
    return found


def _statements(body: list[ast.stmt], *, at_top: bool, typing: bool) -> Iterator[tuple[ast.stmt, bool, bool]]:
    """Every statement below some others, with whether importing the file runs it, and whether only a checker does."""
    for node in body:
        yield node, at_top, typing
        inside_function = isinstance(node, Function)
        for name in ("body", "orelse", "finalbody", "handlers", "cases"):
            for_checker = typing or (
                isinstance(node, ast.If) and name == "body" and ast.unparse(node.test).endswith("TYPE_CHECKING")
            )
            for child in getattr(node, name, []):
                deeper = [child] if isinstance(child, ast.stmt) else child.body
                yield from _statements(
                    deeper, at_top=at_top and not inside_function and not for_checker, typing=for_checker
                )


def functions(source: Source) -> Iterator[tuple[str, Function]]:
    """Every function and method of a file with its dotted name, those inside functions too."""

    def below(node: ast.AST, prefix: str) -> Iterator[tuple[str, Function]]:
        for child in ast.iter_child_nodes(node):
            name = prefix
            if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                name = f"{prefix}.{child.name}".lstrip(".")
            if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)):
                yield name, child
            yield from below(child, name)

    yield from below(source.tree, "")
