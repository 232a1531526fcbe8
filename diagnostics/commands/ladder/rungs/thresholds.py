"""Numbers that decide whether a rung passes, the same for cells and for screens."""

from collections.abc import Mapping

LEAST_SKILL: Mapping[str, float] = {"counterfactual": 0.8, "interventional": 0.7}
"""Share of the way from baseline to exact answer, below which a model has not learnt pairs of a known world."""

LEAST_RECOVERY = 0.75
"""Of a graph of the cells' strength, unmeasured and matched by type, from as many cells: below, they are too few."""

PAIRING_LOSS = 0.25
"""Share of that recovery which a pairing may cost."""

MEASUREMENT_LOSS = 0.4
"""Share of that recovery which the assay may cost."""

DEPTH_SHARE = 0.25
"""Share of the variance of half of the genes which may go with all other genes of their cell, one way: its depth."""

CLEAR_SIGNAL = 3.0
"""Standard errors of chance by which the correlations of real cells must exceed it."""

LEAST_GAIN = 0.01
"""Share of the baseline's loss on real pairs, which the model or the best linear predictor must take away."""

RATE_GAIN, RATE_SKILL = 0.3, 0.5
"""Skill that another learning rate must win, and reach, to be blamed where it does not reach all that is usual."""
