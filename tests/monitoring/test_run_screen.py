"""The status of a run: right at every moment of its life, and never larger than a screen."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pbtnas.analysis.history.run import TopMember
from pbtnas.analysis.history.summary import Failed
from pbtnas.monitoring.asked import Asked, Pinned
from pbtnas.monitoring.durations import elapsed_s, left_s
from pbtnas.monitoring.processes import Seen
from pbtnas.monitoring.progress import Members
from pbtnas.monitoring.run_screen import Status, progress_line, render, status, to_json
from pbtnas.monitoring.text import Sheet, choices
from pbtnas.records import paths
from pbtnas.records.heartbeat import left, waiting_for
from pbtnas.records.schema import Result
from pbtnas.store.identity import this_process
from pbtnas.store.run_directory import NotARun
from tests.analysis.made_runs import Story, beat, claim, opened, record, search, story, write

NOW = 2_000_000_000.0
SEARCH = search()
STORY = story(SEARCH)
END = {"class": "released", "counted": False, "text": "handed back", "worker": "host-9-w"}


def _until(name: str) -> Story:
    """The story up to and with the write of that name."""
    return STORY[: [n for n, _ in STORY].index(name) + 1]


def _fits(text: str) -> bool:
    lines = text.split("\n")
    return len(lines) <= 24 and all(len(line) <= 100 and line.isprintable() for line in lines)


@pytest.fixture
def running(tmp_path: Path) -> Path:
    """Generation 2 with members 0 and 1 done, 2 in work, 3 and 4 put back and 5 pending."""
    write(tmp_path, _until(paths.result(2, 1)))
    for member, worker in ((2, "host-7-w"), (3, "host-8-w"), (4, "host-9-w")):
        write(tmp_path, [claim(paths.job_slot(2, member), 1, worker)])
    beat(tmp_path, paths.beat(paths.job_slot(2, 2), 1), NOW - 2, phase="training", done=40)
    beat(tmp_path, paths.beat(paths.job_slot(2, 3), 1), NOW - 31, phase="training")
    write(tmp_path, [record(paths.end(paths.job_slot(2, 4), 1), "end", END)])
    beat(tmp_path, paths.beat(paths.TERM, 1), NOW - 4, phase="coordinating")
    beat(tmp_path, paths.worker("host-7-w"), NOW - 2, phase="training g0002 m02", done=40)
    beat(tmp_path, paths.worker("host-8-w"), NOW - 31, phase="training g0002 m03")
    for generation, at in enumerate((NOW - 100, NOW - 60, NOW - 10)):
        opened(tmp_path, generation, at)
    return tmp_path


def test_a_running_search_is_counted_right(running: Path) -> None:
    """Done, in work, put back (handed back or silent) and pending members are told apart."""
    seen = status(running, now=NOW)

    assert (seen.state, seen.generation, seen.generations) == ("running", 2, 4)
    assert seen.members == Members(done=2, in_work=1, put_back=2, pending=1)
    assert seen.progress == pytest.approx((2 + 2 / 6) / 4)
    assert (seen.task, seen.algorithm, seen.seed) == ("tiny", "pbt-nas", 7)
    assert seen.best_last is not None and seen.best_last.generation == 1
    assert seen.best_ever is not None and seen.best_ever.score >= seen.best_last.score
    assert not seen.finished


def test_workers_are_live_within_the_lease(running: Path) -> None:
    """A heartbeat that changed within the lease is live; its words and steps are shown."""
    seen = status(running, now=NOW)

    assert seen.workers == (
        Seen("host-7-w", "training g0002 m02", 40, 2.0, live=True),
        Seen("host-8-w", "training g0002 m03", 0, 31.0, live=False),
    )
    assert seen.coordinator == Seen("host-1-c", "coordinating", 0, 4.0, live=True)
    assert seen.trouble == ()


def test_a_worker_that_left_or_is_dead_here_is_gone_at_once(running: Path) -> None:
    """Its own last words, or a claim whose process is no more, need no lease to run out."""
    beat(running, paths.worker("host-7-w"), NOW - 1, phase=left("the run is finished"))
    here = this_process("w")
    gone = {**here, "worker": "host-9-w", "started": here["started"] - 1}
    slot = paths.job_slot(2, 5)
    write(running, [record(paths.claim(slot, 1), "claim", {"holder": gone})])
    beat(running, paths.beat(slot, 1), NOW - 1, phase="training")
    beat(running, paths.worker("host-9-w"), NOW - 1, phase="training g0002 m05")
    write(running, [record(paths.end(paths.TERM, 1), "end", {**END, "worker": "host-1-c"})])

    seen = status(running, now=NOW)

    assert [w.name for w in seen.workers if w.left] == ["host-7-w", "host-9-w"]
    assert not any(w.live for w in seen.workers)
    assert (seen.members.in_work, seen.members.put_back) == (1, 3)
    assert seen.coordinator is not None and not seen.coordinator.live
    assert seen.trouble[0].startswith("no coordinator now; ")
    assert "workers     0 live, 2 gone, 1 silent" in render(seen)


def test_a_run_without_a_usable_member_has_ended_and_says_why(tmp_path: Path) -> None:
    """No advice to start a coordinator, which could only say the same: the commonest cause."""
    write(tmp_path, _until(paths.manifest(0)))
    causes = [{"diverged": "the score is nan"}] * 4
    for member, meta in enumerate(causes):
        core = Result(member, "diverged", None, {}, None).to_json()
        write(tmp_path, [record(paths.result(0, member), "result", core, meta)])
    assert status(tmp_path, now=NOW).state == "running", "two members are to come"
    for member in (4, 5):
        core = Result(member, "failed", None, {}, None).to_json()
        meta = {"class": "error", "traceback": f"...\nValueError: {member}"}
        write(tmp_path, [record(paths.result(0, member), "result", core, meta)])

    seen = status(tmp_path, now=NOW)

    assert (seen.state, seen.over, seen.finished, seen.trouble) == ("failed", True, False, ())
    assert seen.ended == (
        "all 6 members of generation 0 diverged or failed "
        "(4 diverged: the score is nan; 2 failed: error: ValueError: 4)"
    )
    assert "ended without a usable member" in render(seen)


def test_pauses_are_no_active_time(running: Path) -> None:
    """A weekend without a sign of life neither counts as active nor delays the estimate."""
    weekend_s = 200_000.0
    for path in running.rglob("*.json"):
        this_week = "/0002/" in str(path) or "/coordinator/" in str(path)
        at = NOW - 5 if this_week else NOW - weekend_s - 40
        os.utime(path, (at, at))
    for generation, at in enumerate((NOW - weekend_s - 90, NOW - weekend_s - 40, NOW - 10)):
        opened(running, generation, at)
    seen = status(running, now=NOW)

    assert seen.elapsed_s == weekend_s + 90
    assert seen.active_s is not None and seen.active_s < 200
    assert seen.left_s is not None and seen.left_s < 200
    assert " active in 2 d " in render(seen)


def test_no_line_is_cut_in_the_middle_of_a_fact(running: Path) -> None:
    """Long names and sentences go on in the next line; what has no room is counted."""
    name = f"{'long-host-name-of-a-pod-x'}-0a1b2c3d-1234567-w-a1b2c3"
    reason = "generations/0002/results: No space left on the device that holds the run"
    for end in "ab":
        beat(running, paths.worker(name + end), NOW, phase=waiting_for(reason))
    text = " ".join(render(status(running, now=NOW)).split())

    assert f"{name}a waiting: {reason}, 0 s ago" in text
    assert f"{name}a is waiting: {reason}" in text and "and 1 more" in text


@pytest.mark.parametrize("columns", [34, 40, 59, 60, 80, 100, 200])
def test_the_screen_fits_the_terminal_and_keeps_every_fact(running: Path, columns: int) -> None:
    """A fact that has room in one line stands in one line; a longer one goes on in the next."""
    beat(running, paths.worker("host-8-w"), NOW - 3, phase=waiting_for("a disk " + 60 * "x"))
    seen = status(running, now=NOW)
    text = render(seen, columns)
    facts = ["2 of 6 done", "1 in work", "2 put back", "1 pending", "host-7-w", "40 steps"]
    facts += ["2 of 4", "seed 7", "1 diverged, 2 error, 1 oom"]

    assert all(len(line) <= columns for line in text.split("\n"))
    assert all(any(fact in line for line in text.split("\n")) for fact in facts)
    assert seen.best_ever is not None and seen.best_last is not None
    words = " ".join(text.split())
    assert "last complete generation: " in words and " ..." not in words
    assert f"(m{seen.best_last.member:02d} in generation 1)" in words
    assert 60 * "x" in text.replace("\n", "").replace(" ", "")


def test_facts_without_room_are_left_out_whole() -> None:
    """Of very many facts those are shown that fill the lines there are, and none is cut."""
    facts = [f"objective-{i} {i}.25" for i in range(30)]
    lines = Sheet(80).facts("objectives", facts)

    assert len(lines) == Sheet(80).most(2) == 4 and lines[-1].strip() == "..."
    shown = ", ".join(line.removeprefix("objectives").strip(" ,") for line in lines[:-1])
    assert ", ".join(facts).startswith(f"{shown}, objective")


@pytest.mark.parametrize("width", [200, 110, 80, 60, 30, 5])
def test_the_progress_line_has_whole_facts(running: Path, width: int) -> None:
    """Generation, members, best and time left, as many of them as the terminal is wide."""
    seen = status(running, now=NOW)
    whole = progress_line(seen, 1000)
    line = progress_line(seen, width)

    assert "generation 2 of 4, 2 of 6 members done, best " in whole and "1 min left" in whole
    assert len(line) <= width and (whole + ", ").startswith(f"{line}, " if line else "")


def test_the_rungs_of_ladders_are_as_short_as_scores() -> None:
    """A computed number has six digits on a screen; what people wrote themselves stays."""
    options = {"rate": 0.000316227766, "batch": 16, "drop": 0.5, "act": "relu", "norm": False}

    assert choices(options, " ") == "rate=0.000316228 batch=16 drop=0.5 act=relu norm=False"


def test_failures_are_counted_and_shown(running: Path) -> None:
    """Ends count by class, hand-backs do not, and a failed member shows its last line."""
    seen = status(running, now=NOW)

    assert seen.failures == {"diverged": 1, "error": 2, "oom": 1}
    assert seen.failed == (Failed(1, 2, "oom", "ValueError: no such layer"),)
    assert "generation 1 m02: oom: ValueError: no such layer" in render(seen)


def test_the_time_left_comes_from_finished_generations(running: Path) -> None:
    """Generation 1 took 50 s; 10 s of generation 2 are over, and 3 is to come: 90 s are left."""
    seen = status(running, now=NOW)

    assert (seen.elapsed_s, seen.left_s) == (100.0, 90.0)
    assert "1 min so far, about 1 min left" in render(seen)


def test_who_waits_and_who_is_missing_is_said(running: Path) -> None:
    """A full disk, no coordinator and no worker are told in a sentence each."""
    beat(running, paths.worker("host-7-w"), NOW, phase="waiting: results: No space left on device")
    assert status(running, now=NOW).trouble == (
        "host-7-w is waiting: results: No space left on device",
    )

    trouble = status(running, now=NOW + 1000).trouble
    assert [line.partition(" in ")[0] for line in trouble] == ["no coordinator", "no worker"]


def test_a_damaged_record_is_shown(running: Path) -> None:
    """What History found damaged is on the screen, by name."""
    name = paths.result(0, 3)
    write(running, [(name, b"{}")])

    assert f"damaged     {name}: " in render(status(running, now=NOW))


def test_the_screen_of_a_running_search(running: Path) -> None:
    """The screen as a whole, line by line."""
    lines = render(status(running, now=NOW)).splitlines()

    assert [line[:11].strip() for line in lines] == [
        "run", "search", "generation", "members", "best", "", "workers", "host-1-c", "host-7-w",
        "failures", "generatio",
    ]  # fmt: skip
    assert lines[2].startswith("generation  2 of 4  [#######")
    assert lines[3] == "members     2 of 6 done, 1 in work, 2 put back, 1 pending"
    assert lines[6].startswith("workers     1 live, 1 silent")
    assert lines[8].split() == "host-7-w training g0002 m02, 40 steps, 2 s ago".split()
    assert lines[9] == "failures    1 diverged, 2 error, 1 oom; members recorded as failed: 1"


def test_a_status_can_be_had_at_every_moment_of_a_run(tmp_path: Path) -> None:
    """From the first file to the last, status answers, fits the screen, and never goes back."""
    before = 0.0
    for written in STORY:
        write(tmp_path, [written])
        seen = status(tmp_path, now=time.time())
        assert _fits(render(seen))
        assert json.loads(json.dumps(to_json(seen)))["state"] == seen.state
        assert seen.progress >= before
        before = seen.progress
    assert seen.finished


def test_a_status_can_be_had_with_any_record_damaged(running: Path) -> None:
    """No single torn record, that of the configuration included, keeps the screen away."""
    for name, content in _until(paths.result(2, 1))[1:]:
        (running / name).write_bytes(content[:-9])
        seen = status(running, now=NOW)
        assert _fits(render(seen))
        assert (seen.state, len(seen.problems), seen.members.all) == ("running", 1, 6)
        (running / name).write_bytes(content)


def test_a_new_run_has_nothing_to_show_yet(tmp_path: Path) -> None:
    """With the format file alone, everything is unknown and nothing is wrong."""
    write(tmp_path, STORY[:1])
    seen = status(tmp_path, now=NOW)

    assert (seen.state, seen.generation, seen.left_s) == ("new", None, None)
    assert (seen.trouble, seen.problems) == ((), ())
    assert "none yet" in render(seen)


def test_a_finished_run_shows_its_fingerprint(tmp_path: Path) -> None:
    """A finished run is complete, shows and misses no worker, and says what it came to."""
    write(tmp_path, STORY)
    beat(tmp_path, paths.worker("host-7-w"), NOW, phase="training g0003 m02")
    seen = status(tmp_path, now=NOW)

    assert (seen.finished, seen.progress, seen.left_s, seen.trouble) == (True, 1.0, 0.0, ())
    assert f"fingerprint {seen.fingerprint}" in render(seen)
    assert "generation  4 of 4 " in render(seen)
    assert "host-7-w" not in render(seen)


def test_a_torn_heartbeat_hides_nobody(running: Path) -> None:
    """A worker whose heartbeat is torn is still there; only its words are unknown."""
    (running / paths.worker("host-7-w")).write_bytes(b"1 40 trai")

    assert {(w.name, w.doing) for w in status(running, now=NOW).workers} == {
        ("host-7-w", ""),
        ("host-8-w", "training g0002 m03"),
    }


def test_a_directory_that_is_no_run_is_refused(tmp_path: Path) -> None:
    """The error is History's: one sentence, no empty screen."""
    with pytest.raises(NotARun, match="no run has been started here yet"):
        status(tmp_path, now=NOW)


