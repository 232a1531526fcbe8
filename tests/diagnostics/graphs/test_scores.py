"""Scores against named targets: hand cases, metric axioms, and what must not matter."""

from dataclasses import astuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from diagnostics.graphs.scores import (
    SYMMETRIC,
    TARGETS,
    GraphScore,
    entries,
    score_graph,
    score_matrix,
    structural_hamming_distance,
    target_graph,
)
from gpcp.core.errors import InputError
from gpcp.core.genes import GeneVocab
from simulators.graphs.families import simulated_vocab
from simulators.graphs.gene_graph import GeneGraph

Matrix = NDArray[np.float64]
Edges = NDArray[np.bool_]

every_target = pytest.mark.parametrize("target", TARGETS)


def digraphs(n_genes: int) -> st.SearchStrategy[Edges]:
    """Any directed graph, cycles and both directions at once too."""
    return hnp.arrays(np.bool_, (n_genes, n_genes)).map(lambda a_GG: a_GG & ~np.eye(n_genes, dtype=np.bool_))


@st.composite
def graphs(draw: st.DrawFn, *, min_genes: int = 3, max_genes: int = 7) -> GeneGraph:
    """A graph without cycles and with an edge, under shuffled labels."""
    n_genes = draw(st.integers(min_genes, max_genes))
    weight = st.sampled_from([-2.0, -0.5, 0.0, 0.0, 0.5, 1.5])
    upper_GG = np.triu(draw(hnp.arrays(np.float64, (n_genes, n_genes), elements=weight)), 1)
    upper_GG[0, n_genes - 1] = 1.0
    label_G = np.array(draw(st.permutations(range(n_genes))))
    return GeneGraph(vocab=simulated_vocab(n_genes), weight_GG=upper_GG[np.ix_(label_G, label_G)])


def scores(n_genes: int, seed: int) -> Matrix:
    """Scores with some ties."""
    return np.random.default_rng(seed).integers(-9, 10, size=(n_genes, n_genes)).astype(np.float64)


def scored(score_GG: Matrix, graph: GeneGraph, target: str, *, threshold: float = 0.5, **options: Matrix) -> GraphScore:
    return score_graph(
        score_GG,
        graph,
        target,
        threshold=threshold,
        rng=np.random.default_rng(0),
        n_permutations=20,
        n_bootstraps=20,
        **options,
    )


def fork_with_child() -> GeneGraph:
    """0 -> 1, 0 -> 2, 1 -> 3, 2 -> 3: 0 is an ancestor of 3, and 1 and 2 are married."""
    weight_GG = np.zeros((4, 4))
    weight_GG[0, 1], weight_GG[0, 2], weight_GG[1, 3], weight_GG[2, 3] = 1.0, -2.0, 0.5, 1.5
    return GeneGraph(vocab=simulated_vocab(4), weight_GG=weight_GG)


@pytest.mark.parametrize(
    ("target", "edges"),
    [
        ("direct", {(0, 1), (0, 2), (1, 3), (2, 3)}),
        ("ancestors", {(0, 1), (0, 2), (1, 3), (2, 3), (0, 3)}),
        ("skeleton", {(0, 1), (0, 2), (1, 3), (2, 3)}),
        ("moral", {(0, 1), (0, 2), (1, 3), (2, 3), (1, 2)}),
    ],
)
def test_targets_of_a_graph_drawn_by_hand(target: str, edges: set[tuple[int, int]]) -> None:
    expected_GG = np.zeros((4, 4), dtype=np.bool_)
    for i, j in edges:
        expected_GG[i, j] = True
        expected_GG[j, i] |= target in SYMMETRIC
    np.testing.assert_array_equal(target_graph(fork_with_child(), target), expected_GG)


@every_target
@given(graphs())
def test_the_truth_scores_best(target: str, graph: GeneGraph) -> None:
    true_GG = target_graph(graph, target).astype(np.float64)
    score = scored(true_GG, graph, target, signed_GG=graph.weight_GG)
    assert (score.auprc, score.ci_low, score.ci_high, score.shd) == pytest.approx((1, 1, 1, 0))
    assert score.auroc in (None, 1.0)
    assert score.early_precision_ratio == pytest.approx(1 / score.base_rate)
    assert score.sign_agreement == (1.0 if target in {"direct", "skeleton"} else None)


