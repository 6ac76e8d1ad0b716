"""The live screens: whole at every size, and true to the records."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from pbtnas.monitoring.frames import Frames, frames
from pbtnas.monitoring.live_screen import BARS, COLOURS, Canvas, canvas, drawn, drawn_study
from pbtnas.monitoring.study_screen import study_status
from pbtnas.monitoring.watching import WatchedRun, WatchedStudy, watch
from pbtnas.records import paths
from pbtnas.store.run_directory import NotARun
from pbtnas.store.study_directory import open_study
from tests.analysis.made_runs import beat, claim, search, story, study, write

STORY = story(search())
NAMES = [name for name, _ in STORY]
BEGUN = STORY[: NAMES.index(paths.result(2, 1)) + 1]
REST = STORY[len(BEGUN) :]


@pytest.fixture
def running(tmp_path: Path) -> Path:
    """Generation 2 of 4: members 0 and 1 are done, 2 is in work, the others are pending."""
    root = tmp_path / "run"
    write(root, BEGUN)
    slot = paths.job_slot(2, 2)
    write(root, [claim(slot, 1, "host-7-w")])
    beat(root, paths.beat(slot, 1), _now(root), phase="training", done=40)
    beat(root, paths.worker("host-7-w"), _now(root), phase="training g0002 m02", done=40)
    return root


def _now(root: Path) -> float:
    return (root / paths.manifest(0)).stat().st_mtime


def _frames(root: Path) -> Frames:
    return Frames(root, lambda: _now(root))


def test_a_frame_has_every_member_of_every_generation(running: Path) -> None:
    """Outcomes and scores as the records say; of the generation in work, who does what."""
    frame = _frames(running).look()

    assert list(frame.cells) == [0, 1, 2]
    outcomes = [cell.state for cell in frame.cells[1].values()]
    assert outcomes == ["ok", "ok", "failed", "diverged", "ok", "ok"]
    states = [cell.state for cell in frame.cells[2].values()]
    assert states == ["ok", "ok", "in work", "pending", "pending", "pending"]
    born = {e.member for e in frame.events if e.kind == "born" and e.generation == 2}
    assert born == {member for member, cell in frame.cells[2].items() if cell.born} != set()
    failed = next(e for e in frame.events if e.kind == "failed")
    assert failed.line == "g0001 m02 failed: oom: ValueError: no such layer, host-0-w"


def test_a_birth_is_told_when_it_has_a_record(tmp_path: Path) -> None:
    """The children that a selection plans are not born yet, and never are where the run was
    cancelled there."""
    root = tmp_path / "run"
    opened = [at for at, (name, _) in enumerate(BEGUN) if name == paths.manifest(2)][0]
    births = [at for at, (name, _) in enumerate(BEGUN) if name.startswith(paths.births(1))]
    write(root, [each for at, each in enumerate(BEGUN[:opened]) if at not in births[1:]])

    told = [e for e in _frames(root).look().events if e.kind == "born" and e.generation == 2]

    assert len(births) > 1 and len(told) == 1 and told[0].at is not None


def test_a_look_reads_only_what_is_new(running: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Selections of generations that are over are read once."""
    looks = _frames(running)
    looks.look()
    asked: list[str] = []
    real = looks._read

    def counted(files: object, number: int) -> None:
        if number not in looks._selected:
            asked.append(paths.selection(number))
        real(files, number)  # type: ignore[arg-type]

    monkeypatch.setattr(looks, "_read", counted)
    looks.look()
    assert asked == []
    write(running, REST)
    assert set(looks.look().cells) == {0, 1, 2, 3}
    assert asked == [paths.selection(2)]


@pytest.mark.parametrize("lines", [8, 24, 60])
@pytest.mark.parametrize("columns", [34, 80, 200])
@pytest.mark.parametrize("colours", [True, False])
def test_the_screen_of_a_run_fits_any_terminal(
    running: Path, columns: int, lines: int, colours: bool
) -> None:
    """No line is too long and none too many; without colours, scores are bars."""
    text = drawn(_frames(running).look(), Canvas(columns, lines, colours))
    shown = text.plain.split("\n")

    assert len(shown) <= lines
    assert all(len(line.rstrip()) <= columns for line in shown)
    if lines == 60:
        assert colours != any(bar in text.plain for bar in BARS)
        styles = {str(part.style) for part in text.spans}
        assert colours == any(colour in style for style in styles for colour in COLOURS)
        rows = [line.split()[0] for line in shown if line.startswith("m0")]
        assert rows[:6] == [f"m{member:02d}" for member in range(6)]
        assert "last events" in shown and "host-7-w" in text.plain


