"""Checks of the optimiser: whether it is wired to the weights."""
