"""scPertEval's own numbers: its control as an answer gets the control's score, a copy is perfect, mse is mse."""

import numpy as np
import pytest

from diagnostics.audit.evaluation.data import ScreenData, Split, split_of
from diagnostics.audit.metrics.answers import Control, copy_of
from diagnostics.audit.metrics.audit import in_logarithms
from diagnostics.audit.metrics.scpert_eval import ScPertEval
from gpcp.core.errors import InputError
from tests.diagnostics.audit.evaluation.screens import small_screen

DISTANCES = ("energy_distance_pca_k=5", "unbiased_mmd_median_top_k=10", "de_auroc", "de_overlap_k=5")


@pytest.fixture(scope="module")
def screen() -> ScreenData:
    return in_logarithms(small_screen())


@pytest.fixture(scope="module")
def split(screen: ScreenData) -> Split:
    return split_of(screen, share=1, seed=0)


@pytest.fixture(scope="module")
def halves(screen: ScreenData, split: Split) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Cells of both halves, as scPertEval itself draws them."""
    scorer = ScPertEval(screen, split, [], reference_cells=100, seed=3)
    dataset = scorer._handle(screen.contexts[0])._ds
    return {one: tuple(dataset.cells(one, half=half).toarray() for half in ("first", "second")) for one in split.test}


def scorer_of(screen: ScreenData, split: Split, *answers: Control) -> ScPertEval:
    return ScPertEval(screen, split, answers, reference_cells=100, seed=3)


@pytest.mark.parametrize("protocol", DISTANCES)
def test_the_duplicate_as_an_answer_gets_what_the_duplicate_gets(protocol: str, screen, split, halves):
    context = screen.contexts[0]
    groups = {(label, context): second.astype(np.float32) for label, (_, second) in halves.items()}
    scorer = scorer_of(screen, split, Control(name="duplicate", kind="informed", groups=groups))
    mine, own = scorer.calibrate(protocol, "duplicate"), scorer.calibrate(protocol, None)
    assert (mine.raw, mine.drf, mine.bds) == pytest.approx((own.raw, own.drf, own.bds), rel=1e-5, abs=1e-5)


def test_mse_is_that_of_the_means_and_a_copy_is_perfect(screen, split, halves):
    context = screen.contexts[0]
    groups = {(label, context): second.astype(np.float32) for label, (_, second) in halves.items()}
    scorer = scorer_of(screen, split, Control(name="second", kind="informed", groups=groups), copy_of(screen, split))
    expected = np.mean([np.mean((one.mean(axis=0) - two.mean(axis=0)) ** 2) for one, two in halves.values()])
    assert scorer.calibrate("mse", "second").raw == pytest.approx(expected, rel=1e-4)
    copy = scorer.calibrate("mse", "copy of the reference")
    assert copy.raw == pytest.approx(0, abs=1e-12)
    assert (copy.drf, copy.bds, copy.n) == (pytest.approx(1, abs=1e-3), 1.0, 6)


def test_two_screens_do_not_get_each_others_answers(screen, split):
    context = screen.contexts[0]

    def scored(value: float) -> float:
        groups = {(label, context): np.full((40, len(screen.genes)), value, np.float32) for label in split.test}
        return (
            scorer_of(screen, split, Control(name="constant", kind="free", groups=groups))
            .calibrate("mse", "constant")
            .raw
        )

    assert scored(0.0) != scored(1.0)


def test_a_protocol_that_refuses_a_screen_is_an_input_error(screen, split):
    scorer = scorer_of(screen, split, copy_of(screen, split))
    with pytest.raises(InputError, match=r"scPertEval 0.2.0, mse_degs_padj=1e-300: space 'degs_1e-300' selected no"):
        scorer.calibrate("mse_degs_padj=1e-300", None)
