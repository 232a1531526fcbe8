"""Anyone's loader as a source of pairs, and pairs as its batches again."""
