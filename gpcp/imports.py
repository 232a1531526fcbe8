"""Imports at the last moment: a package's public names, and the packages of optional extras.

Public names are declared once, in the ``__init__.pyi`` beside a package's ``__init__.py``, which type checkers and
editors read as well (Scientific Python's SPEC 1); importing the package imports none of their files.
"""

import ast
import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from gpcp.core.errors import InputError, nearest


def declared_names(stub: Path) -> dict[str, str]:
    """The names that a stub re-exports (``from module import Name as Name``), each with its module."""
    tree = ast.parse(stub.read_text(encoding="utf-8"))
    return {
        one.asname: node.module
        for node in tree.body
        if isinstance(node, ast.ImportFrom) and node.module is not None
        for one in node.names
        if one.asname is not None
    }


def public_names(package: str, file: str) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """A package's ``__getattr__``, ``__dir__`` and ``__all__``.

    Parameters
    ----------
    package : str
        Its ``__name__``.
    file : str
        Its ``__file__``; the stub lies beside it.

    Returns
    -------
    __getattr__ : callable
        Imports the module of a name on first use (PEP 562). An unknown name is an AttributeError that says the nearest.
    __dir__ : callable
        Every public name, imported or not, and what the package holds besides.
    __all__ : list of str
        The public names.
    """
    module_of: Mapping[str, str] = declared_names(Path(file).with_name("__init__.pyi"))

    def imported(name: str) -> Any:
        if name not in module_of:
            raise AttributeError(_unknown(package, name, module_of))
        found = getattr(import_module(module_of[name]), name)
        setattr(sys.modules[package], name, found)
        return found

    def names() -> list[str]:
        return sorted({*vars(sys.modules[package]), *module_of})

    return imported, names, sorted(module_of)


def _unknown(package: str, name: str, module_of: Mapping[str, str]) -> str:
    hint = "" if name.startswith("_") else f"; {nearest(name, module_of)}"
    return f"module {package!r} has no attribute {name!r}{hint}"


def need(*modules: str, extra: str, use: str) -> None:
    """Import the modules of an extra, or say how to install it.

    Parameters
    ----------
    *modules : str
        Modules that the extra brings, such as ``"optuna"``.
    extra : str
        Its name in ``pyproject.toml``.
    use : str
        What needs them, such as ``"a sweep"``; it begins the message.

    Raises
    ------
    InputError
        One cannot be imported.
    """
    for module in modules:
        try:
            import_module(module)
        except ImportError as error:
            why = "is not installed" if error.name == module else f"cannot be imported ({error})"
            raise InputError(f"{use} needs {module}, which {why}: pip install 'gpcp[{extra}]'") from error
