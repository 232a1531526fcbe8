"""A page for each verb of ``gpcp``, of its own help, and a table of all."""

import re
from collections.abc import Mapping
from itertools import groupby

from diagnostics.__main__ import VERBS, app


def command_pages() -> Mapping[str, str]:
    """The pages by their paths below the folder of the documentation."""
    made = app()
    return {"commands/index.md": _index()} | {f"commands/{verb}.md": _page(made[verb], verb) for verb in VERBS}


def _page(verb_app, verb: str) -> str:  # an App of cyclopts
    text = verb_app.generate_docs(usage_name=f"gpcp {verb}", recursive=True)
    text = re.sub(r"\n## Table of Contents\n.*?(?=\n\*\*|\n## )", "\n", text, flags=re.DOTALL)
    _, _, body = text.partition("\n")
    _, group_line, kept = VERBS[verb]
    long = (verb_app.help or "").strip()
    body = body.replace(f"\n{group_line}\n", f"\n{_plain(long)}\n" if long else f"\n{group_line}\n", 1)
    return f"# gpcp {verb}\n{_escaped(body)}\n\nInterrupted, {kept} ([how commands end](../how_to/ends.md)).\n"


def _plain(text: str) -> str:
    return re.sub(r"[ \t]*\n[ \t]*", "\n", text)


def _escaped(text: str) -> str:
    """Angle brackets and stars of help texts are no Markdown."""
    parts = re.split(r"(```.*?```|`[^`\n]*`)", text, flags=re.DOTALL)
    return "".join(one if one.startswith("`") else one.replace("<", "&lt;") for one in parts)


def _index() -> str:
    groups = groupby(VERBS.items(), key=lambda item: item[1][0])
    tables = [
        f"## {group}\n\n| verb | |\n|---|---|\n"
        + "".join(f"| [`gpcp {verb}`]({verb}.md) | {line} |\n" for verb, (_, line, _) in rows)
        for group, rows in groups
    ]
    verbs = "\n".join(VERBS)
    return "\n\n".join(
        [
            "# Commands\n\n`gpcp VERB --help` prints these pages in the terminal, `gpcp --install-completion` sets up\n"
            "completion; `python -m diagnostics VERB` is the same command. Exit codes, and what an\n"
            "interruption leaves behind, are the [same for all](../how_to/ends.md).",
            *tables,
            f"```{{toctree}}\n:hidden:\n:maxdepth: 1\n\n{verbs}\n```\n",
        ]
    )
