"""Cells on both sides of a split, pairs of strangers, pairs of another world: found, and healthy ones left alone."""

from dataclasses import replace

import numpy as np
import pytest

from diagnostics.checks.engine.subject import Subject
from gpcp.core.pairs import PairBatch
from gpcp.core.perturbations import AppliedPerturbations, PerturbationVocab
from gpcp.core.random import stream
from gpcp.pairing.paired import Paired
from simulators.exact.bayes import bayes
from simulators.scm.regimes import REGIMES, Regime
from simulators.sources import SimulatedCells, SimulatedPairs
from simulators.worlds import world
from tests.diagnostics.checks.sources import Changed, Fixed, drawn, pairs_of, with_after, with_before
from tests.diagnostics.checks.subjects import found


def exact_of(source: SimulatedPairs):
    return lambda pairs: bayes(source.scm, source.regime, pairs, rng=stream(0, "exact"), n_particles=128)


def cells(population: int) -> Paired:
    return Paired(SimulatedCells(scm=world("scale_free/8").scm, n_cells=1_000, population=population))


def test_a_leak_of_one_pair_in_a_hundred_is_found_by_name_and_by_value():
    training, held_out = drawn(pairs_of(), 2_000), drawn(pairs_of(), 500, 1)
    after_BG, id_B = held_out.after_BG.copy(), held_out.after_id_B.copy()
    after_BG[:5], id_B[:5] = training.after_BG[100:105], training.after_id_B[100:105]
    by_both = replace(held_out, after_BG=after_BG, after_id_B=id_B)
    by_value = replace(held_out, after_BG=after_BG)
    for leaky in (by_both, by_value):
        result = found(Subject(pairs=Fixed(training), held_out=Fixed(leaky)), "data.split")
        assert (result.outcome, result.cause) == ("fail", "data")
        assert result.statistic == pytest.approx(0.01)


def test_names_of_two_files_may_be_the_same_numbers():
    """Both name their cells by row: names alone would call every cell a leak."""
    training, held_out = drawn(pairs_of(), 800), drawn(pairs_of(), 500, 1)
    held_out = replace(held_out, before_id_B=training.before_id_B[:500], after_id_B=training.after_id_B[:500])
    assert found(Subject(pairs=Fixed(training), held_out=Fixed(held_out)), "data.split").outcome == "pass"


def test_silent_cells_are_no_leak():
    def silent(pairs: PairBatch, rng: np.random.Generator) -> PairBatch:
        return with_after(pairs, np.where(rng.random((len(pairs), 1)) < 0.5, 0, pairs.after_BG))

    asked = Subject(pairs=Changed(pairs_of(), silent), held_out=Changed(pairs_of(seed=1), silent))
    assert found(asked, "data.split").outcome == "pass"


def test_controls_on_both_sides_are_no_leak_and_are_reported():
    training, held_out = drawn(pairs_of(), 800), drawn(pairs_of(), 500, 1)
    shared = replace(held_out, before_BG=training.before_BG[:500], before_id_B=training.before_id_B[:500])
    result = found(Subject(pairs=Fixed(training), held_out=Fixed(shared)), "data.split")
    assert result.outcome == "pass"
    assert "have a cell before that training has too" in result.message


def test_controls_that_are_targets_on_both_sides_are_a_note_and_perturbed_ones_a_leak():
    training, held_out = drawn(pairs_of(), 800), drawn(pairs_of(), 500, 1)

    def with_targets_of_training(rows: slice) -> PairBatch:
        after_BG, perturbed_BG = held_out.after_BG.copy(), held_out.perturbed_BG.copy()
        after_BG[rows], perturbed_BG[:100] = training.after_BG[rows], False
        return replace(held_out, after_BG=after_BG, perturbed_BG=perturbed_BG)

    shared = with_targets_of_training(slice(0, 100))
    result = found(Subject(pairs=Fixed(training), held_out=Fixed(shared)), "data.split")
    assert result.outcome == "inconclusive"
    assert result.statistic == pytest.approx(0.2)
    leaky = with_targets_of_training(slice(90, 110))
    assert found(Subject(pairs=Fixed(training), held_out=Fixed(leaky)), "data.split").outcome == "fail"


def test_a_target_that_is_not_measured_is_a_perturbation_all_the_same():
    training, held_out = drawn(pairs_of(), 800), drawn(pairs_of(), 500, 1)
    names = PerturbationVocab(target=("drug", training.vocab.feature_id[0]), kind=("compound", "set"), gene=(-1, 0))

    def named(pairs: PairBatch, token_B: list[list[int]]) -> PairBatch:
        applied = AppliedPerturbations.of(names, token_B)
        return replace(pairs, perturbed_BG=applied.targets_BG(len(pairs.vocab)), applied=applied)

    after_BG = held_out.after_BG.copy()
    after_BG[:100] = training.after_BG[:100]  # cells after of a drug, which is no gene
    leaky = named(replace(held_out, after_BG=after_BG), [[0]] * 100 + [[1]] * 400)
    subject = Subject(pairs=Fixed(named(training, [[0], [1]] * 400)), held_out=Fixed(leaky))
    assert found(subject, "data.split").outcome == "fail"


