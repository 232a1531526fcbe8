"""What each tool does with the file of a screen, as its source was read.

Of GEARS 0.1.2, cell-load 0.10.4, cell-eval2 0.20.0, CPA 0.8.8 and pertpy 1.0.3.
"""

from collections import Counter
from collections.abc import Callable, Mapping

import numpy as np

from diagnostics.audit.screens.check import listed
from diagnostics.audit.screens.screen import Screen
from diagnostics.audit.screens.tools.facts import (
    column_or_stop,
    counted,
    is_categorical,
    labels_in,
    missing_note,
    n_missing,
    several_controls,
    types_without,
    wants_logs,
)
from diagnostics.audit.screens.tools.note import ToolNote, fine, silent, stops
from gpcp.core.errors import InputError, nearest

_MOST_COUNTS = 1e6
"""Of a cell, to cell-eval2."""


def gears(screen: Screen) -> list[ToolNote]:
    """``PertData.new_data_process``, the loading of its file, and the training's choice of controls."""
    notes = column_or_stop(screen, "condition", "ValueError 'Please specify condition'")
    notes += column_or_stop(screen, "cell_type", "ValueError 'Please specify cell type'")
    if "gene_name" not in screen.var.columns:
        notes.append(stops("there is no column 'gene_name' in var: ValueError 'Please specify gene name'"))
    if screen.stored == "dense":
        notes.append(stops("X is dense: X.toarray() is called on it, an AttributeError"))
    if "condition" in screen.obs.columns:
        notes += _gears_labels(screen)
    notes.append(wants_logs(screen, "GEARS"))
    return notes


def _gears_labels(screen: Screen) -> list[ToolNote]:
    labels = labels_in(screen, "condition")
    notes: list[ToolNote] = []
    if n_missing(screen, "condition"):
        notes.append(stops(f"{n_missing(screen, 'condition'):,} cells have no condition: None cannot be split at '+'"))
    if "ctrl" not in labels:
        notes.append(stops("no condition is 'ctrl': the differential expression has no reference of that name"))
    alone = [label for label in labels if "+" not in label and label != "ctrl"]
    if alone:
        notes.append(
            stops(
                f"{len(alone):,} conditions have no '+' ({listed(alone, 3)}): they are counted as controls at first, "
                "and end in an IndexError; a single target is written 'A+ctrl'"
            )
        )
    more = [label for label in labels if label.count("+") > 1]
    if more:
        notes.append(silent(f"{len(more):,} conditions have three targets or more ({listed(more, 3)}): two are used"))
    types = screen.obs["cell_type"].astype(str) if "cell_type" in screen.obs.columns else [""] * len(screen)
    n_of = Counter(zip(screen.obs["condition"].astype(str), types, strict=True))
    once = sorted({label for (label, _), n in n_of.items() if n < 2})
    if once:
        notes.append(
            stops(f"{len(once):,} conditions have one cell in a cell type ({listed(once, 3)}): their test is refused")
        )
    if len(labels) < 8:
        notes.append(stops(f"{len(labels)} conditions are too few for its splits: one is empty, KeyError 'val'"))
    if "cell_type" in screen.obs.columns:
        is_control_N = (screen.obs["condition"].astype(str) == "ctrl").to_numpy()
        without = types_without(screen, "cell_type", is_control_N) if is_control_N.any() else []
        if without:
            notes.append(stops(f"no control is of the cell types {listed(without, 3)}: their test has no reference"))
        if len(labels_in(screen, "cell_type")) > 1 or len(np.unique(screen.stratum_N)) > 1:
            notes.append(
                silent(
                    "controls are drawn at random from all cells of 'ctrl', of any cell type and batch, for each cell"
                )
            )
    return notes


def cell_load(screen: Screen) -> list[ToolNote]:
    """``PerturbationDataModule`` with ``pert_col="gene"``, ``cell_type_key="cell_type"``, ``batch_col="gem_group"``."""
    notes: list[ToolNote] = []
    for column in ("gene", "cell_type", "gem_group"):
        notes += column_or_stop(screen, column, "KeyError, unless another one is named in the module")
    for column in ("gene", "cell_type"):
        if column in screen.obs.columns and not is_categorical(screen, column):
            notes.append(stops(f"{column!r} is stored without categories: obs[{column!r}]['categories'] is read"))
    if "gene" in screen.obs.columns:
        if "non-targeting" not in labels_in(screen, "gene"):
            notes.append(stops("no cell of 'gene' is 'non-targeting': ValueError, unless control_pert is given"))
        last = labels_in(screen, "gene")[-1]
        notes += missing_note(
            screen, "gene", f"their code is -1, which names the last category: they are trained on as {last!r}"
        )
        notes += several_controls(screen, "gene", "cell-load")
    if screen.stored == "csc":
        notes.append(stops("X is stored by columns (csc): it reads rows of csr, or of a dense matrix"))
    if any(len(targets) > 1 for targets in screen.targets_of.values()):
        notes.append(silent("a combination is one label of its own: nothing of its targets is shared with single ones"))
    notes.append(fine("a misspelt held-out perturbation in its TOML file is not found out: compare it with the labels"))
    return notes


