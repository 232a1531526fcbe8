"""What ``predict-screen`` shows of its results."""

from diagnostics.cli.text import duration, plural, wrap
from gpcp.in_silico.screen import FORMS, ScreenResult


def screen(done: ScreenResult, seconds: float) -> str:
    """What was predicted, how long it took, and where it lies."""
    n_predicted = done.n_cells * done.n_perturbations
    found = f", {done.n_found:,} of them found finished" if done.n_found else ""
    text = (
        f"{plural(done.n_perturbations, 'perturbation')} of {plural(done.n_cells, 'cell')}: {n_predicted:,} predicted "
        f"cells in {duration(seconds)}{found}; {done.form} ({FORMS[done.form]}) in {done.path}"
    )
    return "\n".join(wrap(text, indent="  "))
