"""The contract of predictors, ``check_predictor``, for the tests of any :class:`gpcp.core.predictors.Predictor`.

In the manner of scikit-learn's ``parametrize_with_checks``::

    from diagnostics.checks import check_predictor

    @pytest.mark.parametrize(("name", "check"), check_predictor(MyPredictor(...)))
    def test_my_predictor(name, check):
        check()

Each check raises an ``AssertionError`` that says what is wrong. None is about how good the answers are. What is asked
follows the predictor's ``capabilities``: a model of sets is asked about whole sets, and never accused of using the
other cells of one; of a sampler means over draws are compared.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from diagnostics.checks.predictor_answers import (
    Asked,
    Reordered,
    agree,
    close,
    compared,
    drawn,
    perturbed,
    rows_of,
    whole,
)
from gpcp.core.errors import InputError
from gpcp.core.genes import GeneVocab
from gpcp.core.predictors import Predictor, capabilities_of
from gpcp.core.random import stream

N_CELLS = 7
N_SETS = 3


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
        Cells to ask about, all measured, at least two; standard normal values by default. Of a model of sets: whole
        sets, at least two.
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
    capabilities = capabilities_of(predictor)
    set_size = capabilities.set_size
    rng = stream(seed, "check predictor")
    if control_BG is None:
        n_cells = N_CELLS if set_size == 1 else N_SETS * set_size
        control_BG = rng.standard_normal((n_cells, n_genes)).astype(np.float32)
    if control_BG.ndim != 2 or control_BG.shape[1] != n_genes or len(control_BG) < 2 or np.isnan(control_BG).any():
        raise InputError(f"control_BG has shape {control_BG.shape}: give two cells or more of {n_genes} measured genes")
    if set_size > 1 and (len(control_BG) % set_size or len(control_BG) < 2 * set_size):
        raise InputError(f"control_BG has {len(control_BG)} cells: give two sets or more of {set_size} cells each")
    perturbed_BG = rng.random(control_BG.shape) < 0.3
    # A gene perturbed and two scored in every cell.
    perturbed_BG[:, 0], perturbed_BG[:, 1:3] = True, False
    asked = Asked(
        predictor=predictor,
        control_BG=control_BG,
        perturbation=perturbed(perturbed_BG, rng.permuted(control_BG, axis=0)),
        reordered=reordered,
        capabilities=capabilities,
    )
    checks = [*_CHECKS, cells_alone if set_size == 1 else sets_alone, *([order_in_a_set] if set_size > 1 else [])]
    checks += [identity_alone] if capabilities.given == "identity" else []
    checks += [gene_order] if reordered is not None else []
    return [(one.__name__, _bound(one, asked)) for one in checks]


def _bound(one: Callable[[Asked], None], asked: Asked) -> Callable[[], None]:
    def run() -> None:
        one(asked)

    run.__name__, run.__doc__ = one.__name__, one.__doc__
    return run


def shape_and_dtype(asked: Asked) -> None:
    """float32 (B, G), of one cell too."""
    for rows in (slice(None), slice(0, 1)):
        control_BG = asked.control_BG[rows].copy()
        answer_BG = asked.answer(control_BG, rows_of(asked.perturbation, rows))
        assert isinstance(answer_BG, np.ndarray), f"predict gives {type(answer_BG).__name__}, not a numpy array"
        assert answer_BG.shape == control_BG.shape, f"shape {answer_BG.shape} for cells of shape {control_BG.shape}"
        assert answer_BG.dtype == np.float32, f"dtype {answer_BG.dtype}: it must be float32"


def finite(asked: Asked) -> None:
    """Every scored answer is a number."""
    bad = int((~np.isfinite(whole(asked.answer(), asked)) & asked.scored_BG()).sum())
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
    _each_by_itself(asked, 1, "cell")


def sets_alone(asked: Asked) -> None:
    """A set's answer is the same alone, among other sets, and in another order of sets."""
    _each_by_itself(asked, asked.capabilities.set_size, "set")


def _each_by_itself(asked: Asked, size: int, what: str) -> None:
    n = len(asked.control_BG)
    blocks = [list(range(start, start + size)) for start in range(0, n, size)]
    compared(asked, blocks, f"asked one {what} at a time, answers differ")
    compared(
        asked,
        [[row for block in reversed(blocks) for row in block]],
        f"asked in another order of {what}s, answers differ",
    )


def order_in_a_set(asked: Asked) -> None:
    """A set has no order: with its cells in another one each has the answer that it had."""
    size = asked.capabilities.set_size
    turned = [row for start in range(0, len(asked.control_BG), size) for row in range(start + size - 1, start - 1, -1)]
    compared(asked, [turned], "asked in another order of the cells within each set, answers differ")


def identity_alone(asked: Asked) -> None:
    """What is given the identity of a perturbation alone does not depend on the value at its target."""
    usual = asked.perturbation
    other = perturbed(usual.perturbed_BG, usual.target_BG + 1)
    first, second = drawn(asked, [None], usual), drawn(asked, [None], other)
    close(asked, first, second, "for another value at its target, answers differ")


def layout(asked: Asked) -> None:
    """Arrays in Fortran's order hold the same cells."""
    answer_BG = whole(asked.answer(np.asfortranarray(asked.control_BG)), asked)
    if not asked.capabilities.draws:
        agree(asked.answer(), answer_BG, asked.scored_BG(), "for the same cells in Fortran's order, answers differ")


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
    bad = int((~np.isfinite(whole(answer_BG, asked)) & asked.scored_BG(control_BG)).sum())
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
    answer_BG[:, order_G] = whole(asked.answer(control_BG, perturbation, predictor=other), asked)
    if not asked.capabilities.draws:
        agree(asked.answer(), answer_BG, asked.scored_BG(), "for genes in another order, answers differ")


_CHECKS: tuple[Callable[[Asked], None], ...] = (
    shape_and_dtype,
    finite,
    repeatable,
    arguments_left_alone,
    layout,
    unmeasured_genes,
    no_gene_perturbed,
)
