from pathlib import Path

import networkx as nx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpcp.core.errors import InputError
from gpcp.core.random import generator
from simulators.graphs.networks import RegulatoryNetwork, network_subgraph, read_network

REAL = {
    "ecoli_transcriptional_network_regulonDB_6_7.tsv": (1564, 3648, 110),
    "yeast_transcriptional_network_Balaji2006.tsv": (4441, 12873, 0),
}


def table(folder: Path, text: str) -> Path:
    path = folder / "table.tsv"
    path.write_text(text, encoding="utf-8")
    return path


def edges_of(network: RegulatoryNetwork) -> dict[tuple[str, str], int]:
    rows = zip(network.regulator_E, network.target_E, network.sign_E, strict=True)
    return {(network.genes[int(r)], network.genes[int(t)]): int(sign) for r, t, sign in rows}


@pytest.mark.parametrize(
    "text",
    [
        "a\tb\t+\nb\tc\t-\n",
        "regulator\ttarget\tsign\na\tb\t+\nb\tc\t-\n",
        "Gene1,Gene2,Type\na,b,+\nb,c,-",
        "# two edges\n\na;b;activator\nb;c;Repressor\n",
        "a b 1\nb  c  -1\n",
        "a\tb\t+\tevidence\nb\tc\t-\tmore\n",
    ],
)
def test_tables_in_many_hands(tmp_path: Path, text: str):
    assert edges_of(read_network(table(tmp_path, text))) == {("a", "b"): 1, ("b", "c"): -1}


def test_without_a_sign_column_signs_are_unknown(tmp_path: Path):
    assert edges_of(read_network(table(tmp_path, "a\tb\nb\tc\n"))) == {("a", "b"): 0, ("b", "c"): 0}


def test_repeated_edges_are_merged_and_self_loops_left_out(tmp_path: Path):
    network = read_network(table(tmp_path, "a\ta\t-\na\tb\t+\na\tb\t+\na\tc\t+\na\tc\t-\nb\tc\t+-\nc\tb\t?\n"))
    assert edges_of(network) == {("a", "b"): 1, ("a", "c"): 0, ("b", "c"): 0, ("c", "b"): 0}
    assert (network.n_self_loops, network.n_duplicates, network.n_edges) == (1, 2, 4)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a\tb\t+\nlonely\n", r":2 is 'lonely'"),
        ("a\tb\t+\na\t\t+\n", r":2 is"),
        ("a\tb\tmaybe\n", r":1 has the sign 'maybe'; known"),
        ("a\ta\n", "no edge"),
        ("", "no edge"),
    ],
)
def test_a_table_that_cannot_be_read_is_refused(tmp_path: Path, text: str, message: str):
    with pytest.raises(InputError, match=message):
        read_network(table(tmp_path, text))


def test_a_missing_or_binary_file_is_refused(tmp_path: Path):
    table(tmp_path, "a\tb\n")
    with pytest.raises(InputError, match=r"does not exist; nearest: table\.tsv"):
        read_network(tmp_path / "tabel.tsv")
    with pytest.raises(InputError, match="does not exist"):
        read_network(tmp_path / "nowhere" / "table.tsv")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(InputError, match="not text"):
        read_network(tmp_path / "binary")


@st.composite
def networks(draw: st.DrawFn) -> RegulatoryNetwork:
    """Small networks with feedback, in one or several components."""
    gene = st.integers(0, 9)
    pairs = draw(st.lists(st.tuples(gene, gene).filter(lambda e: e[0] != e[1]), min_size=1, max_size=25, unique=True))
    used = sorted({g for pair in pairs for g in pair})
    signs = draw(st.lists(st.sampled_from([-1, 0, 1]), min_size=len(pairs), max_size=len(pairs)))
    place = {g: i for i, g in enumerate(used)}
    return RegulatoryNetwork(
        genes=tuple(f"gene{g}" for g in used),
        regulator_E=np.array([place[r] for r, _ in pairs], dtype=np.int64),
        target_E=np.array([place[t] for _, t in pairs], dtype=np.int64),
        sign_E=np.array(signs, dtype=np.int8),
    )


