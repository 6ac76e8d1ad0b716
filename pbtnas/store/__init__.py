"""The directory for real: carries out operations, creates runs, checks and repairs them."""
