"""Cures that can be applied from outside, each tried in short paired trainings after a failure."""
