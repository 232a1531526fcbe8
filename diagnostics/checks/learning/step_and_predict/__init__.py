"""A training step held against predict: the same inputs, the same units, the weights that are loaded."""
