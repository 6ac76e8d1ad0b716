"""Writes a folder to begin with: a task, its configuration, its test and a README."""
