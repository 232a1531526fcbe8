"""Invented batches, and batches altered in one respect.

Values are drawn between the least and the greatest of the pairs' own, so that no model meets what it need not know.
"""

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gpcp.core.genes import GeneVocab
from gpcp.core.pairs import PairBatch
from gpcp.core.perturbations import PerturbationVocab
from gpcp.model.batch import ModelBatch

if TYPE_CHECKING:
    from diagnostics.checks.engine.probe import Probe

MOST_TOKENS = 256
"""Genes of an invented batch: as many of a larger vocabulary show as much, at a cost that does not grow with it."""


def invented(
    probe: "Probe", purpose: str, *, p_perturbed: float = 0.0, p_measured: float = 1.0, n_pairs: int | None = None,
    most_perturbed: int | None = None, masked_anyway: bool = False,
) -> ModelBatch:  # fmt: skip
    """Random cells over the model's genes, in the order of the vocabulary, on the device and in the dtype of the probe.

    Parameters
    ----------
    probe : Probe
    purpose : str
        Names the stream of random numbers.
    p_perturbed, p_measured : float
        Share of the measured genes, and of all; between 0 and 1 every pair has a measured gene and one that is
        not, if there are two. Where no gene can be unmeasured none is.
    n_pairs : int, optional
        As many as the exact pairs by default; at least so many where cells are answered in sets.
    most_perturbed : int, optional
        Of a pair; as many as a pair can have by default.
    masked_anyway : bool
        Leave genes unmeasured where none of the source's is.
    """
    rng = probe.rng("invented", purpose)
    n_genes = len(probe.vocab)
    # A model whose every batch lists all genes may count on that.
    n_tokens = n_genes if not probe.masks else min(n_genes, MOST_TOKENS)
    token_L = _with_perturbable(probe, np.sort(rng.choice(n_genes, size=n_tokens, replace=False)), purpose)
    shape = (probe.n_exact if n_pairs is None else probe.whole_sets(n_pairs), len(token_L))
    measured_BL = _some(shape, p_measured if probe.masks or masked_anyway else 1.0, rng)
    # Perturbed genes are drawn among the measured ones.
    perturbed_BL = measured_BL & _some(shape, p_perturbed, rng)
    most = probe.most_perturbed if most_perturbed is None else most_perturbed
    if most is not None and perturbed_BL.sum(axis=1).max(initial=0) > most:
        order_BL = np.argsort(np.where(perturbed_BL, rng.uniform(size=shape), 2.0), axis=1)
        np.put_along_axis(perturbed_BL, order_BL[:, most:], False, axis=1)
    if probe.subject.intent.perturbable is not None and p_perturbed > 0:
        perturbed_BL = _of_able(perturbed_BL, _able(probe, token_L), probe.rng("perturbable", purpose))
        measured_BL |= perturbed_BL
    drawn = ModelBatch(
        token_BL=torch.as_tensor(token_L[None].astype(np.int64)),
        before_BL=torch.as_tensor(drawn_values(probe, shape, rng)),
        target_BL=torch.as_tensor(np.where(perturbed_BL, drawn_values(probe, shape, rng), 0.0)),
        measured_BL=torch.as_tensor(measured_BL),
        perturbed_BL=torch.as_tensor(perturbed_BL),
        row_B=torch.arange(len(measured_BL)),
    )
    drawn = drawn.to(probe.device, probe.exact_dtype)
    names = probe.subject.perturbations
    if names is None:
        return drawn
    some = p_perturbed > 0
    return named(drawn, names, rng.integers(len(names), size=(len(drawn), 1)) if some else np.full((len(drawn), 1), -1))