@every_target
@given(graphs(), st.sampled_from([0.0, 3.5, -1.0]))
def test_a_constant_and_an_empty_prediction_score_the_density(target: str, graph: GeneGraph, constant: float) -> None:
    score = scored(np.full((graph.n_genes, graph.n_genes), constant), graph, target)
    density = entries(target_graph(graph, target), symmetric=target in SYMMETRIC).mean()
    assert score.auprc == pytest.approx(density, rel=1e-12)
    assert (score.base_rate, score.null_95, score.early_precision_ratio) == pytest.approx((density, density, 1.0))
    assert score.auroc in (None, 0.5)
    assert score.n_true / score.n_entries == score.base_rate
    if constant == 0:
        assert score.shd == score.n_true


@every_target
@given(graphs(), st.integers(0, 99))
def test_the_diagonal_never_counts(target: str, graph: GeneGraph, seed: int) -> None:
    score_GG = scores(graph.n_genes, seed)
    other_GG = score_GG.copy()
    np.fill_diagonal(other_GG, 1e6)
    assert scored(other_GG, graph, target) == scored(score_GG, graph, target)


@every_target
@given(graphs(), st.integers(0, 99))
def test_relabelling_genes_changes_nothing_that_is_not_resampled(target: str, graph: GeneGraph, seed: int) -> None:
    score_GG = scores(graph.n_genes, seed)
    label_G = np.random.default_rng(seed).permutation(graph.n_genes)
    vocab = GeneVocab(feature_id=tuple(graph.vocab.feature_id[label] for label in label_G))
    relabelled = GeneGraph(vocab=vocab, weight_GG=graph.weight_GG[np.ix_(label_G, label_G)])
    once = scored(score_GG, graph, target, signed_GG=score_GG)
    other_GG = score_GG[np.ix_(label_G, label_G)]
    again = scored(other_GG, relabelled, target, signed_GG=other_GG)
    assert point_scores(again) == pytest.approx(point_scores(once))


@every_target
@given(graphs(), st.integers(0, 99))
def test_monotone_transforms_of_the_magnitude_change_no_rank_score(target: str, graph: GeneGraph, seed: int) -> None:
    score_GG = scores(graph.n_genes, seed)
    once = scored(score_GG, graph, target, threshold=2.5)
    again = scored(np.expm1(np.abs(score_GG) / 4), graph, target, threshold=float(np.expm1(2.5 / 4)))
    assert point_scores(again) == pytest.approx(point_scores(once))


def point_scores(score: GraphScore) -> list[float]:
    """Everything that does not depend on the resampling's order of entries."""
    return [
        score.auprc,
        score.base_rate,
        score.auroc or -1,
        score.early_precision_ratio,
        score.shd,
        -1 if score.sign_agreement is None else score.sign_agreement,
    ]


@given(graphs(), st.integers(0, 99))
def test_a_symmetric_target_scores_each_pair_once_by_its_stronger_entry(graph: GeneGraph, seed: int) -> None:
    score_GG = scores(graph.n_genes, seed)
    strong_GG = np.maximum(np.abs(score_GG), np.abs(score_GG.T))
    once = scored(score_GG, graph, "skeleton")
    assert once == scored(strong_GG, graph, "skeleton")
    assert once == scored(np.triu(strong_GG, 1), graph, "skeleton")
    assert once.n_entries == graph.n_genes * (graph.n_genes - 1) // 2
    assert once.n_true == graph.n_edges


@given(st.integers(2, 5).flatmap(lambda n: st.tuples(digraphs(n), digraphs(n), digraphs(n))))
def test_shd_is_a_metric(three: tuple[Edges, Edges, Edges]) -> None:
    first_GG, second_GG, third_GG = three
    distance = structural_hamming_distance
    assert distance(first_GG, first_GG) == 0
    assert distance(first_GG, second_GG) == distance(second_GG, first_GG)
    assert (distance(first_GG, second_GG) == 0) == (first_GG == second_GG).all()
    assert distance(first_GG, third_GG) <= distance(first_GG, second_GG) + distance(second_GG, third_GG)


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ([], [], 0),
        ([(0, 1)], [], 1),
        ([(0, 1)], [(1, 0)], 1),
        ([(0, 1)], [(0, 1), (1, 0)], 1),
        ([], [(0, 1), (1, 0)], 2),
        ([(0, 1), (1, 2)], [(1, 0), (0, 2)], 3),
        ([(0, 0)], [], 0),
    ],
)
def test_shd_by_hand(first: list[tuple[int, int]], second: list[tuple[int, int]], expected: int) -> None:
    matrices = np.zeros((2, 3, 3), dtype=np.bool_)
    for matrix_GG, edges in zip(matrices, (first, second), strict=True):
        for edge in edges:
            matrix_GG[edge] = True
    assert structural_hamming_distance(matrices[0], matrices[1]) == expected


