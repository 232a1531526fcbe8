"""In-silico screens: every perturbation of a list, predicted in many cells and written as it comes."""
