"""Invented batches, and batches altered in one respect.

Values are drawn between the least and the greatest of the pairs' own, so that no model meets what it need not know.
"""

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from diagnostics.checks.engine.probe import Probe
from gpcp.model.batch import ModelBatch

MOST_TOKENS = 256
"""Genes of an invented batch: as many of a larger vocabulary show as much, at a cost that does not grow with it."""


def invented(
    probe: Probe, purpose: str, *, p_perturbed: float = 0.0, p_measured: float = 1.0, n_pairs: int | None = None
) -> ModelBatch:
    """Random cells over the model's genes, in the order of the vocabulary, on the device and in the dtype of the probe.

    Parameters
    ----------
    probe : Probe
    purpose : str
        Names the stream of random numbers.
    p_told, p_measured : float
        Share of all genes, and of the measured ones; between 0 and 1 every pair has a measured gene and one that is
        not, if there are two.
    n_pairs : int, optional
        As many as the exact pairs by default.
    """
    rng = probe.rng("invented", purpose)
    n_genes = len(probe.vocab)
    token_L = np.sort(rng.choice(n_genes, size=min(n_genes, MOST_TOKENS), replace=False))
    shape = (probe.n_exact if n_pairs is None else n_pairs, len(token_L))
    measured_BL = _some(shape, p_measured, rng)
    # Perturbed genes are drawn among the measured ones.
    perturbed_BL = measured_BL & _some(shape, p_perturbed, rng)
    drawn = ModelBatch(
        token_BL=torch.as_tensor(token_L[None].astype(np.int64)),
        before_BL=torch.as_tensor(drawn_values(probe, shape, rng)),
        target_BL=torch.as_tensor(np.where(perturbed_BL, drawn_values(probe, shape, rng), 0.0)),
        measured_BL=torch.as_tensor(measured_BL),
        perturbed_BL=torch.as_tensor(perturbed_BL),
    )
    return drawn.to(probe.device, probe.exact_dtype)


def drawn_values(probe: Probe, shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.float64]:
    """Uniform over the range of the pairs' values."""
    return rng.uniform(*probe.value_range, size=shape)


def _some(shape: tuple[int, int], share: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    if share in (0.0, 1.0):
        return np.full(shape, bool(share))
    some_BL = rng.random(shape) < share
    if shape[1] > 1:
        # Two places of each row are set by hand, one of either kind.
        place_B2 = np.argsort(rng.random(shape), axis=1)[:, :2]
        np.put_along_axis(some_BL, place_B2, np.array([[True, False]]), axis=1)
    return some_BL


def at(batch: ModelBatch, place_B: NDArray[np.int64]) -> Tensor:
    """One place of each row, bool (B, L)."""
    chosen_BL = torch.zeros_like(batch.measured_BL)
    return chosen_BL.scatter(1, torch.as_tensor(place_B, device=chosen_BL.device)[:, None], True)


def perturbed(batch: ModelBatch, place_B: NDArray[np.int64], target_B: NDArray[np.float64]) -> ModelBatch:
    """The batch with one more perturbed gene in each row."""
    chosen_BL = at(batch, place_B)
    target_B1 = torch.as_tensor(target_B).to(batch.target_BL)[:, None]
    return replace(
        batch,
        target_BL=torch.where(chosen_BL, target_B1, batch.target_BL),
        perturbed_BL=batch.perturbed_BL | chosen_BL,
    )


def set_before(batch: ModelBatch, where_BL: Tensor, value_BL: Tensor | float) -> ModelBatch:
    """The batch with other expression before at some places."""
    value_BL = value_BL.to(batch.before_BL) if isinstance(value_BL, Tensor) else value_BL
    return replace(batch, before_BL=torch.where(where_BL, value_BL, batch.before_BL))


def columns(batch: ModelBatch, place_L: Tensor) -> ModelBatch:
    """The batch with its places in another order, each with its token."""
    return replace(
        batch,
        token_BL=batch.token_BL[:, place_L],
        before_BL=batch.before_BL[:, place_L],
        target_BL=batch.target_BL[:, place_L],
        measured_BL=batch.measured_BL[:, place_L],
        perturbed_BL=batch.perturbed_BL[:, place_L],
    )


def rows(batch: ModelBatch, which_B: Tensor) -> ModelBatch:
    """Some pairs of the batch, in any order."""
    shared = len(batch.token_BL) == 1
    return ModelBatch(
        token_BL=batch.token_BL if shared else batch.token_BL[which_B],
        before_BL=batch.before_BL[which_B],
        target_BL=batch.target_BL[which_B],
        measured_BL=batch.measured_BL[which_B],
        perturbed_BL=batch.perturbed_BL[which_B],
        row_B=None if batch.row_B is None else batch.row_B[which_B.cpu()],
    )


def padded(batch: ModelBatch, token_L: Tensor) -> ModelBatch:
    """The batch with more places at its end, of these genes, none of them measured."""
    shape = (len(batch), len(token_L))

    def wider(value_BL: Tensor, more: Tensor) -> Tensor:
        return torch.cat((value_BL, more.to(value_BL).expand(len(value_BL), -1)), dim=1)

    zeros_BL = torch.zeros(shape)
    return ModelBatch(
        token_BL=wider(batch.token_BL, token_L[None]),
        before_BL=wider(batch.before_BL, zeros_BL),
        target_BL=wider(batch.target_BL, zeros_BL),
        measured_BL=wider(batch.measured_BL, zeros_BL),
        perturbed_BL=wider(batch.perturbed_BL, zeros_BL),
        row_B=batch.row_B,
    )
