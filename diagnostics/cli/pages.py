"""HTML pages from templates: one file that needs no network, with every value escaped."""

from pathlib import Path
from typing import Any

from diagnostics.results.check_result import CheckResult
from diagnostics.results.rendering import OUTCOME_TEXT, address, finding, numbers, titled


def render(template: Path, **values: Any) -> str:
    """A page.

    Parameters
    ----------
    template : Path
        A file of Jinja2 beside the code that fills it; it extends ``frame.html``, which lies beside this module with
        ``parts.html``, the macros that pages share.
    **values
        What the template shows; each is escaped. A name that the template asks for and that is not given is an error.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader([template.parent, Path(__file__).parent]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(template.name).render(
        words=OUTCOME_TEXT, numbers=numbers, finding=finding, titled=titled, address=address, **values
    )


def outcome_class(results: tuple[CheckResult, ...]) -> str:
    """The colour of a page's verdict: ``fail``, ``error``, ``open`` or ``pass``."""
    outcomes = {one.outcome for one in results}
    if "fail" in outcomes:
        return "fail"
    if "error" in outcomes:
        return "error"
    return "pass" if "pass" in outcomes else "open"
