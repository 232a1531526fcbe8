"""Known worlds as Perturb-seq experiments: guides, escapers, batches, contexts, counts, and the exact answer."""
