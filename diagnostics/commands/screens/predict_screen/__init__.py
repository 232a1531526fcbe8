"""``predict-screen``: an in-silico screen with a trained model."""
