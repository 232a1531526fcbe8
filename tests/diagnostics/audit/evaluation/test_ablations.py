"""Ablations: every cell comes from somewhere else, and what uses the perturbation loses by it."""

import numpy as np
import pytest

from diagnostics.audit.evaluation.ablations import CONTEXT, PERTURBATION, ablated
from diagnostics.audit.evaluation.data import split_of
from diagnostics.audit.evaluation.evaluate import evaluate
from diagnostics.audit.evaluation.references import Answer, baselines
from diagnostics.audit.evaluation.truth import exact_answers, truth_of
from diagnostics.commands.screens.evaluate.table import uses
from tests.diagnostics.audit.evaluation.screens import small_screen


def test_each_perturbation_has_the_cells_of_another_one():
    screen = small_screen(n_contexts=2)
    split = split_of(screen, share=1, seed=0)
    groups = {
        (label, context): np.full((3, 2), 10 * i + j, np.float32)
        for i, label in enumerate(split.test)
        for j, context in enumerate(screen.contexts)
    }
    found = ablated(Answer(name="mine", kind="prediction", groups=groups), screen, split, seed=0)
    for (label, context), cell_BG in groups.items():
        other, elsewhere = (found[what].groups[label, context][0, 0] for what in (PERTURBATION, CONTEXT))
        assert other % 10 == cell_BG[0, 0] % 10
        assert other != cell_BG[0, 0]
        assert elsewhere // 10 == cell_BG[0, 0] // 10
        assert elsewhere != cell_BG[0, 0]


def test_one_context_has_no_other():
    screen = small_screen()
    split = split_of(screen, share=1, seed=0)
    groups = {(label, screen.contexts[0]): np.zeros((3, 2), np.float32) for label in split.test}
    assert list(ablated(Answer(name="mine", kind="prediction", groups=groups), screen, split, seed=0)) == [PERTURBATION]


@pytest.mark.slow
def test_the_truth_loses_without_the_perturbation_and_a_mean_response_does_not():
    screen = small_screen(n_targets=16, depth=20_000.0)
    split = split_of(screen, share=1, seed=0)
    truth = truth_of(screen, split)
    assert truth is not None
    exact = exact_answers(screen, split, truth, seed=7)[0]
    mean = next(one for one in baselines(screen, split, seed=7)[0] if one.name == "mean response")
    sent = [
        Answer(name="law", kind="prediction", groups=exact.groups),
        Answer(name="mean", kind="prediction", groups=mean.groups),
    ]
    found = evaluate(screen, split, predictions=sent, with_baselines=False, n_splits=0, ablations=True)
    loss_of = {(one.name, one.metric): one.difference for one in found.ablations}
    assert loss_of["law", "pds_cosine"].above(0)
    assert loss_of["law", "expr_mse_unbiased_capped_norm"].above(0.2)
    assert loss_of["mean", "pds_cosine"].ties
    text = " ".join(uses(found))
    assert "law uses the perturbation: without it it loses" in text
    assert "mean shows no use of the perturbation" in text
