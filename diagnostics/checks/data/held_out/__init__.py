"""Checks of held-out pairs against training pairs."""
