"""Skill is 1 at the Bayes risk and 0 at the baseline, whoever asks; Monte Carlo error is no part of the risk."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diagnostics.commands.compare.runs import references_of
from diagnostics.commands.sweep.advice import named_losses
from diagnostics.graphs.evaluate import ReadOut
from diagnostics.inputs.data import N_SAMPLE, world_data_of
from diagnostics.runs.experiment import Experiment
from diagnostics.scoring.errors import Errors
from diagnostics.scoring.levels import ExactLoss, Levels, exact_loss, levels_of
from gpcp.core.pairs import PairBatch, concatenate
from gpcp.core.random import seed_of, stream
from gpcp.core.skill import skill
from gpcp.search.result import SweepResult
from gpcp.search.space import Space, usual_space
from simulators.exact.bayes import bayes
from simulators.scm.regimes import REGIMES, Regime
from simulators.sources import SimulatedPairs
from simulators.worlds import World, world

N_PAIRS = 5


def some_pairs(made: World, regime: Regime, n_pairs: int, seed: int) -> PairBatch:
    source = SimulatedPairs(scm=made.scm, regime=regime, n_pairs=n_pairs)
    return concatenate(source.pairs(batch_size=n_pairs, seed=seed))


@st.composite
def errors(draw: st.DrawFn, *, n_scored: list[int]) -> Errors:
    sums = draw(st.lists(st.floats(0, 100), min_size=len(n_scored), max_size=len(n_scored)))
    return Errors(sum_B=np.array(sums), n_B=np.array(n_scored))


@st.composite
def levels(draw: st.DrawFn) -> Levels:
    n_scored = draw(st.lists(st.integers(1, 9), min_size=N_PAIRS, max_size=N_PAIRS))
    one = errors(n_scored=n_scored)
    exact = st.builds(ExactLoss, errors=one, simulation=st.none() | one)
    return Levels(
        mean_delta=draw(one),
        mean=draw(one),
        ridge=draw(st.none() | one),
        exact=draw(st.none() | exact),
        type_mean=draw(st.none() | one),
        linear=draw(st.none() | one),
    )


@given(found=levels())
def test_skill_is_1_at_the_bayes_risk_and_0_at_the_baseline(found: Levels):
    risk = found.bayes_risk
    if risk is None or not found.baseline > risk:
        assert found.skill(risk) is found.skill(found.baseline) is found.skill(found.reference) is None
    else:
        assert found.skill(risk) == 1
        assert found.skill(found.baseline) == 0


@given(found=levels(), n=st.integers(1, N_PAIRS))
def test_on_the_first_pairs_the_levels_are_those_of_these_pairs(found: Levels, n: int):
    first = found.first(n)
    free = [one for one in (found.mean_delta, found.mean, found.type_mean) if one is not None]
    assert first.baseline == min(one.first(n).loss for one in free)
    linear = [one for one in (found.ridge, found.linear) if one is not None]
    assert first.reference == min((one.first(n).loss for one in linear), default=None)
    assert first.named().keys() == found.named().keys()
    assert found.first(N_PAIRS).to_json() == found.to_json()


@given(found=levels())
def test_what_is_won_is_the_difference_of_skills(found: Levels):
    won = found.won(found.baseline, found.best)
    skills = found.of_way(found.baseline), found.of_way(found.best)
    assert won == (None if None in skills else 1)


@given(found=levels(), loss=st.floats(0, 100))
def test_a_loss_is_on_one_way(found: Levels, loss: float):
    """To the Bayes risk where it is known, else to the best linear predictor."""
    assert None in (found.skill(loss), found.share_of_linear(loss))
    assert found.of_way(loss) == (found.share_of_linear(loss) if found.exact is None else found.skill(loss))
    assert found.share_of_linear(found.reference) in (None, 1)


@pytest.mark.parametrize("regime", REGIMES)
def test_everybody_reads_the_same_levels_from_one_world(regime: Regime, tmp_path: Path):
    """The comparison, the sweep, ``recover-graph`` and its figure, in a world with a closed form."""
    setting = Experiment(
        source="synthetic:erdos_renyi/5",
        regime=regime,
        n_perturbed=(1, 4),
        seed=3,
        n_held_out=400,
        n_steps=1,
        batch_size=1,
        learning_rate=1.0,
    )
    data = world_data_of(setting)
    made, held_out = data.world, data.held_out
    source = setting.pairs(made, N_SAMPLE)
    sample = concatenate(source.pairs(batch_size=N_SAMPLE, seed=seed_of(setting.seed, "sample")))
    exact = bayes(made.scm, regime, held_out)
    expected = levels_of(sample, held_out, exact=exact, ridge_on=sample)
    assert expected.bayes_is_exact

    compared, ceilings = references_of(setting, skip=True, ranks={0})
    assert compared.to_json() == expected.to_json()
    assert ceilings is not None
    assert ceilings.bayes_risk == expected.bayes_risk
    run = data.levels(data.exact())
    assert run.to_json() == expected.to_json()
    named = named_losses(sample, held_out, lambda pairs: bayes(made.scm, regime, pairs))
    assert list(named.values()) == [expected.baseline, expected.reference, expected.bayes_risk]
    result = _sweep_result(named)
    for loss in (*named.values(), 0.5 * expected.baseline):
        assert result.skill(loss) == compared.skill(loss) == expected.skill(loss)

    main = _read_out(made)
    main.save(tmp_path / "arrays.npz", np.zeros((5, 5), dtype=np.bool_), expected)
    with np.load(tmp_path / "arrays.npz") as kept:
        drawn = [float(kept[f"level_{name}"]) for name in ("baseline", "ridge", "bayes")]
    assert drawn == list(named.values())


def _sweep_result(named: dict[str, float]) -> SweepResult:
    from gpcp.model.config import preset
    from gpcp.training.config import FitConfig

    space = Space([usual_space()["learning_rate"]], preset("default", 5), FitConfig())
    return SweepResult(rows=(), n_seeds=1, start_loss=1.0, levels=named, space=space, settings={})


def _read_out(made: World) -> ReadOut:
    weight_GG = np.asarray(made.graph.weight_GG)
    return ReadOut(
        name="single_gene",
        target="direct",
        supported=True,
        effect_GG=weight_GG,
        exact_GG=weight_GG,
        auprc=1.0,
        ceiling_auprc=1.0,
    )


def test_what_monte_carlo_adds_is_no_part_of_the_bayes_risk():
    made = world("erdos_renyi/8/hill", seed=0)
    held_out, sample = some_pairs(made, "matched", 2000, 2), some_pairs(made, "matched", 500, 1)
    few = bayes(made.scm, "matched", held_out, rng=stream(0, "few"), n_particles=20)
    many = bayes(made.scm, "matched", held_out, rng=stream(0, "many"), n_particles=2048)
    rough, fine = exact_loss(few, held_out), exact_loss(many, held_out)
    z = fine.errors.below(rough.errors)
    error = (rough.errors.loss - fine.errors.loss) / z
    assert z > 4
    assert abs(rough.risk - fine.risk) < 4 * error
    found = levels_of(sample, held_out, exact=few, ridge_on=sample)
    assert not found.bayes_is_exact
    assert found.bayes_risk == rough.risk
    assert found.first(len(held_out)).bayes_risk == rough.risk
    # Held against its uncorrected loss, the exact answer would have a skill above 1: it would seem to leak.
    uncorrected = skill(fine.risk, baseline=found.baseline, best=rough.errors.loss)
    allowed = 4 * error / (found.baseline - fine.risk)
    assert found.skill(fine.risk) == pytest.approx(1, abs=allowed)
    assert uncorrected is not None
    assert uncorrected > 1 + allowed


def test_ridge_is_left_out_of_many_genes_and_where_a_gene_is_never_scored():
    made = world("chain/4", seed=0)
    pairs = some_pairs(made, "matched", 50, 1)
    assert levels_of(pairs, pairs, ridge_on=pairs).reference is not None
    assert levels_of(pairs, pairs, ridge_on=None).reference is None
    perturbed_BG = pairs.perturbed_BG.copy()
    perturbed_BG[:, 2] = True
    silent = PairBatch(
        vocab=pairs.vocab,
        before_BG=pairs.before_BG,
        after_BG=pairs.after_BG,
        measured_BG=pairs.measured_BG,
        perturbed_BG=perturbed_BG,
        before_id_B=pairs.before_id_B,
        after_id_B=pairs.after_id_B,
    )
    assert levels_of(silent, silent, ridge_on=silent).reference is None
    large = world("erdos_renyi/301", seed=0)
    many = some_pairs(large, "matched", 20, 1)
    assert levels_of(many, many, ridge_on=many).reference is None
