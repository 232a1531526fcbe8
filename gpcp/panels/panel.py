"""``GenePanel``: the genes of a run, chosen by stated rules from the statistics of a source.

The genes keep the order of the source's vocabulary, which also breaks ties: the same statistics and the same rules give
the same panel.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import final

import numpy as np
from numpy.typing import NDArray

from gpcp.core.errors import InputError, nearest
from gpcp.core.genes import GeneVocab, without_version
from gpcp.core.html import html_table
from gpcp.panels.annotation import GeneAnnotation
from gpcp.panels.statistics import GeneStatistics

ORDERS: Mapping[str, tuple[str, Callable[[GeneStatistics], NDArray[np.float64]]]] = {
    "expressed": ("largest share of cells expressing them where measured", lambda found: found.expressed_share_G),
    "seen": ("largest share of all cells expressing them", lambda found: found.seen_share_G),
    "variance": ("largest variance where measured", lambda found: found.variance_G),
    "mean": ("largest mean where measured", lambda found: found.mean_G),
    "first": ("first places in the source's order", lambda found: -np.arange(len(found.vocab), dtype=np.float64)),
}
"""By what genes that meet the rules are ranked: in words, and the number of which the largest come first."""


PROTEIN_CODING_SUMMARY = "protein-coding"


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """What a gene had to be, and how many of the source's genes are not.

    Parameters
    ----------
    summary : str
        Such as ``"measured in at least 50% of the cells"``.
    n_failing : int
        Genes that do not meet it.
    n_failing_alone : int
        Of these, the genes that meet every other rule.
    """

    summary: str
    n_failing: int
    n_failing_alone: int


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class GenePanel:
    """Genes chosen from a source, with the reasons and the figures.

    Parameters
    ----------
    statistics : GeneStatistics
        Of the genes of the panel alone, in its order; its vocabulary is the panel.
    chosen_by : str
        What made these genes the panel among those that met the rules.
    rules : tuple of Rule
    kept : frozenset of str
        Genes that are in because the caller named them, whatever the rules say.
    notes : tuple of str
        What a reader should know of this choice, such as a gene that was kept although it fails a rule.
    provenance : str
        What the statistics are of.
    about : GeneAnnotation
        Symbols and kinds, where they are known.

    Raises
    ------
    InputError
        ``kept`` names a gene that is not in the panel.
    """

    statistics: GeneStatistics
    chosen_by: str
    rules: tuple[Rule, ...] = ()
    kept: frozenset[str] = frozenset()
    notes: tuple[str, ...] = ()
    provenance: str = ""
    about: GeneAnnotation = field(default_factory=GeneAnnotation)

    def __post_init__(self) -> None:
        self.statistics.vocab.tokens(sorted(self.kept))

    def _repr_html_(self) -> str:
        rows = [(gene, self.about.symbol_of.get(gene, "")) for gene in self.feature_id]
        note = "; ".join([*(rule.summary for rule in self.rules), *self.notes])
        return html_table(
            f"GenePanel: {len(rows):,} genes, {self.chosen_by}", rows, head=("gene", "symbol"), note=note, last=20
        )

    @property
    def feature_id(self) -> tuple[str, ...]:
        """The genes, as ``genes=`` of a source takes them."""
        return self.statistics.vocab.feature_id

    def __len__(self) -> int:
        return len(self.feature_id)

    def __repr__(self) -> str:
        return f"GenePanel({len(self)} genes: {self.chosen_by})"


def choose_genes(
    statistics: GeneStatistics,
    *,
    n_genes: int,
    min_measured: float = 0.5,
    min_expressed: float = 0.01,
    varying: bool = False,
    keep: Collection[str] = (),
    among: Collection[str] | None = None,
    among_summary: str = PROTEIN_CODING_SUMMARY,
    by: str = "expressed",
    exclude: Collection[str] = (),
    about: GeneAnnotation | None = None,
    provenance: str = "",
) -> GenePanel:
    """Choose genes by rules.

    Genes that the caller must have come first. The others of the ``n_genes`` are those that rank highest among the
    genes that meet every rule: measured at all, measured in ``min_measured`` of the cells, expressed in
    ``min_expressed`` of the cells that measure them, not constant where ``varying``, one of ``among``, none of
    ``exclude``.

    Parameters
    ----------
    statistics : GeneStatistics
    n_genes : int
        At least 2: one to perturb and one to score.
    min_measured, min_expressed : float
        Within 0 .. 1, both included.
    varying : bool
        Leave out the genes that have one value in all the cells that measure them.
    keep : collection of str
        Ids that are in whatever the rules say; a rule that one of them fails is said in ``notes``.
    among : collection of str, optional
        Ids, such as the protein-coding genes (:meth:`gpcp.panels.annotation.GeneAnnotation.of_biotype`);
        all by default. It may name genes that the source lacks.
    among_summary : str
        What these are, as a rule says it.
    by : str
        One of :data:`ORDERS`. Equal genes rank as they stand in the vocabulary.
    exclude : collection of str
        Ids that are out; it may name genes that the source lacks.
    about : GeneAnnotation, optional
    provenance : str
        What the statistics are of.

    Returns
    -------
    GenePanel
        In the order of the vocabulary.

    Raises
    ------
    InputError
        A number is out of range, ``by`` is unknown, a gene to keep is unknown (the message names the nearest) or
        excluded, ``among`` and the source have no gene in common, or fewer genes than asked for meet the rules (the
        message says how many fail each).
    """
    _check_numbers(n_genes, by, min_measured=min_measured, min_expressed=min_expressed)
    kept = tuple(dict.fromkeys(without_version(gene) for gene in keep))
    out = frozenset(without_version(gene) for gene in exclude)
    kept_G = _kept(statistics, kept, out, n_genes)
    meets = _meets(statistics, min_measured, min_expressed, varying=varying)
    meets |= _belongs(statistics, among, among_summary)
    if out:
        meets[f"none of the {len(out)} excluded"] = np.array([gene not in out for gene in statistics.vocab.feature_id])
    return _ranked(
        statistics, meets, kept_G, n_genes=n_genes, by=by, about=about or GeneAnnotation(), provenance=provenance
    )


def first_genes(
    statistics: GeneStatistics,
    *,
    n_genes: int = 100,
    among: Collection[str] | None = None,
    among_summary: str = PROTEIN_CODING_SUMMARY,
    about: GeneAnnotation | None = None,
    provenance: str = "",
) -> GenePanel:
    """The first genes in the source's order, measured or not: the panel of who makes no first pass.

    Parameters
    ----------
    statistics : GeneStatistics
    n_genes : int
        At least 2.
    among : collection of str, optional
        Ids to choose from, such as the protein-coding genes; all by default.
    among_summary : str
        What these are, as a rule says it.
    about : GeneAnnotation, optional
    provenance : str
        What the statistics are of.

    Raises
    ------
    InputError
        The source has fewer of them, or ``n_genes`` is below 2.
    """
    _check_numbers(n_genes, "first")
    kept_G = np.zeros(len(statistics.vocab), dtype=np.bool_)
    meets = _belongs(statistics, among, among_summary)
    return _ranked(
        statistics, meets, kept_G, n_genes=n_genes, by="first", about=about or GeneAnnotation(), provenance=provenance
    )


def _check_numbers(n_genes: int, by: str, **shares: float) -> None:
    """Refuse what no choice can be made with."""
    if n_genes < 2:
        raise InputError(f"n_genes is {n_genes}: a panel needs at least 2, one to perturb and one to score")
    if by not in ORDERS:
        raise InputError(f"by is {by!r}; {nearest(by, ORDERS)}")
    for name, share in shares.items():
        if not 0 <= share <= 1:
            raise InputError(f"{name} is {share}: a share is within 0 .. 1")


def _kept(statistics: GeneStatistics, kept: Collection[str], out: Collection[str], n_genes: int) -> NDArray[np.bool_]:
    """The genes that are in whatever the rules say."""
    kept_G = np.zeros(len(statistics.vocab), dtype=np.bool_)
    for gene in kept:
        if gene not in statistics.vocab:
            raise InputError(
                f"gene {gene!r} of keep is not among the {len(statistics.vocab)} genes of the source; "
                f"{nearest(gene, statistics.vocab.feature_id)}"
            )
        if gene in out:
            raise InputError(f"gene {gene!r} is both to keep and to exclude: take it out of one of the two")
        kept_G[statistics.vocab.token(gene)] = True
    if kept_G.sum() > n_genes:
        raise InputError(
            f"n_genes is {n_genes}, but {int(kept_G.sum())} genes are to be kept: ask for as many at least"
        )
    return kept_G


def _meets(
    statistics: GeneStatistics, min_measured: float, min_expressed: float, *, varying: bool
) -> dict[str, NDArray[np.bool_]]:
    """Which genes meet the minima."""
    some_G = statistics.n_measured_G > 0
    least = f"at least {100 * min_measured:.3g}% of the cells" if min_measured else "some cell"
    meets = {f"measured in {least}": some_G & (statistics.measured_share_G >= min_measured)}
    if min_expressed:
        # A gene measured nowhere fails the rule above; it need not fail this one as well.
        condition = f"expressed in at least {100 * min_expressed:.3g}% of the cells that measure it"
        meets[condition] = ~some_G | (statistics.expressed_share_G >= min_expressed)
    if varying:
        # A mean is a rounded sum: what varies by less than 1e-12 of its squares is a constant.
        variance_G = statistics.variance_G
        meets["not constant"] = variance_G > 1e-12 * statistics.n_cells * (variance_G + statistics.mean_G**2)
    return meets


def _belongs(statistics: GeneStatistics, among: Collection[str] | None, summary: str) -> dict[str, NDArray[np.bool_]]:
    """Which genes are among those to choose from."""
    if among is None:
        return {}
    ids = frozenset(without_version(gene) for gene in among)
    found_G = np.array([gene in ids for gene in statistics.vocab.feature_id], dtype=np.bool_)
    if not found_G.any():
        first = statistics.vocab.feature_id[0]
        raise InputError(
            f"none of the {len(ids)} genes to choose from ({summary}) is among the {len(found_G)} of the source, "
            f"{first!r} first: are both of one species, and ids rather than symbols?"
        )
    return {summary: found_G}


def _ranked(
    statistics: GeneStatistics,
    meets: Mapping[str, NDArray[np.bool_]],
    kept_G: NDArray[np.bool_],
    *,
    n_genes: int,
    by: str,
    about: GeneAnnotation,
    provenance: str,
) -> GenePanel:
    """The genes kept and the best of the others."""
    n_all, n_kept = len(statistics.vocab), int(kept_G.sum())
    meets_G = np.logical_and.reduce([np.ones(n_all, dtype=np.bool_), *meets.values()])
    n_failed_G = np.sum([~one_G for one_G in meets.values()], axis=0) if meets else np.zeros(n_all)
    rules = tuple(
        Rule(summary=summary, n_failing=int((~one_G).sum()), n_failing_alone=int((~one_G & (n_failed_G == 1)).sum()))
        for summary, one_G in meets.items()
    )
    free_G = meets_G & ~kept_G
    n_free = n_genes - n_kept
    if free_G.sum() < n_free:
        raise InputError(_too_few(n_genes, int(free_G.sum()), n_kept, n_all, rules))
    summary, number_of = ORDERS[by]
    best_first = np.argsort(np.where(free_G, -number_of(statistics), np.inf), kind="stable")
    tokens = np.sort(np.concatenate([np.flatnonzero(kept_G), best_first[:n_free]])).astype(np.int64)
    named = f"{n_kept:,} gene{'s' if n_kept > 1 else ''} named, and " if n_kept else ""
    kept = statistics.vocab.genes(np.flatnonzero(kept_G))
    return GenePanel(
        statistics=statistics.genes(tokens),
        chosen_by=f"{named}the {n_free:,} with the {summary} of the {int(free_G.sum()):,} "
        f"{'others ' if n_kept else ''}that meet the rules, of {n_all:,} genes",
        rules=rules,
        kept=frozenset(kept),
        notes=tuple(
            f"{gene} is kept, though it is not {' and not '.join(failed)}"
            for gene in kept
            if (failed := [one for one, one_G in meets.items() if not one_G[statistics.vocab.token(gene)]])
        ),
        provenance=provenance,
        about=about.only(GeneVocab(feature_id=statistics.vocab.genes(tokens))),
    )


def _too_few(n_genes: int, n_met: int, n_kept: int, n_all: int, rules: Collection[Rule]) -> str:
    """What is wrong when fewer genes than asked for meet the rules."""
    kept = f" besides the {n_kept} named" if n_kept else ""
    each = "; ".join(f"{rule.n_failing} are not {rule.summary}" for rule in rules) or "there are no more"
    return (
        f"n_genes is {n_genes}, but {n_met} of {n_all} genes{kept} meet the rules ({each}): ask for fewer genes, or "
        "for less of them"
    )
