"""Twins of perturbation screens: effects and guides of the real one on a world with a known graph."""
