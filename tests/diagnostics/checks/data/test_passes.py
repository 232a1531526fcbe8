"""The promises of a source: each broken one is found by its check, and the library's own sources keep all of them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import count

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diagnostics.checks.data.passes import pair_codes, same_position_share
from diagnostics.checks.engine.subject import Subject
from diagnostics.inputs.loaders.loader_pairs import LoaderPairs
from gpcp.core.genes import GeneVocab
from gpcp.core.pairs import PairBatch, PairSource, concatenate, rebatched
from gpcp.pairing.paired import Paired
from simulators.sources import SimulatedCells
from simulators.worlds import world
from tests.diagnostics.checks.data.pairs.batches import FIELDS, batches, columns
from tests.diagnostics.checks.sources import Changed, Fixed, drawn, pairs_of
from tests.diagnostics.checks.subjects import failures, found

NAMES = ("data.same_seed", "data.other_seed", "data.repeats", "data.two_cells")
Pass = Callable[[PairSource, int, int], Iterator[PairBatch]]


@dataclass(frozen=True, slots=True)
class Broken:
    """A source whose pass is made by a function of the source, the batch size and the seed."""

    source: PairSource
    one_pass: Pass

    @property
    def vocab(self) -> GeneVocab:
        return self.source.vocab

    @property
    def n_pairs(self) -> int | None:
        return self.source.n_pairs

    def pairs(self, *, batch_size: int, seed: int) -> Iterator[PairBatch]:
        return self.one_pass(self.source, batch_size, seed)


def unseeded() -> Pass:
    """Every pass draws on."""
    number = count()
    return lambda source, size, _: source.pairs(batch_size=size, seed=next(number))


def seeded_by_size(source: PairSource, size: int, seed: int) -> Iterator[PairBatch]:
    return source.pairs(batch_size=size, seed=seed + size)


def same_order(source: PairSource, size: int, seed: int) -> Iterator[PairBatch]:
    return source.pairs(batch_size=size, seed=0)


def same_cells_others_perturbed(source: PairSource, size: int, seed: int) -> Iterator[PairBatch]:
    rng = np.random.default_rng(seed)

    def perturbed_anew(batch: PairBatch) -> PairBatch:
        return replace(batch, perturbed_BG=rng.permuted(batch.perturbed_BG, axis=1))

    return rebatched(map(perturbed_anew, source.pairs(batch_size=1, seed=0)), batch_size=size)


def overlapping(source: PairSource, size: int, seed: int) -> Iterator[PairBatch]:
    """Blocks seeded by the pass's seed plus their number: the next pass is this one, a block later."""
    blocks = (drawn(source, 64, seed + number) for number in range(20))
    return rebatched(blocks, batch_size=size)


def workers_alike(source: PairSource, size: int, seed: int) -> Iterator[PairBatch]:
    """Two workers with the same random numbers take turns."""
    twice = (batch for batch in source.pairs(batch_size=64, seed=seed) for _ in range(2))
    return rebatched(twice, batch_size=size)


FAULTS: list[tuple[str, Pass, str]] = [
    ("data.same_seed", unseeded(), "the second time"),
    ("data.same_seed", seeded_by_size, "in batches of 17"),
    ("data.other_seed", same_order, "the same pairs in the same order"),
    ("data.other_seed", same_cells_others_perturbed, "other perturbed genes"),
    ("data.other_seed", overlapping, "64 pairs"),
    ("data.repeats", workers_alike, "most again after 64"),
]


@pytest.mark.parametrize(("name", "one_pass", "words"), FAULTS)
def test_a_broken_promise_is_found_by_its_check(name: str, one_pass: Pass, words: str):
    asked = Subject(pairs=Broken(pairs_of(), one_pass))
    assert failures(asked, *NAMES) == [name]
    result = found(asked, name)
    assert words in result.message
    assert result.cause == "data"


def test_a_cell_beside_itself_is_found():
    def itself(pairs: PairBatch, rng: np.random.Generator) -> PairBatch:
        own_B = rng.random(len(pairs)) < 0.1
        after_BG = np.where(own_B[:, None], pairs.before_BG, pairs.after_BG)
        after_id_B = np.where(own_B, pairs.before_id_B, pairs.after_id_B)
        return replace(pairs, after_BG=after_BG, after_id_B=after_id_B)

    asked = Subject(pairs=Changed(pairs_of(), itself))
    assert failures(asked, *NAMES) == ["data.two_cells"]
    assert found(asked, "data.two_cells").statistic == pytest.approx(0.1, abs=0.03)  # 3 standard errors of 5,000


HEALTHY: list[PairSource] = [
    pairs_of(),
    pairs_of(regime="counterfactual", n_perturbed=(1, 1)),
    Fixed(drawn(pairs_of(), 300)),
    Fixed(drawn(pairs_of(), 5)),
    Paired(SimulatedCells(scm=world("scale_free/8").scm, n_cells=400)),
    Paired(SimulatedCells(scm=world("scale_free/8").scm, n_cells=400), engine="streaming"),
]


@pytest.mark.parametrize("source", HEALTHY, ids=lambda source: type(source).__name__)
def test_sources_that_keep_their_promises_pass(source: PairSource):
    assert failures(Subject(pairs=source), *NAMES) == []


def test_the_order_of_a_handful_of_pairs_says_nothing():
    assert found(Subject(pairs=Fixed(drawn(pairs_of(), 5))), "data.other_seed").outcome == "not_applicable"


def test_names_that_are_all_alike_are_no_names():
    def nameless(pairs: PairBatch, _: np.random.Generator) -> PairBatch:
        zeros_B = np.zeros(len(pairs), dtype=np.int64)
        return replace(pairs, before_id_B=zeros_B, after_id_B=zeros_B)

    assert failures(Subject(pairs=Changed(pairs_of(), nameless)), *NAMES) == []


@given(st.integers(0, 50), st.integers(0, 40))
def test_a_shifted_order_is_measured(seed: int, shift: int):
    code_B = np.random.default_rng(seed).permutation(100).astype(np.uint64)
    share, lag = same_position_share(code_B, code_B[shift:])
    assert (share, lag) == (1.0, shift)


@given(st.integers(0, 200))
def test_a_shuffled_order_is_another_order(seed: int):
    code_B = np.arange(64, dtype=np.uint64)
    share, _ = same_position_share(code_B, np.random.default_rng(seed).permutation(code_B))
    assert share < 0.5


def test_pairs_are_perturbed_apart_by_cells_names_and_perturbed_genes():
    pairs = drawn(pairs_of(), 40)
    other = replace(pairs, perturbed_BG=np.roll(pairs.perturbed_BG, 1, axis=1))
    assert len(np.unique(pair_codes(concatenate([pairs, pairs])))) == 40
    assert (pair_codes(pairs) != pair_codes(other)).any()
    assert (pair_codes(pairs, perturbed=False) == pair_codes(other, perturbed=False)).all()


@pytest.mark.parametrize(("is_sorted", "outcome"), [(True, "fail"), (False, "pass")])
def test_a_loader_in_one_order_is_at_fault_where_its_pairs_are_sorted(is_sorted: bool, outcome: str):
    made = columns(600)
    if is_sorted:
        made = {name: value[np.argsort(made["gene"].argmax(axis=1), kind="stable")] for name, value in made.items()}
    loader = LoaderPairs(batches(made), FIELDS)
    assert found(Subject(pairs=loader, collate=loader.model_batch), "data.other_seed").outcome == outcome
