"""The exact law of a world, and the best possible predictor."""
