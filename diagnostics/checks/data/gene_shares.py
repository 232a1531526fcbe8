"""The check that the loss is about many genes: one gene of large variance hides what is learnt of all others."""

import numpy as np
import torch

from diagnostics.checks.data.linear_fit import LinearFit, linear_fit
from diagnostics.checks.data.transforms import Floats
from diagnostics.checks.engine.cell_ids import too_few_cells
from diagnostics.checks.engine.check import check
from diagnostics.checks.engine.identities import verdict
from diagnostics.checks.engine.probe import Probe
from diagnostics.results.check_result import CheckResult
from gpcp.core.pairs import PairBatch

FEWEST_GENES = 5
LARGEST_SHARE = 0.5
"""Share of the loss that genes of another scale may have together."""

ANOTHER_SCALE = 100.0
"""Times the median gene's variance: ten of its standard deviations."""


@check(
    "GP130",
    "data.gene_shares",
    "Is the loss about more than a gene or two?",
    cause="data", kind="exact", needs=("pairs",), explained_by=("data.units",),
)  # fmt: skip
def gene_shares(probe: Probe) -> CheckResult:
    """Shares of the loss of the genes' means that genes of a hundred times the median gene's variance have together.

    By the subject's own loss where it has one, since a loss may weigh genes.
    """
    pairs = probe.sample
    variance_G, n_G = _variance(pairs)
    known_G = (n_G > 1) & (variance_G > 0)
    if known_G.sum() < FEWEST_GENES:
        return CheckResult(outcome="not_applicable", message=f"fewer than {FEWEST_GENES} scored genes vary")
    usual = float(np.median(variance_G[known_G]))
    large_G = known_G & (variance_G > ANOTHER_SCALE * usual)
    share_G = _shares(probe, variance_G * n_G, large_G)
    share = float(share_G[large_G].sum())
    order = [int(gene) for gene in np.argsort(-share_G) if large_G[gene]]
    named = ", ".join(
        f"{pairs.vocab.feature_id[gene]} ({share_G[gene]:.0%} of the loss, {variance_G[gene] / usual:.3g} times the "
        "median gene's variance)"
        for gene in order[:3]
    )
    largest = int(np.argmax(share_G))
    shown = f"the largest share of a gene is {share_G[largest]:.1%}, that of {pairs.vocab.feature_id[largest]}"
    good = share <= LARGEST_SHARE
    if not good and (few := too_few_cells(probe)) is not None:
        return few
    return verdict(
        good=good,
        message=shown if good else f"the loss is about {named}: what is learnt of the other genes does not show"
        f"{_gains(linear_fit(probe))}",
        next_step="divide each gene by its standard deviation in training, or weigh the loss by it, and report a gain "
        "for each gene beside the pooled one",
        statistic=share, tolerance=LARGEST_SHARE, n=len(pairs),
    )  # fmt: skip


def _variance(pairs: PairBatch) -> tuple[Floats, Floats]:
    """Of each gene's scored values after, and how many they are, (G,), (G,)."""
    scored_BG = pairs.scored_BG
    n_G = np.maximum(scored_BG.sum(axis=0), 1).astype(np.float64)
    mean_G = np.where(scored_BG, pairs.after_BG, 0).sum(axis=0, dtype=np.float64) / n_G
    return np.where(scored_BG, (pairs.after_BG - mean_G) ** 2, 0).sum(axis=0) / n_G, scored_BG.sum(axis=0)


def _shares(probe: Probe, total_G: Floats, large_G: np.ndarray) -> Floats:
    """Shares of the squared error of the genes' means; of large ones as the subject's loss weighs them."""
    share_G = total_G / total_G.sum()
    if probe.subject.loss is None or not large_G.any():
        return share_G
    pairs = probe.sample.rows(slice(0, 256))
    batch, after_BL = probe.subject.collate(pairs)
    mean_BL = after_BL.mean(dim=0, keepdim=True).expand_as(after_BL)
    is_large_BL = torch.as_tensor(large_G)[batch.token_BL.cpu()].expand(after_BL.shape).to(after_BL.device)
    everything = _loss(probe, mean_BL, after_BL, batch.scored_BL)
    large = _loss(probe, torch.where(is_large_BL, mean_BL, after_BL), after_BL, batch.scored_BL)
    right = _loss(probe, after_BL, after_BL, batch.scored_BL)
    together = (large - right) / (everything - right) if everything > right else 0.0
    factor_G = np.where(large_G, together / float(share_G[large_G].sum()), 1.0)
    return share_G * factor_G


def _loss(probe: Probe, answer_BL: torch.Tensor, after_BL: torch.Tensor, scored_BL: torch.Tensor) -> float:
    return float(probe.subject.scalar_loss(answer_BL, after_BL, scored_BL).detach())


def _gains(fit: LinearFit | None) -> str:
    """The gain of ridge in the median gene beside the pooled one."""
    if fit is None:
        return ""
    pairs, scored_BG = fit.held_out, fit.held_out.scored_BG
    missed_G = np.where(scored_BG, (fit.predicted() - pairs.after_BG).astype(np.float64) ** 2, 0).sum(axis=0)
    variance_G, n_G = _variance(pairs)
    gain_G = 1 - missed_G[n_G > 1] / np.maximum(variance_G * n_G, 1e-300)[n_G > 1]
    pooled = 1 - missed_G.sum() / max(float((variance_G * n_G).sum()), 1e-300)
    return f" ({fit.name} gains {float(np.median(gain_G)):.0%} in the median gene and {pooled:.0%} pooled)"
