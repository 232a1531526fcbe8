"""Scores of ``cell-eval2``, none of them rewritten: its presets, its values for each perturbation, its two anchors."""

import logging
import warnings
from collections.abc import Generator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import Any, Literal, final

import numpy as np
from numpy.typing import NDArray

from diagnostics.audit.evaluation.data import CONTROL, ScreenData, Split
from diagnostics.audit.evaluation.rank_tests import rank_tests_by_illico, why_not
from gpcp.core.errors import InputError, nearest
from gpcp.core.random import stream
from gpcp.imports import need

PRESETS = ("vcc2026", "v2")
"""Presets of ``cell-eval2`` that are offered; the others are deprecated there."""

Scorer = Literal["fast", "cell-eval2"]
SCORERS: tuple[Scorer, ...] = ("fast", "cell-eval2")
"""``fast``: the scores of ``cell-eval2`` with its rank tests by ``illico``, and those of the screen made once."""

SHORT: Mapping[str, str] = {
    "pds_cosine": "PDS",
    "expr_mse_unbiased_capped_norm": "MSE",
    "de_wilcoxon_lfc_nmae": "LFC-NMAE",
    "de_wilcoxon_direction_fidelity_yield_raw": "fidelity",
    "de_wilcoxon_direction_reach_raw": "reach",
    "de_wilcoxon_sig_jaccard": "Jaccard",
}
"""The six scores of ``vcc2026``, with the names that tables have for them."""


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Scores:
    """Values of one answer.

    Parameters
    ----------
    labels : tuple of str
    parts : mapping
        For each metric, by its name in ``cell-eval2``, what each perturbation adds above and below the line: float64
        (perturbation, 2). The value of the answer is the quotient of the sums; a perturbation that the metric leaves
        out adds NaN.
    """

    labels: tuple[str, ...]
    parts: Mapping[str, NDArray[np.float64]]

    def value(self, metric: str) -> float:
        """One number for all perturbations; NaN where none has one."""
        total = np.nansum(self.parts[metric], axis=0)
        return float(total[0] / total[1]) if total[1] else float("nan")

    def joined(self, other: "Scores") -> "Scores":
        """Both, one after the other, as of two contexts."""
        return Scores(
            labels=(*self.labels, *other.labels),
            parts={name: np.concatenate((part, other.parts[name])) for name, part in self.parts.items()},
        )


