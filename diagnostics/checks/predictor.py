"""The contract of predictors, ``check_predictor``, for the tests of any :class:`gpcp.core.predictors.Predictor`.

In the manner of scikit-learn's ``parametrize_with_checks``::

    from diagnostics.checks import check_predictor

    @pytest.mark.parametrize(("name", "check"), check_predictor(MyPredictor(...)))
    def test_my_predictor(name, check):
        check()

Each check raises an ``AssertionError`` that says what is wrong. None is about how good the answers are.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from gpcp.core.errors import InputError
from gpcp.core.genes import GeneVocab
from gpcp.core.predictors import Perturbation, Predictor
from gpcp.core.random import stream

N_CELLS = 7
ROUNDING = 1e-3
"""Largest difference between two answers that should agree, of the largest answer: float32 sums in another order."""

Reordered = Callable[[GeneVocab], Predictor]


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Asked:
    """A predictor, and cells to ask it about.

    Parameters
    ----------
    predictor : Predictor
    control_BG : float32, (B, G)
    perturbation : Perturbation
    reordered : callable or None
        The same predictor for the same genes in another order.
    """

    predictor: Predictor
    control_BG: NDArray[np.float32]
    perturbation: Perturbation
    reordered: Reordered | None

    def answer(
        self,
        control_BG: NDArray[np.float32] | None = None,
        perturbation: Perturbation | None = None,
        *,
        predictor: Predictor | None = None,
    ) -> NDArray[np.float32]:
        """The answer to these cells, or to others."""
        asked = self.predictor if predictor is None else predictor
        return asked.predict(
            self.control_BG.copy() if control_BG is None else control_BG,
            self.perturbation if perturbation is None else perturbation,
        )

    def scored_BG(self, control_BG: NDArray[np.float32] | None = None) -> NDArray[np.bool_]:
        """Measured and not perturbed: what is ever scored."""
        control_BG = self.control_BG if control_BG is None else control_BG
        return ~np.isnan(control_BG) & ~self.perturbation.perturbed_BG


def check_predictor(
    predictor: Predictor,
    *,
    control_BG: NDArray[np.float32] | None = None,
    reordered: Reordered | None = None,
    seed: int = 0,
) -> list[tuple[str, Callable[[], None]]]:
    """Names and callables of the checks, for ``pytest.mark.parametrize``.

    Parameters
    ----------
    predictor : Predictor
    control_BG : float32, (B, G), optional
        Cells to ask about, all measured, at least two; standard normal values by default.
    reordered : callable, optional
        ``vocab -> Predictor``: the same predictor for the same genes in another order. Without it the order of genes
        is not asked about.
    seed : int
        Decides the cells and the perturbations.

    Raises
    ------
    InputError
        It is no predictor, knows fewer than three genes, or the cells do not fit it.
    """
    if not callable(getattr(predictor, "predict", None)) or not isinstance(
        getattr(predictor, "vocab", None), GeneVocab
    ):
        raise InputError(f"{type(predictor).__name__} is no Predictor: it needs a vocab and a method predict")
    n_genes = len(predictor.vocab)
    if n_genes < 3:
        raise InputError(
            f"the predictor knows {n_genes} genes: three are needed, one to perturb, one to hide, one to score"
        )
    rng = stream(seed, "check predictor")
    if control_BG is None:
        control_BG = rng.standard_normal((N_CELLS, n_genes)).astype(np.float32)
    if control_BG.ndim != 2 or control_BG.shape[1] != n_genes or len(control_BG) < 2 or np.isnan(control_BG).any():
        raise InputError(f"control_BG has shape {control_BG.shape}: give two cells or more of {n_genes} measured genes")
    perturbed_BG = rng.random(control_BG.shape) < 0.3
    # A gene perturbed and two scored in every cell.
    perturbed_BG[:, 0], perturbed_BG[:, 1:3] = True, False
    asked = Asked(
        predictor=predictor,
        control_BG=control_BG,
        perturbation=perturbed(perturbed_BG, rng.permuted(control_BG, axis=0)),
        reordered=reordered,
    )
    checks = [*_CHECKS, *([gene_order] if reordered is not None else [])]
    return [(one.__name__, _bound(one, asked)) for one in checks]


def _bound(one: Callable[[Asked], None], asked: Asked) -> Callable[[], None]:
    def run() -> None:
        one(asked)

    run.__name__, run.__doc__ = one.__name__, one.__doc__
    return run


def perturbed(perturbed_BG: NDArray[np.bool_], value_BG: NDArray[np.float32]) -> Perturbation:
    """A perturbation of some genes."""
    return Perturbation(
        perturbed_BG=perturbed_BG, target_BG=np.where(perturbed_BG, value_BG, np.float32(0)).astype(np.float32)
    )


def shape_and_dtype(asked: Asked) -> None:
    """float32 (B, G), of one cell too."""
    for rows in (slice(None), slice(0, 1)):
        control_BG = asked.control_BG[rows].copy()
        answer_BG = asked.answer(control_BG, _rows(asked.perturbation, rows))
        assert isinstance(answer_BG, np.ndarray), f"predict gives {type(answer_BG).__name__}, not a numpy array"
        assert answer_BG.shape == control_BG.shape, f"shape {answer_BG.shape} for cells of shape {control_BG.shape}"
        assert answer_BG.dtype == np.float32, f"dtype {answer_BG.dtype}: it must be float32"


def finite(asked: Asked) -> None:
    """Every scored answer is a number."""
    bad = int((~np.isfinite(_whole(asked.answer(), asked)) & asked.scored_BG()).sum())
    assert not bad, f"{bad} scored answers are not finite"


def repeatable(asked: Asked) -> None:
    """The same question gets the same answer, to the bit."""
    first_BG, second_BG = asked.answer(), asked.answer()
    same_BG = (first_BG == second_BG) | (np.isnan(first_BG) & np.isnan(second_BG))
    assert same_BG.all(), f"asked twice, {int((~same_BG).sum())} answers differ: draw from a seed, not from a state"


def arguments_left_alone(asked: Asked) -> None:
    """What is handed in is not written into."""
    control_BG = asked.control_BG.copy()
    # The perturbation's own arrays are read-only: to write into them raises by itself.
    asked.answer(control_BG)
    assert np.array_equal(control_BG, asked.control_BG), "predict writes into control_BG"


def cells_alone(asked: Asked) -> None:
    """A cell's answer is the same alone, among others, and in another order."""
    usual_BG = _whole(asked.answer(), asked)
    alone_BG = np.concatenate(
        [asked.answer(asked.control_BG[[b]], _rows(asked.perturbation, [b])) for b in range(len(usual_BG))]
    )
    _agree(usual_BG, alone_BG, asked.scored_BG(), "asked one cell at a time, answers differ")
    back = list(range(len(usual_BG)))[::-1]
    turned_BG = asked.answer(asked.control_BG[back], _rows(asked.perturbation, back))[back]
    _agree(usual_BG, turned_BG, asked.scored_BG(), "asked in another order of cells, answers differ")


