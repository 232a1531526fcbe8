"""Verbs of screens: their files checked, and made of known worlds."""
