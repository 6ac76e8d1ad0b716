"""Has other schedulers start workers: writes what their own tools run, calls these, and leaves."""
