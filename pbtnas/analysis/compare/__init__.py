"""Compares algorithms over the runs of a study."""
