"""Reading a run directory without a writer's name."""

from __future__ import annotations

from pathlib import Path

import pytest

from pbtnas.records.envelope import CorruptRecord, ForeignRecord, Record, encode
from pbtnas.store.posix import PosixStore, Primitive
from pbtnas.store.reader import RunReader

RECORD = Record("result", "run-1", {"score": 1.5}, {"host": "h"}, "nonce")


@pytest.fixture(params=["link", "directory"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A directory with one record, published in either way."""
    primitive: Primitive = request.param
    with PosixStore(tmp_path, "writer", primitive=primitive) as store:
        store.put("a.json", encode(RECORD))
    return tmp_path


def test_a_record_is_read_however_it_was_published(root: Path) -> None:
    """What comes back is what was written; None where there is nothing."""
    with RunReader(root) as reader:
        assert reader.record("a.json", "result", "run-1") == RECORD
        assert reader.record("a.json", "result") == RECORD
        assert reader.record("b.json", "result") is None
        assert reader.names(".") == ["a.json"]
        assert reader.names("nowhere") == []
        assert not reader.exists("b.json")


def test_a_record_that_cannot_be_used_is_raised(root: Path) -> None:
    """Damaged, or of another kind or run: whoever reads decides what to make of it."""
    with PosixStore(root, "writer") as store:
        store.put("damaged.json", encode(RECORD).replace(b"1.5", b"2.5"))
    with RunReader(root) as reader:
        with pytest.raises(CorruptRecord, match=r"^damaged\.json: "):
            reader.record("damaged.json", "result")
        with pytest.raises(ForeignRecord, match="belongs to run run-1, not to run run-2"):
            reader.record("a.json", "result", "run-2")
        with pytest.raises(ForeignRecord, match="of kind 'result', expected 'selection'"):
            reader.record("a.json", "selection")


def test_a_directory_that_is_not_there_cannot_be_opened(tmp_path: Path) -> None:
    """At once, not at the first record."""
    with pytest.raises(FileNotFoundError):
        RunReader(tmp_path / "nowhere")
