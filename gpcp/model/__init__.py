"""The transformer, its parts and its predictor."""
