"""Pages that are made of the code itself before Sphinx reads its sources: checks, commands and public names."""

from collections.abc import Mapping
from pathlib import Path

from pages_of_checks import check_pages
from pages_of_commands import command_pages
from pages_of_names import name_pages
from sphinx.application import Sphinx


def write_pages(app: Sphinx) -> None:
    """Write what has changed into ``checks``, ``commands`` and ``api``, and remove what is no longer made."""
    root = Path(app.srcdir)
    made: Mapping[str, str] = {**check_pages(), **command_pages(), **name_pages()}
    for folder in ("checks", "commands", "api"):
        for path in (root / folder).glob("*"):
            if path.relative_to(root).as_posix() not in made:
                path.unlink()
    for name, text in made.items():
        path = root / name
        path.parent.mkdir(exist_ok=True)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("builder-inited", write_pages)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
