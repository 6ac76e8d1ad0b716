"""Fetching a file: whole and checked, or not at all."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from pbtnas.data.download import fetch
from pbtnas.data.images import DataError, DataTrouble


def test_a_fetched_file_is_whole_and_its_progress_told(tmp_path: Path) -> None:
    """The file has the bytes of the source, and the last word of progress is all of them."""
    data = bytes(3 << 20)
    (tmp_path / "source").write_bytes(data)
    told: list[tuple[str, int, int]] = []

    fetch(
        (tmp_path / "source").as_uri(),
        tmp_path / "new" / "file",
        size=len(data),
        md5=hashlib.md5(data).hexdigest(),
        progress=lambda *words: told.append(words),
    )

    assert (tmp_path / "new" / "file").read_bytes() == data
    assert told[-1] == ("downloading file", len(data), len(data))
    assert len(told) == 3


def test_a_wrong_checksum_leaves_no_file(tmp_path: Path) -> None:
    """What is not the expected file is said, with both checksums, and thrown away."""
    (tmp_path / "source").write_bytes(b"something else")
    found = hashlib.md5(b"something else").hexdigest()

    with pytest.raises(DataError, match=f"source: expected the MD5 {'0' * 32}, found {found}$"):
        fetch((tmp_path / "source").as_uri(), tmp_path / "file", size=14, md5="0" * 32)

    assert [p.name for p in tmp_path.iterdir()] == ["source"]


def test_an_unreachable_source_says_what_to_do(tmp_path: Path) -> None:
    """Without a network the user learns of --from."""
    with pytest.raises(DataTrouble, match="could not be downloaded .*--from FILE$"):
        fetch((tmp_path / "absent").as_uri(), tmp_path / "file", size=1, md5="")
