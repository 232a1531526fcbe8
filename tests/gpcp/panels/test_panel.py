"""Panels against the rules by brute force, and what a choice says when it cannot be made."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpcp.core.errors import InputError
from gpcp.panels.annotation import GeneAnnotation
from gpcp.panels.panel import ORDERS, GenePanel, choose_genes, first_genes
from gpcp.panels.statistics import GeneStatistics
from tests.gpcp.panels.selection_cases import statistics, statistics_of

SHARES = st.sampled_from([0.0, 0.2, 0.5, 1.0])


def number(found: GeneStatistics, by: str, gene: int) -> float:
    """What genes are ranked by, from its definition."""
    measured, expressed = int(found.n_measured_G[gene]), int(found.n_expressed_G[gene])
    values = float(found.mean_nonzero_G[gene])
    mean = values * (expressed / measured)
    squares = float(found.squares_nonzero_G[gene]) / measured
    variance = squares + expressed / measured * (1 - expressed / measured) * values**2
    return {
        "expressed": expressed / measured,
        "seen": expressed / found.n_cells,
        "mean": mean,
        "variance": variance,
        "first": -float(gene),
    }[by]


@given(
    found=statistics(),
    n_genes=st.integers(2, 6),
    min_measured=SHARES,
    min_expressed=SHARES,
    by=st.sampled_from(sorted(ORDERS)),
    data=st.data(),
)
def test_a_panel_is_its_rules(
    found: GeneStatistics, n_genes: int, min_measured: float, min_expressed: float, by: str, data: st.DataObject
):
    ids = found.vocab.feature_id
    some = st.lists(st.sampled_from(ids), unique=True, max_size=4)
    keep, exclude = data.draw(some), data.draw(some)
    exclude = [gene for gene in exclude if gene not in keep]
    among = data.draw(st.none() | st.lists(st.sampled_from(ids), unique=True, min_size=1))

    def choose() -> GenePanel:
        return choose_genes(
            found,
            n_genes=n_genes,
            min_measured=min_measured,
            min_expressed=min_expressed,
            keep=[f"{gene}.7" for gene in keep],
            among=among,
            by=by,
            exclude=exclude,
        )

    def fails(gene: int) -> int:
        measured = int(found.n_measured_G[gene])
        enough = measured > 0 and measured / found.n_cells >= min_measured
        rare = measured > 0 and found.n_expressed_G[gene] / measured < min_expressed
        out = ids[gene] in exclude
        other = among is not None and ids[gene] not in among
        return sum([not enough, rare, out, other])

    if len(keep) > n_genes:
        with pytest.raises(InputError, match=f"n_genes is {n_genes}, but {len(keep)} genes are to be kept"):
            choose()
        return
    free = [gene for gene in range(len(ids)) if not fails(gene) and ids[gene] not in keep]
    if len(free) < n_genes - len(keep):
        with pytest.raises(InputError, match=f"n_genes is {n_genes}, but {len(free)} of {len(ids)} genes"):
            choose()
        return
    best = sorted(free, key=lambda gene: (-number(found, by, gene), gene))[: n_genes - len(keep)]
    panel = choose()
    assert panel.feature_id == tuple(ids[gene] for gene in sorted([*best, *map(ids.index, keep)]))
    assert panel.kept == frozenset(keep)
    assert len(panel.notes) == sum(fails(ids.index(gene)) > 0 for gene in keep)
    n_fails = [fails(gene) for gene in range(len(ids))]
    assert sum(rule.n_failing for rule in panel.rules) == sum(n_fails)
    assert sum(rule.n_failing_alone for rule in panel.rules) == n_fails.count(1)
    tokens = found.vocab.tokens(panel.feature_id)
    assert panel.statistics.n_measured_G.tolist() == found.n_measured_G[tokens].tolist()


@given(found=statistics(), n_genes=st.integers(2, 6), data=st.data())
def test_the_first_genes_are_the_first(found: GeneStatistics, n_genes: int, data: st.DataObject):
    ids = found.vocab.feature_id
    among = data.draw(st.none() | st.lists(st.sampled_from(ids), unique=True, min_size=1))
    expected = [gene for gene in ids if among is None or gene in among][:n_genes]
    if len(expected) < n_genes:
        with pytest.raises(InputError, match=f"n_genes is {n_genes}, but {len(expected)} of {len(ids)} genes meet"):
            first_genes(found, n_genes=n_genes, among=among)
        return
    assert first_genes(found, n_genes=n_genes, among=among).feature_id == tuple(expected)


FOUND = statistics_of([(10, 9), (10, 1), (2, 2), (10, 5), (0, 0)], n_cells=10, names=["a", "b", "c", "d", "nowhere"])


def test_what_a_panel_says():
    about = GeneAnnotation(symbol_of={"a": "TP53", "other": "X"}, biotype_of={"a": "protein_coding"}, summary="a table")
    panel = choose_genes(
        FOUND, n_genes=3, keep=["c", "b"], among=["a", "c", "d"], about=about, provenance="ten cells", min_expressed=0.2
    )
    assert panel.feature_id == ("a", "b", "c")
    assert panel.chosen_by == (
        "2 genes named, and the 1 with the largest share of cells expressing them where measured of the 2 others that "
        "meet the rules, of 5 genes"
    )
    assert [(rule.summary, rule.n_failing, rule.n_failing_alone) for rule in panel.rules] == [
        ("measured in at least 50% of the cells", 2, 1),
        ("expressed in at least 20% of the cells that measure it", 1, 0),
        ("protein-coding", 2, 0),
    ]
    assert panel.notes == (
        "b is kept, though it is not expressed in at least 20% of the cells that measure it and not protein-coding",
        "c is kept, though it is not measured in at least 50% of the cells",
    )
    assert panel.about == GeneAnnotation(symbol_of={"a": "TP53"}, biotype_of={"a": "protein_coding"}, summary="a table")
    assert panel.provenance == "ten cells"
    assert len(panel) == 3
    assert repr(panel).startswith("GenePanel(3 genes: 2 genes named")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_genes": 1}, "n_genes is 1: a panel needs at least 2"),
        ({"min_measured": 1.5}, "min_measured is 1.5: a share is within 0 .. 1"),
        ({"min_expressed": float("nan")}, "min_expressed is nan"),
        ({"by": "varianc"}, "by is 'varianc'; nearest: variance"),
        ({"keep": ["nowhre"]}, "gene 'nowhre' of keep is not among the 5 genes of the source; nearest: nowhere"),
        ({"keep": ["a"], "exclude": ["a"]}, "gene 'a' is both to keep and to exclude"),
        ({"among": ["TP53"]}, "none of the 1 genes to choose from .* 'a' first"),
        (
            {"n_genes": 4},
            r"n_genes is 4, but 3 of 5 genes meet the rules \(2 are not measured in at least 50% of the cells; "
            r"0 are not expressed in at least 1% of the cells that measure it\): ask for fewer genes",
        ),
        ({"n_genes": 5, "keep": ["c"]}, "n_genes is 5, but 3 of 5 genes besides the 1 named meet"),
        ({"n_genes": 4, "exclude": ["a", "z"]}, "1 are not none of the 2 excluded"),
    ],
)
def test_bad_use(options: dict[str, object], message: str):
    with pytest.raises(InputError, match=message):
        choose_genes(FOUND, **{"n_genes": 2, **options})  # pyright: ignore[reportArgumentType]


def test_a_panel_holds_what_it_keeps():
    with pytest.raises(InputError, match="gene 'z' is not among the 5 genes"):
        GenePanel(statistics=FOUND, chosen_by="hand", kept=frozenset({"z"}))


def test_a_kept_gene_may_be_measured_nowhere():
    panel = choose_genes(FOUND, n_genes=2, keep=["nowhere"])
    assert panel.feature_id == ("a", "nowhere")
    assert np.isnan(panel.statistics.mean_G[1])
