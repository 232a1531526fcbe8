"""The exchange as a program in Python sees it: what it may learn from, what it is asked, and how it answers.

Needs numpy, scipy and anndata alone, so that a program can use it in an environment of its own.
"""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from diagnostics.audit.evaluation.emission import TOTAL, rounded
from diagnostics.audit.evaluation.responses import gene_features
from gpcp.core.errors import InputError, nearest
from gpcp.core.random import stream

FORMAT = 1
"""The version of the exchange that is understood."""


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Asked:
    """The content of a folder of the exchange.

    Parameters
    ----------
    folder : Path
    train, ask : AnnData
        Training cells and controls; a control for each cell that is asked for.
    request : mapping
        ``request.json``.
    """

    folder: Path
    train: Any
    ask: Any
    request: Mapping[str, Any]

    @classmethod
    def read(cls, folder: Path) -> "Asked":
        """Read a folder.

        Raises
        ------
        InputError
            It is of another version.
        """
        import anndata  # pyright: ignore[reportMissingTypeStubs]  # typed, but not marked so

        request = json.loads((folder / "request.json").read_text(encoding="utf-8"))
        if request["format"] != FORMAT:
            raise InputError(f"{folder} has format {request['format']} of the exchange, and {FORMAT} is known")
        train, ask = (anndata.read_h5ad(folder / name) for name in ("train.h5ad", "ask.h5ad"))
        return cls(folder=folder, train=train, ask=ask, request=request)

    @property
    def control(self) -> str:
        """Label of the controls."""
        return self.request["control"]

    @property
    def seed(self) -> int:
        """Decides every draw."""
        return int(self.request["seed"])

    @property
    def genes(self) -> tuple[str, ...]:
        """In the order of columns."""
        return tuple(map(str, self.train.var_names))

    def targets(self, label: str) -> tuple[str, ...]:
        """Genes that a perturbation acts on; none of a control."""
        return () if label == self.control else tuple(self.request["targets"][label])

    def labels(self, adata: Any) -> NDArray[np.object_]:
        """The perturbation of each row."""
        return adata.obs["perturbation"].astype(str).to_numpy(dtype=object)

    def contexts(self, adata: Any) -> NDArray[np.object_]:
        """The context of each row."""
        return adata.obs["context"].astype(str).to_numpy(dtype=object)

    def covariates(self, adata: Any) -> dict[str, NDArray[np.object_]]:
        """The batch, donor and data set of each row, where the screen has them; in `ask` those of the control."""
        names: Sequence[str] = self.request["columns"].get("covariates", ())
        return {name: adata.obs[name].astype(str).to_numpy(dtype=object) for name in names}

    def logs(self, adata: Any) -> NDArray[np.float32]:
        """Cells as log1p of counts scaled to :data:`TOTAL`, or as the logarithms that they are, float32 (B, G)."""
        value_BG = _dense(adata)
        if self.request["values"] == "log":
            return value_BG.astype(np.float32)
        return np.log1p(value_BG * (TOTAL / np.maximum(value_BG.sum(axis=1, keepdims=True), 1))).astype(np.float32)

    def cells(self, log_BG: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
        """Predicted cells, one for each row of ``ask``, as :meth:`logs` has them, in the units that are asked for.

        Below 0 is 0. Where counts are asked for, each cell gets the depth of the control in its row, and is rounded up
        or down at random.
        """
        value_BG = np.maximum(np.asarray(log_BG, dtype=np.float64), 0)
        if self.request["values"] == "counts":
            total_B1 = _dense(self.ask).sum(axis=1, keepdims=True)
            value_BG = rounded(np.expm1(value_BG) * (total_B1 / TOTAL), stream(self.seed, "exchange", "rounding"))
        return value_BG.astype(np.float32)

    def moved(self, log_BG: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
        """The controls of ``ask`` moved by the mean change that is predicted for each perturbation and context.

        They keep their cell-to-cell spread. Counts are multiplied by the fold change of mean logarithms, so that what
        is 0 stays 0; logarithms are added to.
        """
        before_BG, label_B, context_B = self.logs(self.ask), self.labels(self.ask), self.contexts(self.ask)
        control_BG, is_counts = _dense(self.ask), self.request["values"] == "counts"
        for label, context in dict.fromkeys(zip(label_B.tolist(), context_B.tolist(), strict=True)):
            row_B = (label_B == label) & (context_B == context)
            before_G = before_BG[row_B].mean(axis=0).astype(np.float64)
            after_G = np.maximum(np.asarray(log_BG[row_B], dtype=np.float64).mean(axis=0), 0)
            if is_counts:
                usual_G = np.expm1(before_G)
                control_BG[row_B] *= np.divide(np.expm1(after_G), usual_G, out=np.ones_like(usual_G), where=usual_G > 0)
            else:
                control_BG[row_B] = np.maximum(control_BG[row_B] + after_G - before_G, 0)
        rng = stream(self.seed, "exchange", "rounding")
        return rounded(control_BG, rng) if is_counts else control_BG.astype(np.float32)

    def write(self, log_BG: NDArray[np.floating[Any]]) -> None:
        """Answer with predicted :meth:`cells`."""
        answer = self.ask.copy()
        answer.X = self.cells(log_BG)
        answer.write_h5ad(self.folder / "answer.h5ad")


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Encoding:
    """Numbers for each perturbation: which targets of training it has, and features of those that are measured.

    Parameters
    ----------
    asked : Asked
    known : tuple of str
        Targets that training perturbations have.
    feature_of : mapping
        Features of each measured gene, from training cells alone, scaled to a mean square of 1.
    """

    asked: Asked
    known: tuple[str, ...]
    feature_of: Mapping[str, NDArray[np.float64]]

    @classmethod
    def of(cls, asked: Asked) -> "Encoding":
        """The encoding that training cells give."""
        label_B, log_BG = asked.labels(asked.train), asked.logs(asked.train)
        labels = sorted(set(label_B.tolist()))
        known = sorted({gene for label in labels for gene in asked.targets(label)})
        profiles = np.array([log_BG[label_B == label].mean(axis=0) for label in labels], dtype=np.float64)
        found = gene_features(asked.genes, profiles)
        size = float(np.sqrt(np.mean([feature**2 for feature in found.values()]))) or 1.0
        return cls(
            asked=asked, known=tuple(known), feature_of={gene: feature / size for gene, feature in found.items()}
        )

    @property
    def width(self) -> int:
        """Length of an encoding."""
        return len(self.known) + len(next(iter(self.feature_of.values())))

    def row(self, label: str) -> NDArray[np.float32]:
        """The encoding of a perturbation, 0 of a control, float32.

        Raises
        ------
        InputError
            A target is neither one of training nor a measured gene, so that nothing is known of it.
        """
        targets = self.asked.targets(label)
        row = np.zeros(self.width, dtype=np.float32)
        for gene in targets:
            if gene not in self.known and gene not in self.feature_of:
                raise InputError(
                    f"nothing is known of perturbation {label!r}: its target {gene!r} is neither a target of training "
                    f"nor a measured gene; {nearest(gene, [*self.known, *self.feature_of])}"
                )
            if gene in self.known:
                row[self.known.index(gene)] = 1
            row[len(self.known) :] += self.feature_of.get(gene, 0.0) / len(targets)
        if label != self.asked.control and not targets:
            raise InputError(f"perturbation {label!r} has no target that could be encoded")
        return row


def program(predict: Callable[[Asked, Sequence[str]], None]) -> int:
    """Run ``predict`` as a program: the folder is the last word, an :class:`InputError` is one line and exit code 2."""
    *options, folder = sys.argv[1:] or ["."]
    try:
        predict(Asked.read(Path(folder).resolve()), options)
    except InputError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


def _dense(adata: Any) -> NDArray[np.float64]:
    X: Any = adata.X
    return np.asarray(X.toarray() if hasattr(X, "toarray") else X, dtype=np.float64)