def _with_perturbable(probe: "Probe", token_L: NDArray[np.int64], purpose: str) -> NDArray[np.int64]:
    """The genes of an invented batch, up to half of them among those that a perturbation can have."""
    perturbable = probe.subject.intent.perturbable
    if perturbable is None or len(token_L) == len(probe.vocab):
        return token_L
    n_able = min(len(perturbable), len(token_L) // 2)
    able_L = probe.rng("perturbable genes", purpose).permutation(np.array(perturbable, dtype=np.int64))[:n_able]
    return np.sort(np.concatenate((able_L, np.setdiff1d(token_L, able_L)[: len(token_L) - n_able])))


def _of_able(perturbed_BL: NDArray[np.bool_], able: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.bool_]:
    """Perturbed genes moved to positions that can be perturbed, as many in each row as there is room for."""
    moved_BL = np.zeros_like(perturbed_BL)
    for row, n_perturbed in enumerate(perturbed_BL.sum(axis=1).tolist()):
        moved_BL[row, rng.permutation(able)[:n_perturbed]] = True
    return moved_BL


def able_positions(probe: "Probe", batch: ModelBatch) -> NDArray[np.int64]:
    """Positions of a batch, whose rows list the same genes, that a perturbation can have."""
    return _able(probe, batch.token_BL[0].cpu().numpy())


def able_last(able: NDArray[np.int64], positions: NDArray[np.int64]) -> NDArray[np.int64]:
    """Positions in their order, those that can be perturbed behind the others: the first take what is not perturbed."""
    return positions[np.argsort(np.isin(positions, able), kind="stable")]


def _able(probe: "Probe", token_L: NDArray[np.int64]) -> NDArray[np.int64]:
    perturbable = probe.subject.intent.perturbable
    return np.arange(len(token_L)) if perturbable is None else np.flatnonzero(np.isin(token_L, perturbable))


def with_one(batch: ModelBatch, allowed: NDArray[np.int64]) -> ModelBatch:
    """The batch with a perturbed gene in each row that has none, at one of some positions in turn."""
    if not len(allowed):
        return batch
    position_B = torch.as_tensor(allowed[np.arange(len(batch)) % len(allowed)], device=batch.perturbed_BL.device)
    lone_B1 = ~batch.perturbed_BL.any(dim=1, keepdim=True)
    one_BL = torch.zeros_like(batch.perturbed_BL).scatter(1, position_B[:, None], True)
    return replace(batch, perturbed_BL=batch.perturbed_BL | (one_BL & lone_B1 & batch.measured_BL))


def named(batch: ModelBatch, names: PerturbationVocab, token_BA: NDArray[np.int64]) -> ModelBatch:
    """The batch with perturbations of a screen, without doses, in place of values at genes; -1 is none."""
    gene_BA = np.array([*names.gene, -1])[token_BA]
    target_BL = (batch.token_BL.cpu().numpy()[..., None] == gene_BA[:, None, :]).any(axis=-1)
    return replace(
        batch,
        target_BL=torch.zeros_like(batch.target_BL),
        perturbed_BL=batch.measured_BL & torch.as_tensor(target_BL, device=batch.measured_BL.device),
        applied_BA=torch.as_tensor(token_BA, device=batch.token_BL.device),
        dose_BA=torch.full_like(torch.as_tensor(token_BA), torch.nan, dtype=batch.before_BL.dtype).to(batch.before_BL),
    )


def drawn_values(probe: "Probe", shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.float64]:
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


def padded(batch: ModelBatch, token_L: Tensor) -> ModelBatch:
    """The batch with more places at its end, of these genes, none of them measured."""
    shape = (len(batch), len(token_L))

    def wider(value_BL: Tensor, more: Tensor) -> Tensor:
        return torch.cat((value_BL, more.to(value_BL).expand(len(value_BL), -1)), dim=1)

    zeros_BL = torch.zeros(shape)
    return replace(
        batch,
        token_BL=wider(batch.token_BL, token_L[None]),
        before_BL=wider(batch.before_BL, zeros_BL),
        target_BL=wider(batch.target_BL, zeros_BL),
        measured_BL=wider(batch.measured_BL, zeros_BL),
        perturbed_BL=wider(batch.perturbed_BL, zeros_BL),
    )


def random_pairs(vocab: GeneVocab, n_pairs: int, rng: np.random.Generator, most: int | None) -> PairBatch:
    """Pairs of standard normal values, half of the genes perturbed, or as many as a pair can have."""
    shape = (n_pairs, len(vocab))
    perturbed_BG = rng.random(shape) < 0.5
    if most is not None:
        perturbed_BG[:, most:] = False
    # One gene perturbed and one scored in every pair.
    perturbed_BG[:, 0], perturbed_BG[:, -1] = True, False
    number_B = np.arange(n_pairs, dtype=np.int64)
    return PairBatch(
        vocab=vocab,
        before_BG=rng.standard_normal(shape).astype(np.float32),
        after_BG=rng.standard_normal(shape).astype(np.float32),
        measured_BG=np.ones(shape, dtype=np.bool_),
        perturbed_BG=perturbed_BG,
        before_id_B=2 * number_B,
        after_id_B=2 * number_B + 1,
    )


def partly_measured(pairs: PairBatch, rng: np.random.Generator) -> PairBatch:
    """The pairs with a third of the genes taken as unmeasured at random, other ones in each pair."""
    measured_BG = pairs.measured_BG & (rng.random(pairs.measured_BG.shape) < 2 / 3)
    # Two genes of each pair stay as they were, so that some genes are perturbed and some scored.
    for pair in range(len(pairs)):
        for genes in (np.flatnonzero(pairs.perturbed_BG[pair]), np.flatnonzero(pairs.scored_BG[pair])):
            if len(genes):
                measured_BG[pair, genes[int(rng.integers(len(genes)))]] = True
    return pairs.measured_where(measured_BG)
