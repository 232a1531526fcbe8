"""The audit of one panel's pairs: every measurement, each with its interval and its null."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import final

from diagnostics.audit.counting_noise import CountingNoise, counting_noise
from diagnostics.audit.decomposition import N_GROUPS, Parts, decompose
from diagnostics.audit.expressed import ExpressedShares, expressed_shares
from diagnostics.audit.linear_gain import LinearGain, linear_gain
from diagnostics.audit.partners import Partners, partners
from diagnostics.audit.sample import sample_pairs
from gpcp.core.errors import InputError
from gpcp.core.pairs import PairSource
from gpcp.core.random import stream
from gpcp.pairing.paired import Paired
from gpcp.sources.in_memory import InMemoryCells

MOST_ENTRIES = 20_000_000
"""Pairs times genes that are held dense at once: 80 MB for each of the two cells."""

FEWEST_PAIRS = 2 * N_GROUPS
STAGES = ("entries", "parts of the change", "counting noise", "partners", "linear gain")


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class HowPaired:
    """How cells become pairs; see :class:`gpcp.pairing.paired.Paired`.

    Parameters
    ----------
    match_on, differ_on, prefer_on : tuple of str
    best_of : int
    perturbed : (int, int), optional
    """

    match_on: tuple[str, ...]
    differ_on: tuple[str, ...] = ()
    prefer_on: tuple[str, ...] = ()
    best_of: int = 1
    n_perturbed: tuple[int, int] | None = None

    def source(self, cells: InMemoryCells) -> PairSource:
        """The pairs of some cells: planned, since they lie in memory."""
        return Paired(
            cells,
            n_perturbed=self.n_perturbed,
            match_on=self.match_on,
            differ_on=self.differ_on,
            prefer_on=self.prefer_on,
            best_of=self.best_of,
        )

    def in_words(self) -> str:
        """In a few words, such as ``"same cell_type; other disease"``."""
        words = [f"same {', '.join(self.match_on)}" if self.match_on else "any two cells"]
        words += [f"other {', '.join(self.differ_on)}"] if self.differ_on else []
        words += [f"same {', '.join(self.prefer_on)} if it can be had"] if self.prefer_on else []
        words += [f"best of {self.best_of}"] if self.best_of > 1 else []
        return "; ".join(words)


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class PanelAudit:
    """What was measured of one panel.

    Parameters
    ----------
    name : str
        Such as ``"author's setting"``.
    panel_summary : str
        How its genes were chosen.
    paired : HowPaired
    n_genes, n_cells, n_pairs : int
    entries : ExpressedShares
    parts : Parts or None
        None where no scored entry changes.
    noise : CountingNoise
    partners : Partners
    gain : LinearGain
    """

    name: str
    panel_summary: str
    paired: HowPaired
    n_genes: int
    n_cells: int
    n_pairs: int
    entries: ExpressedShares
    parts: Parts | None
    noise: CountingNoise
    partners: Partners
    gain: LinearGain


def audit_panel(
    cells: InMemoryCells,
    paired: HowPaired,
    *,
    name: str,
    panel_summary: str,
    max_pairs: int,
    seed: int,
    on_stage: Callable[[str], None] = lambda stage: None,
) -> PanelAudit:
    """Pair the cells and measure the pairs.

    Parameters
    ----------
    cells : SampledCells
        Of the panel's genes.
    paired : HowPaired
    name, panel_summary : str
    max_pairs : int
        At most; fewer where the panel is large.
    seed : int
    on_stage : callable
        Called with each of :data:`STAGES` as it begins.

    Raises
    ------
    InputError
        The cells make fewer than 40 pairs, or one of the parts cannot be measured.
    """
    most = min(max_pairs, max(MOST_ENTRIES // len(cells.vocab), FEWEST_PAIRS))
    sampled = sample_pairs(paired.source(cells), cells, max_pairs=most, seed=seed)
    if len(sampled) < FEWEST_PAIRS:
        raise InputError(
            f"{len(cells)} cells make {len(sampled)} pairs ({paired.in_words()}): an audit needs {FEWEST_PAIRS}; give "
            "more cells or match on less"
        )
    on_stage(STAGES[0])
    entries = expressed_shares(sampled, stream(seed, "audit", "entries"))
    on_stage(STAGES[1])
    changes = bool((sampled.pairs.delta_BG[sampled.pairs.scored_BG] != 0).any())
    parts = decompose(sampled, stream(seed, "audit", "parts")) if changes else None
    on_stage(STAGES[2])
    noise = counting_noise(sampled, stream(seed, "audit", "noise"))
    on_stage(STAGES[3])
    meeting = partners(sampled, paired.match_on, stream(seed, "audit", "partners"))
    on_stage(STAGES[4])
    return PanelAudit(
        name=name,
        panel_summary=panel_summary,
        paired=paired,
        n_genes=len(cells.vocab),
        n_cells=len(cells),
        n_pairs=len(sampled),
        entries=entries,
        parts=parts,
        noise=noise,
        partners=meeting,
        gain=linear_gain(cells, paired.source, max_pairs=most, seed=seed),
    )