def test_one_source_for_both_is_judged_by_whether_its_cells_come_again():
    assert "fresh cells" in found(Subject(pairs=pairs_of()), "data.split").message
    again = found(Subject(pairs=cells(0)), "data.split")
    assert again.outcome == "not_applicable"
    assert "give held_out=" in again.next_step
    assert found(Subject(pairs=cells(0), held_out=cells(1)), "data.split").outcome == "pass"


def strangers(pairs: PairBatch, rng: np.random.Generator) -> PairBatch:
    order_B = rng.permutation(len(pairs))
    return with_before(replace(pairs, before_id_B=pairs.before_id_B[order_B]), pairs.before_BG[order_B])


@pytest.mark.parametrize(("declared", "outcome"), [("counterfactual", "fail"), (None, "not_applicable")])
def test_strangers_are_blamed_only_where_partners_were_promised(declared, outcome: str):
    source = Changed(pairs_of(regime="counterfactual"), strangers, declared)
    assert found(Subject(pairs=source), "data.partners").outcome == outcome


@pytest.mark.parametrize("regime", REGIMES)
def test_healthy_partners_pass_or_are_not_asked(regime):
    result = found(Subject(pairs=pairs_of(regime=regime)), "data.partners")
    assert result.outcome == ("pass" if regime == "counterfactual" else "not_applicable")


@pytest.mark.parametrize("name", ["scale_free/8", "scale_free/8/tanh"])
@pytest.mark.parametrize("regime", REGIMES)
def test_pairs_of_a_known_world_follow_it(name: str, regime):
    source = pairs_of(name, regime)
    result = found(Subject(pairs=source, exact=exact_of(source)), "data.world")
    assert result.outcome == "pass"
    if result.null == 1:
        # 1,000 pairs know the ratio to some 3 %; 128 particles add 1 %.
        assert result.statistic == pytest.approx(1, abs=0.15)


def further_noise(pairs: PairBatch, rng: np.random.Generator) -> PairBatch:
    noise_BG = np.where(pairs.perturbed_BG, 0, rng.normal(0, 0.5, pairs.after_BG.shape))
    return with_after(pairs, pairs.after_BG + noise_BG)


@pytest.mark.parametrize("change", [further_noise, strangers])
@pytest.mark.parametrize("regime", REGIMES)
def test_pairs_of_another_world_are_found(change, regime):
    source = pairs_of(regime=regime)
    asked = Subject(pairs=Changed(source, change), exact=exact_of(source))
    # Where before carries no information on after, unrelated cells are as good as partners.
    healthy = change is strangers and regime != "counterfactual"
    assert found(asked, "data.world").outcome == ("pass" if healthy else "fail")


@pytest.mark.parametrize("regime", ["matched", "interventional"])
def test_less_noise_than_the_world_has_is_found(regime):
    source = pairs_of(regime=regime)

    def hint(pairs: PairBatch, _: np.random.Generator) -> PairBatch:
        mean_BG = exact_of(source)(pairs).mean_BG
        return with_after(pairs, mean_BG + 0.9 * (pairs.after_BG - mean_BG))

    result = found(Subject(pairs=Changed(source, hint), exact=exact_of(source)), "data.world")
    assert result.outcome == "fail"
    assert result.statistic == pytest.approx(0.81, abs=0.08)  # .9 squared; 1,000 pairs know it to some 3 %


def test_without_a_known_world_nothing_is_asked():
    assert found(Subject(pairs=pairs_of()), "data.world").outcome == "not_applicable"


def test_noisy_copies_on_both_sides_of_a_split_are_found():
    """Forty pairs, each a hundred times with a hundredth of noise, split afterwards: no value is the same."""
    few = drawn(pairs_of(), 40)

    def copies(n_copies: int) -> Changed:
        def jittered(pairs: PairBatch, rng: np.random.Generator) -> PairBatch:
            rows = rng.integers(n_copies, size=len(pairs))
            held = few.rows(rows)
            noise_BG = rng.normal(0, 0.01, held.after_BG.shape)
            id_B = rng.integers(2**62, size=len(pairs))
            return replace(with_after(held, held.after_BG + noise_BG), before_id_B=id_B, after_id_B=id_B + 1)

        return Changed(pairs_of(), jittered)

    asked = Subject(pairs=copies(40), held_out=copies(40))
    assert found(asked, "data.split").outcome == "pass"
    result = found(asked, "data.copies")
    assert (result.outcome, result.cause) == ("fail", "data")
    assert found(Subject(pairs=pairs_of(), held_out=pairs_of(seed=0)), "data.copies").outcome == "pass"


@pytest.mark.parametrize("regime", ["matched", "counterfactual", "interventional"])
@pytest.mark.parametrize("name", ["scale_free/8/hill", "chain/8", "erdos_renyi/12/tanh"])
def test_a_world_gives_no_copies(name: str, regime: Regime):
    assert found(Subject(pairs=pairs_of(name, regime)), "data.copies").outcome == "pass"
