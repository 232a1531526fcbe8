"""How benchmarks score what is known: the exact answer, copied noise, and answers without information, under dials."""
