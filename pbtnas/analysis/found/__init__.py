"""What architectures that runs have found are worth by a table of published results."""
