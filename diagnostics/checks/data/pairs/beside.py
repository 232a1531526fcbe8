"""The check that what a batch holds beside the cells, and the model reads, says nothing of the cell after."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch

from diagnostics.checks.data.linear_fit import features_of, linear_fit
from diagnostics.checks.data.transforms import Bools, Floats
from diagnostics.checks.engine.check import check
from diagnostics.checks.engine.identities import deviation, verdict
from diagnostics.checks.engine.probe import Probe
from diagnostics.results.check_result import CheckResult
from gpcp.core.pairs import PairBatch

SAME = 0.9
"""Share of what is left of a gene's values after, all inputs being known, that a column may explain at most."""

FEWEST_A_GENE, N_PAIRS = 20, 2_000
MOST_COLUMNS = 400
"""Pairs for each gene, pairs, and columns beside the fields, that are looked at."""

THE_SAME, _ANOTHER = 0.999, 0.99
"""Share of a gene's values after that a column which holds them explains; and that the gene before may explain then,
where everything follows from the inputs and nothing is left of it."""

_OWN = 1e-4
"""Share of a column's variance that must be left once all inputs are known: less is another form of them."""


@check(
    "GP133",
    "data.beside",
    "Is what the model reads beside the cells free of the cell after?",
    cause="data", kind="exact", needs=("pairs", "model"),
)  # fmt: skip
def beside(probe: Probe) -> CheckResult:
    """Columns of a batch's other entries against the genes after, both without what all inputs explain linearly."""
    entries = getattr(probe.subject.pairs, "beside", None)
    pairs = probe.sample.rows(slice(0, N_PAIRS))
    columns: Mapping[str, Floats] = {} if entries is None else entries(pairs)
    fit = linear_fit(probe) if columns else None
    if fit is None or len(pairs) < FEWEST_A_GENE * len(fit.part.token_G):
        return CheckResult(outcome="not_applicable", message="batches hold no other numbers, or there are few pairs")
    shares, names = _explained(fit.part.of(pairs), columns), fit.sample.vocab.feature_id
    worst = max(shares, key=lambda one: shares[one][0])
    share, column, gene, n_genes = shares[worst]
    if share <= SAME:
        return verdict(
            good=True, message=f"no other entry says more of a gene after than entry {worst!r} of "
            f"{names[gene]} ({share:.0%} of it, as far as inputs do not)",
            next_step="", statistic=share, tolerance=SAME, n=len(pairs),
        )  # fmt: skip
    shown = f"column {column} of entry {worst!r} explains {share:.1%} of {names[gene]} after, or of "
    shown += f"what inputs leave of it, and the entry as much of {n_genes} of {len(names)} genes"
    if not _read(probe):
        return verdict(
            good=True, message=f"{shown}; predictions do not depend on it", next_step="keep it from the model",
            statistic=share, tolerance=share, n=len(pairs),
        )  # fmt: skip
    return verdict(
        good=False, message=f"{shown}: it holds the cell after, and predictions depend on what batches hold beside "
        "the fields",
        next_step="keep what is computed from the cell after from the model's inputs: it is not known where a "
        "prediction is made",
        statistic=share, tolerance=SAME, n=len(pairs),
    )  # fmt: skip


def _explained(pairs: PairBatch, columns: Mapping[str, Floats]) -> dict[str, tuple[float, int, int, int]]:
    """Of each entry the largest share of a gene, its column, the gene, and how many genes have as large a one."""
    feature_BF = np.hstack((features_of(pairs), np.ones((len(pairs), 1))))
    basis_BF, size_F, _ = np.linalg.svd(feature_BF, full_matrices=False)
    basis_BF = basis_BF[:, size_F > 1e-6 * size_F.max()]

    def left(value_BN: Floats) -> Floats:
        return value_BN - basis_BF @ (basis_BF.T @ value_BN)

    counts_BG = pairs.scored_BG
    before_BG, after_BG = (_centred(value_BG, counts_BG) for value_BG in (pairs.before_BG, pairs.after_BG))
    known_G = np.diag(_squared_correlation(before_BG, after_BG, counts_BG)) < _ANOTHER
    left_BG = left(after_BG)
    found: dict[str, tuple[float, int, int, int]] = {}
    for name, value_BN in columns.items():
        value_BN = np.nan_to_num(value_BN[:, :MOST_COLUMNS])
        value_BN = value_BN - value_BN.mean(axis=0)
        own_BN, spread_N = left(value_BN), value_BN.var(axis=0)
        known_N = (own_BN.var(axis=0) > _OWN * spread_N) & ~_of_perturbation(value_BN, pairs)
        share_NG = _squared_correlation(np.where(known_N, own_BN, 0.0), left_BG, counts_BG)
        whole_NG = _squared_correlation(value_BN, after_BG, counts_BG)
        share_NG = np.where((whole_NG > THE_SAME) & known_G, np.maximum(share_NG, whole_NG), share_NG)
        column, gene = (int(one) for one in np.unravel_index(share_NG.argmax(), share_NG.shape))
        n_genes = int((share_NG.max(axis=0) > SAME).sum())
        found[name] = (float(share_NG[column, gene]), column, gene, n_genes)
    return found


def _centred(value_BG: np.ndarray, counts_BG: Bools) -> Floats:
    """About each gene's mean over the entries that count; 0 at the others."""
    mean_G = np.where(counts_BG, value_BG, 0).sum(axis=0, dtype=np.float64) / np.maximum(counts_BG.sum(axis=0), 1)
    return np.where(counts_BG, value_BG - mean_G, 0.0)


def _of_perturbation(value_BN: Floats, pairs: PairBatch) -> Bools:
    """Columns that differ from their usual value only where one gene is perturbed: doses, values, names of it."""
    usual_N = np.median(value_BN, axis=0)
    other_BN = (value_BN != usual_N).astype(np.float64)
    inside_NG = other_BN.T @ pairs.perturbed_BG.astype(np.float64)
    return inside_NG.max(axis=1) >= 0.95 * np.maximum(other_BN.sum(axis=0), 1)


def _squared_correlation(one_BN: Floats, other_BG: Floats, counts_BG: Bools) -> Floats:
    """Of every column with every gene over the entries that count, (N, G)."""
    weight_BG = counts_BG.astype(np.float64)
    n_G = np.maximum(weight_BG.sum(axis=0), 1)
    sum_NG, sum_G = one_BN.T @ weight_BG, (other_BG * weight_BG).sum(axis=0)
    together_NG = one_BN.T @ (other_BG * weight_BG) - sum_NG * sum_G / n_G
    size_NG = (one_BN**2).T @ weight_BG - sum_NG**2 / n_G
    size_G = (other_BG**2 * weight_BG).sum(axis=0) - sum_G**2 / n_G
    below_NG = size_NG * size_G
    known_NG = below_NG > 1e-12 * np.max(below_NG, initial=0)
    return np.where(known_NG, together_NG**2 / np.where(known_NG, below_NG, 1.0), 0.0)


def _read(probe: Probe) -> bool:
    """Whether a prediction changes with what other pairs' batches hold beside the fields."""
    model = probe.generic_model
    batch, _ = probe.exact(probe.few)
    if batch.row_B is None:
        return False
    other = replace(batch, row_B=torch.roll(batch.row_B, 1))
    return not deviation(probe.answer(batch, model), probe.answer(other, model), batch.measured_BL).equal
