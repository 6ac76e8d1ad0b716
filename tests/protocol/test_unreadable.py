"""Files that cannot be read: put aside and computed again, or waited for, and never believed."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from pbtnas.engine.driver import drive
from pbtnas.monitoring import progress, run_screen
from pbtnas.protocol.backoff import TRIES
from pbtnas.protocol.claims import Claims
from pbtnas.protocol.coordinator import STALE_S, BrokenChain
from pbtnas.protocol.operations import (
    Get,
    List,
    Now,
    Published,
    PutBlob,
    Quarantine,
    ReadHeartbeat,
    Replace,
    Sleep,
    Steps,
    Stopping,
    Unreadable,
)
from pbtnas.protocol.reading import content, newest_generation, read
from pbtnas.protocol.term import CoordinatorEnding
from pbtnas.protocol.work_loop import WorkerEnding
from pbtnas.protocol.worker import WATCH_S
from pbtnas.records import paths
from pbtnas.records.envelope import Record, RecordError, encode
from pbtnas.records.heartbeat import Heartbeat
from pbtnas.records.names import Name
from pbtnas.store import fsck
from pbtnas.store.run_directory import open_run
from tests.analysis import made_runs
from tests.protocol.on_disk import LEASE_S, OnDisk, checkpoints_of
from tests.unreadable import SORTS, plant

SEARCH = made_runs.search(population=4, count=3)
STORY = made_runs.story(SEARCH)
NOW = 1  # the generation in work; members 0 and 1 are done
BORN = next(name for name, _ in STORY if name.startswith(f"{paths.births(0)}/"))
SLOT = paths.job_slot(NOW, 0)

KINDS = {
    "HEAD": paths.HEAD,
    "best": paths.BEST,
    "first manifest": paths.manifest(0),
    "manifest": paths.manifest(NOW),
    "manifest to come": paths.manifest(NOW + 1),
    "selection": paths.selection(0),
    "selection to come": paths.selection(NOW),
    "birth": BORN,
    "result": paths.result(NOW, 0),
    "result to come": paths.result(NOW, 2),
    "old result": paths.result(0, 1),
    "claim": paths.claim(SLOT, 2),
    "claim to come": paths.claim(paths.job_slot(NOW, 2), 1),
    "end": paths.end(SLOT, 1),
    "heartbeat": paths.beat(SLOT, 2),
    "heartbeat to come": paths.beat(paths.job_slot(NOW, 3), 1),
    "term": paths.claim(paths.TERM, 1),
    "heartbeat of the term": paths.beat(paths.TERM, 1),
    "heartbeat of a worker": paths.worker("host-0-w"),
    "engine": paths.engine(1),
    "code": paths.code(1),
    "end of the run": paths.FINAL,
}
ALL_AT_ONCE = KINDS.keys() - {"old result"}  # which with its selection is lost for good

pytestmark = pytest.mark.timeout(300)  # for what hangs: a pipe is waited for without end


@pytest.fixture(autouse=True)
def no_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """None of these tests is about what survives a power cut."""
    monkeypatch.setattr(os, "fsync", lambda fd: None)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[OnDisk]:
    """A run in the midst of generation 1, with everything that may lie in its directory."""
    root = tmp_path / "run"
    last = next(i for i, (name, _) in enumerate(STORY) if name == paths.result(NOW, 1))
    writes = STORY[: last + 1]
    for directory in (*paths.TOP_DIRECTORIES, "generations/0001/births"):
        (root / directory).mkdir(parents=True, exist_ok=True)
    made_runs.write(root, writes)
    for generation in range(NOW + 1):
        for directory in paths.GENERATION_DIRECTORIES:
            (root / paths.generation(generation) / directory).mkdir(exist_ok=True)
    for name in checkpoints_of(writes):
        (root / name).write_bytes(b"weights")
    (root / paths.HEAD).write_text(f"{NOW}\n")
    (root / paths.BEST).write_text("{}\n")
    for name in (paths.beat(SLOT, 2), paths.beat(paths.TERM, 1), paths.worker("host-0-w")):
        (root / name).write_bytes(Heartbeat(1).encode())
    world = OnDisk(root, SEARCH)
    yield world
    world.close()


def ends_as_if_nothing_had_been(place: OnDisk) -> None:
    if not place.actors:
        place.coordinator()
        place.worker()
    place.work()
    endings = [actor.ending for actor in place.actors]
    assert endings == [CoordinatorEnding.FINISHED, WorkerEnding.FINISHED]
    found = json.loads((place.root / paths.FINAL).read_bytes())["core"]["fingerprint"]
    assert found == json.loads(STORY[-1][1])["core"]["fingerprint"]


def test_a_run_in_which_all_can_be_read(place: OnDisk) -> None:
    """What the other tests compare with ends well, and nothing is put aside."""
    ends_as_if_nothing_had_been(place)

    assert not list(place.root.rglob("*.corrupt-*"))


@pytest.mark.parametrize("sort", SORTS)
def test_what_cannot_be_read_is_computed_again(place: OnDisk, sort: str) -> None:
    """Whatever lies in the place of records, heartbeats and hints, the search ends the same."""
    for kind in sorted(ALL_AT_ONCE):
        plant(place.root / KINDS[kind], sort)

    ends_as_if_nothing_had_been(place)

    for kind in ("manifest", "selection", "birth", "result", "result to come"):
        assert list(place.root.glob(f"{KINDS[kind]}.corrupt-*")), f"{kind} is put aside"
        assert any(KINDS[kind] in text for text in place.said), f"{kind} is named"


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("sort", SORTS)
def test_one_file_that_cannot_be_read(place: OnDisk, sort: str, kind: str) -> None:
    """Each alone, as a bad sector hits one file."""
    plant(place.root / KINDS[kind], sort)

    ends_as_if_nothing_had_been(place)


@pytest.mark.parametrize("sort", SORTS)
def test_status_and_fsck_say_what_cannot_be_read(place: OnDisk, sort: str) -> None:
    """Both answer at once, and name the files."""
    # What follows a manifest that is lost is not looked at.
    for kind in ALL_AT_ONCE - {"first manifest", "manifest"}:
        plant(place.root / KINDS[kind], sort)

    seen = progress.status(place.root, now=time.time())
    run_screen.render(seen)
    faults = {fault.name: fault.what for fault in fsck.check(place.root)}

    for kind in ("manifest to come", "selection", "result"):
        assert any(KINDS[kind] in problem for problem in seen.problems)
        assert "cannot be read" in faults[KINDS[kind]]


@pytest.mark.parametrize("name", [paths.FORMAT, paths.RUN, paths.CONFIG])
@pytest.mark.parametrize("sort", SORTS)
def test_without_what_says_which_run_it_is_there_is_none(
    place: OnDisk, name: str, sort: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That cannot be computed again: one sentence names the file, and fsck goes on to the rest."""
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    plant(place.root / name, sort)

    with pytest.raises(RecordError, match=f"{name}: cannot be read"):
        open_run(place.root)
    faults = {fault.name: fault.what for fault in fsck.check(place.root)}
    assert "cannot be read" in faults[name]


