"""Cells written as a store of the shape of the CELLxGENE Census."""
