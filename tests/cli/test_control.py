"""Commands that steer a run: what they record, what they refuse, and what comes of it."""

from __future__ import annotations

import errno
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from pbtnas.analysis.history.run import History
from pbtnas.cli.app import cli
from pbtnas.monitoring.progress import status
from pbtnas.records import paths
from pbtnas.records.envelope import Record, decode, encode
from pbtnas.records.heartbeat import IDLE, PAUSED, Heartbeat
from pbtnas.records.names import Name
from pbtnas.store.control_giving import give_control
from pbtnas.store.controls import steering_of
from pbtnas.store.finished import champions, soup_mark, soups
from pbtnas.store.fsck import check, repair
from pbtnas.store.posix import PosixStore
from pbtnas.store.reader import RunReader
from pbtnas.store.run_directory import open_run
from tests.store.simulated_run import SimulatedRun, fingerprint


def call(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(a) for a in arguments], prog_name="pbtnas")


def refused(result: Result, sentence: str) -> None:
    """It ended with exit code 2 and one sentence."""
    assert (result.exit_code, result.stdout) == (2, ""), result.output
    assert sentence in result.stderr and "Traceback" not in result.stderr


def asked_of(root: Path) -> list[str]:
    """The actions that a run was asked for."""
    with RunReader(root) as files:
        steering, problems = steering_of(files, open_run(root).id)
    assert problems == ()
    return [control.action for control in steering.controls]


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nobody steered, finished."""
    root = tmp_path_factory.mktemp("ended") / "run"
    assert SimulatedRun(root).carry_on() == "the run is finished"
    return root


@pytest.fixture(scope="module")
def begun_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("begun") / "run"
    SimulatedRun(root, limit_s=3.0).carry_on()
    assert (root / paths.selection(0)).exists() and not (root / paths.selection(2)).exists()
    return root


@pytest.fixture
def begun(begun_once: Path, tmp_path: Path) -> Path:
    """The same run, a generation in; its processes have died."""
    return Path(shutil.copytree(begun_once, tmp_path / "run"))


def core_of(root: Path, name: Name, kind: str) -> dict[str, Any]:
    return dict(decode((root / name).read_bytes(), name, kind=kind).core)


def test_a_note_is_kept_and_shown(begun: Path, ended: Path) -> None:
    """Who looks at a run reads what operators wrote, and the outcome is the same."""
    assert call("note", begun, "disk replaced").exit_code == 0
    assert call("note", begun, "a line\x1b[2J\nmore").exit_code == 0

    assert status(begun, now=0.0).notes == ("disk replaced", "a line\x1b[2J\nmore")
    listed = call("controls", begun).stdout
    assert "note: disk replaced" in listed and "\x1b" not in listed
    assert "note        a line" in call("status", begun).stdout
    assert SimulatedRun(begun).carry_on() == "the run is finished"
    assert fingerprint(begun) == fingerprint(ended)
    assert check(begun) == []


def test_a_pinned_checkpoint_is_no_garbage(begun: Path, ended: Path) -> None:
    """It lies where it was when all others of its generation are gone."""
    pinned = call("pin", begun, "g0000-m01")
    assert pinned.exit_code == 0, pinned.output
    assert "pin generation 0 m01" in pinned.stdout
    assert "pinned already" in call("pin", begun, "g0000-m01").stdout

    assert SimulatedRun(begun).carry_on() == "the run is finished"
    kept = {path.name for path in (begun / paths.checkpoints(0)).glob("*.safetensors")}
    without = {path.name for path in (ended / paths.checkpoints(0)).glob("*.safetensors")}
    with RunReader(begun) as files:
        steering, _ = steering_of(files, open_run(begun).id)
    assert kept - without == {f"{checkpoint}.safetensors" for checkpoint in steering.pinned}
    assert fingerprint(begun) == fingerprint(ended)
    assert check(begun) == []


def test_a_paused_run_goes_on_after_resume(begun: Path, ended: Path) -> None:
    """Nobody trains meanwhile, status says who has paused it, and the outcome is the same."""
    done = sorted((begun / "generations").rglob("results/*.json"))
    assert call("pause", begun).exit_code == 0
    refused(call("pause", begun), "is paused already")

    assert SimulatedRun(begun, limit_s=300.0).carry_on() == "waits for ever"
    assert sorted((begun / "generations").rglob("results/*.json")) == done
    assert "paused by" in call("status", begun).stdout
    beat = begun / paths.worker("host-1-w-0")
    beat.write_bytes(Heartbeat(1, 54, IDLE).encode())  # 54 steps of the job that it had last
    for screen in ("status", "workers"):
        assert f"{PAUSED}" in call(screen, begun).stdout
        assert "54 steps" not in call(screen, begun).stdout
    assert call("resume", begun).exit_code == 0
    assert IDLE in call("workers", begun).stdout
    assert not status(begun, now=0.0).paused
    assert SimulatedRun(begun).carry_on() == "the run is finished"
    assert fingerprint(begun) == fingerprint(ended)


def test_a_drained_worker_takes_no_job_more(begun: Path, ended: Path) -> None:
    """It leaves, and others do its work."""
    drained = call("drain", begun, "host-1-w")
    assert drained.exit_code == 0 and "drain host-1-w-0" in drained.stdout
    refused(call("drain", begun, "host-1-w-0"), "host-1-w-0 was told already")

    left = SimulatedRun(begun, limit_s=300.0)
    assert left.carry_on() == "waits for ever"
    assert any("drained" in ending for ending in left.endings)
    assert SimulatedRun(begun, said=["another"]).carry_on() == "the run is finished"
    assert fingerprint(begun) == fingerprint(ended)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("resume",), "is not paused"),
        (("stop", "--after-generation", "0"), "generation 0 is selected already; the next"),
        (("stop", "--after-generation", "4"), "ends after generation 4 by itself"),
        (("extend", "--generations", "0"), "Invalid value for '--generations'"),
        (("drain", "host-9"), "no worker 'host-9' is at work here, but host-1-w-0"),
        (("note", ""), "the note is empty"),
        (("note", "x" * 10_001), "a note of 10001 characters"),
        (("pin", "the best"), "expected a member such as m03, not 'the best'"),
        (("pin", "m77"), "has no member 'm77'"),
        (("pin", "g0099-m00"), "has no member 'g0099-m00'"),
    ],
)
def test_what_makes_no_sense_is_refused(
    begun: Path, arguments: tuple[str, ...], sentence: str
) -> None:
    """One sentence, exit code 2, and nothing is recorded."""
    command, *rest = arguments
    refused(call(command, begun, *rest), sentence)
    assert asked_of(begun) == []


@pytest.mark.parametrize("command", ["pause", "resume", "drain", "stop"])
def test_a_finished_run_is_not_held(ended: Path, command: str) -> None:
    """There is nothing that it could do."""
    arguments = {"drain": ["host-1-w-0"], "stop": ["--after-generation", "9"]}.get(command, [])
    refused(call(command, ended, *arguments), f"{ended}: the run is finished")


def test_the_workers_of_a_study_serve_all_its_runs(tmp_path: Path, begun_once: Path) -> None:
    """So none is drained for one of them; each run is paused alone."""
    root = tmp_path / "runs" / "a-s1"
    shutil.copytree(begun_once, root)
    (tmp_path / paths.STUDY).touch()

    refused(call("drain", root, "host-1-w-0"), f"is a run of {tmp_path}")
    for command in (["stop", root, "--after-generation", 2], ["extend", root, "--generations", 2]):
        refused(call(*command), f"is a run of {tmp_path}, in which all runs are as its file says")
    assert call("pause", root).exit_code == 0


def test_only_a_run_can_be_steered(tmp_path: Path) -> None:
    """An empty or a foreign directory is named, and nothing is written there."""
    refused(call("note", tmp_path, "x"), "no run has been started here yet")
    (tmp_path / "notes.txt").touch()
    refused(call("note", tmp_path, "x"), "not a run directory")
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_a_control_that_nobody_can_obey_is_one_sentence(begun: Path, ended: Path) -> None:
    """Damaged, or asking for what there is not: it is told, the run goes on without it, and fsck
    puts a note in its place."""
    run = open_run(begun)
    for core in ({"action": "note", "text": "one"}, {"action": "note", "text": "two"}):
        give_control(begun, run, core)
    (begun / paths.control(1)).write_bytes(b"{")
    misspelt = Record("control", run.id, {"action": "puase"}, {}, "x")
    (begun / paths.control(2)).write_bytes(encode(misspelt, paths.control(2)))

    told = call("controls", begun).stderr.splitlines()
    assert [line.partition(":")[0] for line in told] == [paths.control(1), paths.control(2)]
    assert "asks for 'puase'; expected one of" in told[1]
    assert len(status(begun, now=0.0).problems) == 2
    assert [fault.name for fault in check(begun)] == [paths.control(1), paths.control(2)]
    carried = SimulatedRun(begun)
    assert carried.carry_on() == "the run is finished"
    assert fingerprint(begun) == fingerprint(ended)
    repair(begun, check(begun))
    assert check(begun) == []
    assert asked_of(begun) == ["note", "note"]
    give_control(begun, run, {"action": "note", "text": "again"})
    assert (begun / paths.control(3)).exists()


def test_an_extended_run_goes_on_from_its_end(begun: Path, ended: Path, tmp_path: Path) -> None:
    """Whether it was asked before the end or after, the members are those of a run that had as
    many generations from the beginning, and the fingerprint is its own."""
    after = tmp_path / "after"
    shutil.copytree(ended, after)
    first_end = (after / paths.FINAL).read_bytes()
    for root in (begun, after):
        give_control(root, open_run(root), {"action": "extend", "generations": 1})
        assert "extend by 1 generation, to 6" in call("status", root).stdout
    assert (status(after, now=0.0).state, status(after, now=0.0).generations) == ("running", 6)
    for root in (begun, after):
        assert SimulatedRun(root).carry_on() == "the run is finished"
        assert check(root) == []

    longer = tmp_path / "longer"
    assert SimulatedRun(longer, generations=6).carry_on() == "the run is finished"
    found = [core_of(root, paths.selection(5), "selection") for root in (begun, after, longer)]
    assert found[0] == found[1]
    assert found[0]["results"] == found[2]["results"]
    assert fingerprint(begun) == fingerprint(after)
    assert len({fingerprint(root) for root in (after, ended, longer)}) == 3
    assert (after / paths.FINAL).read_bytes() == first_end
    history = History.read(after)
    assert len(history.generations) == 6 and history.problems == ()
    assert history.final is not None and history.final.fingerprint == fingerprint(after)
    assert {birth.birth.base for birth in history.generations[4].births.values()}


def test_a_stopped_run_ends_after_that_generation(begun: Path, ended: Path) -> None:
    """It is finished, what it holds is intact, and it can be extended again."""
    stopped = call("stop", begun, "--after-generation", 2)
    assert stopped.exit_code == 0, stopped.output
    assert SimulatedRun(begun).carry_on() == "the run is finished"

    assert not (begun / paths.manifest(3)).exists()
    assert status(begun, now=0.0).generations == 3
    (begun / paths.control(1)).rename(begun / ".tmp-lost")
    assert check(begun) == []  # no record rests on a control
    (begun / ".tmp-lost").rename(begun / paths.control(1))
    assert core_of(begun, paths.selection(2), "selection")["ended"] == "stop"
    assert check(begun) == []
    of_stopped = fingerprint(begun)
    give_control(begun, open_run(begun), {"action": "extend", "generations": 2})
    assert SimulatedRun(begun).carry_on() == "the run is finished"
    assert check(begun) == []
    results = [core_of(root, paths.selection(4), "selection")["results"] for root in (begun, ended)]
    assert results[0] == results[1]
    assert len({of_stopped, fingerprint(begun), fingerprint(ended)}) == 3


def test_soups_and_evaluations_of_an_extended_run_are_its_own(ended: Path, tmp_path: Path) -> None:
    """Those of the first end stay what they are, and are not taken for those of the second."""
    root = tmp_path / "run"
    shutil.copytree(ended, root)
    with RunReader(root) as files:
        assert soup_mark(files, open_run(root)) == ""
    SimulatedRun(root).after_the_search()
    with RunReader(root) as files:
        assert set(soups(files, open_run(root))) == {"best-ever-soup", "best-last-soup"}
    give_control(root, open_run(root), {"action": "extend", "generations": 1})
    assert SimulatedRun(root).carry_on() == "the run is finished"

    with RunReader(root) as files:
        assert soup_mark(files, open_run(root)) == "-extended1"
        assert soups(files, open_run(root)) == {}
        assert champions(files, open_run(root))["best-last"].generation == 5


def test_versions_that_know_no_controls_refuse_a_run_that_one_has_changed(begun: Path) -> None:
    """They look at all engine settings, and one of them is of a newer version; who only pauses or
    pins shuts nobody out."""
    run = open_run(begun)
    for core in ({"action": "pause"}, {"action": "resume"}, {"action": "note", "text": "x"}):
        give_control(begun, run, core)
    assert not (begun / paths.engine(1)).exists()
    for _ in range(2):
        give_control(begun, run, {"action": "extend", "generations": 1})

    assert json.loads((begun / paths.engine(1)).read_bytes())["v"] == 2
    assert not (begun / paths.engine(2)).exists()
    assert open_run(begun).config == run.config


def test_a_damaged_extension_is_decided_again(ended: Path, tmp_path: Path) -> None:
    """From the control and the selection, to the same bytes."""
    root = tmp_path / "run"
    shutil.copytree(ended, root)
    give_control(root, open_run(root), {"action": "extend", "generations": 1})
    assert SimulatedRun(root).carry_on() == "the run is finished"
    name, whole = paths.extension(4), fingerprint(root)
    core = core_of(root, name, "extension")
    (root / name).write_bytes(b"{")

    assert [fault.name for fault in check(root) if not fault.notice] == [name]
    assert SimulatedRun(root).carry_on() == "the run is finished"
    assert core_of(root, name, "extension") == core
    assert fingerprint(root) == whole


def test_a_run_that_nobody_steers_has_no_control(ended: Path) -> None:
    """What it holds is what it always held."""
    assert not list((ended / paths.SETTINGS).glob("control*"))
    assert call("controls", ended).stdout.endswith("nothing was asked of it\n")


def test_the_ends_before_an_extension_are_examined_too(ended: Path, tmp_path: Path) -> None:
    """An end that was altered, or cannot be read, is found and written again as it was."""
    root = Path(shutil.copytree(ended, tmp_path / "run"))
    give_control(root, open_run(root), {"action": "extend", "generations": 1})
    assert SimulatedRun(root).carry_on() == "the run is finished"
    right = core_of(root, paths.FINAL, "final")
    altered = Record("final", open_run(root).id, {**right, "generations": 2}, {}, "n")
    for content in (encode(altered, paths.FINAL), b"{"):
        (root / paths.FINAL).write_bytes(content)
        assert [fault.name for fault in check(root)] == [paths.FINAL]
        repair(root, check(root))
        assert core_of(root, paths.FINAL, "final") == right
        assert check(root) == []


def test_a_full_disk_is_told_in_a_sentence(begun: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An operator stands by, and may give the command again: nothing waits, nothing is recorded."""

    def full(self: PosixStore, name: Name, data: bytes, **how: bool) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(PosixStore, "put", full)
    told = call("note", begun, "x")
    assert told.exit_code == 1 and told.stderr.endswith("run: No space left on device\n")
    assert asked_of(begun) == []
