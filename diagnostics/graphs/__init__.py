"""Graphs read out of a predictor, and scores against a named target."""
