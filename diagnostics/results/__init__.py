"""What is found: results of checks, reports, records of runs."""
