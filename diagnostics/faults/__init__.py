"""Planted faults and healthy subjects, on which the checks are measured."""
