"""Finding the newest generation: the hint in HEAD is only a hint."""

from __future__ import annotations

from pathlib import Path

import pytest

from pbtnas.engine.driver import drive
from pbtnas.protocol.operations import MakeGeneration, Put, Replace
from pbtnas.protocol.reading import newest_generation
from pbtnas.records import paths
from pbtnas.store.posix import PosixStore


@pytest.mark.parametrize("hint", [None, b"0\n", b"1\n", b"2\n", b"7\n", b"", b"-3\n", b"x\xff"])
def test_a_hint_is_never_believed_without_the_manifest(tmp_path: Path, hint: bytes | None) -> None:
    """Behind, ahead, missing or garbage: the newest generation is the last with a manifest."""
    (tmp_path / "generations").mkdir()
    with PosixStore(tmp_path, "me") as store:
        for generation in range(3):
            store.execute(MakeGeneration(generation))
            store.execute(Put(paths.manifest(generation), b"manifest"))
        if hint is not None:
            store.execute(Replace(paths.HEAD, hint))

        for known in (-1, 1, 2):
            assert drive(newest_generation(known), store.execute) == 2
