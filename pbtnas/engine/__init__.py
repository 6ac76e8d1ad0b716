"""Processes, signals and devices: the protocol driven on a real directory."""