def test_only_the_first_generation_finished_is_scaled_by_epochs() -> None:
    """A first generation of twice the epochs does not double the estimate for the others."""
    assert left_s([0.0, 40.0], 40.0, 4, later_over_first=0.5) == 60.0


def test_the_time_left_takes_the_median() -> None:
    """One generation that waited for a weekend does not make the estimate."""
    weekend_s = 200_000.0
    starts = [0.0, 40.0, 50.0, 60.0, weekend_s, weekend_s + 10]

    assert left_s(starts, weekend_s + 10, 8, later_over_first=1.0) == 30.0


@settings(deadline=None, max_examples=25)
@given(
    opened=st.lists(st.none() | st.floats(0, 1e9), max_size=6),
    now=st.floats(0, 1e9),
    generations=st.none() | st.integers(1, 6),
)
def test_durations_bear_any_times(
    opened: list[float | None], now: float, generations: int | None
) -> None:
    """Clocks that go backwards and files without a time give no negative duration."""
    for seconds in (elapsed_s(opened, now), left_s(opened, now, generations, 1.0)):
        assert seconds is None or seconds >= 0


_names = st.sampled_from(["w", "x" * 150, "\x1b[2Jcleared\n", "\ttabs", "\ud800", ""])
_seen = st.builds(Seen, _names, _names, st.integers(0, 10**9), st.floats(0, 1e7), st.booleans())
_best = st.none() | st.builds(TopMember, st.integers(0, 10**6), st.integers(0, 10**4), st.floats())