@final
class CellEval:
    """``cell-eval2`` with one of its presets, for one kind of values.

    Parameters
    ----------
    preset : str
        One of :data:`PRESETS`.
    screen : ScreenData
    split : Split
        The values of the one and the test labels of the other decide what the preset has to be adapted in;
        :attr:`adapted` lists it.
    scorer : str
        Of :data:`SCORERS`. What ``fast`` does not cover is scored by ``cell-eval2`` alone, and :attr:`adapted` has why.

    Raises
    ------
    InputError
        ``cell-eval2`` is not installed, or the preset or the scorer unknown.
    """

    def __init__(self, preset: str, screen: ScreenData, split: Split, *, scorer: Scorer = "fast") -> None:
        need("cell_eval2", extra="evaluate", use="an evaluation")
        if preset not in PRESETS:
            raise InputError(f"--preset is {preset!r}; {nearest(preset, PRESETS)}")
        if scorer not in SCORERS:
            raise InputError(f"--scorer is {scorer!r}; {nearest(scorer, SCORERS)}")
        from cell_eval2 import EvalConfig

        config: Any = EvalConfig.from_preset(preset)
        self.name = f"cell-eval2 {version('cell-eval2')}, preset {preset}"
        # The sparse rank test of scanpy: pdex and gpudge are other packages.
        changes: dict[str, Any] = {"pert_col": "target", "control": CONTROL, "num_threads": 1, "device": "cpu"}
        changes["de"] = replace(config.de, backend="scanpy")
        self.adapted: list[str] = []
        self._fast = scorer == "fast"
        self._tables: list[tuple[Any, Any]] = []
        if self._fast and self._covered(screen.X_BG):
            self.name += f", rank tests by illico {version('illico')}"
        if screen.scale == "log":
            changes["input_type"] = "lognorm"
            self.adapted.append("X holds logarithms: input_type lognorm, which is not the competition's")
        named = target_genes(screen, split)
        if named is not None:
            changes["target_gene_map"] = named
            n_measured = sum(gene is not None for gene in named.values())
            self.adapted.append(
                f"{n_measured} of {len(named)} test perturbations have one measured target, which scores leave out"
            )
        self.config: Any = replace(config, **changes)

    def scores(self, predicted: Any, real: Any, *, again: bool = True) -> Scores:
        """Values of a prediction.

        Parameters
        ----------
        predicted, real : AnnData
            With controls and the same labels.
        again : bool
            Whether other predictions are scored against the same object ``real``: its tests are kept then.
        """
        from cell_eval2 import compute_metrics  # pyright: ignore[reportUnknownVariableType]

        try:
            with quiet(), self._rank_tests(predicted, real):
                table = self._table(real) if again else None
                tidy: Any = compute_metrics(predicted, real, config=self.config, de_real=table)
        except ValueError as error:
            raise InputError(f"{self.name} refuses: {_first_sentence(error)}") from error
        labels = tuple(sorted(set(real.obs["target"].astype(str)) - {CONTROL}))
        rows: dict[str, dict[str, float]] = {}
        for label, metric, value in tidy.select(["perturbation", "metric", "value"]).iter_rows():
            rows.setdefault(metric, {})[label] = float("nan") if value is None else float(value)
        return Scores(labels=labels, parts=_parts(labels, rows))

    def baseline(self, real: Any) -> Scores | None:
        """The scorer's own zero: the mean response emitted as cells; None where it has none for such values."""
        if self.config.input_type != "counts":
            return None
        from cell_eval2 import build_generic_baseline  # pyright: ignore[reportUnknownVariableType]

        with quiet(), self._rank_tests(real):
            made: Any = build_generic_baseline(
                real, config=self.config, allow_degenerate=True, de_real=self._table(real)
            )
        labels = tuple(sorted(set(real.obs["target"].astype(str)) - {CONTROL}))
        rows: dict[str, dict[str, float]] = {}
        for label, metric, value in made.results.select(["perturbation", "metric", "value"]).iter_rows():
            rows.setdefault(metric, {})[label] = float("nan") if value is None else float(value)
        return Scores(labels=labels, parts=_parts(labels, rows))

    def anchor(self, real: Any, *, n_splits: int, seed: int) -> dict[str, float]:
        """The scorer's own replicate anchor by metric, which is its one; empty where it has none for a screen."""
        from cell_eval2.anchor import compute_replicate_anchor  # pyright: ignore[reportUnknownVariableType]

        try:
            with quiet(), self._rank_tests(real):
                _, anchor = compute_replicate_anchor(real, config=self.config, base_seed=seed, n_splits=n_splits)
            return {str(name): float(value) for name, value in anchor.select(["metric", "replicate"]).iter_rows()}
        except ValueError as error:
            # It refuses a screen without any strong effect as a whole; the halves below still say what they say.
            why = f"the scorer has no anchor here, the scale's 1 is that of the halves: {_first_sentence(error)}"
            if why not in self.adapted:
                self.adapted.append(why)
            return {}

    def replicate(self, real: Any, *, n_splits: int, seed: int) -> tuple[Scores, dict[str, float]]:
        """Half of the cells scored against the other half, and the scorer's own anchor, which is its one.

        Each half has controls of its own. The first has values for each perturbation, averaged over the splits; the
        second is of the scorer's own splits, and takes LFC-NMAE from its own reference.
        """
        found = self.anchor(real, n_splits=n_splits, seed=seed)
        halves = [self._half_against_half(real, seed, split) for split in range(n_splits)]
        names = halves[0].parts.keys()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # the mean of no value is NaN
            parts = {name: np.nanmean([one.parts[name] for one in halves], axis=0) for name in names}
        replicate = Scores(labels=halves[0].labels, parts=parts)
        return replicate, found or {name: replicate.value(name) for name in parts}

    def _half_against_half(self, real: Any, seed: int, split: int) -> Scores:
        rng = stream(seed, "evaluate", "halves", split)
        label_B = real.obs["target"].astype(str).to_numpy()
        first_B = np.zeros(len(label_B), dtype=np.bool_)
        for label in sorted(set(label_B.tolist())):
            rows = rng.permutation(np.flatnonzero(label_B == label))
            first_B[rows[: len(rows) // 2]] = True
        return self.scores(real[~first_B].copy(), real[first_B].copy(), again=False)

    def _covered(self, *matrices: Any) -> bool:
        for X_BG in matrices:
            why = why_not(X_BG)
            if why is not None:
                note = f"scored by cell-eval2 alone, without the fast rank tests: {why}"
                if note not in self.adapted:
                    self.adapted.append(note)
                return False
        return True

    def _rank_tests(self, *cells: Any) -> AbstractContextManager[None]:
        covered = self._fast and self._covered(*(one.X for one in cells))
        return rank_tests_by_illico() if covered else nullcontext()

    def _table(self, real: Any) -> Any:
        """The tests of the real cells, made once; None where ``cell-eval2`` is to make them each time."""
        from cell_eval2.de_compute import compute_de

        if not self._fast:
            return None
        for known, table in self._tables:
            if known is real:
                return table
        config = self.config
        made: Any = compute_de(
            real,
            backend=config.de.backend,
            groupby=config.pert_col,
            reference=config.control,
            mean_calc=config.de.mean_calc,
            epsilon=config.de.epsilon,
            input_type=config.input_type,
            target_sum=config.target_sum,
            clip_value=config.de.clip_value,
            filter_gene_min_cpm_cell=config.filter.filter_gene_min_cpm_cell,
            fdr_scope=config.de.fdr_scope,
            threads=config.num_threads,
        )
        self._tables.append((real, made))
        return made


def _parts(labels: tuple[str, ...], rows: Mapping[str, Mapping[str, float]]) -> dict[str, NDArray[np.float64]]:
    """What each perturbation adds to each metric; ratios of sums are made of their two components."""
    from cell_eval2.catalog import CATALOG

    value_of = {
        metric: np.array([found.get(label, np.nan) for label in labels], dtype=np.float64)
        for metric, found in rows.items()
    }
    parts = {
        metric: np.column_stack((value, np.where(np.isnan(value), np.nan, 1.0))) for metric, value in value_of.items()
    }
    catalog: Any = CATALOG
    for name, spec in catalog.items():
        if spec.derived is not None and {spec.derived.numerator, spec.derived.denominator} <= value_of.keys():
            pair = np.column_stack((value_of[spec.derived.numerator], value_of[spec.derived.denominator]))
            pair[~np.isfinite(pair).all(axis=1)] = np.nan
            parts[name] = pair
    return parts


def target_genes(screen: ScreenData, split: Split) -> dict[str, str | None] | None:
    """The measured target of each test label, where the scorer cannot find it by the label's name; None where it can.

    It needs one label in each context that is the name of a measured gene; where labels are written otherwise, as
    ``A+ctrl`` is, or no target is measured, it has to be given what they mean. A combination of several measured genes
    has none: the scorer leaves out one gene of a label at most.
    """
    measured = frozenset(screen.genes)
    found = {
        label: genes[0] if len(genes := [gene for gene in screen.targets[label] if gene in measured]) == 1 else None
        for label in split.test
    }
    by_name = all(
        any(label in measured for label in screen.in_context(context, split.test)) for context in screen.contexts
    )
    return None if by_name and all(gene in (None, label) for label, gene in found.items()) else found


def _first_sentence(error: ValueError) -> str:
    return " ".join(str(error).split()).partition(". ")[0]


def direction_of(metric: str) -> int:
    """1 where more is better, -1 where less is, 0 where the scorer does not say."""
    from cell_eval2.catalog import CATALOG

    catalog: Any = CATALOG
    direction: object = catalog[metric].scoring.direction if metric in catalog else None
    return 1 if direction == "higher" else -1 if direction == "lower" else 0


@contextmanager
def quiet() -> Generator[None]:
    """Third parties' warnings and log lines are kept off the screen: what they left out is counted in the results."""
    logger = logging.getLogger("cell_eval2")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
