"""Checkpoint files: safetensors, read and written with their digests."""
