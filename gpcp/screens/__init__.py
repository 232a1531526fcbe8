"""Perturbation screens: what was done to each cell, the controls that it is compared with, and how they are split."""
