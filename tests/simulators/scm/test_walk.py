from hypothesis import given

from simulators.graphs.gene_graph import GeneGraph
from simulators.scm.walk import walk
from tests.simulators.graphs.test_families import graphs


@given(graphs)
def test_every_gene_comes_once_after_its_parents_and_each_parent_is_dropped_after_its_last_child(graph: GeneGraph):
    steps = walk(graph)
    assert sorted(step.gene for step in steps) == list(range(graph.n_genes))
    held: set[int] = set()
    for step in steps:
        assert held.issuperset(graph.parents(step.gene).tolist())
        assert step.is_parent == graph.adjacency_GG[step.gene].any()
        if step.is_parent:
            held.add(step.gene)
        assert held.issuperset(step.read_last)
        held -= set(step.read_last)
    assert not held
