"""What we ask of a model: read-outs, scores with their ceilings and nulls, baselines, and the commands."""
