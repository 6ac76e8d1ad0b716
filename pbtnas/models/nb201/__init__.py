"""The space of NAS-Bench-201 (arXiv 2001.00326): 15,625 architectures with published results."""
