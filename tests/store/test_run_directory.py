"""Making and opening a run directory, alone and in a crowd."""

from __future__ import annotations

import errno
import multiprocessing
import os
from pathlib import Path
from typing import Any

import pytest

from pbtnas.records import paths
from pbtnas.records.envelope import CorruptRecord, ForeignRecord, Record, encode
from pbtnas.store.posix import NO_HARD_LINKS
from pbtnas.store.run_directory import NotARun, NotYetARun, best_primitive, create, open_run

ABOUT = {"hash": "xxh3-128", "space": "0" * 64}
CONFIG = {"run": {"seed": 3}}


def test_what_was_made_is_opened(tmp_path: Path) -> None:
    """Making, adopting and opening agree; parents are created."""
    root = tmp_path / "deep" / "run"
    made = create(root, CONFIG, about=ABOUT)

    assert open_run(root) == made
    assert create(root, {"run": {"seed": 4}}, about=ABOUT) == made, "the first stays"
    assert made.config == CONFIG
    assert made.primitive == "link"
    assert {path.name for path in root.iterdir()} == {
        *paths.TOP_DIRECTORIES,
        paths.FORMAT,
        paths.RUN,
    }


def _make_and_open(root: Path, number: int, start: Any, found: Any) -> None:
    start.wait()
    if number % 2:
        found.put(create(root, {"number": number}, about=ABOUT))
        return
    while True:
        try:
            found.put(open_run(root))
            return
        except NotYetARun:
            continue


@pytest.mark.parametrize("attempt", range(3))
def test_a_crowd_agrees_on_one_run(tmp_path: Path, attempt: int) -> None:
    """Sixteen processes make or open the same new directory at once: one run, no error."""
    root = tmp_path / "run"
    root.mkdir()
    fork = multiprocessing.get_context("fork")
    start, found = fork.Barrier(16), fork.Queue()
    processes = [
        fork.Process(target=_make_and_open, args=(root, number, start, found))
        for number in range(16)
    ]
    for process in processes:
        process.start()
    runs = [found.get(timeout=60) for _ in processes]
    for process in processes:
        process.join()

    assert all(run == runs[0] for run in runs)
    assert not list(root.glob(".*")), "no private file is left"


def test_missing_and_empty_directories_may_become_runs(tmp_path: Path) -> None:
    """Nothing is there yet, which a worker waits out."""
    with pytest.raises(NotYetARun, match="there is no such directory"):
        open_run(tmp_path / "missing")
    with pytest.raises(NotYetARun, match="no run has been started here yet"):
        open_run(tmp_path)


def test_a_half_made_run_is_not_yet_a_run_and_is_completed(tmp_path: Path) -> None:
    """A coordinator killed while it made the directory leaves nothing that stops the next."""
    (tmp_path / "config").mkdir()
    (tmp_path / paths.FORMAT).write_bytes(paths.FORMAT_TEXT)

    with pytest.raises(NotYetARun):
        open_run(tmp_path)
    assert create(tmp_path, CONFIG, about=ABOUT).config == CONFIG


def test_a_foreign_directory_is_refused_and_left_alone(tmp_path: Path) -> None:
    """Files of somebody else: one sentence with an example, and nothing is written."""
    (tmp_path / "thesis.tex").write_text("...")

    with pytest.raises(NotARun, match=r"not a run directory: .*'thesis.tex'"):
        open_run(tmp_path)
    with pytest.raises(NotARun, match=r"not a run directory: .*'thesis.tex'"):
        create(tmp_path, CONFIG, about=ABOUT)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_newer_format_is_refused(tmp_path: Path) -> None:
    """The sentence names the file and both versions."""
    (tmp_path / paths.FORMAT).write_text("pbtnas/2\n")

    with pytest.raises(ForeignRecord, match=r"FORMAT: says 'pbtnas/2'; this pbtnas reads 'pbtna"):
        open_run(tmp_path)


def test_damaged_and_foreign_records_are_refused(tmp_path: Path) -> None:
    """What says which run this is must be whole, and of this run."""
    create(tmp_path, CONFIG, about=ABOUT)
    config, run = tmp_path / paths.CONFIG, tmp_path / paths.RUN
    config.write_bytes(encode(Record("config", "another", CONFIG)))
    with pytest.raises(ForeignRecord, match="belongs to run another"):
        open_run(tmp_path)
    run.write_bytes(run.read_bytes()[:-9])
    with pytest.raises(CorruptRecord, match="run.json: not an intact record"):
        open_run(tmp_path)


@pytest.mark.parametrize("name", [paths.RUN, paths.CONFIG])
def test_whoever_brings_the_configuration_writes_a_damaged_one_again(
    name: str, tmp_path: Path
) -> None:
    """The run is the same run, and what was damaged is kept aside."""
    run = create(tmp_path, CONFIG, about=ABOUT)
    damaged = (tmp_path / name).read_bytes()[:-9]
    (tmp_path / name).write_bytes(damaged)

    assert create(tmp_path, CONFIG, about=ABOUT) == run
    (aside,) = (tmp_path / name).parent.glob("*.corrupt-*")
    assert aside.read_bytes() == damaged


@pytest.mark.parametrize("number", [errno.EIO, errno.EMFILE, errno.ENOSPC, errno.ESTALE])
def test_a_failing_disk_is_not_taken_for_one_without_hard_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """The way of publishing holds for the whole run, so it is not chosen by a moment's trouble."""

    def fail(*_: Any, **__: Any) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "link", fail)

    with pytest.raises(OSError, match=os.strerror(number)):
        create(tmp_path, CONFIG, about=ABOUT)
    assert not list(tmp_path.iterdir())


def test_a_link_whose_reply_was_lost_shows_that_there_are_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A repeated request is answered "exists", and nothing of the trial is left."""
    link = os.link

    def repeated(*arguments: Any) -> None:
        link(*arguments)
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))

    monkeypatch.setattr(os, "link", repeated)

    assert best_primitive(tmp_path) == "link"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("number", sorted(set(NO_HARD_LINKS)), ids=os.strerror)
def test_without_hard_links_records_are_directories(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """Where the file system has no links the whole run uses the other primitive."""

    def fail(*_: Any, **__: Any) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "link", fail)

    assert best_primitive(tmp_path) == "directory"
    made = create(tmp_path, CONFIG, about=ABOUT)
    assert made.primitive == "directory"
    assert open_run(tmp_path) == made
    assert create(tmp_path, CONFIG, about=ABOUT) == made
    assert (tmp_path / paths.RUN).is_dir()


def test_adopting_a_run_needs_no_space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A coordinator restarted on a full disk opens what is there."""
    made = create(tmp_path, CONFIG, about=ABOUT)

    def fail(*_: Any) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "write", fail)

    assert create(tmp_path, CONFIG, about=ABOUT) == made
