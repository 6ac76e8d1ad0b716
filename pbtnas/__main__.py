"""`python -m pbtnas` is the command `pbtnas`."""

from pbtnas.child_python import forget_current_directory

forget_current_directory()  # before anything else is imported

from pbtnas.cli.app import main  # noqa: E402

main()
