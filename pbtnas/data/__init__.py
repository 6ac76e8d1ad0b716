"""Data sets: downloads, and images as tensors."""
