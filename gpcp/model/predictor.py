"""A trained transformer as a :class:`gpcp.core.predictors.Predictor`: numpy in, numpy out."""

from collections.abc import Mapping
from dataclasses import replace
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gpcp.core.errors import InputError
from gpcp.core.genes import GeneVocab
from gpcp.core.pairs import PairBatch
from gpcp.core.perturbations import PerturbationVocab
from gpcp.core.predictors import Perturbation
from gpcp.model.batch import ModelBatch, packed_batch
from gpcp.model.config import made_for
from gpcp.model.transformer import GenePerturbationTransformer


@final
class ModelPredictor:
    """Asks a transformer in evaluation mode, on the device where its parameters are.

    Parameters
    ----------
    model : GenePerturbationTransformer
        Put into evaluation mode while it answers, and back afterwards.
    vocab : GeneVocab
        The genes behind its tokens.
    batch_size : int
        Cells a pass.
    perturbations : PerturbationVocab, optional
        Those behind the tokens of a model that reads perturbations by name.

    Raises
    ------
    InputError
        The model was made for another number of genes, or for other perturbations.
    """

    def __init__(
        self,
        model: GenePerturbationTransformer,
        vocab: GeneVocab,
        *,
        batch_size: int = 512,
        perturbations: PerturbationVocab | None = None,
    ) -> None:
        if made_for(model.config, perturbations) != model.config:
            raise InputError(
                f"the model reads {len(model.config.perturbations)} perturbations by name, the vocabulary has "
                f"{0 if perturbations is None else len(perturbations)}, or they are of other genes or kinds"
            )
        if model.config.n_genes != len(vocab):
            raise InputError(f"the model knows {model.config.n_genes} genes, the vocabulary has {len(vocab)}")
        self.model = model
        self._vocab = vocab
        self._perturbations = perturbations
        self._batch_size = batch_size

    @property
    def vocab(self) -> GeneVocab:
        """The genes that it knows."""
        return self._vocab

    @property
    def perturbations(self) -> PerturbationVocab | None:
        """The perturbations that it knows by name; None of a model that is given values at genes."""
        return self._perturbations

    def predict(
        self,
        control_BG: NDArray[np.float32],
        perturbation: Perturbation,
        covariates: Mapping[str, NDArray[np.str_]] | None = None,
    ) -> NDArray[np.float32]:
        """Expected expression after, float32 (B, G); 0 at unmeasured genes. Covariates are not used.

        Raises
        ------
        InputError
            Shapes disagree, a perturbed gene is unmeasured (NaN) in its cell, or a perturbation is not known.
        """
        del covariates
        pairs = self._pairs(control_BG, perturbation)
        answer_BG = np.zeros(control_BG.shape, dtype=np.float32)
        for start in range(0, len(pairs), self._batch_size):
            rows = slice(start, start + self._batch_size)
            answer_BG[rows] = self._answer(pairs.rows(rows))
        return answer_BG

    def slopes(
        self, control_BG: NDArray[np.float32], perturbation: Perturbation, gene_B: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """See :class:`gpcp.core.predictors.GivesSlopes`: one backward pass for all rows that fit into a batch."""
        pairs = self._pairs(control_BG, perturbation)
        slope_BG = np.zeros(control_BG.shape)
        for start in range(0, len(pairs), self._batch_size):
            rows = slice(start, start + self._batch_size)
            slope_BG[rows] = self._slopes(pairs.rows(rows), gene_B[rows])
        return slope_BG

    def _pairs(self, control_BG: NDArray[np.float32], perturbation: Perturbation) -> PairBatch:
        measured_BG = np.isfinite(control_BG)
        before_BG = np.where(measured_BG, control_BG, np.float32(0)).astype(np.float32, copy=False)
        perturbed_BG, applied = perturbation.perturbed_BG, perturbation.applied
        if applied is not None and self._perturbations is not None:
            applied = applied.within(self._perturbations)
            perturbed_BG = applied.targets_BG(len(self._vocab)) & measured_BG
        no_id_B = np.zeros(len(control_BG), dtype=np.int64)
        # Genes that are not perturbed do not change: their values after are never scored, only perturbed ones are read.
        return PairBatch(
            vocab=self._vocab,
            before_BG=before_BG,
            after_BG=np.where(perturbation.perturbed_BG, perturbation.target_BG, before_BG),
            measured_BG=measured_BG,
            perturbed_BG=perturbed_BG,
            before_id_B=no_id_B,
            after_id_B=no_id_B,
            applied=applied,
        )

    @torch.no_grad()
    def _answer(self, pairs: PairBatch) -> NDArray[np.float32]:
        batch, _, packing = packed_batch(pairs)
        answer_BL = self._asked(self._placed(batch)).float().cpu().numpy()
        return packing.unpack(np.where(batch.measured_BL.numpy(), answer_BL, np.float32(0)), len(self._vocab))

    @torch.enable_grad()
    def _slopes(self, pairs: PairBatch, gene_B: NDArray[np.int64]) -> NDArray[np.float32]:
        batch, _, packing = packed_batch(pairs)
        placed = self._placed(batch)
        placed = replace(placed, target_BL=placed.target_BL.detach().clone().requires_grad_())
        gene_B1 = torch.as_tensor(gene_B, device=placed.token_BL.device)[:, None]
        predicted = self._asked(placed)[(placed.token_BL == gene_B1) & placed.scored_BL].sum()
        # Only the given values are differentiated, so that no parameter's gradient is touched.
        (slope_BL,) = torch.autograd.grad(predicted, placed.target_BL)
        return packing.unpack(torch.where(placed.perturbed_BL, slope_BL, 0.0).float().cpu().numpy(), len(self._vocab))

    def _placed(self, batch: ModelBatch) -> ModelBatch:
        weight = self.model.state_identity.weight
        return batch.to(weight.device, weight.dtype)

    def _asked(self, batch: ModelBatch) -> Tensor:
        was_training = self.model.training
        self.model.eval()
        try:
            return self.model(batch)
        finally:
            self.model.train(was_training)
