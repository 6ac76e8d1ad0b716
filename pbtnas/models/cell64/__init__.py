"""The space of 64 architectures of "Deeper insights into weight sharing" (arXiv 2001.01431)."""
