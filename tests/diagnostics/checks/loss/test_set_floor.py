"""The floor of a distance between sets against its closed form, by the loss if that compares sets."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest
from torch import Tensor

from diagnostics.checks.engine.intent import Intent
from diagnostics.checks.engine.subject import Subject
from diagnostics.checks.loss.set_floor import matched_sets
from diagnostics.scoring.distances import energy_distance
from gpcp.core.genes import GeneVocab
from gpcp.core.pairs import PairBatch
from tests.diagnostics.checks.subjects import found

N_GENES, SIZE = 6, 16
NAME = "loss.set_floor"


@dataclass(frozen=True)
class InOrder:
    """The same pairs in the same order in every pass."""

    batch: PairBatch

    @property
    def vocab(self) -> GeneVocab:
        return self.batch.vocab

    @property
    def n_pairs(self) -> int | None:
        return len(self.batch)

    def pairs(self, *, batch_size: int, seed: int) -> Iterator[PairBatch]:
        del seed
        for start in range(0, len(self.batch), batch_size):
            yield self.batch.rows(slice(start, start + batch_size))


def sets(*, change: float, n_sets: int = 80, seed: int = 0) -> InOrder:
    """Normal cells; those after moved by ``change`` in every gene; sets of two perturbations in turn."""
    rng = np.random.default_rng(seed)
    n = n_sets * SIZE
    perturbed_BG = np.zeros((n, N_GENES), dtype=np.bool_)
    perturbed_BG[np.arange(n), (np.arange(n) // SIZE) % 2] = True
    before_BG = rng.normal(0, 1, (n, N_GENES)).astype(np.float32)
    after_BG = (rng.normal(0, 1, (n, N_GENES)) + change).astype(np.float32)
    return InOrder(
        PairBatch(
            vocab=GeneVocab(feature_id=tuple(f"gene_{gene}" for gene in range(N_GENES))),
            before_BG=before_BG,
            after_BG=after_BG,
            measured_BG=np.ones_like(perturbed_BG),
            perturbed_BG=perturbed_BG,
            before_id_B=np.arange(n, dtype=np.int64),
            after_id_B=np.arange(n, 2 * n, dtype=np.int64),
        )
    )


def asked(source: InOrder, **parts) -> Subject:
    return Subject(pairs=source, intent=Intent(set_size=SIZE), name="sets", **parts)


def test_the_floor_is_that_of_chance():
    """Of all pairs of cells, 1 in n of those within a set is a cell with itself: the floor is ``2 / n E|x - x'|``."""
    result = found(asked(sets(change=2.0, n_sets=240)), NAME)
    draws = np.random.default_rng(1).normal(0, 1, (2, 20_000, N_GENES))
    expected = 2 / SIZE * np.linalg.norm(draws[0] - draws[1], axis=1).mean()
    assert result.outcome == "pass"
    assert result.statistic == pytest.approx(expected, rel=0.05)
    assert "energy distance" in result.message
    assert result.next_step == ""


def test_a_floor_that_hides_the_change_asks_for_larger_sets():
    result = found(asked(sets(change=0.1)), NAME)
    assert (result.outcome, result.next_step.startswith("larger sets")) == ("pass", True)


def test_a_loss_of_sets_is_used_and_one_of_cells_is_not():
    def means(prediction: Tensor, after: Tensor, scored: Tensor) -> Tensor:
        return (prediction.mean(0) - after.mean(0)).square().mean()

    def cells(prediction: Tensor, after: Tensor, scored: Tensor) -> Tensor:
        return (prediction - after).square().mean()

    source = sets(change=2.0, n_sets=240)
    result = found(asked(source, loss=means), NAME)
    assert "the loss that is given" in result.message
    # The means of two sets differ by a variance of 2 / n in each gene.
    assert result.statistic == pytest.approx(2 / SIZE, rel=0.15)
    assert "energy distance" in found(asked(source, loss=cells), NAME).message


def test_sets_are_matched_with_others_of_their_perturbation():
    batch = sets(change=1.0).batch
    matched = matched_sets(batch, SIZE)
    assert len(matched) == 40
    assert len({int(one.after_id_B[0]) for both in matched for one in both}) == 80
    for one, other in matched:
        assert (one.perturbed_BG == other.perturbed_BG).all()
        assert set(one.after_id_B.tolist()).isdisjoint(other.after_id_B.tolist())
    # Sets that are cut in another place hold two perturbations.
    assert matched_sets(batch.rows(slice(8, None)), SIZE) == []


def test_cells_that_are_answered_alone_have_no_floor():
    assert found(Subject(pairs=sets(change=1.0), name="cells"), NAME).outcome == "not_applicable"
    few = InOrder(sets(change=1.0).batch.rows(slice(0, 2 * SIZE)))
    assert "too few sets" in found(asked(few), NAME).message


def test_the_energy_distance_of_two_points():
    assert energy_distance(np.zeros((1, 2)), np.array([[3.0, 4.0]])) == pytest.approx(10.0)