@settings(deadline=None, max_examples=25)
@given(
    st.builds(
        Status,
        run=st.text(max_size=120),
        task=_names,
        algorithm=_names,
        best_ever=_best,
        best_last=_best,
        coordinator=st.none() | _seen,
        workers=st.lists(_seen, max_size=12).map(tuple),
        failures=st.dictionaries(_names, st.integers(1, 99), max_size=5),
        failed=st.lists(
            st.builds(Failed, st.integers(0, 99), st.integers(0, 99), _names, _names), max_size=6
        ).map(tuple),
        trouble=st.lists(_names, max_size=6).map(tuple),
        problems=st.lists(_names, max_size=6).map(tuple),
        progress=st.floats(0, 1),
        ended=st.sampled_from(["", "word " * 99, "y" * 400]),
        elapsed_s=st.none() | st.floats(0, 1e9),
        active_s=st.none() | st.floats(0, 1e9),
        left_s=st.none() | st.floats(0, 1e9),
        fingerprint=st.none(),
        controls=st.lists(
            st.builds(Asked, st.integers(1), st.just("extend"), _names, _names, st.booleans()),
            max_size=6,
        ).map(tuple),
        pinned=st.lists(st.builds(Pinned, st.integers(0), st.integers(0)), max_size=9).map(tuple),
    )
)
def test_any_status_fits_the_screen(seen: Status) -> None:
    """However many workers, failures and strange words: 24 lines of 100 printable columns; and on
    a narrow terminal no line is too long."""
    assert _fits(render(seen))
    assert all(len(line) <= 40 for line in render(seen, 40).split("\n"))
