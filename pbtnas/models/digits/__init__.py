"""The networks of the built-in digits search."""
