"""Files that others may have put there are opened at once, or not at all."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from pbtnas.regular_files import BROKEN, read_regular


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))


def _link(path: Path) -> None:
    path.with_name("target").write_bytes(b"content")
    path.symlink_to("target")


def _loop(path: Path) -> None:
    path.symlink_to(path.name)


def _hole(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(3 << 30)


@pytest.mark.parametrize("plant", [_pipe, _socket, _link, _loop, _hole])
def test_what_is_no_regular_file_of_its_size_is_refused_at_once(
    plant: Callable[[Path], None], tmp_path: Path
) -> None:
    """A pipe is not waited for, a link not followed, a hole of gigabytes not read."""
    path = tmp_path / "record.json"
    plant(path)

    with pytest.raises(OSError) as raised:
        read_regular(path, limit=1 << 20)

    assert raised.value.errno in BROKEN
    assert raised.value.filename == str(path)


def test_a_directory_says_that_it_is_one(tmp_path: Path) -> None:
    """Records may be directories; their reader has to know."""
    with pytest.raises(IsADirectoryError):
        read_regular(tmp_path, limit=1)


def test_a_file_of_just_that_size_is_read_whole(tmp_path: Path) -> None:
    """The limit itself is allowed; one byte more is not."""
    path = tmp_path / "file"
    path.write_bytes(b"12345")

    assert read_regular(path, limit=5) == b"12345"
    with pytest.raises(OSError) as raised:
        read_regular(path, limit=4)
    assert raised.value.errno == errno.EFBIG


def test_a_user_may_name_a_link(tmp_path: Path) -> None:
    """A configuration may be a symbolic link."""
    (tmp_path / "real.yaml").write_bytes(b"a: 1")
    (tmp_path / "link.yaml").symlink_to("real.yaml")

    assert read_regular(tmp_path / "link.yaml", limit=100, follow=True) == b"a: 1"


def test_a_small_file_takes_little_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However large such files may be: what is asked for at once is allocated."""
    path = tmp_path / "file"
    path.write_bytes(b"12345")
    asked = []
    read = os.read

    def noting(fd: int, count: int) -> bytes:
        asked.append(count)
        return read(fd, count)

    monkeypatch.setattr(os, "read", noting)

    assert read_regular(path, limit=1 << 30) == b"12345"
    assert max(asked) <= 1 << 16
