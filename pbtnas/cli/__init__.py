"""The command line."""

from pbtnas.cli.app import cli, main

__all__ = ["cli", "main"]
