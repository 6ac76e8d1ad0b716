"""The Python interface to whole runs: start one, go on with one, look at one."""
