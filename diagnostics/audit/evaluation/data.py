"""A screen to be predicted: cells by perturbation and context, and the split into training and test perturbations."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, final

import numpy as np
from numpy.typing import NDArray

from gpcp.core.errors import InputError, nearest
from gpcp.core.files import existing_file
from gpcp.core.random import stream
from gpcp.screens.conventions import ScreenColumns, screen_columns
from gpcp.screens.labels import targets_of

Scale = Literal["counts", "log"]

CONTROL = "non-targeting"
"""Label of the controls here, whatever it is in the file."""

COVARIATES = ("batch", "donor", "dataset")
"""Covariates beside the context that predictors are given."""

LARGEST_LOG = 30.0
"""A logarithm of expression above this is none."""


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ScreenData:
    """Cells of a screen.

    Parameters
    ----------
    name : str
        Of the file, for messages.
    X_BG : scipy.sparse.csr_array, (B, G)
        Counts, or log1p of normalised counts.
    scale : {"counts", "log"}
    genes : tuple of str
    label_B, context_B : object, (B,)
        Text; controls are :data:`CONTROL`.
    targets : dict
        Genes that each label acts on.
    columns : ScreenColumns
        Which columns of the file were read.
    uns : mapping
        That of the file.
    covariates : mapping of str to object, (B,)
        Text: the batch, donor and data set of each cell, those that the file has beside the context.
    """

    name: str
    X_BG: Any
    scale: Scale
    genes: tuple[str, ...]
    label_B: NDArray[np.object_]
    context_B: NDArray[np.object_]
    targets: dict[str, tuple[str, ...]]
    columns: ScreenColumns
    uns: Any
    covariates: Mapping[str, NDArray[np.object_]] = field(default_factory=dict[str, NDArray[np.object_]])

    @property
    def labels(self) -> tuple[str, ...]:
        """Perturbations without the controls, sorted."""
        return tuple(sorted(set(self.label_B.tolist()) - {CONTROL}))

    @property
    def contexts(self) -> tuple[str, ...]:
        """Contexts, sorted."""
        return tuple(sorted(set(self.context_B.tolist())))

    def rows(self, label: str, context: str) -> NDArray[np.int64]:
        """Cells of a perturbation in a context."""
        return np.flatnonzero((self.label_B == label) & (self.context_B == context))

    def in_context(self, context: str, labels: Sequence[str]) -> tuple[str, ...]:
        """Which of some perturbations have cells in a context."""
        there = set(self.label_B[self.context_B == context].tolist())
        return tuple(label for label in labels if label in there)


def read_screen(source: Path | Any, *, perturbation: str | None = None, control: str | None = None) -> ScreenData:
    """A screen from an AnnData file or object.

    Parameters
    ----------
    source : Path or AnnData
    perturbation, control : str, optional
        Column of the perturbation and label of the controls, where they are not recognised.

    Raises
    ------
    InputError
        The file does not exist, its columns are not recognised, its values are neither counts nor logarithms, or there
        are no controls in a context.
    """
    import scipy.sparse as sp

    if isinstance(source, (str, Path)):
        name = str(source)
        adata = read_h5ad(Path(source), what="screen")
    else:
        adata, name = source, "the screen"
    columns = screen_columns(adata.obs, name=name, perturbation=perturbation, control=control)
    raw = adata.obs[columns.perturbation].astype(str).to_numpy(dtype=object)
    label_B = np.where(np.isin(raw, columns.controls), CONTROL, raw).astype(object)
    labels = sorted(set(raw.tolist()))
    genes = tuple(map(str, adata.var_names))
    of_label = dict(zip(labels, targets_of(labels, columns, genes=genes), strict=True))
    context = columns.contexts.get("cell_type")
    context_B = (
        np.full(len(label_B), "all", dtype=object)
        if context is None
        else adata.obs[context].astype(str).to_numpy(dtype=object)
    )
    for one in sorted(set(context_B.tolist())):
        if not ((context_B == one) & (label_B == CONTROL)).any():
            raise InputError(f"{name}: context {one!r} of column {context!r} has no control cell to compare with")
    X_BG = sp.csr_array(adata.X)
    return ScreenData(
        name=name,
        X_BG=X_BG,
        scale=scale_of(X_BG, name=name),
        genes=genes,
        label_B=label_B,
        context_B=context_B,
        targets={label: of for label, of in of_label.items() if of},
        columns=columns,
        uns=adata.uns,
        covariates={
            covariate: adata.obs[column].astype(str).to_numpy(dtype=object)
            for covariate, column in columns.contexts.items()
            if covariate in COVARIATES
        },
    )


def read_h5ad(path: Path, *, what: str) -> Any:
    """An AnnData file in memory.

    Raises
    ------
    InputError
        It does not exist or is no AnnData file.
    """
    import anndata  # pyright: ignore[reportMissingTypeStubs]

    file = existing_file(path, what=f"AnnData file of the {what}")
    try:
        return anndata.read_h5ad(file)
    except (OSError, KeyError, ValueError) as error:
        raise InputError(f"{what} {str(path)!r} cannot be read as .h5ad: {' '.join(str(error).split())}") from error


def scale_of(X_BG: Any, *, name: str) -> Scale:
    """Whether values are counts or logarithms.

    Raises
    ------
    InputError
        They are negative or not finite, or neither whole nor small enough for logarithms.
    """
    value_E: NDArray[np.float64] = np.asarray(X_BG.data, dtype=np.float64)
    if len(value_E) and not np.isfinite(value_E).all():
        raise InputError(f"{name}: X has values that are not finite")
    if len(value_E) and value_E.min() < 0:
        raise InputError(
            f"{name}: X has negative values, the least is {value_E.min():.3g}: scorers read counts or log1p of "
            "normalised counts (gpcp make-screen --values counts)"
        )
    if (value_E == np.round(value_E)).all():
        return "counts"
    if value_E.max() > LARGEST_LOG:
        raise InputError(
            f"{name}: X has values that are neither whole nor logarithms, the largest is {value_E.max():.3g}: give "
            "counts, or log1p of normalised counts"
        )
    return "log"


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Split:
    """Perturbations that predictors may learn from, and those that they are scored on.

    Parameters
    ----------
    train, test : tuple of str
    """

    train: tuple[str, ...]
    test: tuple[str, ...]


def split_of(screen: ScreenData, *, share: float, seed: int, named: Sequence[str] = ()) -> Split:
    """Hold perturbations out: those named, or a share of all, drawn by the seed, at least two.

    Raises
    ------
    InputError
        A name is no perturbation of the screen, or fewer than two are held out: discrimination needs two.
    """
    labels = screen.labels
    for label in named:
        if label not in labels:
            raise InputError(f"{screen.name} has no perturbation {label!r}; {nearest(label, labels)}")
    if len(labels) < 2:
        raise InputError(f"{screen.name} has {len(labels)} perturbation: a score needs at least 2")
    if len(named) == 1:
        raise InputError("one perturbation is held out: scores need at least 2")
    if named:
        test = set(named)
    else:
        n_test = min(len(labels), max(2, round(share * len(labels))))
        order: list[int] = stream(seed, "evaluate", "split").permutation(len(labels)).tolist()
        test = {labels[i] for i in order[:n_test]}
    return Split(
        train=tuple(one for one in labels if one not in test), test=tuple(one for one in labels if one in test)
    )
