"""The audit of paired cells: components of their squared change, and what can be learnt from it."""
