"""Data sets: downloads, images as tensors, and tables of ground truth."""
