"""Reads a run's records into its history."""
