"""Which cases an audit needs, and the audit as one function: every seed, every dial, every protocol."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from diagnostics.audit.metrics.audit import audit_case
from diagnostics.audit.metrics.case import Case, Design, ScreenFile
from diagnostics.audit.metrics.dials import ANSWER_DIALS, WORLD_DIALS, dials_named
from diagnostics.audit.metrics.protocols import protocols_named
from diagnostics.audit.metrics.summary import MetricsAudit, summary_of
from gpcp.core.errors import InputError

DEFAULT_PROTOCOLS = ("vcc2026", "all")


def cases_of(
    subject: Design | ScreenFile,
    *,
    protocols: Sequence[str] = DEFAULT_PROTOCOLS,
    dials: Sequence[str] = (),
    seeds: Sequence[int] = (0, 1, 2, 3, 4),
    reference_cells: int = 1024,
) -> list[Case]:
    """One case for each seed, and one for each dose of each dial of the experiment.

    Raises
    ------
    InputError
        A name is unknown, a package is not installed, or a dial of the experiment is asked for of a file.
    """
    named, chosen = dials_named(dials), protocols_named(protocols)
    if not chosen.names:
        raise InputError("--protocols names none: give vcc2026, v2, or protocols of scPertEval")
    turned = [one for one in named if one in WORLD_DIALS]
    if turned and isinstance(subject, ScreenFile):
        raise InputError(
            f"--dials {turned[0]} changes the experiment, which a file has behind it: give --world instead"
        )
    answer_dials = tuple(one for one in named if one in ANSWER_DIALS)
    cases: list[Case] = []
    for seed in seeds:
        plain = Case(
            seed=seed,
            protocols=chosen.names,
            subject=subject,
            answer_dials=answer_dials,
            reference_cells=reference_cells,
        )
        cases.append(plain)
        cases += [
            Case(
                seed=seed,
                protocols=chosen.names,
                subject=subject,
                dial=dial,
                dose=dose,
                reference_cells=reference_cells,
            )
            for dial in turned
            for dose in WORLD_DIALS[dial]
        ]
    return cases


def audit_metrics(
    screen: Path | str | None = None,
    *,
    design: Design | None = None,
    protocols: Sequence[str] = DEFAULT_PROTOCOLS,
    dials: Sequence[str] = (),
    seeds: Sequence[int] = (0, 1, 2, 3, 4),
    reference_cells: int = 1024,
    on_case: Callable[[Case], Any] = lambda case: None,
) -> MetricsAudit:
    """Audit protocols on known worlds, or on a screen's file.

    Parameters
    ----------
    screen : path, optional
        A measured screen: without its law, empirical controls alone are known.
    design : Design, optional
        Of the known worlds; one for each seed.
    protocols : sequence of str
        Presets of cell-eval2 (``vcc2026``, ``v2``), protocols of scPertEval, its groups or ``all`` of them.
    dials : sequence of str
        Of :data:`diagnostics.audit.metrics.dials.DIALS`, or ``all``.
    seeds : sequence of int
    reference_cells : int
        Cells of scPertEval's sample of all perturbed cells.
    on_case : callable
        Called with each case before it is done.

    Raises
    ------
    InputError
        As :func:`cases_of`, or a screen cannot be made, read or scored.
    """
    if screen is not None and design is not None:
        raise InputError("give a screen or a design, not both")
    subject = ScreenFile(path=str(screen)) if screen is not None else design or Design()
    records: list[dict[str, Any]] = []
    for case in cases_of(subject, protocols=protocols, dials=dials, seeds=seeds, reference_cells=reference_cells):
        on_case(case)
        records.append(audit_case(case))
    return summary_of(records)
