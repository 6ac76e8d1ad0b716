"""Places in the front of a finished run, by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pbtnas.config import Config, SearchConfig, TaskConfig, to_json
from pbtnas.errors import ExitCode
from pbtnas.records import paths
from pbtnas.records.envelope import Record, encode
from pbtnas.store.finished import front_member, is_front
from pbtnas.store.reader import RunReader
from pbtnas.store.run_directory import NotARun, create, open_run


def found(root: Path, which: str, front: list[dict[str, Any]] | None, *, over: bool = True) -> Any:
    """The member of that name in a run whose end says that it has this front."""
    search = SearchConfig(population=2, generations=1, epochs=1)
    create(root, to_json(Config(TaskConfig("t"), search)), about={"hash": "sha256", "space": "s"})
    run = open_run(root)
    core: dict[str, Any] = {"fingerprint": "f", "generations": 1}
    core |= {"best_ever": None, "best_last": None}
    if front is not None:
        core["front"] = front
    if over:
        (root / paths.FINAL).write_bytes(
            encode(Record("final", run.id, core, {}, "n"), paths.FINAL)
        )
    with RunReader(root) as files:
        return front_member(files, run, which)


def member(number: int) -> dict[str, Any]:
    """A member of a front, as `final.json` has it."""
    champion = {"generation": 3, "member": number, "score": 1.0, "architecture": [0]}
    return {**champion, "checkpoint": f"c{number}", "objectives": {"score": 1.0, "size": 2.0}}


def test_places_count_from_one_in_the_order_of_the_record(tmp_path: Path) -> None:
    """As people count; what is no place is no name of one."""
    assert found(tmp_path, "front-2", [member(5), member(7)]).member == 7
    assert [is_front(name) for name in ("front-1", "front-12")] == [True, True]
    others = ("front", "front-0", "front-01", "front--1", "m01", "best-ever")
    assert not any(map(is_front, others))


@pytest.mark.parametrize(
    ("front", "over", "sentence"),
    [
        ([member(0)] * 5, True, "no 'front-9': its front has 5 members, front-1 to front-5"),
        ([], True, "no member was ever within the bounds of search.objectives"),
        (None, True, "with one objective there is no front, but best-ever and best-last"),
        ([member(0)], False, "the run is not finished yet"),
    ],
)
def test_a_place_that_there_is_not_is_refused(
    tmp_path: Path, front: list[dict[str, Any]] | None, over: bool, sentence: str
) -> None:
    """One sentence that says what there is instead, and exit code 2."""
    with pytest.raises(NotARun, match=sentence) as caught:
        found(tmp_path, "front-9", front, over=over)

    assert caught.value.exit_code is ExitCode.USAGE
