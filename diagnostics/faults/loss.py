"""Faults planted in the loss: what it counts, what it compares with, and its gradient."""

import torch
from torch import Tensor

from diagnostics.faults.decorators import loss_fault
from diagnostics.faults.is_planted import diverged_losses_differ
from gpcp.training.loss import masked_loss


@loss_fault("loss_mask_missing", "the loss is the mean over all positions, scored or not", "scored_only")
def _mask_missing(prediction_BL: Tensor, after_BL: Tensor, scored_BL: Tensor) -> Tensor:
    del scored_BL
    return ((prediction_BL - after_BL) ** 2).mean()


@loss_fault(
    "loss_mask_inverted", "the loss counts perturbed and unmeasured genes, and nothing else", "finite", "scored_only"
)
def _mask_inverted(prediction_BL: Tensor, after_BL: Tensor, scored_BL: Tensor) -> Tensor:
    return masked_loss(prediction_BL, after_BL, ~scored_BL)


@loss_fault("loss_sum_over_all_genes", "the loss is the sum over all positions, whatever the mask", "scored_only")
def _sum_over_all(prediction_BL: Tensor, after_BL: Tensor, scored_BL: Tensor) -> Tensor:
    del scored_BL
    return ((prediction_BL - after_BL) ** 2).sum()


@loss_fault("loss_sum", "the loss is the sum over scored entries, so that it grows with the batch", "batch_size")
def _sum(prediction_BL: Tensor, after_BL: Tensor, scored_BL: Tensor) -> Tensor:
    return torch.where(scored_BL, prediction_BL - after_BL, 0.0).square().sum()


@loss_fault("loss_over_all_places", "the sum over scored entries is divided by the number of all positions", "padding")
def _over_all_positions(prediction_BL: Tensor, after_BL: Tensor, scored_BL: Tensor) -> Tensor:
    return torch.where(scored_BL, prediction_BL - after_BL, 0.0).square().mean()


@loss_fault("loss_sign", "the loss has the wrong sign: training makes the predictions worse", "least_at_target")
def _sign(prediction_BL: Tensor, after_BL: Tensor, scored_BL: Tensor) -> Tensor:
    return -masked_loss(prediction_BL, after_BL, scored_BL)


@loss_fault("loss_nan_times_mask", "errors are multiplied by the mask, NaN times 0 is NaN, and there is none",
       equivalent=True)  # fmt: skip
def _nan_times_mask(prediction_BL: Tensor, after_BL: Tensor, scored_BL: Tensor) -> Tensor:
    counts_BL = scored_BL.to(prediction_BL.dtype)
    return ((prediction_BL - after_BL) ** 2 * counts_BL).sum() / counts_BL.sum().clamp(min=1)


@loss_fault("loss_detached", "the loss is made a new tensor, from which no gradient flows back", "finite")
def _detached(prediction_BL: Tensor, after_BL: Tensor, scored_BL: Tensor) -> Tensor:
    return masked_loss(prediction_BL, after_BL, scored_BL).detach().requires_grad_()


@loss_fault("loss_of_directions", "the loss compares signs, and the derivative of a sign is 0", "finite")
def _directions(prediction_BL: Tensor, after_BL: Tensor, scored_BL: Tensor) -> Tensor:
    wrong_BL = (torch.sign(prediction_BL) - torch.sign(after_BL)) ** 2
    return torch.where(scored_BL, wrong_BL, 0.0).sum() / scored_BL.sum().clamp(min=1)


@loss_fault("loss_of_rounded_answers", "predictions are rounded before they are compared", "finite")
def _rounded(prediction_BL: Tensor, after_BL: Tensor, scored_BL: Tensor) -> Tensor:
    return masked_loss(prediction_BL.round(), after_BL, scored_BL)


@loss_fault("loss_clipped", "squared errors are cut at a thousandth, beyond which there is no gradient", "finite",
       "every_scored", "least_at_target")  # fmt: skip
def _clipped(prediction_BL: Tensor, after_BL: Tensor, scored_BL: Tensor) -> Tensor:
    error_BL = torch.where(scored_BL, prediction_BL - after_BL, 0.0) ** 2
    return error_BL.clamp(max=1e-3).sum() / scored_BL.sum().clamp(min=1)


@loss_fault("loss_of_one_gene", "only the first position of a batch is compared", "every_scored", "scored_only")
def _one_gene(prediction_BL: Tensor, after_BL: Tensor, scored_BL: Tensor) -> Tensor:
    return masked_loss(prediction_BL[:, :1], after_BL[:, :1], scored_BL[:, :1])


@loss_fault("loss_columns_shifted",
         "the columns of the cell after are one gene off those of the predictions", "scored_only",
       "nan_unscored", "least_at_target")  # fmt: skip
def _columns_shifted(prediction_BL: Tensor, after_BL: Tensor, scored_BL: Tensor) -> Tensor:
    return masked_loss(prediction_BL, after_BL.roll(1, dims=1), scored_BL)


@loss_fault("loss_of_the_next_cell", "predictions are compared with the cell after of the next pair of the batch",
       "scored_only", "nan_unscored", "least_at_target")  # fmt: skip
def _next_cell(prediction_BL: Tensor, after_BL: Tensor, scored_BL: Tensor) -> Tensor:
    return masked_loss(prediction_BL, after_BL.roll(1, dims=0), scored_BL)


@loss_fault("loss_broadcast", "every prediction is compared with the cells after of all pairs at once", "scored_only",
       "nan_unscored", "least_at_target")  # fmt: skip
def _broadcast(prediction_BL: Tensor, after_BL: Tensor, scored_BL: Tensor) -> Tensor:
    error_BBL = prediction_BL[:, None] - after_BL[None]
    counts_BBL = scored_BL[:, None].expand_as(error_BBL)
    return torch.where(counts_BBL, error_BBL, 0.0).square().sum() / counts_BBL.sum().clamp(min=1)


@loss_fault("loss_of_means", "only the mean over a cell's scored genes is compared, not each gene", "every_direction")
def _means(prediction_BL: Tensor, after_BL: Tensor, scored_BL: Tensor) -> Tensor:
    total_B = torch.where(scored_BL, prediction_BL - after_BL, 0.0).sum(dim=1)
    return (total_B / scored_BL.sum(dim=1).clamp(min=1)).square().mean()


@loss_fault("loss_of_the_batch", "only each gene's mean over the batch is compared, not each cell", "every_direction")
def _of_the_batch(prediction_BL: Tensor, after_BL: Tensor, scored_BL: Tensor) -> Tensor:
    total_L = torch.where(scored_BL, prediction_BL - after_BL, 0.0).sum(dim=0)
    return (total_L / scored_BL.sum(dim=0).clamp(min=1)).square().sum() / scored_BL.any(dim=0).sum().clamp(min=1)


@loss_fault("loss_times_a_thousand", "the loss is multiplied by 1,000, which Adam does not notice", equivalent=True)
def _scaled(prediction_BL: Tensor, after_BL: Tensor, scored_BL: Tensor) -> Tensor:
    return 1e3 * masked_loss(prediction_BL, after_BL, scored_BL)


@loss_fault("loss_nanmean", "errors that are NaN are left out of the mean, those of diverged predictions among them",
       "hides_nan", shows=diverged_losses_differ)  # fmt: skip
def _nanmean(prediction_BL: Tensor, after_BL: Tensor, scored_BL: Tensor) -> Tensor:
    return torch.where(scored_BL, (prediction_BL - after_BL) ** 2, torch.nan).nanmean()
