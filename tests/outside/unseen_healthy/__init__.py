"""Healthy recipes for a blind test; importing its files fills ``UNSEEN_HEALTHY``."""
