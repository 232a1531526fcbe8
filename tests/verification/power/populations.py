"""Populations of cells of which pilots are drawn, and experiments on them with scipy's own tests."""

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from diagnostics import untreated_cells
from gpcp.core.random import generator, stream
from simulators import SimulatedCells, build_assay, real_cells, world
from simulators.spike_ins.real_cells import RealCells
from simulators.spike_ins.values import changed
from simulators.totals import TotalledCells


def sequenced_cells(name: str, n_cells: int = 12_000) -> RealCells:
    """Sequenced cells of a world, 1,000 counts each."""
    made = world(name)
    assay = build_assay(made.graph.vocab, rng=stream(0, "assay"), library_size=1_000.0, log_rate_sd=1.0)
    return real_cells(TotalledCells(counted=SimulatedCells(scm=made.scm, n_cells=n_cells, assay=assay)))


def population_of(source: str, n_genes: int | None = None) -> RealCells:
    """The cells of ``KIND:PLACE`` (of a screen, its controls) or of a world by its name.

    Parameters
    ----------
    source : str
    n_genes : int, optional
        Take so many of the genes at random, to keep a test short.
    """
    cells = real_cells(untreated_cells(source)[0]) if ":" in source else sequenced_cells(source)
    if n_genes is None:
        return cells
    chosen = generator("genes of a population", source).permutation(len(cells.vocab))[:n_genes]
    return cells.of_genes(np.sort(chosen))


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Experiments:
    """Fresh experiments of one size, drawn with replacement: the cells of a file are the whole population.

    Parameters
    ----------
    population : RealCells
    n, n_control : int
        Cells of each group.
    affected, fdr, expressed : float
        As :class:`diagnostics.PowerDesign`.
    """

    population: RealCells
    n: int
    n_control: int
    affected: float = 0.1
    fdr: float = 0.05
    expressed: float = 0.05

    @property
    def tested_G(self) -> NDArray[np.intp]:
        """Genes that enough cells of the population express."""
        value_NG = self.population.value_NG
        return np.flatnonzero((value_NG > 0).mean(axis=0) >= self.expressed)

    def found(self, test: str, effects: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
        """Share of the affected genes that a test and Benjamini and Hochberg find, with each effect on the same cells.

        Of one experiment's cells every gene is affected once: in turn each of many disjoint sets of genes of the right
        size, so that a result is the mean over these sets.

        Parameters
        ----------
        effects : float64, (effects,)
            Sizes of falls.
        """
        tested_G, row_B = self.tested_G, rng.integers(len(self.population), size=self.n + self.n_control)
        n_affected = max(1, round(self.affected * len(tested_G)))
        sets = rng.permutation(len(tested_G))[: len(tested_G) // n_affected * n_affected].reshape(-1, n_affected)
        plain_BG = self._values(row_B, tested_G, 0.0, rng)
        null_G = self._p_values(test, plain_BG[: self.n], plain_BG[self.n :])
        shares: list[float] = []
        for effect in effects:
            hit_BG = self._values(row_B[: self.n], tested_G, float(effect), rng)
            affected_G = self._p_values(test, hit_BG, plain_BG[self.n :])
            p_XG = np.repeat(null_G[None], len(sets), axis=0)
            np.put_along_axis(p_XG, sets, affected_G[sets], axis=1)
            rejected_XG = stats.false_discovery_control(np.nan_to_num(p_XG, nan=1.0), axis=1) <= self.fdr
            shares.append(float(np.take_along_axis(rejected_XG, sets, axis=1).mean()))
        return np.array(shares)

    def _values(
        self, row_B: NDArray[np.int64], tested_G: NDArray[np.intp], effect: float, rng: np.random.Generator
    ) -> NDArray[np.float64]:
        pool = self.population
        if pool.count_NG is None or pool.total_N is None:
            value_BG = pool.value_NG[row_B][:, tested_G].astype(np.float64)
            return changed(value_BG, np.full(value_BG.shape, -effect), "fold")
        count_BG = pool.count_NG[row_B][:, tested_G]
        scale_B = np.median(pool.total_N) / pool.total_N[row_B]
        kept_BG = rng.binomial(count_BG, np.exp(-effect)) if effect else count_BG
        return np.log1p(kept_BG * scale_B[:, None])

    @staticmethod
    def _p_values(test: str, perturbed_BG: NDArray[np.float64], control_BG: NDArray[np.float64]) -> NDArray[np.float64]:
        if test == "welch":
            return np.asarray(stats.ttest_ind(perturbed_BG, control_BG, equal_var=False).pvalue)
        return np.asarray(stats.mannwhitneyu(perturbed_BG, control_BG, axis=0).pvalue)
