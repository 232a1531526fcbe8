"""Checks of the untrained model: whether it reads what it must, and nothing else."""
