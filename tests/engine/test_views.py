"""Views of a run: added to, made again after any damage, and as cheap late in a run as early."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from pbtnas.analysis.history.run import History, metrics_lines
from pbtnas.engine.views import Views, write_views
from pbtnas.monitoring.accounting import account
from pbtnas.monitoring.progress import Status, status
from pbtnas.records import paths
from pbtnas.records.names import Name
from pbtnas.search.objectives import BY_SCORE, Objectives
from pbtnas.store import lines, reader
from pbtnas.store.fsck.run import check
from pbtnas.store.lines import Lines, NoLines
from pbtnas.store.posix import PosixStore
from tests.analysis.made_runs import RUN, TWO, Story, search, story, write

NOW = 2_000_000_000.0
MEMBERS = 6


def made(root: Path, generations: int, *, objectives: Objectives = BY_SCORE) -> Path:
    """A run with so many generations, of which the last is in work."""
    told = story(search(count=generations, objectives=objectives))
    write(root, _before(told, paths.selection(generations - 1)))
    return root


def _before(told: Story, name: str) -> Story:
    return told[: [n for n, _ in told].index(name)]


@contextmanager
def opened(root: Path) -> Iterator[PosixStore]:
    with PosixStore(root, "host-1-c") as store:
        (root / "metrics").mkdir(exist_ok=True)
        yield store


def views_written(root: Path) -> None:
    with opened(root) as store:
        write_views(store)


def right(root: Path) -> bool:
    """Whether the metrics are what the records say."""
    history = History.read(root)
    told = {m: (root / paths.metrics(m)).read_text().splitlines() for m in range(MEMBERS)}
    return told == {m: metrics_lines(history, m) for m in range(MEMBERS)}


def without_view(root: Path) -> Status:
    """The status as all records tell it."""
    (root / paths.SUMMARY).unlink()
    return status(root, now=NOW)


@pytest.mark.parametrize("objectives", [BY_SCORE, TWO], ids=["score", "two objectives"])
def test_a_status_by_the_summary_is_the_one_by_all_records(
    tmp_path: Path, objectives: Objectives
) -> None:
    """Whoever reads the view shows what whoever reads everything shows, whatever was folded when:
    failures of old generations, times, the best and the front."""
    for generations in (4, 7):
        made(tmp_path, generations, objectives=objectives)
        for number in range(generations):
            os.utime(tmp_path / paths.manifest(number), (NOW - 1000 + number,) * 2)
        views_written(tmp_path)
        total = account([tmp_path])
        seen = status(tmp_path, now=NOW)

        assert (tmp_path / paths.SUMMARY).is_file()
        assert seen == without_view(tmp_path)
        assert total == account([tmp_path])
    assert seen.failures["diverged"] == 1
    assert seen.failed_in_all == 1
    assert (seen.front is None) == (objectives is BY_SCORE)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Counts what is asked of run directories from now on."""
    counts: Counter[str] = Counter()
    for method in ("get", "names", "published", "changed_s"):
        real = getattr(reader.RunReader, method)

        def counted(self: reader.RunReader, name: Name, real=real, method=method) -> object:  # type: ignore[no-untyped-def]
            counts[method] += 1
            return real(self, name)

        monkeypatch.setattr(reader.RunReader, method, counted)
    return counts


def test_a_look_reads_as_much_after_many_generations_as_after_few(
    tmp_path: Path, reads: Counter[str]
) -> None:
    """Neither `status` nor the views read again what was summed up; nor does a study's account."""
    found = []
    for generations in (10, 50):
        root = made(tmp_path / str(generations), generations)
        views_written(root)
        seen = []
        for look in (
            lambda root=root: status(root, now=NOW),
            lambda root=root: views_written(root),
            lambda root=root: account([root]),
        ):
            reads.clear()
            look()
            seen.append(dict(reads))
        found.append(seen)
    assert found[0] == found[1]


