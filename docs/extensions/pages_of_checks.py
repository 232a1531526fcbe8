"""A page for each check of ``gpcp diagnose``, of its section in ``checks.md``, and a table of all."""

import re
from collections.abc import Mapping

from diagnostics.checks.cascade import all_checks
from diagnostics.checks.engine.check import FAMILIES, Check
from diagnostics.checks.explained import PAGE, explained
from diagnostics.faults.catalogue import FAULTS

_ASKS = {
    "data": "Do the data hold anything to learn, and do they reach the model as they are?",
    "loss": "Does the loss count what it should?",
    "architecture": "Can the untrained model represent the answer, and does it read what it must and nothing else?",
    "optimiser": "Is the optimiser wired to the weights?",
    "learning": "What does a short training learn, at which learning rate?",
}
_CODE = re.compile(r"(?<![\[`/#\w.])(GP[1-5]\d\d)(?![\w`])")


def check_pages() -> Mapping[str, str]:
    """The pages by their paths below the folder of the documentation."""
    checks = [one for one in all_checks() if one.code.startswith("GP")]
    return {"checks/index.md": _index(checks)} | {f"checks/{one.code}.md": _page(one) for one in checks}


def _page(one: Check) -> str:
    body = _linked(explained(one.code).removeprefix("## "), one.code)
    planted = [f"*{fault.name}*: {fault.plants.rstrip('.')}" for fault in FAULTS.values() if one.name in fault.expected]
    faults = "\n".join(f"- {line}." for line in planted)
    measured = (
        "Faults of the catalogue whose first diagnosis it may be, each planted in three worlds by `gpcp selftest`:\n\n"
        f"{faults}\n"
        if planted
        else "No fault of the catalogue is expected to be named by it first.\n"
    )
    optional = f"It is asked only where it is named: `gpcp diagnose --only {one.code}`.\n\n" if one.optional else ""
    return (
        f"# {body}\n\n{optional}## Planted faults\n\n{measured}\n"
        f"How often the verdict is wrong, and on whose code, is on the page of [limitations](../limitations.md).\n"
        f"`gpcp diagnose --explain {one.code}` prints this section; `--ignore {one.code}=REASON` leaves it out.\n"
    )


def _linked(text: str, own: str) -> str:
    """The text with codes of other checks as links to their pages, code blocks as they are."""
    parts = re.split(r"(```.*?```)", text, flags=re.DOTALL)
    linked = [one if one.startswith("```") else _CODE.sub(lambda found: _link(found[1], own), one) for one in parts]
    return _from_below("".join(linked))


def _link(code: str, own: str) -> str:
    return code if code == own else f"[{code}]({code}.md)"


def _from_below(text: str) -> str:
    """Links of the page of checks, as the pages below it need them."""
    schema = "{download}`report.schema.json <../report.schema.json>`"
    return text.replace("](how_to/", "](../how_to/").replace("[report.schema.json](report.schema.json)", schema)


def _row(one: Check) -> str:
    return f"| [{one.code}]({one.code}.md) | `{one.name}` | {one.question} | {one.kind} |\n"


def _index(checks: list[Check]) -> str:
    intro = re.split(r"^## ", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)[0].rstrip()
    intro = _linked(intro, "").replace("This page has a section for each.", "Each has a page.")
    intro = intro.replace("one section of this page", "one of these pages")
    tables = [
        f"## {family.capitalize()}\n\n{_ASKS[family]}\n\n| code | name | question | kind |\n|---|---|---|---|\n"
        + "".join(_row(one) for one in checks if one.family == family)
        for family in FAMILIES
    ]
    pages = "\n".join(one.code for one in checks)
    toctree = f"```{{toctree}}\n:hidden:\n:maxdepth: 1\n\n{pages}\n```\n"
    return "\n\n".join([intro, *tables, toctree])
