"""The same model on data that come closer to real cells step by step: where it stops learning names the cause."""
