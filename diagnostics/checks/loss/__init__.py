"""Checks of the loss: whether it counts what it should."""
