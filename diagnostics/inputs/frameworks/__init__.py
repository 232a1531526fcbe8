"""Trainings of Lightning, transformers and pytest, diagnosed where they run."""
