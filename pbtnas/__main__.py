"""`python -m pbtnas` is the command `pbtnas`."""

from pbtnas.cli import main

main()
