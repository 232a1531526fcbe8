"""``Objective``: what training lowers, as a module that takes tensors and gives numbers.

Fabric's precisions and several processes look through the arguments of a module for tensors, which a frozen batch does
not let them change; and the loss is taken in the precision of the model, not in that of what a module may give.
"""

from typing import final

import torch
from torch import Tensor, nn

from gpcp.model.batch import TENSORS, ModelBatch
from gpcp.model.heads.distribution import Mixture
from gpcp.model.transformer import GenePerturbationTransformer
from gpcp.training.config import FitConfig
from gpcp.training.loss import masked_loss, masked_nll


@final
class Objective(nn.Module):
    """The objective of a configuration, of the answers of a model.

    Parameters
    ----------
    model : GenePerturbationTransformer
    config : FitConfig
    """

    def __init__(self, model: GenePerturbationTransformer, config: FitConfig) -> None:
        super().__init__()
        self.model, self.config = model, config

    def of(self, batch: ModelBatch, after_BL: Tensor) -> tuple[Tensor, ...]:
        """The arguments of :meth:`forward`."""
        return (*(getattr(batch, name) for name in TENSORS), after_BL)

    def forward(self, *tensors: Tensor, part: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """What is to be lowered, and the mean squared error by entry, which has no gradient.

        ``part`` is what the objective is multiplied by.
        """
        self.model.recomputes = self.config.recompute
        try:
            return self._forward(*tensors, part=part)
        finally:
            self.model.recomputes = False

    def _forward(self, *tensors: Tensor, part: Tensor | None) -> tuple[Tensor, Tensor]:
        batch = ModelBatch(**dict(zip(TENSORS, tensors[:-1], strict=True)))
        after_BL, weight = tensors[-1], self.config.pair_weight
        if self.config.objective == "likelihood":
            logit_BLM, mean_BLM, log_sd_BLM = map(_at_least_single, self.model.distribution_parameters(batch))
            with torch.autocast(after_BL.device.type, enabled=False):
                mixture = Mixture(logit_BLM=logit_BLM, mean_BLM=mean_BLM, log_sd_BLM=log_sd_BLM)
                prediction_BL = mixture.mean_BL
                lowered = masked_nll(mixture, after_BL, batch.scored_BL, weight)
        else:
            prediction_BL = _at_least_single(self.model(batch))
            with torch.autocast(after_BL.device.type, enabled=False):
                lowered = masked_loss(prediction_BL, after_BL, batch.scored_BL, weight)
        loss = masked_loss(prediction_BL.detach(), after_BL, batch.scored_BL)
        return (lowered if part is None else lowered * part), loss


def _at_least_single(answer: Tensor) -> Tensor:
    return answer.float() if answer.dtype in (torch.float16, torch.bfloat16) else answer
