"""Recovery from a screen: what a model that reads perturbations by name answers to each of them."""
