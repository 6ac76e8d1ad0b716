"""What a command says of a directory that it may not write."""

from __future__ import annotations

import errno
import os

import pytest

from pbtnas.cli.shared import disk_errors
from pbtnas.errors import ExitCode


def test_a_read_only_file_system_is_the_users_to_mend(capsys: pytest.CaptureFixture[str]) -> None:
    """As a directory of somebody else's is: one sentence, where a broken disk is unexpected."""
    for number in (errno.EROFS, errno.EACCES):
        with pytest.raises(SystemExit) as ended, disk_errors(ExitCode.USAGE, PermissionError):
            raise OSError(number, os.strerror(number), "runs/a/lock")
        assert ended.value.code == ExitCode.USAGE
        assert capsys.readouterr().err == f"pbtnas: runs/a/lock: {os.strerror(number)}\n"
    with pytest.raises(OSError, match="broken"), disk_errors(ExitCode.USAGE, PermissionError):
        raise OSError(errno.EIO, "broken", "runs/a/lock")


def test_a_reader_that_has_seen_enough_is_no_error_of_the_disk() -> None:
    """`pbtnas logs RUN -f | head` ends without a sentence on the directory."""
    with pytest.raises(BrokenPipeError), disk_errors(ExitCode.FAILED, place="run"):
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")
