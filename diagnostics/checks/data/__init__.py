"""Checks of the data: what there is to learn, and whether it reaches the model as it is."""
