"""Who waits for whom: the loader or the model."""
