"""What `pbtnas launch slurm` writes, and what it asks of a fake Slurm."""

from __future__ import annotations

import json
import os
import re
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner, Result

from pbtnas.cli import shared
from pbtnas.cli.app import cli
from pbtnas.config import load
from pbtnas.engine.run_setup import start_run
from pbtnas.engine.signals import StopRequest
from pbtnas.errors import ExitCode
from pbtnas.launch.slurm import ranges
from pbtnas.launch.slurm_scripts import coordinator_script, worker_script
from pbtnas.records.launches import Launch
from pbtnas.store.fsck import check
from pbtnas.store.run_directory import create
from pbtnas.tasks.loading import complete_options, load_task
from tests.docs.test_docs import FENCED, ROOT
from tests.launch.fake_slurm import FakeSlurm

CONFIG = ROOT / "configs" / "digits.yaml"
GOLDEN = Path(__file__).parent / "golden"
PLAN = Launch(
    engine="slurm",
    name="pbtnas-c10-1a2b3c",
    workers=16,
    coordinator="job",
    directory="/home/ada/search",
    path="/shared/venv/bin",
    worker=("worker", "/shared/my runs/c10", "--device", "auto", "--requeue", "slurm"),
    coordinate=("coordinator", "c10.yaml", "/shared/my runs/c10", "--set", "task.name=it's"),
    setup=("module load cuda",),
    options={
        "at_once": 8,
        "time": "4:00:00",
        "gpus": 1,
        "cpus": 4,
        "mem": "16G",
        "sbatch": ["partition=gpu", "exclusive"],
        "coordinator_sbatch": ["partition=service", "time=7-0"],
    },
)


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSlurm:
    """Slurm's commands, which know no job yet."""
    return FakeSlurm(tmp_path / "slurm", monkeypatch)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A run directory that does not exist yet."""
    return tmp_path / "runs" / "c10"


def call(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["launch", *map(str, arguments)], prog_name="pbtnas")


def launch(root: Path, workers: int, *more: object) -> Result:
    return call("slurm", CONFIG, root, "--workers", workers, *more)


@pytest.mark.parametrize(
    ("name", "script"), [("worker", worker_script), ("coordinator", coordinator_script)]
)
def test_the_scripts_are_what_a_person_would_write(name: str, script: Any) -> None:
    """Character for character; a script that changes changes the file that shows it."""
    assert script(Path("/shared/my runs/c10"), PLAN) == (GOLDEN / f"{name}.sbatch").read_text()


def test_the_page_shows_the_script_as_it_is() -> None:
    """What a reader sees is what Slurm is given."""
    page = (ROOT / "docs" / "clusters.md").read_text()
    shown = [block for language, block in FENCED.findall(page) if not language]
    assert (GOLDEN / "worker.sbatch").read_text() in shown


def test_a_launch_is_recorded_written_and_submitted(slurm: FakeSlurm, root: Path) -> None:
    """The record, the two scripts, and one call of sbatch for each; then the command leaves."""
    done = launch(root, 4, "--at-once", 2)

    assert done.exit_code == 0, done.output
    assert sorted(path.name for path in (root / "launch").iterdir()) == [
        *("0001.coordinator.sbatch", "0001.json", "0001.worker.sbatch")
    ]
    assert json.loads((root / "launch" / "0001.json").read_text())["core"]["workers"] == 4
    assert slurm.said() == [
        f"sbatch --parsable {root}/launch/0001.coordinator.sbatch",
        f"sbatch --parsable --array=0-3%2 {root}/launch/0001.worker.sbatch",
    ]
    assert "coordinator: job 1\nworkers 0-3: job 2\n" in done.output


def job(number: int, task: int | None, name: str, state: str = "RUNNING") -> str:
    """A line of squeue."""
    called = f"{name}-coordinator" if task is None else name
    return f"{number}|{'N/A' if task is None else task}|{called}|{state}|1:00|n1|None"


def name_of(root: Path) -> str:
    name: str = json.loads((root / "launch" / "0001.json").read_text())["core"]["name"]
    return name


def test_launching_again_submits_only_what_is_missing(slurm: FakeSlurm, root: Path) -> None:
    """By the names of the jobs that Slurm knows; the record stays the one."""
    launch(root, 4)
    slurm.said()
    slurm.queue(job(1, None, name_of(root)), *(job(2, t, name_of(root)) for t in (0, 3)))
    done = launch(root, 4)

    assert slurm.said() == [f"sbatch --parsable --array=1-2 {root}/launch/0001.worker.sbatch"]
    assert "launch 1: 2 submitted, 2 there already" in done.output


def test_scaling_submits_what_is_missing_and_cancels_what_is_too_many(
    slurm: FakeSlurm, root: Path
) -> None:
    """A record for each; the jobs keep their name."""
    launch(root, 2, "--at-once", 2)
    slurm.said()
    slurm.queue(job(1, None, name_of(root)), *(job(2, t, name_of(root)) for t in (0, 1)))
    call("scale", 3, root)
    assert slurm.said() == [f"sbatch --parsable --array=2%2 {root}/launch/0002.worker.sbatch"]
    call("scale", 1, root)
    assert slurm.said() == ["scancel 2_1"]
    assert sorted(path.name for path in (root / "launch").glob("*.json"))[-1] == "0003.json"


def test_the_list_shows_every_job(slurm: FakeSlurm, root: Path) -> None:
    """The coordinator first, then the workers by number, with why they wait."""
    launch(root, 2)
    name = name_of(root)
    waits = f"2|1|{name}|PENDING|0:00||Resources"
    slurm.queue(waits, job(2, 0, name), job(1, None, name))
    shown = call("list", root).output.splitlines()

    assert [line.split() for line in shown[2:]] == [
        ["coordinator", "1", "RUNNING", "1:00", "n1"],
        ["0", "2_0", "RUNNING", "1:00", "n1"],
        ["1", "2_1", "PENDING", "0:00", "Resources"],
    ]


def test_stop_cancels_every_job(slurm: FakeSlurm, root: Path) -> None:
    """`--now` kills them, those that wait first, which would take their place."""
    launch(root, 1)
    slurm.said()
    name = name_of(root)
    slurm.queue(job(1, None, name), job(2, 0, name), job(2, 1, name, "PENDING"))
    call("stop", root)
    assert slurm.said() == ["scancel 2_1 1 2_0"]
    call("stop", "--now", root)
    assert slurm.said() == ["scancel 2_1", "scancel --signal=KILL --batch 1 2_0", "scancel 1 2_0"]


def test_fsck_knows_what_a_launch_writes(slurm: FakeSlurm, root: Path) -> None:
    """The record, which may be older than the run, the scripts and the logs; damage is said."""
    launch(root, 1)
    about = {"hash": "xxh3-128", "space": "s", "pbtnas": "1", "task": "t"}
    sections = {"engine": {}, "task": {}, "search": {"generations": 1}, "run": {}}
    create(root, sections, about=about)
    before = {str(fault.name) for fault in check(root)}
    (root / "launch" / "0001.json").write_text("torn")
    (root / "launch" / "worker-0.log").write_text("said")

    after = {str(fault.name): fault.what for fault in check(root)}
    assert after.keys() - before == {"launch/0001.json"}
    assert "give the command again" in after["launch/0001.json"]


# -- bad input ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--gpus", 0, "--device", "cuda:0"], "--gpus 0: contradicts --device cuda:0"),
        (["--at-once", 5], "--at-once 5: more than the 4 of --workers"),
        (["--sbatch", "array=0-3"], "--sbatch array=0-3: --workers and --at-once set it"),
        (["--sbatch", "no key"], "--sbatch no key: expected KEY or KEY=VALUE"),
        (["--coordinator-sbatch", "o=x"], "--coordinator-sbatch o=x: logs lie in the run"),
        (["--set", "search.population=x"], "search.population"),
        (["--mem", "2G", "--sbatch", "mem=3G"], "--mem 2G and --sbatch mem=3G: expected one of"),
        (["--cpus", 2, "--sbatch", "c=3"], "--cpus 2 and --sbatch cpus-per-task=3: expected one"),
        (["--gpus", 0, "--sbatch", "gpus=2"], "--gpus 0 and --sbatch gpus=2: expected one"),
        (["--gpus", 2, "--sbatch", "gres=gpu:1"], "--gpus 2 and --sbatch gres=gpu:1: expected"),
        (
            ["--coordinator", "none", "--coordinator-sbatch", "partition=x"],
            "--coordinator-sbatch partition=x: there is no job of the coordinator",
        ),
        (["--sbatch", "t=3"], "--sbatch t=3: --time sets it"),
        (["--sbatch", "W"], "--sbatch W: the command leaves, and waits for no job"),
        (["--sbatch", "Z=3"], "--sbatch Z=3: expected KEY or KEY=VALUE"),
        (["--sbatch", "comment=a\nb"], "--sbatch comment: expected one line without control"),
        (["--time", "1\n2"], "--time: expected one line without control characters"),
    ],
)
def test_bad_input_is_one_sentence(
    slurm: FakeSlurm, root: Path, options: list[object], said: str
) -> None:
    """Exit code 2, before anything is written or submitted."""
    done = launch(root, 4, *options)

    assert (done.exit_code, done.output.count("\n")) == (2, 1), done.output
    assert said in done.output
    assert not root.exists() and slurm.said() == []


@pytest.mark.parametrize("engine", [["slurm", "--workers", 2], ["ssh", "--host", "gpu1"]])
@pytest.mark.parametrize("more", [[], ["--dry-run"]])
def test_the_run_of_another_search_is_refused(
    slurm: FakeSlurm, root: Path, engine: list[object], more: list[object]
) -> None:
    """As by its coordinator, whose workers would wait for ever; the engine's settings are free."""
    begin(root, "search.population=6")
    name, *options = engine
    for arguments in ([CONFIG, root], [root]):
        done = call(name, *arguments, *options, *more, "--set", "search.population=7")
        assert done.exit_code == ExitCode.USAGE
        assert "search.population: stored 6, given 7" in done.output
        assert "was started with another configuration" in done.output
    assert slurm.said() == [] and not (root / "launch").exists()

    given = ("--set", "search.population=6", "--set", "engine.grace_s=9", "--dry-run")
    done = call(name, CONFIG, root, *options, *given)
    assert done.exit_code == ExitCode.OK, done.output


