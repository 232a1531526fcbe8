"""Verbs of screens: files checked, made of known worlds, predicted, and predictions scored."""
