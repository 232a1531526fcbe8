"""Sweeps over hyperparameters."""

from gpcp.imports import need

need("optuna", extra="sweep", use="a sweep")
