"""Tasks: the interface between a problem and the search, the built-in tasks, and base classes.

`__all__` lists the modules from which a task of your own may import.  Nothing is imported here:
they need torch, and what only loads this package should start fast.
"""

__all__ = ["base", "members", "moments", "optional", "supervised"]
