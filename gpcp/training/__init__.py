"""The loss, the training loop and its configuration."""