def test_no_color_is_heeded(monkeypatch: pytest.MonkeyPatch) -> None:
    """NO_COLOR=1 means none, on a terminal that has them too."""
    console = Console(file=io.StringIO(), force_terminal=True, color_system="256")
    assert canvas(console).colours
    monkeypatch.setenv("NO_COLOR", "1")
    assert not canvas(Console(file=io.StringIO(), force_terminal=True)).colours


def test_what_cannot_show_unicode_gets_ascii(running: Path) -> None:
    """A terminal of another encoding is not sent what it would refuse."""
    drawn(_frames(running).look(), Canvas(80, 40, colours=False, ascii=True)).plain.encode("ascii")


def _shown(
    root: Path, console: Console, patch: pytest.MonkeyPatch, *acts: Callable[[], object]
) -> list[str]:
    """What `watch` writes to a file, where something happens after each look."""
    what, left = WatchedRun(root), iter(acts)
    look = what.look

    def look_and_act() -> None:
        look()
        next(left, lambda: None)()

    patch.setattr(what, "look", look_and_act)
    watch(what, console, wait=lambda _: None)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


def test_without_a_terminal_there_are_lines_until_the_run_is_over(
    running: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each event once, how far the run is whenever that changes, and the end."""
    console = Console(file=io.StringIO(), width=30)
    lines = _shown(running, console, monkeypatch, lambda: None, lambda: write(running, REST))
    events = [line[9:] for line in lines if line[2:3] == ":"]

    assert len(events) == len(set(events)) and not any("\x1b" in line for line in lines)
    assert "g0001 m02 failed: oom: ValueError: no such layer, host-0-w" in events
    assert lines[-1].startswith("generation 4 of 4, 6 of 6 members done, best ")
    assert "finished" in lines[-1]


def test_on_a_terminal_the_screen_comes_and_goes(
    running: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other screen of the terminal is used, and left at the end: nothing is lost."""
    write(running, REST)
    console = Console(file=io.StringIO(), force_terminal=True, width=80, height=24)
    monkeypatch.setenv("TERM", "xterm-256color")
    text = "\n".join(_shown(running, console, monkeypatch))

    assert text.index("\x1b[?1049h") < text.index("finished") < text.index("\x1b[?1049l")


def test_a_directory_that_is_away_for_a_while_is_looked_past(
    running: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sentence is shown, and the next look comes."""
    away = running.with_name("away")

    def back() -> None:
        away.rename(running)
        write(running, REST)

    console = Console(file=io.StringIO(), width=200)
    lines = _shown(running, console, monkeypatch, lambda: running.rename(away), back)

    assert any("no run has been started here yet" in line for line in lines)
    assert "finished" in lines[-1]


def test_a_file_is_not_watched(tmp_path: Path) -> None:
    """The first look raises as `status` does: one sentence."""
    (tmp_path / "file").touch()
    with pytest.raises(NotARun, match="a file, not a run directory"):
        next(frames(tmp_path / "file"))


def test_frames_end_with_the_run(running: Path) -> None:
    """The last one is of the finished run, for whoever iterates over them."""
    seen = list(frames(running, clock=lambda: _now(running), wait=lambda _: write(running, REST)))

    assert [frame.status.finished for frame in seen] == [False, True]


@pytest.mark.parametrize("columns", [34, 80, 200])
def test_a_study_is_shown_with_a_bar_for_each_open_run(tmp_path: Path, columns: int) -> None:
    """Open runs by their labels, and how many are over; in lines too."""
    study(tmp_path)
    status = study_status(open_study(tmp_path), now=0.0)
    text = drawn_study(status, Canvas(columns, 24)).plain

    assert all(len(line.rstrip()) <= columns for line in text.split("\n"))
    assert all(run.label[:10] in text for run in status.open)
    seen = WatchedStudy(tmp_path, lambda: 0.0)
    seen.look()
    assert len(seen.lines()) == 1 and seen.lines() == []
