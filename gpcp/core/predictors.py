"""``Predictor``: the smallest protocol that any model, ours or another's, can meet.

Predictors take and return numpy arrays, so that read-outs, baselines and exact answers are used in the same way.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol, final, get_args, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from gpcp.core.cells import check_array, read_only
from gpcp.core.errors import InputError, nearest
from gpcp.core.genes import GeneVocab
from gpcp.core.pairs import PairBatch
from gpcp.core.perturbations import AppliedPerturbations

Given = Literal["identity", "identity and dose", "value"]
"""What a model is given of a perturbation: which gene; which and how strongly; the value that it is set to."""

Returned = Literal["mean", "samples", "counts"]
"""What a predictor returns: the expected expression of each cell; cells as they could be measured; counts of such."""


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Capabilities:
    """How a predictor is to be asked, and what its answers are.

    Parameters
    ----------
    set_size : int
        Rows that are answered together: 1 where each cell is answered by itself. Above, each ``set_size`` rows in the
        order given are a set, the last of which may be smaller: a cell's answer may depend on the others of its set,
        and never on another set.
    given : {"identity", "identity and dose", "value"}
        What it uses of a perturbation.
    returned : {"mean", "samples", "counts"}
        Whether an answer is the mean over cells like the one that is given, or a cell drawn as it could be measured.

    Raises
    ------
    InputError
        A word is unknown, or the size of a set is below 1.
    """

    set_size: int = 1
    given: Given = "value"
    returned: Returned = "mean"

    def __post_init__(self) -> None:
        for name, words in (("given", get_args(Given)), ("returned", get_args(Returned))):
            found = getattr(self, name)
            if found not in words:
                raise InputError(f"Capabilities.{name} is {found!r}; {nearest(str(found), words)}")
        if self.set_size < 1:
            raise InputError(f"Capabilities.set_size is {self.set_size}: give at least 1")

    @property
    def draws(self) -> bool:
        """Whether answers are single cells, of which only the distribution can be compared."""
        return self.returned != "mean"


def capabilities_of(predictor: object) -> Capabilities:
    """The ``capabilities`` that a predictor declares; without any, those of one that answers each cell by itself.

    A predictor with ``perturbations`` of its own reads them by name, and no value of a gene; any other is given values.

    Raises
    ------
    InputError
        What it declares is something else.
    """
    declared = getattr(predictor, "capabilities", None)
    if declared is None:
        by_name = getattr(predictor, "perturbations", None) is not None
        return Capabilities(given="identity and dose" if by_name else "value")
    if not isinstance(declared, Capabilities):
        raise InputError(
            f"{type(predictor).__name__}.capabilities is a {type(declared).__name__}: give gpcp.Capabilities(...)"
        )
    return declared


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Perturbation:
    """What a model is given of each cell's change: values that genes end at, or which perturbations are applied.

    Parameters
    ----------
    perturbed_BG : bool, (B, G)
        True where the gene is perturbed: its value after is given.
    target_BG : float32, (B, G)
        That value, in the units of expression; 0 where not perturbed.
    applied : AppliedPerturbations, optional
        Perturbations with names of their own, as in a screen; no value is given then.

    Raises
    ------
    InputError
        Wrong shape or dtype, a given value that is not finite, one at another gene that is not 0, or any beside
        ``applied``.
    """

    perturbed_BG: NDArray[np.bool_]
    target_BG: NDArray[np.float32]
    applied: AppliedPerturbations | None = None

    def __post_init__(self) -> None:
        shape = self.perturbed_BG.shape
        if len(shape) != 2:
            raise InputError(f"Perturbation.perturbed_BG has shape {shape}, expected (cells, genes)")
        check_array("Perturbation", "perturbed_BG", self.perturbed_BG, shape, np.bool_)
        check_array("Perturbation", "target_BG", self.target_BG, shape, np.float32)
        if not np.isfinite(self.target_BG[self.perturbed_BG]).all():
            raise InputError("Perturbation.target_BG is not finite at a perturbed gene: give finite values only")
        if (self.target_BG[~self.perturbed_BG] != 0).any():
            raise InputError("Perturbation.target_BG is not 0 at a gene that is not perturbed: store 0 there")
        if self.applied is not None and (self.perturbed_BG.any() or len(self.applied) != shape[0]):
            raise InputError("Perturbation.applied needs one row for each cell, and no value may be given beside it")
        object.__setattr__(self, "perturbed_BG", read_only(self.perturbed_BG))
        object.__setattr__(self, "target_BG", read_only(self.target_BG))

    @property
    def targets_BG(self) -> NDArray[np.bool_]:
        """The genes that are given, or are targets of ``applied``, bool (B, G): what is not to be scored."""
        if self.applied is None:
            return self.perturbed_BG
        return self.applied.targets_BG(self.perturbed_BG.shape[1])

    @classmethod
    def named(cls, applied: AppliedPerturbations, n_genes: int) -> "Perturbation":
        """Perturbations with names of their own, of cells with ``n_genes`` genes."""
        shape = (len(applied), n_genes)
        return cls(
            perturbed_BG=np.zeros(shape, dtype=np.bool_), target_BG=np.zeros(shape, dtype=np.float32), applied=applied
        )

    def __len__(self) -> int:
        return len(self.perturbed_BG)


@runtime_checkable
class Predictor(Protocol):
    """A model of how cells answer to a perturbation.

    One that answers cells in sets, uses no more than the identity of a perturbation or draws cells has a property
    ``capabilities`` too, a :class:`Capabilities`.
    """

    @property
    def vocab(self) -> GeneVocab:
        """The genes that it knows, in the order of its columns."""
        ...

    def predict(
        self,
        control_BG: NDArray[np.float32],
        perturbation: Perturbation,
        covariates: Mapping[str, NDArray[np.str_]] | None = None,
    ) -> NDArray[np.float32]:
        """Expected expression of each cell after its perturbation, float32 (B, G).

        ``control_BG`` holds NaN where a gene is unmeasured. What is returned at perturbed genes and at unmeasured
        ones is never scored.
        """
        ...


@runtime_checkable
class GivesSlopes(Protocol):
    """A predictor that can also say how its answers change with the values given, without being asked twice."""

    def slopes(
        self, control_BG: NDArray[np.float32], perturbation: Perturbation, gene_B: NDArray[np.int64]
    ) -> NDArray[np.float64] | None:
        """Derivative of the prediction of each row's gene in each given value of that row, float64 (B, G).

        0 where no value is given. ``gene_B`` holds tokens. None where the predictor has no answer of that kind.
        """
        ...


def control_of(pairs: PairBatch) -> NDArray[np.float32]:
    """The cells before, float32 (B, G), with NaN where unmeasured, as a :class:`Predictor` takes them."""
    return np.where(pairs.measured_BG, pairs.before_BG, np.float32(np.nan))


def perturbation_of(pairs: PairBatch) -> Perturbation:
    """The perturbations of the pairs, as a :class:`Predictor` takes it."""
    target_BG = np.where(pairs.given_BG, pairs.after_BG, np.float32(0))
    return Perturbation(perturbed_BG=pairs.given_BG, target_BG=target_BG, applied=pairs.applied)
