"""An evaluation of a known world through the scorer itself: every answer, in the order that its knowledge gives it."""

import sys
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from diagnostics.audit.evaluation.cell_eval import SHORT, CellEval, target_genes
from diagnostics.audit.evaluation.data import split_of
from diagnostics.audit.evaluation.evaluate import Evaluation, as_anndata, evaluate
from diagnostics.audit.evaluation.references import baselines
from diagnostics.audit.evaluation.results import MEAN_RESPONSE
from diagnostics.audit.evaluation.truth import exact_answers, truth_of
from gpcp.core.errors import InputError
from tests.diagnostics.audit.evaluation.screens import small_screen

SCREEN = small_screen(n_targets=8, least_descendants=2, depth=20_000.0)
SPLIT = split_of(SCREEN, share=0.5, seed=0)


@pytest.fixture(scope="module")
def found() -> Evaluation:
    return evaluate(SCREEN, SPLIT, n_splits=1)


@pytest.mark.slow
def test_what_is_known_decides_the_scores(found: Evaluation):
    pds, mse = "pds_cosine", "expr_mse_unbiased_capped_norm"
    values = {row.name: {metric: one.value for metric, one in row.values.items()} for row in found.rows}
    assert values["copy of the reference"][pds] == 1
    assert values["copy of the reference"]["de_wilcoxon_sig_jaccard"] == 1
    for exact in ("exact sampler", "exact mean, no spread"):
        for ignorant in MEAN_RESPONSE:
            assert values[exact][mse] < 0.1 < values[ignorant][mse]
    assert values["no change"][mse] == pytest.approx(1, abs=0.15)
    assert {"replicate", "the scorer's baseline", "shuffled labels", "ridge"} <= values.keys()
    assert found.metrics[:6] == tuple(SHORT)
    assert "cell-eval2 0.20" in found.scorer


@pytest.mark.slow
def test_values_are_those_of_the_scorer(found: Evaluation):
    from cell_eval2 import aggregate_metrics, compute_metrics

    from diagnostics.audit.evaluation.cell_eval import quiet

    truth = truth_of(SCREEN, SPLIT)
    assert truth is not None
    sampled = exact_answers(SCREEN, SPLIT, truth, seed=0)[0]
    scorer = CellEval("vcc2026", SCREEN, SPLIT)
    with quiet():
        tidy = compute_metrics(
            as_anndata(SCREEN, SPLIT, "context_0", sampled),
            as_anndata(SCREEN, SPLIT, "context_0"),
            config=scorer.config,
        )
        expected = {name: value for name, value, _ in aggregate_metrics(tidy).iter_rows()}
    values = found.row("exact sampler").values
    assert values.keys() == {name for name, value in expected.items() if np.isfinite(value)}
    for name, one in values.items():
        assert one.value == pytest.approx(expected[name], rel=1e-9, abs=1e-12)
        assert one.low <= one.value + 1e-9
        assert one.high >= one.value - 1e-9


@pytest.mark.slow
def test_the_scale_is_0_at_the_baseline_and_predictions_are_compared_with_the_mean_response(found: Evaluation):
    for one in found.row("the scorer's baseline").scaled.values():
        assert one.value == pytest.approx(0, abs=1e-9)
    compared = {(one.name, one.against) for one in found.comparisons}
    assert {("ridge", name) for name in MEAN_RESPONSE} <= compared
    assert not any(one.name.startswith("exact") for one in found.comparisons)
    assert found.left_out[0].startswith("additive: 4 of 4 test perturbations")


@pytest.mark.slow
def test_logarithms_and_contexts_are_scored_too():
    screen = small_screen(values="log", n_contexts=2, n_targets=4, depth=20_000.0)
    found = evaluate(screen, split_of(screen, share=0.5, seed=0), with_baselines=False, n_splits=1)
    assert found.adapted[0].startswith("X holds logarithms")
    assert len(found.row("exact sampler").scores.labels) == 4
    assert not found.row("exact sampler").scaled
    assert "ridge" not in {row.name for row in found.rows}


def test_baselines_learn_from_training_cells_alone():
    first, _ = baselines(SCREEN, SPLIT, seed=0)
    changed = small_screen(n_targets=8, least_descendants=2, depth=20_000.0)
    test_B = np.isin(changed.label_B, SPLIT.test)
    changed.X_BG.data[np.repeat(test_B, np.diff(changed.X_BG.indptr))] += 7
    second, _ = baselines(changed, SPLIT, seed=0)
    assert [one.name for one in first] == [one.name for one in second]
    for one, other in zip(first, second, strict=True):
        for key, cell_BG in one.groups.items():
            np.testing.assert_array_equal(cell_BG, other.groups[key])


def test_without_training_perturbations_the_mean_response_is_of_the_test_ones():
    made, left_out = baselines(SCREEN, split_of(SCREEN, share=1.0, seed=0), seed=0)
    notes = {one.name: one.note for one in made}
    assert notes["mean response"] == "of the test perturbations themselves"
    assert "ridge" not in notes
    assert "ridge: no perturbation is left to learn from" in left_out


def test_a_missing_scorer_and_a_wrong_preset_are_one_line(monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(InputError, match="--preset is 'vcc2025'; nearest: vcc2026"):
        CellEval("vcc2025", SCREEN, SPLIT)
    monkeypatch.setitem(sys.modules, "cell_eval2", None)
    with pytest.raises(InputError, match=r"pip install 'gpcp\[evaluate\]'"):
        CellEval("vcc2026", SCREEN, SPLIT)


def test_the_scorer_is_given_what_it_cannot_find_by_name():
    assert target_genes(SCREEN, SPLIT) is None
    written = small_screen(tool="gears", n_combinations=3, n_targets=4, hidden_targets=0.5)
    split = split_of(written, share=1.0, seed=0)
    for label, gene in (target_genes(written, split) or {}).items():
        measured = [one for one in written.targets[label] if one in written.genes]
        assert gene == (measured[0] if len(measured) == 1 else None)
    hidden = small_screen(hidden_targets=1.0)
    split = split_of(hidden, share=0.5, seed=0)
    assert target_genes(hidden, split) == dict.fromkeys(split.test)


def test_a_truth_of_other_genes_is_refused():
    other = small_screen(n_targets=8, hidden_targets=1.0)
    with pytest.raises(InputError, match="has other genes than the world"):
        truth_of(replace(SCREEN, uns=other.uns), SPLIT)
    with pytest.raises(InputError, match="has no perturbation"):
        truth_of(replace(SCREEN, uns=small_screen(n_targets=3).uns), SPLIT)


def test_stages_are_announced_in_order(monkeypatch: pytest.MonkeyPatch):
    stages: list[str] = []
    stub: Callable[..., object] = CellEval.scores

    def scores(self: CellEval, predicted: object, real: object) -> object:
        del predicted
        labels = tuple(sorted(set(real.obs["target"]) - {"non-targeting"}))  # pyright: ignore
        from diagnostics.audit.evaluation.cell_eval import Scores

        return Scores(labels=labels, parts={"pds_cosine": np.ones((len(labels), 2))})

    assert stub is not scores
    monkeypatch.setattr(CellEval, "scores", scores)
    found = evaluate(SCREEN, SPLIT, with_baselines=False, n_splits=0, on_stage=stages.append)
    assert stages[:2] == ["no change", "mean response"]
    assert [row.name for row in found.rows] == stages
