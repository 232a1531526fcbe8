"""Checks of the design: controls wherever there are perturbed cells, cells enough, guides that mean one thing."""

import numpy as np

from diagnostics.audit.screens.check import failed, listed, not_applicable, passed, undecided
from diagnostics.audit.screens.screen import Screen
from diagnostics.results.check_result import CheckResult

_FEW_CELLS = 10
"""Of a perturbation, from which on a mean is worth comparing; of controls in a context, likewise."""
_MOST_OF_ONE_GUIDE = 0.9
_STRAY = 2
"""Cells of a guide under another perturbation that may be swapped barcodes."""


def labels_present(screen: Screen) -> CheckResult:
    """Every cell has a label that says what was done to it, and there are perturbations."""
    n_missing = int(screen.missing_N.sum())
    column = screen.columns.perturbation
    if not screen.n_of:
        return failed(
            f"no cell of {column!r} is perturbed: every label is a control, or missing",
            "name the column that holds the perturbation",
            statistic=0,
            tolerance=1,
            n=len(screen),
        )
    if n_missing:
        which = [repr(label) for label in np.unique(screen.label_N[screen.missing_N]).tolist()]
        return failed(
            f"{n_missing:,} of {len(screen):,} cells have no label in {column!r} that says what was done "
            f"({listed(which)})",
            "drop these cells: a tool that reads the label takes it for a perturbation of that name",
            statistic=n_missing,
            tolerance=0,
            n=len(screen),
        )
    message = f"{len(screen.n_of):,} perturbations and {int(screen.control_N.sum()):,} controls, no label missing"
    return passed(message, statistic=0, tolerance=0, n=len(screen))


def n_cells(screen: Screen) -> CheckResult:
    """Each perturbation has cells enough to be judged."""
    if not screen.n_of:
        return not_applicable("there are no perturbations")
    few = sorted((label for label, n in screen.n_of.items() if n < _FEW_CELLS), key=lambda label: screen.n_of[label])
    number = sorted(screen.n_of.values())
    if few:
        shown = [f"{label} ({screen.n_of[label]})" for label in few]
        return failed(
            f"{len(few):,} of {len(screen.n_of):,} perturbations have fewer than {_FEW_CELLS} cells: {listed(shown)}",
            "leave these perturbations out of scores, or join labels that mean the same",
            statistic=number[0],
            tolerance=_FEW_CELLS,
            n=len(screen),
        )
    message = f"{number[0]:,} to {number[-1]:,} cells of each perturbation, {number[len(number) // 2]:,} in the median"
    return passed(message, statistic=number[0], tolerance=_FEW_CELLS, n=len(screen))


def controls_everywhere(screen: Screen) -> CheckResult:
    """Wherever there are perturbed cells there are controls, by cell type, dataset, donor and batch."""
    lacking: list[str] = []
    fewest = int(screen.control_N.sum())
    judged = [("cell_type", "dataset"), ("donor",), ("batch",), ("cell_type", "batch")]
    seen: set[str] = set()
    for covariates in judged:
        known = [name for name in covariates if name in screen.columns.contexts]
        if len(known) < len(covariates) and not (known and covariates == judged[0]):
            continue
        context_N = screen.context(*known)
        column = " / ".join(screen.columns.contexts[name] for name in known)
        for context in np.unique(context_N).tolist():
            here_N = context_N == context
            n_perturbed, n_controls = int((here_N & screen.perturbed_N).sum()), int((here_N & screen.control_N).sum())
            if n_perturbed < _FEW_CELLS or any(part in seen for part in context.split(" / ")):
                continue
            fewest = min(fewest, n_controls)
            if n_controls < min(_FEW_CELLS, n_perturbed):
                lacking.append(f"{column} {context!r} has {n_controls} controls and {n_perturbed:,} perturbed cells")
                seen.add(context)
    if lacking:
        return failed(
            "; ".join(lacking[:4]) + (f"; and {len(lacking) - 4} more" if len(lacking) > 4 else ""),
            "leave these contexts out, or find their controls: compared with controls of another batch, the batch is "
            "taken for the effect",
            statistic=fewest,
            tolerance=_FEW_CELLS,
            n=len(screen),
        )
    message = f"{int(screen.control_N.sum()):,} controls, at least {fewest:,} in every context that has perturbed cells"
    return passed(message, statistic=fewest, tolerance=min(_FEW_CELLS, fewest), n=len(screen))


def guides_mean_one_thing(screen: Screen) -> CheckResult:
    """A guide has one perturbation."""
    if screen.columns.guide is None:
        return not_applicable("there is no column of guides")
    pairs = _guides(screen)
    labels_of: dict[str, dict[str, int]] = {}
    for (guide, label), n in pairs.items():
        labels_of.setdefault(guide, {})[label] = n
    several: list[str] = []
    n_off = 0
    for guide, found in sorted(labels_of.items()):
        stray = {label: n for label, n in found.items() if n < max(found.values()) and n > _STRAY}
        equal = [label for label, n in found.items() if n == max(found.values())]
        if stray or len(equal) > 1:
            several.append(f"{guide} with {listed([f'{label} ({n})' for label, n in sorted(found.items())], 3)}")
            n_off += sum(found.values()) - max(found.values())
    if several:
        return failed(
            f"{len(several):,} guides occur with more than one perturbation: {listed(several, 3)}; {n_off:,} cells",
            "correct the labels of these cells from their guides: one of the two columns is wrong",
            statistic=len(several),
            tolerance=0,
            n=len(screen),
        )
    return passed(f"each of {len(labels_of):,} guides has one perturbation", statistic=0, tolerance=0, n=len(screen))


def guides_balanced(screen: Screen) -> CheckResult:
    """No guide is nearly all of a perturbation that has several."""
    if screen.columns.guide is None:
        return not_applicable("there is no column of guides")
    guides_of: dict[str, list[int]] = {}
    for (_, label), n in _guides(screen).items():
        if label in screen.n_of:
            guides_of.setdefault(label, []).append(n)
    several = {label: max(n) / sum(n) for label, n in guides_of.items() if len(n) > 1}
    if not several:
        return undecided("no perturbation has two guides: guide and target cannot be distinguished", n=len(screen))
    worst = max(several, key=lambda label: several[label])
    uneven = sorted(label for label, share in several.items() if share > _MOST_OF_ONE_GUIDE)
    message = f"at most {several[worst]:.0%} of a perturbation's cells have one guide ({worst})"
    if not uneven:
        return passed(message, statistic=several[worst], tolerance=_MOST_OF_ONE_GUIDE, n=len(screen))
    shown = [f"{label} ({several[label]:.0%})" for label in uneven]
    return failed(
        f"one guide is more than {_MOST_OF_ONE_GUIDE:.0%} of the cells of {listed(shown)}",
        "do not take two guides' agreement as evidence for these perturbations",
        statistic=several[worst],
        tolerance=_MOST_OF_ONE_GUIDE,
        n=len(screen),
    )


def _guides(screen: Screen) -> dict[tuple[str, str], int]:
    """Cells of each pair of guide and label, controls too."""
    assert screen.columns.guide is not None
    guide_N = screen.obs[screen.columns.guide].astype("string").fillna("").to_numpy().astype(str)
    kept_N = (guide_N != "") & ~screen.missing_N
    # All controls are one perturbation.
    label_N = np.where(screen.control_N, screen.columns.controls[0], screen.label_N)[kept_N]
    pairs, n = np.unique(np.stack([guide_N[kept_N], label_N]), axis=1, return_counts=True)
    return {(guide, label): number for (guide, label), number in zip(pairs.T.tolist(), n.tolist(), strict=True)}
