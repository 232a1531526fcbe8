"""Gene graphs as files that other programs read: GraphML, and tables of edges.

A table (``.tsv``) has the header ``regulator``, ``target``, ``weight`` and one edge a line, separated by tabs. Genes
without an edge are not in it: give the vocabulary to read them back. GraphML (``.graphml``) holds every gene.
"""

from collections.abc import Iterator
from pathlib import Path

from gpcp.core.errors import InputError, nearest
from gpcp.core.files import existing_file, write_text, write_with
from gpcp.core.genes import GeneVocab
from simulators.graphs.gene_graph import GeneGraph
from simulators.graphs.networkx_graphs import edge_weights

FORMATS = (".graphml", ".tsv")
"""What the name of a graph's file may end in."""

COLUMNS = ("regulator", "target", "weight")
"""Header of a table of edges."""


def save_graph(path: str | Path, graph: GeneGraph) -> None:
    """Write a graph as GraphML or as a table of edges, as the file's name ends; the file is replaced atomically.

    Reading the file gives the same weights to the last bit.

    Raises
    ------
    InputError
        The name ends in neither ``.graphml`` nor ``.tsv``, or the format cannot hold a gene's id.
    """
    path = Path(path)
    if _format(path) == ".tsv":
        _save_table(path, graph)
    else:
        _save_graphml(path, graph)


def load_graph(path: str | Path, *, vocab: GeneVocab | None = None) -> GeneGraph:
    """Read a graph from GraphML or from a table of edges, as the file's name ends.

    Parameters
    ----------
    path : str or Path
        In GraphML, the id of a node is its gene's, and an edge without ``weight`` has weight 1.
    vocab : GeneVocab, optional
        Genes of the graph and their order; without it, those of the file in the order in which they appear there.

    Raises
    ------
    InputError
        The file does not exist or cannot be read, or what it holds is refused: a gene outside ``vocab``, an edge given
        twice, a weight that is 0 or no finite number, edges without direction, a cycle. The message says where.
    """
    path = existing_file(path, what="graph file")
    return _load_table(path, vocab) if _format(path) == ".tsv" else _load_graphml(path, vocab)


def _format(path: Path) -> str:
    ending = path.suffix.lower()
    if ending not in FORMATS:
        raise InputError(f"graph file {str(path)!r} ends in {ending!r}; {nearest(ending, FORMATS)}")
    return ending


def _save_table(path: Path, graph: GeneGraph) -> None:
    lines = ["\t".join(COLUMNS)]
    for regulator, target, weight in graph.edges():
        genes = graph.vocab.genes((regulator, target))
        if any("\t" in gene or len(gene.splitlines()) != 1 for gene in genes):
            raise InputError(f"{path}: a table cannot hold the ids {genes}, with tabs or line breaks: use .graphml")
        lines.append("\t".join((*genes, repr(weight))))
    write_text(path, "\n".join(lines) + "\n")


def _load_table(path: Path, vocab: GeneVocab | None) -> GeneGraph:
    edges = list(_rows(path))
    if vocab is None:
        if not edges:
            raise InputError(f"{path} holds no edge, and so no gene: give vocab")
        vocab = GeneVocab(feature_id=tuple(dict.fromkeys(gene for _, *ends, _ in edges for gene in ends)))
    return GeneGraph.of_weights(vocab, edge_weights(vocab, edges))


def _rows(path: Path) -> Iterator[tuple[str, str, str, float]]:
    """Place, regulator, target and weight of each line."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError:
        raise InputError(f"{path} is not text: give a table of edges") from None
    if not lines or tuple(lines[0].split("\t")) != COLUMNS:
        raise InputError(f"{path}:1 must be the header {', '.join(COLUMNS)}, separated by tabs")
    for number, line in enumerate(lines[1:], start=2):
        place, fields = f"{path}:{number}: ", line.split("\t")
        if len(fields) != len(COLUMNS):
            raise InputError(f"{place}{len(fields)} columns; needed are {', '.join(COLUMNS)}, separated by tabs")
        try:
            weight = float(fields[2])
        except ValueError:
            raise InputError(f"{place}the weight {fields[2]!r} is no number") from None
        yield place, fields[0], fields[1], weight


def _save_graphml(path: Path, graph: GeneGraph) -> None:
    import networkx as nx

    if any(not character.isprintable() for gene in graph.vocab.feature_id for character in gene):
        raise InputError(f"{path}: GraphML cannot hold ids with control characters: rename the genes")
    digraph = graph.to_networkx()
    write_with(path, lambda passing: nx.write_graphml_xml(digraph, passing))


def _load_graphml(path: Path, vocab: GeneVocab | None) -> GeneGraph:
    from xml.etree.ElementTree import ParseError

    import networkx as nx

    try:
        graph = nx.read_graphml(path)
    except (ParseError, nx.NetworkXError, KeyError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path} is no GraphML that can be read: {reason}") from None
    try:
        return GeneGraph.from_networkx(graph, vocab)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
