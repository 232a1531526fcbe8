"""The cascade: data, loss, untrained model, optimiser, short training; the first failing check names the cause."""

from diagnostics.checks.predictor import check_predictor

__all__ = ["check_predictor"]
