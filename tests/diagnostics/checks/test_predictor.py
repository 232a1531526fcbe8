"""The contract of predictors: ours keep it, and each way of breaking it is found by the check of its name.

Dimension key: ``B`` cells, ``G`` genes.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from diagnostics.checks import check_predictor
from diagnostics.scoring.baselines import MeanDeltaPredictor, MeanPredictor, NoChangePredictor, RidgePredictor
from gpcp.core.errors import InputError
from gpcp.core.genes import GeneVocab
from gpcp.core.pairs import PairBatch, concatenate
from gpcp.core.predictors import Perturbation, Predictor
from gpcp.model.config import preset
from gpcp.model.predictor import ModelPredictor
from gpcp.model.transformer import GenePerturbationTransformer
from simulators.exact.bayes import BayesPredictor
from simulators.scm.regimes import REGIMES
from simulators.sources import SimulatedPairs
from simulators.worlds import world

N_GENES = 6
WORLD = world(f"scale_free/{N_GENES}")
PAIRS = concatenate(
    list(SimulatedPairs(scm=WORLD.scm, regime="interventional", n_pairs=300).pairs(batch_size=300, seed=0))
)
VOCAB = PAIRS.vocab


def in_order(vocab: GeneVocab) -> PairBatch:
    order_G = VOCAB.tokens(vocab.feature_id)
    return PairBatch(
        vocab=vocab,
        before_BG=np.ascontiguousarray(PAIRS.before_BG[:, order_G]),
        after_BG=np.ascontiguousarray(PAIRS.after_BG[:, order_G]),
        measured_BG=np.ascontiguousarray(PAIRS.measured_BG[:, order_G]),
        perturbed_BG=np.ascontiguousarray(PAIRS.perturbed_BG[:, order_G]),
        before_id_B=PAIRS.before_id_B,
        after_id_B=PAIRS.after_id_B,
    )


FITTED: dict[str, Callable[[GeneVocab], Predictor]] = {
    "no change": lambda vocab: NoChangePredictor(vocab=vocab),
    "mean": lambda vocab: MeanPredictor.fit(in_order(vocab)),
    "mean change": lambda vocab: MeanDeltaPredictor.fit(in_order(vocab)),
    "ridge": lambda vocab: RidgePredictor.fit(in_order(vocab)),
}
OURS = [
    *((name, check) for made in FITTED.values() for name, check in check_predictor(made(VOCAB), reordered=made)),
    *(
        (name, check)
        for model in ("default", "seed")
        for name, check in check_predictor(
            ModelPredictor(GenePerturbationTransformer(preset(model, N_GENES)), VOCAB, batch_size=3)
        )
    ),
    *((name, check) for regime in REGIMES for name, check in check_predictor(BayesPredictor(WORLD.scm, regime))),
]


@pytest.mark.parametrize(("name", "check"), OURS)
def test_our_predictors_keep_the_contract(name: str, check: Callable[[], None]) -> None:
    assert check.__name__ == name
    check()


def test_the_order_of_genes_is_asked_about_only_where_it_can_be_changed() -> None:
    names = [name for name, _ in check_predictor(NoChangePredictor(vocab=VOCAB))]
    assert "gene_order" not in names
    assert "gene_order" in [name for name, _ in check_predictor(FITTED["mean"](VOCAB), reordered=FITTED["mean"])]


Spoil = Callable[[NDArray[np.float32], Perturbation], Any]


@dataclass(frozen=True, slots=True)
class Faulty:
    """No change, and then a fault."""

    spoil: Spoil
    vocab: GeneVocab = VOCAB

    def predict(
        self,
        control_BG: NDArray[np.float32],
        perturbation: Perturbation,
        covariates: Mapping[str, NDArray[np.str_]] | None = None,
    ) -> NDArray[np.float32]:
        del covariates
        return self.spoil(control_BG, perturbation)


def written(control_BG: NDArray[np.float32], perturbation: Perturbation) -> NDArray[np.float32]:
    answer_BG = control_BG.copy()
    control_BG[perturbation.perturbed_BG] = perturbation.target_BG[perturbation.perturbed_BG]
    return np.nan_to_num(answer_BG)


def perturbed_mean(control_BG: NDArray[np.float32], perturbation: Perturbation) -> NDArray[np.float32]:
    perturbed_BG = perturbation.perturbed_BG
    with np.errstate(invalid="ignore"):
        mean_B = perturbation.target_BG.sum(axis=1) / perturbed_BG.sum(axis=1)
    return np.nan_to_num(control_BG) + mean_B[:, None].astype(np.float32)


def as_stored(control_BG: NDArray[np.float32], perturbation: Perturbation) -> NDArray[np.float32]:
    del perturbation
    return np.nan_to_num(control_BG).ravel(order="K").reshape(control_BG.shape)


_COUNT = iter(range(10_000))

FAULTS: dict[str, tuple[Spoil, str]] = {
    "double precision": (lambda x, p: np.nan_to_num(x).astype(np.float64), "shape_and_dtype"),
    "one number a cell": (lambda x, p: np.nan_to_num(x)[:, :1], "shape_and_dtype"),
    "logarithm of a negative": (lambda x, p: np.where(x < 0, np.float32(np.nan), x), "finite"),
    "counts its calls": (lambda x, p: np.nan_to_num(x) + np.float32(next(_COUNT)), "repeatable"),
    "writes into control": (written, "arguments_left_alone"),
    "centred by its batch": (lambda x, p: np.nan_to_num(x - np.nan_to_num(x).mean(axis=0)), "cells_alone"),
    "by position in its batch": (
        lambda x, p: np.nan_to_num(x) + np.arange(len(x), dtype=np.float32)[:, None],
        "cells_alone",
    ),
    "memory as it lies": (as_stored, "layout"),
    "mean over unmeasured": (lambda x, p: np.broadcast_to(x.mean(axis=1)[:, None], x.shape), "unmeasured_genes"),
    "divides by the number perturbed": (perturbed_mean, "no_gene_perturbed"),
}


@pytest.mark.parametrize(("spoil", "caught_by"), FAULTS.values(), ids=FAULTS)
def test_each_fault_is_found_by_the_check_of_its_name(spoil: Spoil, caught_by: str) -> None:
    failed: list[str] = []
    for name, check in check_predictor(Faulty(spoil)):
        try:
            check()
        except AssertionError:
            failed.append(name)
    assert caught_by in failed


def test_genes_taken_by_their_place_are_found() -> None:
    def by_position(vocab: GeneVocab) -> Predictor:
        return Faulty(lambda x, p: np.nan_to_num(x) + np.arange(N_GENES, dtype=np.float32), vocab)

    checks = dict(check_predictor(by_position(VOCAB), reordered=by_position))
    with pytest.raises(AssertionError, match="another order"):
        checks["gene_order"]()


def test_what_is_no_predictor_is_refused() -> None:
    with pytest.raises(InputError, match="no Predictor"):
        check_predictor(object())  # pyright: ignore[reportArgumentType]
    small = GeneVocab(feature_id=VOCAB.feature_id[:2])
    with pytest.raises(InputError, match="three are needed"):
        check_predictor(NoChangePredictor(vocab=small))
    with pytest.raises(InputError, match="two cells or more"):
        check_predictor(NoChangePredictor(vocab=VOCAB), control_BG=np.zeros((1, N_GENES), dtype=np.float32))
