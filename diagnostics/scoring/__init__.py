"""Losses of predictors, beside baselines and exact answers."""
