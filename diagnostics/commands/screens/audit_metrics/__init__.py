"""``audit-metrics``: what benchmarks give to the truth, to copied noise and to answers without information."""
