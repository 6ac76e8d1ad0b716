"""Tasks: the interface between a problem and the search, the built-in tasks, and base classes."""
