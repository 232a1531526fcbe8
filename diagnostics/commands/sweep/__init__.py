"""``sweep``: which hyperparameters learn best."""
