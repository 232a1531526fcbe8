"""Graphs go to networkx and to files and come back the same; what cannot be a gene graph is refused in one line."""

from collections.abc import Callable
from pathlib import Path

import networkx as nx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpcp.core.errors import InputError
from gpcp.core.genes import GeneVocab
from simulators.graphs.files import FORMATS, load_graph, save_graph
from simulators.graphs.gene_graph import GeneGraph
from tests.strategies import vocabs

A, B, C = "ENSG00000000001", "ENSG00000000002", "ENSG00000000003"
VOCAB = GeneVocab(feature_id=(A, B, C))
WEIGHTS = st.floats(allow_nan=False, allow_infinity=False).filter(lambda weight: weight != 0)


@st.composite
def graphs(draw: st.DrawFn) -> GeneGraph:
    """Graphs of any finite weights, some genes without an edge, in any causal order."""
    vocab = draw(vocabs())
    order = draw(st.permutations(range(len(vocab))))
    weight_GG = np.zeros((len(vocab), len(vocab)))
    for place, regulator in enumerate(order):
        for target in order[place + 1 :]:
            if draw(st.booleans()):
                weight_GG[regulator, target] = draw(WEIGHTS)
    return GeneGraph(vocab=vocab, weight_GG=weight_GG)


def same(one: GeneGraph, other: GeneGraph) -> bool:
    return one.vocab == other.vocab and one.weight_GG.tobytes() == other.weight_GG.tobytes()


@given(graphs())
def test_networkx_holds_the_same_graph(graph: GeneGraph):
    found = graph.to_networkx()
    assert tuple(found.nodes) == graph.vocab.feature_id
    np.testing.assert_array_equal(nx.to_numpy_array(found, weight="weight"), graph.weight_GG)
    assert nx.is_directed_acyclic_graph(found)
    assert same(GeneGraph.from_networkx(found), graph)


@given(graphs(), st.data())
def test_a_vocabulary_sets_the_order_of_genes(graph: GeneGraph, data: st.DataObject):
    found = graph.to_networkx()
    shuffled: nx.DiGraph[str] = nx.DiGraph()
    shuffled.add_nodes_from(data.draw(st.permutations(list(found.nodes))))
    shuffled.add_edges_from(found.edges(data=True))
    assert same(GeneGraph.from_networkx(shuffled, graph.vocab), graph)


@pytest.mark.parametrize("ending", FORMATS)
@given(graph=graphs())
def test_a_file_gives_the_same_graph_back(tmp_path_factory: pytest.TempPathFactory, ending: str, graph: GeneGraph):
    path = tmp_path_factory.mktemp("graph") / f"graph{ending}"
    save_graph(path, graph)
    assert same(load_graph(path, vocab=graph.vocab), graph)
    assert [one.name for one in path.parent.iterdir()] == [path.name]


@given(graph=graphs())
def test_graphml_needs_no_vocabulary(tmp_path_factory: pytest.TempPathFactory, graph: GeneGraph):
    path = tmp_path_factory.mktemp("graph") / "graph.graphml"
    save_graph(path, graph)
    assert same(load_graph(path), graph)


def test_a_table_without_vocabulary_holds_the_genes_that_have_an_edge(tmp_path: Path):
    path = tmp_path / "graph.tsv"
    path.write_text(f"regulator\ttarget\tweight\n{C}\t{A}\t-0.5\n")
    found = load_graph(path)
    assert found.vocab.feature_id == (C, A)
    assert found.weight_GG.tolist() == [[0.0, -0.5], [0.0, 0.0]]


