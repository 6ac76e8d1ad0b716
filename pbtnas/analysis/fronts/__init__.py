"""Fronts of several objectives: what they attain, and how large a volume they dominate."""
