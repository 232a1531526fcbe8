"""Writes a screen in the form that a tool wants (its columns, labels, values and storage) and lists the changes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
import scipy.sparse as sp

from diagnostics.audit.screens.screen import Screen
from gpcp.core.errors import InputError, nearest
from gpcp.core.files import write_with
from gpcp.sources.h5ad.kinds import look_at
from simulators.screens.conventions import CONVENTIONS

_TARGET_SUM = 1e4
"""Total of a cell before the logarithm, as scanpy's tutorials have it."""


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Form:
    """The form of a file that a tool wants.

    Parameters
    ----------
    perturbation, control : str
        Column and label.
    alone : str
        What follows a single target.
    covariates : mapping of str to str
        Columns by the covariate's name; those that are missing are written with one value.
    counts : bool or None
        Counts in X, or log-normalised values; None where both will do.
    most_targets : int
        Cells with more are left out.
    gene_name : bool
        Whether var has to have a column of symbols.
    dose : str or None
        Column of doses, one for each target.
    """

    perturbation: str
    control: str
    covariates: Mapping[str, str]
    counts: bool | None
    alone: str = ""
    most_targets: int = 10**6
    gene_name: bool = False
    dose: str | None = None


def _form(tool: str, *, covariates: Sequence[str] = (), counts: bool | None, **more: Any) -> Form:
    """The names of a tool, which are those that simulated screens are written with, and what else it wants."""
    names = CONVENTIONS[tool]
    column_of = {"cell_type": names.context, "batch": names.batch}
    return Form(
        perturbation=names.perturbation,
        control=names.control,
        alone=names.alone,
        covariates={covariate: column_of[covariate] for covariate in covariates},
        counts=counts,
        **more,
    )


FORMS: Mapping[str, Form] = {
    "gears": _form("gears", covariates=("cell_type",), counts=False, most_targets=2, gene_name=True),
    "cell-load": _form("cell-load", covariates=("cell_type", "batch"), counts=None),
    "cell-eval2": _form("cell-eval2", counts=True),
    "cpa": _form("cpa", counts=None, most_targets=2, dose="dose_val"),
    "pertpy": _form("pertpy", counts=False),
}


def rewrite(source: str | Path, screen: Screen, tool: str, out: str | Path) -> tuple[str, ...]:
    """Write the file of a screen in the form that a tool wants, atomically; what was changed, in words.

    Parameters
    ----------
    source : str or Path
        The AnnData file, which stays as it is; it is read whole.
    screen : Screen
        As it was checked.
    tool : str
        Of :data:`FORMS`.
    out : str or Path
        The file to write.

    Raises
    ------
    InputError
        ``out`` is the source, the tool is unknown, or the file has no values of the kind that it wants.
    """
    if tool not in FORMS:
        raise InputError(f"no form is known of {tool!r}; {nearest(tool, FORMS)}")
    source, out = Path(source), Path(out)
    if out.exists() and out.resolve() == source.resolve():
        raise InputError(f"{out} is the file that is checked, which stays as it is: name another")
    if not source.is_file() or source.suffix != ".h5ad":
        raise InputError(f"{str(source)!r} is no .h5ad file: only these are written anew")
    import anndata  # pyright: ignore[reportMissingTypeStubs]  # typed, but not marked so

    form = FORMS[tool]
    held: Any = anndata.read_h5ad(source)
    kept_N, changes = _kept(screen, form)
    held = held[kept_N].copy() if not kept_N.all() else held
    changes += _labelled(held, screen, form, kept_N)
    changes += _values(held, screen, form, tool)
    if form.gene_name and "gene_name" not in held.var.columns:
        held.var["gene_name"] = list(screen.gene_G)
        changes.append("var['gene_name'] is the names of the genes")
    held.uns["gpcp_check_screen"] = {"tool": tool, "changes": list(changes)}
    write_with(out, lambda path: held.write_h5ad(path))
    return tuple(changes)


