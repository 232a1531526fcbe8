"""The rungs of a perturbation screen: pairs of a control and a perturbed cell, whose perturbation has a name."""