def begin(root: Path, *overrides: str) -> None:
    """Begin a run of the configuration, as its coordinator does."""
    config = load(CONFIG, overrides)
    task = load_task(config.task.name, config.task.options)
    start_run(root, config, task.space, partial(complete_options, task))


def test_unknown_options_of_sbatch_are_passed_through(slurm: FakeSlurm, root: Path) -> None:
    """Slurm knows more than we do."""
    launch(root, 1, "--sbatch", "licenses=foo:2", "--sbatch", "new-in-99")

    script = (root / "launch" / "0001.worker.sbatch").read_text()
    assert "#SBATCH --licenses=foo:2\n#SBATCH --new-in-99\n" in script


@pytest.mark.parametrize(
    ("short", "written"),
    [("p=gpu", "partition=gpu"), ("-A=physics", "account=physics"), ("H", "hold")],
)
def test_short_options_of_sbatch_are_written_out(
    slurm: FakeSlurm, root: Path, short: str, written: str
) -> None:
    """As people know them from the command line."""
    launch(root, 1, "--sbatch", short)

    assert f"#SBATCH --{written}\n" in (root / "launch" / "0001.worker.sbatch").read_text()


@pytest.mark.parametrize(
    ("sbatch", "workers", "coordinators"),
    [
        (["gres=gpu:a100:1"], ["gres=gpu:a100:1"], []),
        (["gres=gpu:a100:1,tmp:10G"], ["gres=gpu:a100:1,tmp:10G"], ["gres=tmp:10G"]),
        (["gres=tmp:10G"], ["gres=gpu:1,tmp:10G"], ["gres=tmp:10G"]),
        (["G=1", "mem-per-gpu=8G"], ["gpus=1", "mem-per-gpu=8G"], []),
        (["gpus-per-node=a100:1"], ["gpus-per-node=a100:1"], []),
        (["mem=8G"], ["gres=gpu:1", "mem=8G"], ["mem=8G"]),
    ],
)
def test_gpus_are_asked_for_once_and_for_workers_alone(
    slurm: FakeSlurm, root: Path, sbatch: list[str], workers: list[str], coordinators: list[str]
) -> None:
    """Other options may say which GPUs; they take the place of --gpus; a coordinator needs none."""
    launch(root, 1, *(word for option in sbatch for word in ("--sbatch", option)))

    for name, expected in (("worker", workers), ("coordinator", coordinators)):
        script = (root / "launch" / f"0001.{name}.sbatch").read_text()
        found = re.findall(r"#SBATCH --((?:gres|gpus|mem).*)", script)
        assert found == expected


