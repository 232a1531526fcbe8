"""What ``gpcp``, ``simulators`` and ``diagnostics`` offer by short names: all there, explained, and quick to import."""

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

from gpcp.imports import declared_names
from tests.shown import blocks, pages
from tests.source_tree import PACKAGES, REPO, sources

MODULE_OF = {
    (package, name): module
    for package in PACKAGES
    for name, module in declared_names(REPO / package / "__init__.pyi").items()
}
NAMES = sorted(MODULE_OF)
HEAVY = ("numpy", "torch", "scipy", "pandas", "anndata", "matplotlib", "optuna", "networkx")


def definition(module: str, name: str) -> tuple[ast.stmt, ast.stmt | None]:
    """The statement that defines a name in the file of a module, and the one after it."""
    body = ast.parse(Path(import_module(module).__file__ or "").read_text(encoding="utf-8")).body
    for node, after in zip(body, [*body[1:], None], strict=True):
        defines = isinstance(node, (ast.FunctionDef, ast.ClassDef)) and node.name == name and not is_overload(node)
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if defines or any(isinstance(one, ast.Name) and one.id == name for one in targets):
            return node, after
    raise AssertionError(f"{module} does not define {name} itself: name the module that does")


def is_overload(node: ast.FunctionDef | ast.ClassDef) -> bool:
    """Whether it is one of several signatures, before the definition that is explained."""
    return any(isinstance(one, ast.Name) and one.id == "overload" for one in node.decorator_list)


def is_explained(node: ast.stmt, after: ast.stmt | None) -> bool:
    """It has a docstring, or, for a constant, a string below it."""
    if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
        return bool(ast.get_docstring(node))
    return isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant) and isinstance(after.value.value, str)


@pytest.fixture(params=PACKAGES)
def package(request: pytest.FixtureRequest) -> ModuleType:
    return import_module(request.param)


def test_all_is_what_the_stub_declares(package: ModuleType):
    declared = sorted(name for one, name in NAMES if one == package.__name__)
    assert package.__all__ == declared
    assert declared
    assert set(declared) <= set(dir(package))


@pytest.mark.parametrize(("package", "name"), NAMES, ids=[".".join(one) for one in NAMES])
def test_a_public_name_is_had_from_the_package_and_explained_where_it_is_defined(package: str, name: str):
    module = MODULE_OF[package, name]
    assert getattr(import_module(package), name) is getattr(import_module(module), name)
    assert is_explained(*definition(module, name))


def test_a_wrong_name_says_the_nearest(package: ModuleType):
    name = package.__all__[0]
    with pytest.raises(AttributeError, match=rf"'{package.__name__}' has no attribute '{name}x'; nearest: {name}"):
        getattr(package, f"{name}x")


def test_a_private_name_is_no_guess(package: ModuleType):
    with pytest.raises(AttributeError, match=r"has no attribute '__wrapped__'$"):
        _ = package.__wrapped__


def test_importing_a_package_imports_nothing_heavy(package: ModuleType):
    code = f"import sys, {package.__name__}; print([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=REPO, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_names_are_had_by_import_from_and_by_star(package: ModuleType):
    found: dict[str, object] = {}
    exec(f"from {package.__name__} import *", found)
    assert set(package.__all__) <= set(found)


def test_the_packages_themselves_import_from_the_defining_files():
    by_short_name = [
        f"{source.path}:{node.lineno}"
        for source in sources(*PACKAGES)
        for node in ast.walk(source.tree)
        if isinstance(node, ast.ImportFrom) and node.module in PACKAGES
        if {one.name for one in node.names} != {"__version__"}
    ]
    assert by_short_name == []


def shown() -> dict[str, str]:
    """The examples and the Python blocks of the README and the documentation, each by a name."""
    examples = {path.name: path.read_text() for path in sorted((REPO / "examples").glob("*.py"))}
    python = {
        f"{name} {number}": block.text
        for name, page in pages().items()
        for number, block in enumerate(blocks(page))
        if block.kind == "python"
    }
    return examples | python


@pytest.mark.parametrize("text", shown().values(), ids=shown())
def test_what_is_shown_to_users_imports_public_names_alone_in_three_lines_at_the_most(text: str):
    imports = [node for node in ast.walk(ast.parse(text)) if isinstance(node, (ast.Import, ast.ImportFrom))]
    modules = [node.module or "" if isinstance(node, ast.ImportFrom) else node.names[0].name for node in imports]
    ours = [module for module in modules if module.split(".")[0] in PACKAGES]
    assert set(ours) <= set(PACKAGES)
    assert len(ours) <= 3


def test_a_stub_names_what_is_passed_on(tmp_path: Path):
    stub = tmp_path / "__init__.pyi"
    stub.write_text("from a.b import C as C, D\nfrom a.c import (\n    E as E,\n)\n__version__: str\n")
    assert declared_names(stub) == {"C": "a.b", "E": "a.c"}
