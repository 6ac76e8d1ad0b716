"""Further local processes of a command whose processes share their work."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager


@contextmanager
def companions(commands: Sequence[Sequence[str]]) -> Iterator[None]:
    """Run `pbtnas ARGUMENTS` processes beside this one, as long as the context lasts.

    They say the same in the end, so only their messages are shown.  Left without an error, the
    context waits for their end: there is nothing left for them to do.  Else they are asked to
    stop, and their claims are handed back.  One that dies is not missed.
    """
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "pbtnas", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            # Signals of the terminal reach only this process, which passes them on.
            start_new_session=True,
        )
        for arguments in commands
    ]
    try:
        yield
    except BaseException:
        for process in processes:
            process.terminate()
        raise
    finally:
        for process in processes:
            process.wait()