def test_shd_of_scores_by_hand() -> None:
    graph = fork_with_child()
    score_GG = graph.weight_GG.copy()
    score_GG[0, 1], score_GG[1, 0] = 0.0, -3.0  # reversed: 1
    score_GG[1, 3] = 0.1  # below the threshold: 1
    score_GG[3, 0] = 0.3  # too many: 1
    assert scored(score_GG, graph, "direct", threshold=0.2).shd == 3
    assert scored(score_GG, graph, "skeleton", threshold=0.2).shd == 2


def test_signs_by_hand() -> None:
    graph = fork_with_child()
    signed_GG = graph.weight_GG.copy()
    signed_GG[0, 2] *= -1  # wrong
    signed_GG[1, 3] = 0.0  # none
    signed_GG[3, 1] = 5.0  # the stronger entry of that pair, and right
    assert scored(signed_GG, graph, "direct", signed_GG=signed_GG).sign_agreement == 0.5
    assert scored(signed_GG, graph, "skeleton", signed_GG=signed_GG).sign_agreement == 0.75
    assert scored(signed_GG, graph, "direct").sign_agreement is None
    assert scored(signed_GG, graph, "moral", signed_GG=signed_GG).sign_agreement is None
    total_GG = np.linalg.inv(np.eye(4) - graph.weight_GG).astype(np.float64)
    known = scored(total_GG, graph, "ancestors", signed_GG=-total_GG, true_sign_GG=total_GG)
    assert known.sign_agreement == 0.0


def test_the_null_and_the_interval_bracket_what_they_should() -> None:
    """Random scores exceed the 95 % null in one case of twenty."""
    rng = np.random.default_rng(5)
    true_GG = np.triu(rng.random((12, 12)) < 0.3, 1)
    exceed, inside = [], []
    for _ in range(300):
        score = score_matrix(
            rng.random((12, 12)),
            true_GG,
            target="direct",
            symmetric=False,
            threshold=0.5,
            rng=rng,
            n_permutations=200,
            n_bootstraps=50,
        )
        exceed.append(score.auprc > score.null_95)
        inside.append(score.ci_low <= score.auprc <= score.ci_high)
    # Four standard errors of a share of .05 among 300: .05.
    assert np.mean(exceed) == pytest.approx(0.05, abs=0.05)
    assert all(inside)


def test_same_generator_same_score_and_other_generator_other_interval() -> None:
    graph = fork_with_child()
    score_GG = scores(4, 0)

    def once(seed: int) -> GraphScore:
        return score_graph(score_GG, graph, "direct", threshold=1.0, rng=np.random.default_rng(seed))

    assert astuple(once(1)) == astuple(once(1))
    assert (once(1).ci_low, once(1).null_95) != (once(2).ci_low, once(2).null_95)


@pytest.mark.parametrize(
    ("change", "summary"),
    [
        ({"target": "ancestor"}, "nearest: ancestors"),
        ({"score_GG": np.zeros((3, 3))}, r"score_GG has shape \(3, 3\), expected \(4, 4\)"),
        ({"score_GG": np.where(np.eye(4, k=1), np.nan, 0.0)}, r"score_GG\[0, 1\] is nan"),
        ({"signed_GG": np.zeros((3, 3))}, "signed_GG has shape"),
        ({"threshold": -1.0}, "threshold is -1.0"),
        ({"threshold": np.nan}, "threshold is nan"),
        ({"n_permutations": 0}, "n_permutations is 0"),
        ({"graph": GeneGraph(vocab=simulated_vocab(4), weight_GG=np.zeros((4, 4)))}, "has no edge"),
    ],
)
def test_what_cannot_be_scored_is_refused(change: dict[str, object], summary: str) -> None:
    asked: dict[str, object] = {
        "score_GG": np.zeros((4, 4)),
        "graph": fork_with_child(),
        "target": "direct",
        "threshold": 0.0,
        "rng": np.random.default_rng(0),
    }
    with pytest.raises(InputError, match=summary):
        score_graph(**(asked | change))  # type: ignore[arg-type]


def test_an_asymmetric_target_cannot_be_scored_as_symmetric() -> None:
    true_GG = np.triu(np.ones((3, 3), dtype=np.bool_), 1)
    with pytest.raises(InputError, match="true_GG is not"):
        score_matrix(
            np.zeros((3, 3)), true_GG, target="own", symmetric=True, threshold=0.0, rng=np.random.default_rng(0)
        )