def test_an_edge_of_networkx_without_weight_has_weight_1():
    assert GeneGraph.from_networkx(nx.DiGraph([(A, B)])).weight_GG.tolist() == [[0.0, 1.0], [0.0, 0.0]]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nx.Graph([(A, B)]), "has no directions"),
        (lambda: nx.DiGraph([(A, "ENSG00000000009")]), "'ENSG00000000009' is not among the 3 genes.*nearest: ENSG"),
        (lambda: nx.DiGraph([(A, 1)]), "node 1 of the networkx graph is no text"),
        (lambda: nx.MultiDiGraph([(A, B), (A, B)]), f"edge {A} -> {B} is given twice"),
        (lambda: nx.DiGraph([(A, B, {"weight": 0})]), "weight 0, which means no edge"),
        (lambda: nx.DiGraph([(A, B, {"weight": "strong"})]), "the weight 'strong': give a finite number"),
        (lambda: nx.DiGraph([(A, B, {"weight": float("nan")})]), "the weight nan"),
        (lambda: nx.DiGraph([(A, A)]), f"cycle: {A} -> {A}"),
        (lambda: nx.DiGraph([(A, B), (B, C), (C, A)]), "has a cycle"),
    ],
)
def test_what_is_no_gene_graph_is_refused(make: Callable[[], "nx.Graph[str]"], message: str):
    with pytest.raises(InputError, match=message) as caught:
        GeneGraph.from_networkx(make(), VOCAB)
    assert "\n" not in str(caught.value)


HEADER = "regulator\ttarget\tweight\n"


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("graph.tsv", f"{A}\t{B}\t1\n", "graph.tsv:1 must be the header regulator, target, weight"),
        ("graph.tsv", "", "graph.tsv:1 must be the header"),
        ("graph.tsv", f"{HEADER}{A}\t{B}\n", "graph.tsv:2: 2 columns"),
        ("graph.tsv", f"{HEADER}{A}\t{B}\tstrong\n", "graph.tsv:2: the weight 'strong' is no number"),
        ("graph.tsv", f"{HEADER}{A}\t{B}\tinf\n", "graph.tsv:2: .* the weight inf"),
        ("graph.tsv", f"{HEADER}{A}\t{B}\t1\n{A}\t{B}\t2\n", "graph.tsv:3: .* is given twice"),
        ("graph.tsv", f"{HEADER}{A}\tENSG00000000009\t1\n", "graph.tsv:2: gene 'ENSG00000000009' .* nearest"),
        ("graph.graphml", "no xml", "graph.graphml is no GraphML that can be read"),
        ("graph.graphml", "<xml/>", "graph.graphml is no GraphML that can be read"),
        ("graph.gml", "", r"ends in '.gml'; nearest: .graphml"),
    ],
)
def test_a_bad_file_is_refused_where_it_is_bad(tmp_path: Path, name: str, text: str, message: str):
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        load_graph(tmp_path / name, vocab=VOCAB)
    assert "\n" not in str(caught.value)


def test_a_table_of_no_edge_needs_a_vocabulary(tmp_path: Path):
    save_graph(tmp_path / "graph.tsv", GeneGraph(vocab=VOCAB, weight_GG=np.zeros((3, 3))))
    with pytest.raises(InputError, match="holds no edge, and so no gene: give vocab"):
        load_graph(tmp_path / "graph.tsv")
    assert load_graph(tmp_path / "graph.tsv", vocab=VOCAB).n_edges == 0


def test_a_file_in_another_encoding_is_refused(tmp_path: Path):
    (tmp_path / "graph.tsv").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="is not text"):
        load_graph(tmp_path / "graph.tsv")


def test_a_misspelt_file_says_the_nearest(tmp_path: Path):
    save_graph(tmp_path / "graph.tsv", GeneGraph(vocab=VOCAB, weight_GG=np.zeros((3, 3))))
    with pytest.raises(InputError, match=r"does not exist; in its folder, nearest: graph.tsv"):
        load_graph(tmp_path / "grap.tsv")


@pytest.mark.parametrize(("ending", "gene"), [(".tsv", "a\tb"), (".tsv", "a\nb"), (".graphml", "a\x00b")])
def test_an_id_that_a_format_cannot_hold_is_refused_and_no_file_is_left(tmp_path: Path, ending: str, gene: str):
    graph = GeneGraph(vocab=GeneVocab(feature_id=(gene, "c")), weight_GG=np.array([[0.0, 1.0], [0.0, 0.0]]))
    with pytest.raises(InputError, match="cannot hold"):
        save_graph(tmp_path / f"graph{ending}", graph)
    assert list(tmp_path.iterdir()) == []
