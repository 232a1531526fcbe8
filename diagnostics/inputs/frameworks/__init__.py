"""Trainings of Lightning and transformers, plain loops and pytest, diagnosed where they run."""
