"""Many runs: one executor, results kept as each ends."""
