"""``throughput``: whether input limits the training."""