@pytest.mark.parametrize("kept", [0, 1, 50, -1], ids=["empty", "a byte", "torn early", "torn late"])
def test_an_interrupted_line_is_completed(tmp_path: Path, kept: int) -> None:
    """Whoever adds a line may be killed within it: the next coordinator goes on from there."""
    made(tmp_path, 4)
    views_written(tmp_path)
    name = tmp_path / paths.metrics(1)
    whole = name.read_bytes().splitlines(keepends=True)
    name.write_bytes(b"".join(whole[:2]) + whole[2][:kept])

    views_written(tmp_path)

    assert right(tmp_path)


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.unlink(),
        lambda path: path.write_bytes(b"no line at all"),
        lambda path: path.write_bytes(b"no metrics\n"),
        lambda path: path.write_bytes(b'{"generation":99}\n'),
        lambda path: (path.unlink(), path.mkdir()),
        lambda path: (path.unlink(), path.symlink_to("elsewhere")),
    ],
    ids=["gone", "no line", "other line", "of the future", "directory", "link"],
)
@pytest.mark.parametrize("name", [paths.metrics(2), paths.SUMMARY], ids=["metrics", "summary"])
def test_a_damaged_view_is_made_again(tmp_path: Path, damage, name: Name) -> None:  # type: ignore[no-untyped-def]
    """From the records, whatever has its name."""
    made(tmp_path, 5)
    views_written(tmp_path)
    summed = (tmp_path / paths.SUMMARY).read_bytes()
    damage(tmp_path / name)

    assert status(tmp_path, now=NOW).best_ever is not None
    views_written(tmp_path)

    assert right(tmp_path)
    assert (tmp_path / paths.SUMMARY).read_bytes() == summed


def test_two_coordinators_may_add_the_same_lines(tmp_path: Path) -> None:
    """One that was paused in the middle and goes on later changes nothing."""
    made(tmp_path, 4)
    with opened(tmp_path) as store:
        ahead: list[bool] = []

        def paused() -> bool:
            if len(ahead) == 2:
                write_views(store)
            ahead.append(True)
            return False

        write_views(store, paused)
    assert right(tmp_path)


def test_a_summary_of_another_chain_or_version_is_not_believed(tmp_path: Path) -> None:
    """It is as if there were none: a run begun anew in its place, a format that was changed."""
    made(tmp_path, 6)
    views_written(tmp_path)
    mine = status(tmp_path, now=NOW)
    other = tmp_path / "other"
    told = story(replace(search(count=6), seed=8))
    write(other, _before(told, paths.selection(5)))
    views_written(other)
    (tmp_path / paths.SUMMARY).write_bytes((other / paths.SUMMARY).read_bytes())
    assert json.loads((other / paths.SUMMARY).read_bytes())["core"]["run"] == RUN

    assert status(tmp_path, now=NOW) == mine


def test_what_is_damaged_when_it_is_summed_up_is_told_until_it_is_mended(tmp_path: Path) -> None:
    """A problem of an old generation does not disappear with it into the summary."""
    made(tmp_path, 7)
    victim = tmp_path / paths.result(1, 4)
    whole = victim.read_bytes()
    victim.write_bytes(b"damaged")
    views_written(tmp_path)

    assert [p.partition(":")[0] for p in status(tmp_path, now=NOW).problems] == [paths.result(1, 4)]
    victim.write_bytes(whole)
    assert status(tmp_path, now=NOW).problems == ()


def test_the_next_selection_does_not_wait_for_views(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are written in a thread, now and then; only at the end of the run they are waited for,
    and what hinders them is told."""
    told: list[str] = []
    made(tmp_path, 5)
    with opened(tmp_path) as store:
        views = Views(store, told.append)
        views.write(final=False)
        assert not (tmp_path / paths.SUMMARY).exists(), "it is not time yet"
        views.write(final=True)
        assert right(tmp_path)
        (tmp_path / "metrics").rename(tmp_path / "elsewhere")
        views.write(final=True)
        views.close()
    assert told == [f"{tmp_path / paths.metrics(0)}: No such file or directory"]


def test_a_file_of_lines_is_read_from_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long it has grown; a line longer than any is none."""
    monkeypatch.setattr(lines, "TAILS", (16, 64))
    path = tmp_path / "lines"
    path.write_bytes(b"a\n" * 500 + b"b" * 40 + b"\nrest")
    with Lines(path) as file:
        assert file.last(bytes.decode) == "b" * 40
        file.add(b"c\n")
    assert path.read_bytes().endswith(b"b\nc\n")
    path.write_bytes(b"a\n" + b"b" * 100)
    with Lines(path) as file, pytest.raises(NoLines):
        file.last(bytes.decode)


def test_fsck_notices_a_torn_summary(tmp_path: Path) -> None:
    """As it notices other views; a whole one is as it should be."""
    made(tmp_path, 5)
    views_written(tmp_path)
    assert all(fault.name != paths.SUMMARY for fault in check(tmp_path))
    (tmp_path / paths.SUMMARY).write_bytes((tmp_path / paths.SUMMARY).read_bytes()[:-9])

    found = [fault for fault in check(tmp_path) if fault.name == paths.SUMMARY]
    assert [fault.notice for fault in found] == [True]
