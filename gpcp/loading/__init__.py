"""How pairs reach a training: prefetching, sharding, a PyTorch dataset."""
