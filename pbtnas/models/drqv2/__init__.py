"""The networks and search spaces of the paper's searches for visual agents."""
