"""A screen made ready for every rung: a panel, cells to train on, seen and unseen perturbations to score, the twin."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from diagnostics.commands.ladder.rungs.cells import HeldCells
from diagnostics.scoring.real_cells import choose_panel
from gpcp.core.errors import InputError, nearest
from gpcp.core.genes import GeneVocab
from gpcp.core.pairs import PairBatch, concatenate
from gpcp.core.perturbations import PerturbationVocab
from gpcp.core.random import seed_of
from gpcp.opening.pairs import HELD_OUT_SHARE, MAX_CELLS
from gpcp.opening.screens import open_screen
from gpcp.panels.panel_file import read_genes
from gpcp.screens.h5ad_screen import H5adScreen
from gpcp.screens.pairs import ScreenPairs
from gpcp.screens.splits import SPLITS, hold_out
from gpcp.sources.in_memory import InMemoryCells, sample_cells
from simulators.twins.screens.cells import ScreenCells, ScreenSample, sample_cells_of, sample_screen
from simulators.twins.screens.twin import ScreenTwin, screen_twin_of

HELD_OUT_BY = "perturbation"
"""What is new in the pairs that the last rung is judged on, where nothing else is asked."""


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ScreenSplit:
    """Rows of a screen's cells: to train on, held-out cells of the same perturbations, and held-out perturbations.

    Parameters
    ----------
    training, seen, unseen : int64
        Controls among them; ``unseen`` is empty where cells alone are held out.
    """

    training: NDArray[np.int64]
    seen: NDArray[np.int64]
    unseen: NDArray[np.int64]


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class LadderScreen:
    """A screen's cells of a panel, their split, and their twin.

    Parameters
    ----------
    real : ScreenCells
    twin : ScreenTwin
    split : ScreenSplit
    names : tuple of str
        What is held out of the last rung.
    by : str
        Of :data:`gpcp.screens.splits.SPLITS`.
    pooled : bool
        Whether controls of any context are paired, as was asked.
    summary : tuple of str
        What was decided on the way.
    """

    real: ScreenCells
    twin: ScreenTwin
    split: ScreenSplit
    names: tuple[str, ...]
    by: str
    pooled: bool
    summary: tuple[str, ...]

    @property
    def vocab(self) -> GeneVocab:
        """The genes of the panel."""
        return self.real.cells.vocab

    @property
    def perturbations(self) -> PerturbationVocab:
        """All of the screen."""
        return self.real.applied.vocab

    def side(self, screen: ScreenCells) -> "ScreenSide":
        """Some cells of the design, ready to be paired as was asked."""
        held = sample_cells(HeldCells(screen.cells), screen.cells.vocab.feature_id, max_cells=len(screen), seed=0)
        return ScreenSide(screen=screen, held=held, pooled=self.pooled)


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ScreenSide:
    """Cells of a screen in memory, and pairs of some of them.

    Parameters
    ----------
    screen : ScreenCells
    held : InMemoryCells
        The same, in the same order.
    pooled : bool
    """

    screen: ScreenCells
    held: InMemoryCells
    pooled: bool

    @property
    def group_B(self) -> NDArray[np.str_]:
        """Cells of one group meet."""
        return np.full(len(self.screen), "all") if self.pooled else self.screen.group_B

    def pairs(self, row_N: NDArray[np.int64]) -> ScreenPairs:
        """The pairs of some rows.

        Raises
        ------
        InputError
            No perturbed cell among them has a control.
        """
        is_control_N = self.screen.applied.is_control_B[row_N]
        code_B = np.unique(self.group_B, return_inverse=True)[1].reshape(-1).astype(np.int64)
        return ScreenPairs(
            self.held, self.screen.applied, code_B, perturbed_N=row_N[~is_control_N], control_N=row_N[is_control_N]
        )

    def drawn(self, row_N: NDArray[np.int64], n_pairs: int, seed: int, purpose: str) -> PairBatch:
        """Up to so many pairs of some rows, each perturbed cell once."""
        pairs = self.pairs(row_N)
        found = concatenate(pairs.pairs(batch_size=2_048, seed=seed_of(seed, purpose)))
        return found.rows(slice(0, n_pairs))

    def group_of(self, pairs: PairBatch) -> NDArray[np.str_]:
        """The context of the cells after, (B,)."""
        return self.screen.group_B[np.searchsorted(self.screen.cells.cell_id_B, pairs.after_id_B)]

    def label_of(self, pairs: PairBatch, *, context: bool = True) -> NDArray[np.str_]:
        """Perturbation, and context, of the cells after, (B,)."""
        assert pairs.applied is not None, "every pair has one"
        label_B = np.array(pairs.applied.labels(), dtype=np.str_)
        return np.char.add(np.char.add(label_B, "|"), self.group_of(pairs)) if context else label_B


def ladder_screen(
    source: H5adScreen | str,
    *,
    genes: Sequence[str] | str | None = None,
    n_genes: int,
    match_on: tuple[str, ...] | None = None,
    n_perturbed: tuple[int, int] | None = None,
    seed: int = 0,
    hold_out_by: str | None = None,
    hold_out: Sequence[str] = (),
    **options: Any,
) -> LadderScreen:
    """Read a screen once, hold perturbations and cells out, choose the panel on the training side, build the twin.

    The panel has the genes of largest variance, and the targets among the measured genes.

    Raises
    ------
    InputError
        The source or an option is no good, or there are too few cells.
    """
    if n_perturbed is not None:
        raise InputError("--n-perturbed has no meaning for a screen, whose file says what was done to each cell")
    if isinstance(source, str):
        screen = open_screen(source.partition(":")[2], match_on=match_on or None, **options)
    else:
        screen = source
        if match_on and set(match_on) != set(screen.match_on):
            raise InputError(f"match_on is {', '.join(match_on)}: give it to H5adScreen, whose controls it chooses")
    by = HELD_OUT_BY if hold_out_by is None else hold_out_by
    if by not in SPLITS:
        raise InputError(f"a screen is split by {', '.join(SPLITS)}, not by {by!r}; {nearest(by, SPLITS)}")
    sample = sample_screen(screen, max_cells=MAX_CELLS, seed=seed)
    split, names, summary = split_screen(sample, by, tuple(hold_out), seed)
    chosen, chosen_by = _panel(sample, split.training, genes, n_genes)
    real, context = sample_cells_of(sample, chosen)
    constant_G = real.cells.expression_BG[split.training].std(axis=0) < 1e-6
    if constant_G.any():
        gene = real.cells.vocab.feature_id[int(constant_G.argmax())]
        raise InputError(f"gene {gene} does not vary over the training cells: leave it out of the panel")
    pooled = match_on == ()
    shared = "any control" if pooled or not screen.match_on else f"controls of the same {', '.join(screen.match_on)}"
    return LadderScreen(
        real=real,
        twin=screen_twin_of(real, context=context, seed=seed, world_seed=seed),
        split=split,
        names=names,
        by=by,
        pooled=pooled,
        summary=(screen.provenance, summary, chosen_by, f"perturbed cells are paired with {shared}"),
    )


def split_screen(
    sample: ScreenSample, by: str, names: tuple[str, ...], seed: int
) -> tuple[ScreenSplit, tuple[str, ...], str]:
    """Hold out perturbations (or combinations, contexts), and of what is left a share of the cells."""
    applied = sample.applied
    label_N, tokens = np.array(applied.labels(), dtype=np.str_), applied.tokens()
    target = applied.vocab.target
    targets = {
        label: tuple(target[token] for token in some) for label, some in zip(label_N.tolist(), tokens, strict=True)
    }
    rows_N = np.arange(len(label_N), dtype=np.int64)
    unseen_N, summary, chosen = np.zeros(len(label_N), dtype=np.bool_), "", ()
    if by != "cells":
        apart = hold_out(label_N, targets, sample.context_B, by=by, names=names, seed=seed)  # pyright: ignore[reportArgumentType]
        unseen_N, chosen, summary = apart.held_N, apart.names, f"{apart.summary}; "
    rest = rows_N[~unseen_N]
    cells = hold_out(
        label_N[rest], targets, sample.context_B[rest], by="cells", names=names if by == "cells" else (),
        share=HELD_OUT_SHARE, seed=seed,
    )  # fmt: skip
    split = ScreenSplit(training=rest[~cells.held_N], seen=rest[cells.held_N], unseen=rows_N[unseen_N])
    return split, chosen, f"{summary}{cells.summary}"


def _panel(
    sample: ScreenSample, training: NDArray[np.int64], genes: Sequence[str] | str | None, n_genes: int
) -> tuple[tuple[str, ...], str]:
    if genes is not None:
        chosen = tuple(read_genes(genes)) if isinstance(genes, str) else tuple(genes)
        return chosen, f"the {len(chosen)} genes that were named"
    vocab = sample.held.vocab
    varying = choose_panel(sample.held.rows(training), min(n_genes, len(vocab))).feature_id
    varies_G = np.asarray(sample.held.rows(training).held.value_BG.max(axis=0).toarray()).reshape(-1) > 0
    tokens = sorted({gene for gene in sample.applied.vocab.gene if gene >= 0 and varies_G[gene]})
    targets = [vocab.feature_id[gene] for gene in tokens if vocab.feature_id[gene] not in varying][:n_genes]
    chosen = vocab.genes(np.sort(vocab.tokens([*varying, *targets])))
    return chosen, f"{len(varying)} genes of largest variance and {len(targets)} further targets"


def in_one_group(screen: ScreenCells) -> ScreenCells:
    """The same cells, any two of which meet."""
    return replace(screen, group_B=np.full(len(screen), "all"))
