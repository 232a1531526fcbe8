"""Structural causal models: mechanisms, noises, interventions."""
