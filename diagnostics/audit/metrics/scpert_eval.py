"""Scores of scPertEval for any answer: it takes the place of the positive control in scPertEval's own calibration."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from diagnostics.audit.evaluation.data import CONTROL, ScreenData, Split
from diagnostics.audit.metrics.answers import Control, with_copies
from gpcp.core.errors import InputError
from gpcp.imports import need

EXTRA_FIELD = "gpcp_audit_answers"
"""Key of ``uns`` under which answers lie for the source that scPertEval calls."""

_PREFIX = "gpcp: "


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Calibrated:
    """What one answer came to by one protocol.

    Parameters
    ----------
    raw : float
        Mean over perturbations of the metric between half of a perturbation's cells and the answer.
    drf : float
        Dynamic range fraction, mean over perturbations: 0 is the protocol's negative control, 1 a perfect answer.
    bds : float
        Share of perturbations in which the answer is better than the negative control.
    n : int
        Perturbations with a fraction.
    """

    raw: float
    drf: float
    bds: float
    n: int


@final
class ScPertEval:
    """scPertEval on one screen of logarithms.

    Parameters
    ----------
    screen : ScreenData
        Logarithms.
    split : Split
        Its test perturbations are what is scored.
    answers : sequence of Control
    reference_cells : int
        Cells of the sample of all perturbed cells that distances and tests are held against.
    seed : int
        Of the halves.

    Raises
    ------
    InputError
        scPertEval is not installed.
    """

    def __init__(
        self, screen: ScreenData, split: Split, answers: Sequence[Control], *, reference_cells: int, seed: int
    ) -> None:
        need("scperteval", extra="evaluate", use="a protocol of scPertEval")
        self.name = f"scPertEval {version('scperteval')}"
        self._reference_cells, self._seed = reference_cells, seed
        self._of_context = {one: _anndata(screen, split, one, answers) for one in screen.contexts}
        self._prepared: dict[str, Any] = {}

    def calibrate(self, protocol: str, answer: str | None) -> Calibrated:
        """An answer by a protocol; with None scPertEval's own positive control.

        Raises
        ------
        InputError
            The protocol refuses the screen.
        """
        import pandas as pd
        from scperteval import calibrate
        from scperteval.calibrators import CALIBRATORS as KNOWN
        from scperteval.protocols.resolve import resolve_protocols

        calibrators: Any = KNOWN
        source = "auto" if answer is None else _source_named(answer)
        with warnings.catch_warnings():
            # Averages of nothing, and shares of small screens that one perturbation has: counted in the results.
            warnings.simplefilter("ignore")
            try:
                found = [
                    calibrate(self._handle(context), protocol, positive=source).per_perturbation
                    for context in self._of_context
                ]
            except ValueError as error:
                # Such as a perturbation without any gene in the protocol's space: it refuses the whole dataset.
                raise InputError(f"{self.name}, {protocol}: {_without_names(error)}") from error
            rows: Any = pd.concat(found)
            (concrete,) = resolve_protocols([protocol])
            raws: Any = [
                {"positive": one, "negative": other}
                for one, other in zip(rows["raw_positive"], rows["raw_negative"], strict=True)
            ]
            wins: Any = calibrators["bds"].aggregate(
                np.array([calibrators["bds"].per_pert(one, concrete) for one in raws], dtype=np.float64)
            )
            drf: Any = rows["drf"].to_numpy(dtype=np.float64)
            fraction: Any = calibrators["drf"].aggregate(drf)
            raw_rows: NDArray[np.float64] = rows["raw_positive"].to_numpy(dtype=np.float64)
            return Calibrated(
                raw=float(raw_rows[np.isfinite(raw_rows)].mean()),
                drf=float(fraction["mean"]),
                bds=float(wins["bds"]),
                n=int(np.isfinite(drf).sum()),
            )

    def _handle(self, context: str) -> Any:
        from scperteval import prepare

        if context not in self._prepared:
            self._prepared[context] = prepare(
                self._of_context[context],
                [],
                subsample=self._reference_cells,
                seed=self._seed,
                min_cells=4,
                perturbation_key="target",
                control_label=CONTROL,
                workers=1,
            )
        return self._prepared[context]


def _anndata(screen: ScreenData, split: Split, context: str, answers: Sequence[Control]) -> Any:
    """One context with its controls and test cells, and the answers where their sources look for them."""
    import pandas as pd
    import scipy.sparse as sp
    from anndata import AnnData  # pyright: ignore[reportMissingTypeStubs]  # typed, but not marked so

    labels = (CONTROL, *screen.in_context(context, split.test))
    rows = np.concatenate([screen.rows(label, context) for label in labels])
    obs = pd.DataFrame({"target": screen.label_B[rows].astype(str)}, index=pd.Index([f"cell_{i}" for i in rows]))
    made: Any = AnnData(
        X=sp.csr_matrix(screen.X_BG[rows].astype(np.float64)), obs=obs, var=pd.DataFrame(index=pd.Index(screen.genes))
    )
    made.uns[EXTRA_FIELD] = {
        one.label: (one.copied, {label: one.groups[label, context] for label in labels[1:]}) for one in answers
    }
    return made


def _without_names(error: ValueError) -> str:
    """The first sentence, whatever perturbation it names: one note for all seeds."""
    return " ".join(str(error).split()).partition(". ")[0].partition(" for np.")[0]


def _source_named(answer: str) -> str:
    """The name of the source of an answer, which is registered on first use.

    It reads the dataset that is being scored, so that one registration serves every dataset.
    """
    from scperteval.sources import SOURCES

    sources: Any = SOURCES
    name = f"{_PREFIX}{answer}"
    if name not in sources:
        sources.register(name, provides="cells", description=f"answer {answer!r} of an audit")(_source(answer))
    return name


def _source(answer: str) -> Callable[[Any, str], NDArray[np.float64]]:
    def cells(ctx: Any, pert: str) -> NDArray[np.float64]:
        held: Mapping[str, tuple[float, Mapping[str, NDArray[np.float32]]]] = ctx.ds.adata.uns[EXTRA_FIELD]
        copied, groups = held[answer]
        reference: Any = ctx.ds.cells(pert, half="first")
        # As many as scPertEval's own technical duplicate has: the second half.
        n = ctx.ds.cells(pert, half="second").shape[0]
        cell_BG = groups[pert][:n]
        if copied:
            cell_BG = with_copies(cell_BG, reference.toarray(), copied)
        return cell_BG.astype(np.float64)

    return cells