@given(networks(), st.integers(0, 1000), st.data())
def test_a_subgraph_has_the_networks_edges_and_signs(network: RegulatoryNetwork, seed: int, data: st.DataObject):
    n_genes = data.draw(st.integers(2, network.n_genes))
    graph = network_subgraph(network, n_genes, rng=generator("subgraph", seed))
    assert graph.n_genes == n_genes
    known = edges_of(network)
    names = graph.vocab.feature_id
    found = {(names[i], names[j]): graph.weight_GG[i, j] for i, j in np.argwhere(graph.adjacency_GG)}
    assert all(known[edge] in (0, np.sign(weight)) for edge, weight in found.items())
    inside = nx.DiGraph([edge for edge in known if set(edge) <= set(names)])
    if nx.is_directed_acyclic_graph(inside):
        assert set(found) == set(inside.edges)
    else:  # each edge that was left out closes a cycle with those that stay
        kept = nx.DiGraph(list(found))
        assert all(nx.has_path(kept, end, start) for start, end in set(inside.edges) - set(found))


@given(networks(), st.integers(0, 1000))
def test_same_generator_same_subgraph(network: RegulatoryNetwork, seed: int):
    one, again = (network_subgraph(network, network.n_genes, rng=generator("same", seed)) for _ in range(2))
    assert one.vocab == again.vocab
    assert one.weight_GG.tobytes() == again.weight_GG.tobytes()


@given(networks(), st.integers(0, 1000))
def test_a_module_is_connected_where_it_can_be(network: RegulatoryNetwork, seed: int):
    plain = nx.Graph(list(edges_of(network)))
    n_genes = min(len(part) for part in nx.connected_components(plain))
    graph = network_subgraph(network, n_genes, rng=generator("connected", seed))
    assert nx.is_connected(plain.subgraph(graph.vocab.feature_id))


def test_a_module_is_not_one_hub_and_its_targets(tmp_path: Path):
    # By modularity alone the 20 plain targets, with one neighbour each, would all come before the lesser regulators.
    rows = [f"hub\tplain{i}" for i in range(20)]
    rows += [row for i in range(4) for row in (f"hub\tlesser{i}", f"lesser{i}\tlast{i}")]
    network = read_network(table(tmp_path, "\n".join(rows)))
    for seed in range(10):
        graph = network_subgraph(network, 12, rng=generator("hub", seed))
        assert sum(not name.startswith(("plain", "last")) for name in graph.vocab.feature_id) >= 3


def test_more_genes_than_there_are_is_refused(tmp_path: Path):
    network = read_network(table(tmp_path, "a\tb\n"))
    for n_genes in (1, 3):
        with pytest.raises(InputError, match=r"allows 2 \.\. 2"):
            network_subgraph(network, n_genes, rng=generator(0))


@pytest.mark.parametrize("name", sorted(REAL))
def test_real_networks(shared_data: Path, name: str):
    path = shared_data / "graphs" / name
    if not path.is_file():
        pytest.skip(f"no real network: {path} does not exist")
    network = read_network(path)
    assert (network.n_genes, network.n_edges, network.n_self_loops) == REAL[name]
    assert network.n_duplicates == 0
    for seed in range(5):
        graph = network_subgraph(network, 40, rng=generator(name, seed))
        n_regulators = int(graph.adjacency_GG.any(axis=1).sum())
        assert n_regulators >= 4  # not one hub and its targets
        assert graph.n_edges >= 39 * 0.8  # grown along edges, of which few close cycles


def test_the_sign_of_a_known_edge_is_kept(shared_data: Path):
    path = shared_data / "graphs" / "ecoli_transcriptional_network_regulonDB_6_7.tsv"
    if not path.is_file():
        pytest.skip(f"no real network: {path} does not exist")
    network = read_network(path)
    signs = edges_of(network)
    assert signs["acrR", "acrA"] == -1
    # The file has 1,993 '+', 1,541 '-', 209 '+-' and 15 '?' rows, 110 of them self loops.
    assert sum(sign == 0 for sign in signs.values()) <= 224
    assert network.n_edges == 3758 - 110