def layout(asked: Asked) -> None:
    """Arrays in Fortran's order hold the same cells."""
    answer_BG = _whole(asked.answer(np.asfortranarray(asked.control_BG)), asked)
    _agree(asked.answer(), answer_BG, asked.scored_BG(), "for the same cells in Fortran's order, answers differ")


def unmeasured_genes(asked: Asked) -> None:
    """Beside unmeasured genes (NaN) the others get finite answers; to refuse with an ``InputError`` is fair."""
    control_BG = asked.control_BG.copy()
    control_BG[:, 1] = np.nan
    control_BG[0, 2:] = np.where(asked.perturbation.perturbed_BG[0, 2:], control_BG[0, 2:], np.nan)
    # Two genes of the first cell stay: one perturbed, one scored.
    control_BG[0, 2] = asked.control_BG[0, 2]
    try:
        answer_BG = asked.answer(control_BG)
    except InputError:
        return
    bad = int((~np.isfinite(_whole(answer_BG, asked)) & asked.scored_BG(control_BG)).sum())
    assert not bad, f"with unmeasured genes, {bad} answers for measured genes are not finite"


def no_gene_perturbed(asked: Asked) -> None:
    """A perturbation of no gene is a valid input, too."""
    nothing_BG = np.zeros(asked.control_BG.shape, dtype=np.bool_)
    answer_BG = asked.answer(perturbation=perturbed(nothing_BG, asked.control_BG))
    bad = int((~np.isfinite(answer_BG)).sum())
    assert not bad, f"with no gene perturbed, {bad} answers are not finite"


def gene_order(asked: Asked) -> None:
    """For the same genes in another order the answers are the same, in that order."""
    if asked.reordered is None:
        return
    n_genes = asked.control_BG.shape[1]
    order_G = (np.arange(n_genes, dtype=np.int64) - 1) % n_genes
    vocab = GeneVocab(feature_id=asked.predictor.vocab.genes(order_G))
    other = asked.reordered(vocab)
    assert other.vocab == vocab, "the reordered predictor's vocab is not the one that was asked for"
    perturbation = perturbed(asked.perturbation.perturbed_BG[:, order_G], asked.perturbation.target_BG[:, order_G])
    control_BG = np.ascontiguousarray(asked.control_BG[:, order_G])
    answer_BG = np.empty_like(asked.control_BG)
    answer_BG[:, order_G] = _whole(asked.answer(control_BG, perturbation, predictor=other), asked)
    _agree(asked.answer(), answer_BG, asked.scored_BG(), "for genes in another order, answers differ")


_CHECKS: tuple[Callable[[Asked], None], ...] = (
    shape_and_dtype,
    finite,
    repeatable,
    arguments_left_alone,
    cells_alone,
    layout,
    unmeasured_genes,
    no_gene_perturbed,
)


def _rows(perturbation: Perturbation, rows: slice | list[int]) -> Perturbation:
    return Perturbation(perturbed_BG=perturbation.perturbed_BG[rows], target_BG=perturbation.target_BG[rows])


def _whole(answer_BG: NDArray[np.float32], asked: Asked) -> NDArray[np.float32]:
    """The answer, if it is of the cells' shape."""
    expected = asked.control_BG.shape
    assert answer_BG.shape == expected, f"an answer of shape {answer_BG.shape} for cells of shape {expected}"
    return answer_BG


def _agree(
    usual_BG: NDArray[np.float32], other_BG: NDArray[np.float32], scored_BG: NDArray[np.bool_], otherwise: str
) -> None:
    assert usual_BG.shape == other_BG.shape, (
        f"answers of shapes {usual_BG.shape} and {other_BG.shape} to the same cells"
    )
    scale = float(np.abs(usual_BG[scored_BG]).max(initial=0.0))
    gap = float(np.abs(usual_BG - other_BG)[scored_BG].max(initial=0.0))
    # Written so that NaN does not agree.
    assert gap <= ROUNDING * scale, f"{otherwise} by {gap:.3g}, of answers up to {scale:.3g}"