def test_a_coordinator_has_the_gpu_that_it_is_given(slurm: FakeSlurm, root: Path) -> None:
    """By its own option."""
    launch(root, 1, "--sbatch", "gres=gpu:a100:1", "--coordinator-sbatch", "gres=gpu:t4:1")

    script = (root / "launch" / "0001.coordinator.sbatch").read_text()
    assert "#SBATCH --gres=gpu:t4:1\n" in script


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("hello world", '"hello world"'),
        ("issue#7", '"issue#7"'),
        ("it's", '"it\'s"'),
        ('say "a\\b"', r'"say \"a\\b\""'),
        ('"quoted already"', '"quoted already"'),
        ("'quoted already'", "'quoted already'"),
        ("plain=1:2,%a", "plain=1:2,%a"),
    ],
)
def test_values_are_quoted_as_sbatch_reads_them(
    slurm: FakeSlurm, root: Path, value: str, written: str
) -> None:
    """Seen with sbatch 22.05: a blank or # ends a value outside of quotes, \\ escapes in them."""
    launch(root, 1, "--sbatch", f"comment={value}", "--mem", value)

    script = (root / "launch" / "0001.worker.sbatch").read_text()
    assert f"#SBATCH --comment={written}\n" in script
    assert f"#SBATCH --mem={written}\n" in script


