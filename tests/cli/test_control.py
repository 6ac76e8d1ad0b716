"""Commands that steer a run: what they record, what they refuse, and what comes of it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pbtnas.cli.app import cli
from pbtnas.monitoring.progress import status
from pbtnas.records import paths
from pbtnas.records.envelope import Record, encode
from pbtnas.store.controls import give_control, steering_of
from pbtnas.store.fsck import check, repair
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


def newest(root: Path) -> int:
    return max(int(path.name) for path in (root / "generations").iterdir())


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
    assert call("resume", begun).exit_code == 0
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


@pytest.mark.parametrize("command", ["pause", "resume", "drain"])
def test_a_finished_run_is_not_held(ended: Path, command: str) -> None:
    """There is nothing that it could do."""
    arguments = ["host-1-w-0"] if command == "drain" else []
    refused(call(command, ended, *arguments), f"{ended}: the run is finished")


def test_the_workers_of_a_study_serve_all_its_runs(tmp_path: Path, begun_once: Path) -> None:
    """So none is drained for one of them; each run is paused alone."""
    root = tmp_path / "runs" / "a-s1"
    shutil.copytree(begun_once, root)
    (tmp_path / paths.STUDY).touch()

    refused(call("drain", root, "host-1-w-0"), f"is a run of {tmp_path}")
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


def test_a_run_that_nobody_steers_has_no_control(ended: Path) -> None:
    """What it holds is what it always held."""
    assert not list((ended / paths.SETTINGS).glob("control*"))
    assert call("controls", ended).stdout.endswith("nothing was asked of it\n")
