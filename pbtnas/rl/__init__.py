"""Environments, episodes and replay."""
