"""Trained networks that leave their run: written to a directory, and read from one."""