def _kept(screen: Screen, form: Form) -> tuple["np.ndarray[Any, np.dtype[np.bool_]]", list[str]]:
    """The cells that are written, and why the others are not."""
    kept_N = ~screen.missing_N
    changes: list[str] = []
    for n, why in (
        (int((~kept_N).sum()), "have no label that says what was done"),
        (int((kept_N & (screen.per_cell.n_bad_N > 0)).sum()), "have values that are not finite"),
    ):
        changes += [f"{n:,} cells that {why} are left out"] if n else []
    kept_N &= screen.per_cell.n_bad_N == 0
    many = [label for label, targets in screen.targets_of.items() if len(targets) > form.most_targets]
    too_many_N = np.isin(screen.label_N, many) & kept_N
    if too_many_N.any():
        changes.append(f"{int(too_many_N.sum()):,} cells with more than {form.most_targets} targets are left out")
    return kept_N & ~too_many_N, changes


def _labelled(held: Any, screen: Screen, form: Form, kept_N: "np.ndarray[Any, np.dtype[np.bool_]]") -> list[str]:
    """Put the columns of the tool into ``obs``."""
    import pandas as pd

    new_of = {label: _label(targets, form) for label, targets in screen.targets_of.items()}
    label_N = screen.label_N[kept_N].tolist()
    names = [form.control if label in screen.columns.controls else new_of[label] for label in label_N]
    held.obs[form.perturbation] = pd.Categorical(names)
    changes = [f"obs[{form.perturbation!r}] is written from {screen.columns.perturbation!r}, control {form.control!r}"]
    if form.dose is not None and form.dose != screen.columns.dose:
        n_of = {label: max(1, len(targets)) for label, targets in screen.targets_of.items()}
        held.obs[form.dose] = pd.Categorical(["+".join(["1.0"] * n_of[label]) for label in label_N])
        changes.append(f"obs[{form.dose!r}] is 1.0 of each target")
    for covariate, column in form.covariates.items():
        own = screen.columns.contexts.get(covariate)
        if own is None:
            held.obs[column] = pd.Categorical(["one"] * held.n_obs)
            changes.append(f"obs[{column!r}] is 'one' in all cells: no column of {covariate} is recognised")
        elif own != column or str(held.obs[column].dtype) != "category":
            held.obs[column] = pd.Categorical(held.obs[own].astype(str))
            changes.append(f"obs[{column!r}] is written from {own!r}, as categories")
    return changes


def _label(targets: tuple[str, ...], form: Form) -> str:
    if not targets:
        return form.control
    return targets[0] + form.alone if len(targets) == 1 else "+".join(targets)


def _values(held: Any, screen: Screen, form: Form, tool: str) -> list[str]:
    """Put the kind of values that the tool wants into X, sparse by rows."""
    kind = screen.look.kind
    matrix: Any = held.X if screen.layer == "X" else held.raw.X if screen.layer == "raw" else held.layers[screen.layer]
    matrix = sp.csr_matrix(matrix)
    changes = [] if screen.stored == "csr" and screen.layer == "X" else ["X is sparse, by rows"]
    if form.counts and kind not in ("counts", "binary"):
        matrix, name = _counts_of(held, screen, tool)
        changes = [f"X is the counts of {name}"]
    elif form.counts is False and kind == "counts":
        held.layers["counts"] = matrix.copy()
        total_N = np.asarray(matrix.sum(axis=1)).reshape(-1)
        matrix = sp.diags_array(_TARGET_SUM / np.maximum(total_N, 1)) @ matrix
        matrix = sp.csr_matrix(matrix).log1p()
        changes = [f"X is log(1 + counts per {_TARGET_SUM:,.0f}); the counts are in layers['counts']"]
    elif form.counts is False and kind != "log":
        raise InputError(f"X of {screen.name!r} holds {kind} values: {tool} wants log-normalised ones, give the counts")
    held.X = matrix.astype(np.float32)
    return changes


def _counts_of(held: Any, screen: Screen, tool: str) -> tuple[Any, str]:
    """Counts from a layer, or from ``raw`` where it has the same genes."""
    for name in map(str, held.layers):
        layer: Any = sp.csr_array(held.layers[name]).astype(np.float64)
        if look_at(layer[:256]).kind == "counts":
            return sp.csr_matrix(held.layers[name]), f"layers[{name!r}]"
    raise InputError(
        f"X of {screen.name!r} holds {screen.look.kind} values and no layer holds counts: {tool} wants counts, which "
        "cannot be had back from them"
    )
