"""Checks by short trainings: what is learnt, and at which learning rate."""
