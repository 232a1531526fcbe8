"""What the documentation shows to be run: blocks of Python and bash, page by page, in their order.

A block ```` ```console ```` or ```` ```text ```` is to be read: commands that install, take hours, or name files of the
reader's own. A block of Python that begins with ``# NAME.py`` is that file.
"""

import re
from pathlib import Path
from typing import Literal, NamedTuple

from tests.source_tree import REPO

_BLOCK = re.compile(r"^```(python|bash)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_MADE = ("api", "checks", "commands", "_build", "tutorials")
"""Folders of pages that are made of the code, or that are executed as the site is built."""


class Block(NamedTuple):
    """One block of a page."""

    kind: Literal["python", "bash"]
    text: str

    @property
    def lines(self) -> list[str]:
        """The commands of a bash block, each in one line."""
        joined = self.text.replace("\\\n", " ").splitlines()
        return [line for line in joined if line.strip() and not line.startswith("#")]

    @property
    def file(self) -> str | None:
        """The name of the file that a Python block is, where it names one."""
        named = re.match(r"# ([\w/]+\.py)\n", self.text)
        return named[1] if named else None


def blocks(page: Path) -> list[Block]:
    """Those of one page."""
    return [
        Block("python" if kind == "python" else "bash", text)
        for kind, text in _BLOCK.findall(page.read_text(encoding="utf-8"))
    ]


def pages() -> dict[str, Path]:
    """The README and the written pages of the documentation that show something to run."""
    written = [
        path
        for path in sorted((REPO / "docs").rglob("*.md"))
        if path.name != "checks.md" and path.relative_to(REPO / "docs").parts[0] not in _MADE
    ]
    found = {path.relative_to(REPO).as_posix(): path for path in [REPO / "README.md", *written]}
    return {name: path for name, path in found.items() if blocks(path)}