def cell_eval2(screen: Screen) -> list[ToolNote]:
    """``compute_metrics`` with its default columns and counts."""
    column = next((name for name in ("target", "target_gene") if name in screen.obs.columns), None)
    notes: list[ToolNote] = []
    if column is None:
        notes.append(stops("there is no column 'target' in obs, nor 'target_gene': name another one with pert_col"))
    else:
        if column == "target_gene":
            text = "there is no column 'target' in obs: ValueError, unless pert_col='target_gene' is given"
            notes.append(stops(text))
        if "non-targeting" not in labels_in(screen, column):
            notes.append(stops(f"no cell of {column!r} is 'non-targeting', which is its control by default"))
        notes += missing_note(screen, column, "they are a perturbation without a name")
        notes += several_controls(screen, column, "cell-eval2")
    if not counted(screen):
        notes.append(stops(f"X holds {screen.look.kind} values: its presets take whole, non-negative counts"))
    elif float(screen.per_cell.total_N.max()) > _MOST_COUNTS:
        notes.append(stops(f"a cell has {screen.per_cell.total_N.max():,.0f} counts: at most a million are taken"))
    few = sorted((label for label, n in screen.n_of.items() if n < 10), key=lambda label: screen.n_of[label])
    if few:
        notes.append(silent(f"{len(few):,} perturbations have fewer than 10 cells ({listed(few, 3)}): scores of noise"))
    return notes


def cpa(screen: Screen) -> list[ToolNote]:
    """``CPA.setup_anndata`` with the recognised column and its first control."""
    columns = screen.columns
    notes: list[ToolNote] = []
    if columns.separator not in (None, "+"):
        notes.append(
            silent(f"combinations are joined by {columns.separator!r}: it splits at '+' alone, so each is one")
        )
    most = max((len(targets) for targets in screen.targets_of.values()), default=0)
    if most > 2:
        notes.append(stops(f"a label has {most} targets: max_comb_len is 2 unless it is given"))
    notes += missing_note(screen, columns.perturbation, "they are a perturbation called 'nan'")
    notes += several_controls(screen, columns.perturbation, "CPA")
    if columns.dose is None:
        notes.append(fine("there is no column of doses: each is 1.0"))
    else:
        notes += _cpa_doses(screen, columns.dose)
    if not counted(screen):
        notes.append(silent(f"X holds {screen.look.kind} values: is_count_data is True unless it is set to False"))
    return notes


def _cpa_doses(screen: Screen, column: str) -> list[ToolNote]:
    label_N = screen.label_N.tolist()
    dose_N = screen.obs[column].astype("string").fillna("nan").tolist()
    pairs = sorted(set(zip(label_N, dose_N, strict=True)))
    words = sorted({dose for _, dose in pairs if not all(map(_is_number, dose.split("+")))})
    notes: list[ToolNote] = []
    if words:
        notes.append(stops(f"doses such as {listed([repr(word) for word in words], 3)} are no numbers: ValueError"))
    uneven = sorted({label for label, dose in pairs if len(dose.split("+")) != len(label.split("+"))})
    if uneven:
        notes.append(silent(f"{len(uneven):,} labels have another number of doses than targets ({listed(uneven, 3)})"))
    turned = sorted(
        {
            label
            for label, dose in pairs
            if label.split("+") != sorted(label.split("+")) and len(set(dose.split("+"))) > 1
        }
    )
    if turned:
        notes.append(
            silent(
                f"{len(turned):,} labels name their targets out of the alphabet's order ({listed(turned, 3)}): "
                "targets are sorted and doses are not, so that each has the other's"
            )
        )
    return notes


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def pertpy(screen: Screen) -> list[ToolNote]:
    """``Mixscape`` with the recognised column and its first control."""
    columns = screen.columns
    notes = several_controls(screen, columns.perturbation, "pertpy")
    notes.append(wants_logs(screen, "Mixscape"))
    if any(len(targets) > 1 for targets in screen.targets_of.values()):
        notes.append(silent("a combination is a class of its own: its targets' single classes do not know of it"))
    for covariate in ("batch", "cell_type"):
        column = columns.contexts.get(covariate)
        if column is None:
            continue
        without = types_without(screen, column, screen.control_N)
        if without:
            notes.append(
                silent(
                    f"with split_by={column!r}, the cells of {listed(without, 3)} have no controls, and the signature "
                    "of a mean over none is NaN"
                )
            )
    notes.append(fine(f"give pert_key={columns.perturbation!r} and control={columns.controls[0]!r}"))
    return notes


TOOLS: Mapping[str, Callable[[Screen], list[ToolNote]]] = {
    "gears": gears,
    "cell-load": cell_load,
    "cell-eval2": cell_eval2,
    "cpa": cpa,
    "pertpy": pertpy,
}
"""What a tool does with a file, by the tool's name."""


def tool_notes(screen: Screen, tool: str) -> tuple[ToolNote, ...]:
    """What a tool does with the file of a screen.

    Parameters
    ----------
    screen : Screen
    tool : str
        Of :data:`TOOLS`.

    Raises
    ------
    InputError
        There is no such tool.
    """
    if tool not in TOOLS:
        raise InputError(f"nothing is known of {tool!r}; {nearest(tool, TOOLS)}")
    return tuple(TOOLS[tool](screen))
