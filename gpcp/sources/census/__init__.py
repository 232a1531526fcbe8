"""Cells of the CELLxGENE Census."""