def test_without_slurm_the_scripts_are_printed(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 2, and what could be submitted elsewhere; nothing is written."""
    monkeypatch.setenv("PATH", str(tmp_path))
    done = launch(root, 1)

    assert done.exit_code == 2
    assert "no sbatch on this machine: nothing was submitted" in done.stderr
    assert done.stdout.count("#!/bin/bash") == 2 and not root.exists()


def test_what_slurm_refuses_is_told_in_its_words(slurm: FakeSlurm, root: Path) -> None:
    """A partition that is none, say."""
    slurm.answers("sbatch", 'echo "sbatch: error: invalid partition specified: x" >&2; exit 1')
    done = launch(root, 1, "--sbatch", "partition=x")

    assert done.exit_code == 2
    assert "sbatch --parsable: sbatch: error: invalid partition specified: x" in done.output


def test_what_was_not_launched_cannot_be_listed(root: Path) -> None:
    """One sentence, also for a directory that is not there."""
    for command in (["list"], ["stop"], ["scale", 3]):
        done = call(*command, root)
        assert done.exit_code == 2
        assert done.output == f"pbtnas: {root}: nothing was launched for this run\n"


def test_a_run_that_was_not_begun_needs_a_configuration(slurm: FakeSlurm, root: Path) -> None:
    """Else all workers would wait for ever."""
    done = call("slurm", root, "--workers", 1)

    assert done.exit_code == 2
    assert "give the CONFIG to start it with" in done.output


# -- being queued again ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "cancelled", "array", "asked"),
    [
        (ExitCode.STOPPED, False, True, ["scontrol requeue 40_3"]),
        (ExitCode.STOPPED, False, False, ["scontrol requeue 43"]),
        (ExitCode.STOPPED, True, True, []),
        (ExitCode.OK, False, True, []),
        (ExitCode.UNFIT, False, True, []),
    ],
)
def test_only_who_runs_out_of_time_is_queued_again(
    slurm: FakeSlurm,
    monkeypatch: pytest.MonkeyPatch,
    code: ExitCode,
    cancelled: bool,
    array: bool,
    asked: list[str],
) -> None:
    """One task of an array, never the array; never who was cancelled, has finished or is unfit."""
    monkeypatch.setenv("SLURM_JOB_ID", "43")
    for name, value in (("SLURM_ARRAY_JOB_ID", "40"), ("SLURM_ARRAY_TASK_ID", "3")):
        monkeypatch.setenv(name, value if array else "")
    stop: Any = SimpleNamespace(cancelled=cancelled)
    shared.queue_again("slurm", stop, code)
    shared.queue_again(None, stop, code)

    assert slurm.said() == asked


def test_a_job_that_cannot_be_queued_again_says_how(
    slurm: FakeSlurm, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It ends as it would have; nothing is lost."""
    slurm.answers("scontrol", 'echo "Slurm is away" >&2; exit 1')
    monkeypatch.setenv("SLURM_JOB_ID", "43")
    shared.queue_again("slurm", StopRequest(()), ExitCode.STOPPED)

    assert "Slurm is away; `pbtnas launch slurm` submits this job again" in caplog.text


def test_who_is_no_job_cannot_be_queued_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Said at the start, and not after hours."""
    for name in [name for name in os.environ if name.startswith("SLURM_")]:
        monkeypatch.delenv(name)
    done = CliRunner().invoke(cli, ["worker", str(tmp_path), "--requeue", "slurm"])

    assert done.exit_code == 2
    assert "--requeue slurm: this is no job of Slurm (SLURM_JOB_ID is not set)" in done.output


def test_numbers_of_tasks_are_written_as_sbatch_reads_them() -> None:
    """In ranges."""
    assert ranges([5, 0, 1, 2, 7, 8]) == "0-2,5,7-8"
