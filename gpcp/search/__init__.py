"""Sweeps over hyperparameters."""

from gpcp.core.imports import need

need("optuna", extra="sweep", use="a sweep")
