"""Checks of the two cells of a pair against each other and against what is given of the perturbation."""
