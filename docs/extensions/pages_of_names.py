"""A page for each public name of the three packages, of its docstring, and a table of all."""

import ast
import inspect
from collections.abc import Mapping
from importlib import import_module
from itertools import pairwise
from pathlib import Path

from gpcp.imports import declared_names

PACKAGES = {
    "gpcp": "Cells, pairs, models and training.",
    "simulators": "Worlds with a known graph, their laws and exact answers.",
    "diagnostics": "What is asked of data, models and trainings.",
}


def name_pages() -> Mapping[str, str]:
    """The pages by their paths below the folder of the documentation."""
    pages = {"api/index.rst": _index()}
    for package in PACKAGES:
        for name, module in _declared(package).items():
            pages[f"api/{package}.{name}.rst"] = _page(package, name, module)
    return pages


def _declared(package: str) -> Mapping[str, str]:
    return declared_names(Path(import_module(package).__file__ or "").with_name("__init__.pyi"))


def _page(package: str, name: str, module: str) -> str:
    value = getattr(import_module(package), name)
    title = f"{package}.{name}\n{'=' * len(f'{package}.{name}')}\n\n"
    where = f"*Defined in* ``{module}``.\n"
    if inspect.isclass(value):
        return f"{title}.. autoclass:: {package}.{name}\n   :members:\n\n{where}"
    if inspect.isfunction(value):
        return f"{title}.. autofunction:: {package}.{name}\n\n{where}"
    explained = _string_below(module, name).replace("\n", "\n   ")
    keys = f"\n\n   Keys: {', '.join(f'``{key}``' for key in value)}." if isinstance(value, Mapping) else ""
    return f"{title}.. py:data:: {package}.{name}\n\n   {explained}{keys}\n\n{where}"


def _string_below(module: str, name: str) -> str:
    """The string below the statement that defines a constant."""
    body = ast.parse(Path(import_module(module).__file__ or "").read_text(encoding="utf-8")).body
    for node, after in pairwise(body):
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        names = any(isinstance(one, ast.Name) and one.id == name for one in targets)
        if names and isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
            return inspect.cleandoc(str(after.value.value))
    return ""


def _line(package: str, name: str, module: str) -> str:
    value = getattr(import_module(package), name)
    documented = inspect.isclass(value) or inspect.isfunction(value)
    text = inspect.getdoc(value) if documented else _string_below(module, name)
    return (text or "").split("\n\n")[0].replace("\n", " ")


def _index() -> str:
    parts = ["API\n===\n\nThe public names of the three packages. Each is imported when it is first asked for.\n"]
    for package, subject in PACKAGES.items():
        rows = "".join(
            f"   * - :doc:`{name} <{package}.{name}>`\n     - {_line(package, name, module)}\n"
            for name, module in sorted(_declared(package).items())
        )
        pages = "\n".join(f"   {package}.{name}" for name in sorted(_declared(package)))
        parts.append(
            f"{package}\n{'-' * len(package)}\n\n{subject}\n\n.. list-table::\n   :widths: 30 70\n\n{rows}\n"
            f".. toctree::\n   :hidden:\n\n{pages}\n"
        )
    return "\n".join(parts)
