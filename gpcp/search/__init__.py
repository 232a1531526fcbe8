"""Sweeps over hyperparameters."""

from gpcp.core.extras import need

need("optuna", extra="sweep", use="a sweep")
