"""`python -m pbtnas` is the command `pbtnas`."""

from pbtnas.cli.app import main

main()
