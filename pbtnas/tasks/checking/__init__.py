"""Checks a task before it is searched: `pbtnas task check`."""
