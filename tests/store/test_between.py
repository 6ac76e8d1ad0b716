"""`pbtnas doctor --with N`: processes find each other, measure what passes between them, and leave
nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from pbtnas.cli.app import cli
from pbtnas.errors import ExitCode
from pbtnas.protocol.operations import Published
from pbtnas.records.names import Name
from pbtnas.store import between, meeting
from pbtnas.store.between import Lateness, examine_between
from pbtnas.store.meeting import HERE, MEETING, NotMet, Party, meet


def others(directory: Path, count: int, wait_s: float = 60.0) -> list[Party | NotMet]:
    """What so many processes find that come at the same time, each waiting for one other."""
    found: list[Party | NotMet] = []

    def come() -> None:
        try:
            with meet(directory, 2, wait_s, "link") as party:
                found.append(party)
        except NotMet as error:
            found.append(error)

    threads = [threading.Thread(target=come) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def test_two_machines_measure_what_passes_between_them(tmp_path: Path) -> None:
    """Each prints the same lines, from one winner for every name to what a border costs."""
    command = [sys.executable, "-m", "pbtnas", "doctor", str(tmp_path), "--with", "2"]
    processes = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for _ in range(2)
    ]
    said = [process.communicate(timeout=120)[0] for process in processes]

    assert [process.returncode for process in processes] == [ExitCode.OK] * 2, said
    for text in said:
        assert f"(process {processes[0].pid})" in text and f"(process {processes[1].pid})" in text
        assert "2 machines for 25 names: exactly one winner each" in text
        for what in ("new record", "listing", "heartbeat", "generation border", "was absent"):
            assert f"ok   a {what}" in text or f"a name that {what}" in text, text
        assert "BAD" not in text
    assert list(tmp_path.iterdir()) == []


def test_who_comes_alone_is_told_what_to_do(tmp_path: Path) -> None:
    """In one sentence, and leaves nothing."""
    done = CliRunner().invoke(cli, ["doctor", str(tmp_path), "--with", "2", "--wait", "0.1"])

    assert done.exit_code == ExitCode.FAILED
    assert "nobody else came within 0.1 s; start the same command on the other" in done.output
    assert list(tmp_path.iterdir()) == []


def test_a_third_is_no_member(tmp_path: Path) -> None:
    """Two find each other whoever else comes, and the odd one waits in vain."""
    found = others(tmp_path, 3, wait_s=3)

    parties = [party for party in found if isinstance(party, Party)]
    assert len(parties) == 2 and parties[0] == replace(parties[1], me=parties[0].me)
    assert sorted(party.me for party in parties) == [0, 1]
    assert list(tmp_path.iterdir()) == []


def test_what_killed_processes_have_left_is_not_met(tmp_path: Path) -> None:
    """Neither a sign of life that does not move, nor a party of theirs; what is old is deleted."""
    root = tmp_path / MEETING
    root.mkdir()
    signs = b"waiting for 2".ljust(128)
    for name in ("aaa-1-d-000000", "bbb-2-d-000000"):
        (root / f"{name}{HERE}").write_bytes(signs)
    dead = {"members": ["aaa-1-d-000000", "ccc-3-d-000000"], "primitive": "link"}
    (root / "party-001").write_text(json.dumps(dead))
    (root / "together-001").mkdir()
    for path in (root / "party-001", root / "together-001", root / f"aaa-1-d-000000{HERE}"):
        os.utime(path, (0, 0))

    first, second = others(tmp_path, 2)

    assert isinstance(first, Party) and isinstance(second, Party)
    assert {first.name, second.name} == set(first.members)
    assert [path.name for path in root.iterdir()] == [f"bbb-2-d-000000{HERE}"]


def test_a_member_that_goes_silent_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sentence names its machine."""
    monkeypatch.setattr(between, "SILENT_S", 0.1)
    (tmp_path / "together").mkdir()
    party = Party(("here-0a-1-d-0", "gone-0b-2-d-0"), 0, Name("together"), "link")

    with pytest.raises(NotMet, match=r"^gone-0b \(process 2\) has not been seen for 0.1 s$"):
        list(examine_between(tmp_path, party))


class _TwoWinners:
    """A file system on which everybody wins."""

    def __init__(self, told: dict[Name, bytes]) -> None:
        self._told = told

    def put(self, name: Name, data: bytes, **_: Any) -> Published:
        self._told[name] = data
        return Published.WON

    def get(self, name: Name) -> bytes | None:
        return self._told.get(name)


def test_two_winners_are_not_safe() -> None:
    """Where one name is won by two, no run can be."""
    party = Party(("a-0-1-d-0", "b-0-2-d-0"), 0, Name("together"), "link")
    names = [f"together/slot-{i}" for i in range(between.SLOTS)]
    store: Any = _TwoWinners({Name("together/won-1"): json.dumps(names[:1]).encode()})
    answer = between._race(between._Together(store, party))

    assert not answer.good and "26 winners: not safe" in answer.text


@dataclass
class _Seen:
    """A looker that sees everything as late as it is told."""

    record: float = 0.0
    listing: float = 0.0
    beat: float = 0.0
    absent: float = 0.0

    def records(self) -> Lateness:
        return Lateness((self.record,))

    def listings(self, way_s: float) -> Lateness:
        return Lateness((self.listing,))

    def heartbeats(self, way_s: float) -> Lateness:
        return Lateness((self.beat, self.beat, 9.0))  # one is late on a busy machine

    def absences(self, way_s: float) -> Lateness:
        return Lateness((self.absent,))


@pytest.mark.parametrize(
    ("seen", "options", "bad", "says"),
    [
        (_Seen(), "rw", 0, "costs 0.00 s"),
        (_Seen(absent=30), "rw", 0, "lookupcache=positive repairs that (pbtnas does not need it)"),
        (_Seen(record=30, absent=30), "rw", 2, "(pbtnas needs it here)"),
        (_Seen(record=30), "rw", 2, "costs 60.00 s"),
        (_Seen(beat=9), "rw,nocto", 1, "9.00 s); mount without nocto"),
        (_Seen(listing=float("inf")), "rw", 1, "a listing shows a new name not within 90 s"),
    ],
)
def test_late_views_are_told_with_what_repairs_them(
    seen: Any, options: str, bad: int, says: str
) -> None:
    """What a border costs, and the mount option to give or to take away."""
    answers = list(between._views(seen, "nfs4", options))

    assert sum(not answer.good for answer in answers) == bad
    assert says in "\n".join(answer.text for answer in answers)


def test_the_time_it_takes_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that never comes is told as such."""
    monkeypatch.setattr(between, "LONGEST_S", 0.05)
    (tmp_path / "together").mkdir()
    party = Party(("a-0-1-d-0", "b-0-2-d-0"), 0, Name("together"), "link")
    with meeting.PosixStore(tmp_path, "a") as store:
        looker = between._Looker(between._Together(store, party))

        assert str(looker.absences(0.0)) == "not within 0.05 s"
