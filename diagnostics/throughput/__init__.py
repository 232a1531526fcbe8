"""Throughput of training: whether the loader or the model is the bottleneck."""
