"""Labels wrong in some pairs, in controls, or of one index for two: found by what cells show; healthy pairs pass."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from diagnostics.checks.engine.subject import Subject
from diagnostics.results.check_result import CheckResult
from gpcp.core.genes import GeneVocab
from gpcp.core.pairs import PairBatch
from tests.diagnostics.checks.data.grounds import HEALTHY
from tests.diagnostics.checks.sources import Fixed
from tests.diagnostics.checks.subjects import found

N_GENES = 10


def screen(seed: int = 0, n_pairs: int = 2_000, *, fails: float = 0.0) -> PairBatch:
    """Unrelated cells of a chain of genes; a knocked-down gene falls by 3 spreads unless the guide fails."""
    rng = np.random.default_rng(seed)
    label_B = np.where(rng.random(n_pairs) < 0.1, -1, rng.integers(N_GENES, size=n_pairs))
    perturbed_BG = label_B[:, None] == np.arange(N_GENES)
    works_B = (rng.random(n_pairs) >= fails)[:, None]
    total_GG = np.eye(N_GENES) + 0.5 * np.eye(N_GENES, k=1)
    before_BG, after_BG = (rng.normal(5, 1, (n_pairs, N_GENES)) for _ in range(2))
    after_BG = after_BG - 3 * (perturbed_BG & works_B) @ total_GG
    return PairBatch(
        vocab=GeneVocab(feature_id=tuple(f"gene_{gene}" for gene in range(N_GENES))),
        before_BG=before_BG.astype(np.float32), after_BG=after_BG.astype(np.float32),
        measured_BG=np.ones((n_pairs, N_GENES), dtype=np.bool_), perturbed_BG=perturbed_BG,
        before_id_B=np.arange(n_pairs), after_id_B=np.arange(n_pairs) + n_pairs,
    )  # fmt: skip


def asked(pairs: PairBatch) -> CheckResult:
    return found(Subject(pairs=Fixed(pairs)), "data.labels")


def a_part_shuffled(pairs: PairBatch) -> PairBatch:
    some = np.flatnonzero(np.random.default_rng(1).random(len(pairs)) < 0.3)
    perturbed_BG = pairs.perturbed_BG.copy()
    perturbed_BG[some] = perturbed_BG[np.random.default_rng(2).permutation(some)]
    return replace(pairs, perturbed_BG=perturbed_BG)


def lost_names(pairs: PairBatch) -> PairBatch:
    return replace(pairs, perturbed_BG=pairs.perturbed_BG & (np.arange(N_GENES) % 3 > 0))


def controls_as_the_first_gene(pairs: PairBatch) -> PairBatch:
    perturbed_BG = pairs.perturbed_BG.copy()
    perturbed_BG[~perturbed_BG.any(axis=1), 0] = True
    return replace(pairs, perturbed_BG=perturbed_BG)


FAULTS: dict[str, tuple[Callable[[PairBatch], PairBatch], str]] = {
    "a part shuffled": (a_part_shuffled, "have the label of another perturbation"),
    "lost names": (lost_names, "that are given as controls hold a perturbed cell"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_wrong_labels_are_found_and_named(fault: str):
    change, words = FAULTS[fault]
    result = asked(change(screen()))
    assert (result.outcome, result.cause) == ("fail", "data")
    assert words in result.message


def test_an_index_that_stands_for_two_is_named():
    """Genes fall so far that every pair of another label shows it."""
    pairs = screen()
    far_BG = np.where(pairs.perturbed_BG, pairs.after_BG - 6, pairs.after_BG)
    result = asked(controls_as_the_first_gene(replace(pairs, after_BG=far_BG)))
    assert result.outcome == "fail"
    assert "that are given gene_0 do not show its change" in result.message


@pytest.mark.parametrize("fails", [0.0, 0.5])
def test_guides_that_fail_are_no_fault(fails: float):
    for seed in range(3):
        assert asked(screen(seed, fails=fails)).outcome == "pass"


@pytest.mark.parametrize("ground", HEALTHY)
def test_healthy_pairs_pass(ground: str):
    for seed, n_pairs in ((0, 400), (1, 2_000)):
        result = asked(HEALTHY[ground](seed, n_pairs)[0])
        assert result.outcome in ("pass", "not_applicable"), result.message
