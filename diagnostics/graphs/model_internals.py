"""Read-outs that look inside a torch model: gradients and attention, on pairs like those it was trained on.

Entry [i, j] speaks of i -> j. A gradient is an effect of the perturbation, between *total* and *direct* according to
how many genes the pairs perturb. Attention is no effect at all: it says where a gene looked, without sign or unit.
"""

from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from gpcp.core.errors import InputError
from gpcp.core.pairs import PairBatch

if TYPE_CHECKING:
    from torch import Tensor

    from gpcp.model.batch import ModelBatch
    from gpcp.model.transformer import GenePerturbationTransformer


def gradient_readout(
    model: "GenePerturbationTransformer", pairs: PairBatch, *, times_input: bool = False, batch_size: int = 256
) -> NDArray[np.float64]:
    """Slope of each prediction in each given value, by backpropagation.

    Parameters
    ----------
    model : GenePerturbationTransformer
        Asked in evaluation mode, and left in the mode in which it was.
    pairs : PairBatch
        Like those that it was trained on; one backward pass for each gene and ``batch_size`` pairs.
    times_input : bool
        Multiply each slope with the change that was given, and average magnitudes: how much i moved j, unsigned.
    batch_size : int

    Returns
    -------
    float64, (G, G)
        Mean over the pairs that perturb i and score j; the diagonal is 0.

    Raises
    ------
    InputError
        No pair perturbs some gene and scores some other.
    """
    import torch

    n_genes = len(pairs.vocab)
    sum_GG, n_GG = np.zeros((n_genes, n_genes)), np.eye(n_genes)
    with _evaluating(model):
        for batch in _batches(model, pairs, batch_size):
            asked = replace(batch, target_BL=batch.target_BL.detach().clone().requires_grad_())
            predicted_BL = model(asked)
            perturbed_BL = batch.perturbed_BL.cpu().numpy()
            token_BL = _tokens(batch)
            change_BL = (batch.target_BL - batch.before_BL).cpu().numpy()
            for gene in range(n_genes):
                at_BL = (batch.token_BL == gene) & batch.scored_BL
                counts_BL = at_BL.any(dim=1).cpu().numpy()[:, None] & perturbed_BL
                if not counts_BL.any():
                    continue
                (slope,) = torch.autograd.grad(predicted_BL[at_BL].sum(), asked.target_BL, retain_graph=True)
                slope_BL: NDArray[np.float32] = slope.cpu().numpy()
                value_BL = np.abs(slope_BL * change_BL) if times_input else slope_BL
                sum_GG[:, gene] += np.bincount(token_BL[counts_BL], value_BL[counts_BL], minlength=n_genes)
                n_GG[:, gene] += np.bincount(token_BL[counts_BL], minlength=n_genes)
    if (n_GG == 0).any():
        perturbed, scored = pairs.vocab.genes(np.argwhere(n_GG == 0)[0])
        raise InputError(f"no pair perturbs {perturbed} and scores {scored}: give more pairs")
    return sum_GG / n_GG


def attention_by_layer(
    model: "GenePerturbationTransformer", pairs: PairBatch, *, batch_size: int = 256
) -> Mapping[str, NDArray[np.float64]]:
    """How much j attends to i in each layer, by the layer's name; of static weights the absolute value.

    Parameters
    ----------
    model, pairs, batch_size
        As :func:`gradient_readout`.

    Returns
    -------
    mapping of str to float64, (G, G)
        Mean over heads and over the pairs in which j asks and i can be attended to; 0 where there is none, as for
        a gene that is never perturbed in a model whose queries are the perturbed genes. The diagonal is 0.
    """
    import torch

    from gpcp.model.attention import STATIC

    n_genes = len(pairs.vocab)
    sums: dict[str, NDArray[np.float64]] = {}
    counts: dict[str, NDArray[np.float64]] = {}
    with _evaluating(model), torch.no_grad():
        for batch in _batches(model, pairs, batch_size):
            for layer, weight_BHQK in model.attention_maps(batch).items():
                token_BQ, asks_BQ, token_BK, attend_BK = _ends(model, batch, layer)
                entry_BQK = token_BK[:, None, :] * n_genes + token_BQ[:, :, None]
                counts_BQK = asks_BQ[:, :, None] & attend_BK[:, None, :]
                # Static weights have signs, which would cancel between heads.
                weight_BHQK = weight_BHQK.abs() if layer.endswith(STATIC) else weight_BHQK
                weight_BQK: NDArray[np.float32] = weight_BHQK.mean(dim=1).cpu().numpy()
                for totals, weights in ((sums, weight_BQK[counts_BQK]), (counts, None)):
                    flat = np.bincount(entry_BQK[counts_BQK], weights, minlength=n_genes**2).astype(np.float64)
                    totals[layer] = totals.get(layer, 0) + flat.reshape(n_genes, n_genes)
    off_GG = ~np.eye(n_genes, dtype=np.bool_)
    return {layer: np.where(off_GG, sum_GG / np.maximum(counts[layer], 1), 0) for layer, sum_GG in sums.items()}


def attention_readout(
    model: "GenePerturbationTransformer", pairs: PairBatch, *, batch_size: int = 256
) -> NDArray[np.float64]:
    """Mean over layers of :func:`attention_by_layer`, float64 (G, G): the weakest evidence there is.

    Raises
    ------
    InputError
        The model has no attention.
    """
    layers = attention_by_layer(model, pairs, batch_size=batch_size)
    if not layers:
        raise InputError("the model has no attention layer to read: take another read-out")
    return np.mean(list(layers.values()), axis=0)


def _ends(
    model: "GenePerturbationTransformer", batch: "ModelBatch", layer: str
) -> tuple[NDArray[np.int64], NDArray[np.bool_], NDArray[np.int64], NDArray[np.bool_]]:
    """Genes of a layer's querying and attended tokens, (B, Q) and (B, K), and whether each of them counts."""
    from gpcp.model.attention import STATIC
    from gpcp.model.queries import QUERY_FORMS

    token_BL, measured_BL = _tokens(batch), batch.measured_BL.cpu().numpy()
    state = token_BL, measured_BL
    queries = QUERY_FORMS[model.config.query_form](batch)
    place_BQ = queries.place_BQ
    asking = (
        token_BL if place_BQ is None else np.take_along_axis(token_BL, place_BQ.cpu().numpy(), axis=1),
        queries.attend_BQ.cpu().numpy(),
    )
    if layer.startswith("encoder."):
        return *state, *state
    return (*asking, *asking) if layer.removesuffix(STATIC).endswith(".among_queries") else (*asking, *state)


def _tokens(batch: "ModelBatch") -> NDArray[np.int64]:
    """Gene of each place, (B, L), whether the pairs share one row of tokens or not."""
    tokens: Tensor = batch.token_BL.expand(len(batch), -1)
    return tokens.cpu().numpy()


def _batches(model: "GenePerturbationTransformer", pairs: PairBatch, batch_size: int) -> Iterator["ModelBatch"]:
    from gpcp.model.batch import model_batch

    device = next(model.parameters()).device
    for start in range(0, len(pairs), batch_size):
        yield model_batch(pairs.rows(slice(start, start + batch_size)))[0].to(device)


@contextmanager
def _evaluating(model: "GenePerturbationTransformer") -> Generator[None, None, None]:
    """Without dropout inside the block, and as before afterwards."""
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)
