"""What pairs are made of: each fault found by its check, and healthy pairs of every regime pass all of them."""

from dataclasses import replace

import numpy as np
import pytest

from diagnostics.checks.engine.subject import Subject
from gpcp.core.pairs import PairBatch
from simulators.scm.regimes import REGIMES
from tests.diagnostics.checks.sources import Change, Changed, pairs_of, partly_measured, with_after, with_before
from tests.diagnostics.checks.subjects import failures, found

NAMES = (
    "data.units", "data.perturbs_and_scores", "data.constant_genes", "data.silent", "data.change", "data.copied_answer",
)  # fmt: skip


def silent_gene(pairs: PairBatch, _: np.random.Generator) -> PairBatch:
    loud_G = np.arange(len(pairs.vocab)) != 2
    return with_before(with_after(pairs, pairs.after_BG * loud_G), pairs.before_BG * loud_G)


def constant_gene(pairs: PairBatch, _: np.random.Generator) -> PairBatch:
    return with_after(pairs, np.where(np.arange(len(pairs.vocab)) == 2, 1.5, pairs.after_BG))


def mostly_zero(pairs: PairBatch, rng: np.random.Generator) -> PairBatch:
    """Nine of ten values are 0 before and after; what is left is perturbed and varies."""
    shape = pairs.before_BG.shape
    before_BG, after_BG = (np.where(rng.random(shape) < 0.05, value, 0) for value in (pairs.before_BG, pairs.after_BG))
    return with_before(with_after(pairs, after_BG), before_BG)


def nothing_perturbed(pairs: PairBatch, _: np.random.Generator) -> PairBatch:
    return replace(pairs, perturbed_BG=np.zeros_like(pairs.perturbed_BG))


def all_perturbed(pairs: PairBatch, rng: np.random.Generator) -> PairBatch:
    all_B1 = rng.random((len(pairs), 1)) < 0.7
    return replace(pairs, perturbed_BG=pairs.perturbed_BG | all_B1)


def unchanged(pairs: PairBatch, _: np.random.Generator) -> PairBatch:
    return with_after(pairs, np.where(pairs.perturbed_BG, pairs.after_BG, pairs.before_BG))


def copied(pairs: PairBatch, _: np.random.Generator) -> PairBatch:
    """The answer stands in the cell before, upside down."""
    return with_before(pairs, -pairs.after_BG)


def moved(pairs: PairBatch, _: np.random.Generator) -> PairBatch:
    """The answer stands in the cell before, a gene further."""
    return with_before(pairs, np.roll(pairs.after_BG, 1, axis=1))


FAULTS: list[tuple[str, Change, str]] = [
    ("data.perturbs_and_scores", nothing_perturbed, "100.0% of"),
    ("data.perturbs_and_scores", all_perturbed, "no scored gene"),
    ("data.constant_genes", silent_gene, "always 0"),
    ("data.constant_genes", constant_gene, "1 of 8 scored genes never vary"),
    ("data.silent", mostly_zero, "nearly all of the loss is about nothing"),
    ("data.change", unchanged, "100.0%"),
    ("data.copied_answer", copied, "holds the target"),
    ("data.copied_answer", moved, "holds the target"),
]


@pytest.mark.parametrize(("name", "change", "words"), FAULTS)
def test_a_fault_is_found_first_by_its_check(name: str, change: Change, words: str):
    asked = Subject(pairs=Changed(pairs_of(), change))
    assert failures(asked, *NAMES)[0] == name
    result = found(asked, name)
    assert result.cause == "data"
    assert words in result.message


@pytest.mark.parametrize("regime", REGIMES)
@pytest.mark.parametrize("n_perturbed", [None, (1, 1), (7, 7)])
@pytest.mark.parametrize("measured", ["all", "some"])
def test_healthy_pairs_pass(regime, n_perturbed, measured: str):
    pairs = pairs_of(regime=regime, n_perturbed=n_perturbed)
    assert failures(Subject(pairs=pairs if measured == "all" else Changed(pairs, partly_measured)), *NAMES) == []


def test_half_silent_pairs_are_perturbed_so_and_not_blamed():
    def often_zero(pairs: PairBatch, rng: np.random.Generator) -> PairBatch:
        shape = pairs.before_BG.shape
        before_BG, after_BG = (np.where(rng.random(shape) < 0.2, x, 0) for x in (pairs.before_BG, pairs.after_BG))
        return with_before(with_after(pairs, after_BG), before_BG)

    result = found(Subject(pairs=Changed(pairs_of(), often_zero)), "data.silent")
    assert result.outcome == "inconclusive"
    assert result.statistic == pytest.approx(0.64, abs=0.02)  # .8 squared; 3 standard errors of 16,000 entries are .011


def test_a_counterfactual_copy_of_most_genes_is_healthy():
    """One perturbed gene of eight: most entries are the same before and after, by construction."""
    asked = Subject(pairs=pairs_of(regime="counterfactual", n_perturbed=(1, 1)))
    result = found(asked, "data.change")
    assert result.outcome == "pass"
    assert result.statistic is not None
    assert result.statistic > 0.5