def test_a_result_that_only_a_listing_shows_is_computed(
    place: OnDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A directory that goes on listing what was put aside keeps no job from being done."""
    name = paths.result(NOW, 2)
    worker = place.worker()
    execute = worker.store.execute

    def stale(operation: object) -> object:
        reply = execute(operation)
        if operation == List(paths.results(NOW)):
            return {*reply, name.rpartition("/")[2]}
        return reply

    monkeypatch.setattr(worker.store, "execute", stale)
    place.stop_at_s = 120.0

    place.work()

    assert (place.root / name).exists()


@pytest.mark.parametrize("generation", [0, NOW])
def test_a_lost_checkpoint_is_made_again_without_the_record_of_its_result(
    place: OnDisk, generation: int
) -> None:
    """Two losses at once: the copy in the selection says which bits are wanted, and where there is
    none yet, the job is done again."""
    name = paths.result(generation, 1)
    core = json.loads((place.root / name).read_bytes())["core"]
    checkpoint = place.root / paths.checkpoint(generation, core["checkpoint"])
    checkpoint.unlink()
    plant(place.root / name, "socket")
    place.stop_at_s = 120.0
    place.worker()

    place.work()

    assert checkpoint.exists()


def test_a_heartbeat_that_cannot_be_read_is_no_sign_of_life() -> None:
    """An error that comes and goes does not keep alive a claim whose holder is dead."""
    beat = Heartbeat(1).encode()
    claims = Claims(made_runs.RUN, {}, lease_s=LEASE_S, new_nonce=lambda: "")
    for at_s in range(60):
        reply = Unreadable("m00.002.beat: Input/output error") if at_s % 2 else beat
        replies = {ReadHeartbeat: [reply], Now: [float(at_s)]}
        moved, _ = answered(claims.moved(SLOT, 2), replies)
        silent_s, _ = answered(claims.silent_s(SLOT, 2), replies)

        assert not moved
    assert silent_s == 59.0


def test_a_claim_that_cannot_be_read_expires(place: OnDisk) -> None:
    """Whoever it is of has a lease's time to show that he lives; then the job is free."""
    plant(place.root / paths.claim(paths.job_slot(NOW, 2), 1), "pipe")
    plant(place.root / paths.claim(paths.job_slot(NOW, 2), 2), "loop")
    place.stop_at_s = 4 * LEASE_S + 2 * WATCH_S  # there is no coordinator to look more often
    place.worker()

    place.work()

    assert (place.root / paths.result(NOW, 2)).exists()
    assert not list((place.root / paths.claims(NOW)).glob("m02*.corrupt-*")), "no number is reused"


@pytest.fixture
def out_of_reach(place: OnDisk) -> Callable[[], None]:
    """Takes the directory of the results away from everybody; returns what brings it back."""
    gone, results = place.root.parent / "gone", place.root / paths.results(NOW)
    results.rename(gone)
    results.write_text("a file, so that nothing below it can be looked up")

    def back() -> None:
        results.unlink()
        gone.rename(results)

    return back


def test_trouble_of_the_whole_directory_is_waited_for(
    place: OnDisk, out_of_reach: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """While it lasts nothing is put aside and nothing is taken for absent; then the search goes
    on."""
    coordinator, _ = place.coordinator(), place.worker()
    execute = coordinator.store.execute
    looks = 0

    def watched(operation: object) -> object:
        nonlocal looks
        reply = execute(operation)
        if operation == Get(paths.result(NOW, 0)) and not isinstance(reply, bytes):
            assert isinstance(reply, Unreadable) and reply.passing
            looks += 1
            if looks == 20:
                out_of_reach()
        return reply

    monkeypatch.setattr(coordinator.store, "execute", watched)

    ends_as_if_nothing_had_been(place)

    assert looks == 20
    assert any("Not a directory" in text for text in place.trouble)
    assert not list(place.root.rglob("*.corrupt-*"))


def test_who_waits_for_the_directory_can_be_stopped(
    place: OnDisk, out_of_reach: Callable[[], None]
) -> None:
    """SIGTERM is heeded while a mount is gone."""
    coordinator, worker = place.coordinator(), place.worker()
    place.stop_at_s = 60.0

    place.work()

    assert place.now_s < 90.0
    assert coordinator.ending is CoordinatorEnding.STOPPED
    assert worker.ending in (WorkerEnding.STOPPED, WorkerEnding.HANDED_BACK)


def test_what_nobody_can_compute_again_ends_the_run(tmp_path: Path) -> None:
    """A birth and the manifest made from it, both unreadable, of a generation whose checkpoints
    are garbage: the coordinator says so instead of waiting for ever."""
    search = made_runs.search(population=4, count=5)
    made_runs.write(tmp_path, made_runs.story(search)[:-1])
    plant(tmp_path / paths.manifest(1), "pipe")
    plant(tmp_path / BORN, "loop")
    place = OnDisk(tmp_path, search)
    place.coordinator()

    with pytest.raises(BrokenChain, match=paths.manifest(1)):
        place.work()

    assert place.now_s < 2 * STALE_S
    place.close()


def answered(steps: Steps[Any], replies: Mapping[type, list[Any]]) -> tuple[Any, list[Any]]:
    """What a protocol returns, given the replies to each kind of operation, the last for ever;
    and its operations."""
    asked: list[Any] = []
    reply = None
    while True:
        try:
            operation = steps.send(reply)
        except StopIteration as stop:
            return stop.value, asked
        asked.append(operation)
        left = replies.get(type(operation), [None])
        reply = left.pop(0) if len(left) > 1 else left[0]


def test_a_failing_disk_is_waited_for_where_nothing_can_be_put_aside() -> None:
    """When no file of a mount can be read, none can be renamed either: it is tried again, more
    and more rarely, and nothing is computed before the old is out of the way."""
    name = paths.result(0, 0)
    refused = [Published.ERROR] * 9
    replies = {
        Get: [Unreadable("m00.json: Input/output error")],
        Stopping: [False],
        Quarantine: [*refused, Published.WON],
    }

    found, asked = answered(content(name), replies)

    assert found is None
    assert asked.count(Get(name)) == TRIES
    assert asked.count(Quarantine(name)) == 10
    pauses = [operation.seconds for operation in asked if isinstance(operation, Sleep)]
    assert len(pauses) == TRIES - 1 + 9
    assert pauses[-1] == 10.0


def test_an_error_that_passes_is_no_damage() -> None:
    """A file that could not be read once is read at the next look."""
    name = paths.result(0, 0)
    replies = {Get: [Unreadable("m00.json: Input/output error"), b"record"], Stopping: [False]}

    found, asked = answered(content(name), replies)

    assert found == b"record"
    assert Quarantine(name) not in asked


def test_a_bit_that_flips_on_the_way_is_no_damage() -> None:
    """A record that was not intact is read once more before it is put aside."""
    name = paths.result(0, 0)
    record = Record("result", "run", {"member": 0}, {}, "nonce")
    intact = encode(record, name)
    replies = {Get: [intact.replace(b"member", b"nember"), intact]}

    found, asked = answered(read(name, "result", "run"), replies)

    assert found == record
    assert Quarantine(name) not in asked


def test_what_is_damaged_at_both_readings_is_put_aside() -> None:
    """Whoever may fill the slot finds it open."""
    name = paths.result(0, 0)
    replies = {Get: [b"no record"], Quarantine: [Published.WON]}

    found, asked = answered(read(name, "result", "run"), replies)

    assert found is None
    assert asked.count(Quarantine(name)) == 1


@pytest.mark.parametrize("sort", SORTS)
def test_a_store_tells_absent_from_unreadable(place: OnDisk, sort: str) -> None:
    """The reply names the file; and whatever lies there makes way for a view or a checkpoint."""
    store = place.worker().store
    plant(place.root / "metrics/m00.jsonl", sort)

    reply = store.execute(Get(Name("metrics/m00.jsonl")))
    assert isinstance(reply, Unreadable) and not reply.passing
    assert reply.text.startswith("metrics/m00.jsonl: cannot be read")
    assert store.execute(Get(Name("metrics/m01.jsonl"))) is None

    store.execute(Replace(Name("metrics/m00.jsonl"), b"new"))
    assert store.execute(Get(Name("metrics/m00.jsonl"))) == b"new"
    plant(place.root / "soups" / "00ff.safetensors", sort)
    (place.root / "soups" / ".tmp-made").write_bytes(b"weights")
    blob = PutBlob("soups/.tmp-made", Name("soups/00ff.safetensors"))
    assert store.execute(blob) is Published.WON
    assert (place.root / "soups" / "00ff.safetensors").read_bytes() == b"weights"


@pytest.mark.parametrize("written", [b"9" * 5000, "\u00b2".encode(), b"-1", b"1e3", b"", b"\xff"])
def test_a_hint_that_is_no_number_leads_nowhere(place: OnDisk, written: bytes) -> None:
    """HEAD only saves looks."""
    (place.root / paths.HEAD).write_bytes(written)

    assert drive(newest_generation(-1), place.worker().store.execute) == NOW
