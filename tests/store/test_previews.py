"""Pictures of members are kept by generation, within a limit."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from pbtnas.engine.views import Views
from pbtnas.records import paths
from pbtnas.records.kinds import RUN_KINDS, Role
from pbtnas.store.posix import PosixStore
from pbtnas.store.previews import PreviewRoom, keep_preview, preview_of
from pbtnas.store.reader import RunReader
from tests.analysis.made_runs import search, story, write

PICTURE = b"GIF8" + bytes(996)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A finished run of four generations with a picture of each of its six members in each."""
    write(tmp_path, story(search()))
    with PosixStore(tmp_path, "w") as store:
        for generation in range(4):
            for member in range(6):
                keep_preview(store, generation, member, PICTURE)
    return tmp_path


def kept(root: Path) -> dict[int, int]:
    """How many pictures there are, by generation."""
    found = [int(path.parts[-3]) for path in root.glob("generations/*/previews/*")]
    return {generation: found.count(generation) for generation in found}


def test_a_picture_is_found_by_generation_and_member(run: Path) -> None:
    """Under the name of the member; nobody's picture is nothing."""
    with RunReader(run) as files:
        found, nobody = preview_of(files, 3, 5), preview_of(files, 4, 0)

    assert found == run / paths.preview(3, 5, "gif") and found.read_bytes() == PICTURE
    assert nobody is None
    kind = RUN_KINDS.of(paths.preview(3, 5, "gif"))
    assert kind is not None and kind.role is Role.TEXT and not kind.ages


def test_the_oldest_generations_go_first(run: Path) -> None:
    """As many as there is no room for; what has room stays."""
    with PosixStore(run, "c") as store:
        room = PreviewRoom(store)
        room.trim(24_000)
        assert kept(run) == {0: 6, 1: 6, 2: 6, 3: 6}
        room.trim(13_500)
        assert kept(run) == {1: 1, 2: 6, 3: 6}
        (run / paths.generation(4)).mkdir()
        keep_preview(store, 4, 0, PICTURE)
        room.trim(13_500)
        assert kept(run) == {2: 6, 3: 6, 4: 1}
        PreviewRoom(store).trim(0)
    assert kept(run) == {}


def test_the_coordinator_sees_to_the_limit(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the views, so that no selection waits for it."""
    monkeypatch.setattr("pbtnas.engine.views.PREVIEWS_MIB", 7_000 / (1 << 20))
    (run / "metrics").mkdir()
    with PosixStore(run, "c") as store, closing(Views(store, lambda trouble: None)) as views:
        views.write(final=True)

    assert kept(run) == {2: 1, 3: 6}
