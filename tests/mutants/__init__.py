"""Deliberate breaks of the code, each with the tests that must notice it.

A test that never fails proves nothing.  `python -m tests.mutants` (`make mutants`) applies the
mutants of `tests.mutants.catalogue` one by one to a private copy of the repository and runs the
tests that each of them names.
"""
