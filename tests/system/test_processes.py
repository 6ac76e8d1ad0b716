"""The engine end to end: real processes, a real directory, real signals.

Whatever happens to the processes, a run ends like the `reference`, which nobody disturbed.
"""

from __future__ import annotations

import os
import random
import re
import signal
import time
from typing import Any

import pytest
from click.testing import CliRunner

from pbtnas.cli.app import cli
from pbtnas.engine.signals import TOGETHER_S
from pbtnas.records import paths
from pbtnas.store.identity import this_process
from tests.system.site import GENERATIONS, MEMBERS, TASK, Site

# -- determinism ---------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [pytest.param(2, marks=pytest.mark.slow), 4])
def test_any_number_of_workers_gives_the_same_bits(
    site: Site, reference: dict[str, Any], workers: int
) -> None:
    """Fingerprint, every checkpoint and the lineage do not depend on how many work."""
    run = site.run(workers)

    assert run.ends() == 0, run.said()
    assert site.outcome() == reference
    assert not site.litter()


def test_a_storm_of_kills_changes_nothing(site: Site, reference: dict[str, Any]) -> None:
    """Coordinator, workers and training processes die at random moments; the outcome stays."""
    rng = random.Random(0)
    run = site.run(2, PBTNAS_TEST_STEP_S="0.02")
    killed = 0
    site.until(lambda: site.has(paths.result(0, 0)), "the run to begin")
    while run.process.poll() is None:
        time.sleep(rng.uniform(0.3, 1.2))
        victims = [pid for pid in site.processes() if pid != run.process.pid]
        if victims and killed < 6:
            os.kill(rng.choice(victims), signal.SIGKILL)
            killed += 1

    assert run.ends() == 0, run.said()
    assert killed >= 3
    assert site.outcome() == reference


def test_a_job_interrupted_by_any_signal_is_continued_to_the_same_bits(
    site: Site, reference: dict[str, Any]
) -> None:
    """SIGTERM and SIGUSR1, sent to all processes of a worker and again by a trap, leave a snapshot,
    hand the job back and exit with 75; the next worker goes on from there, and no training process
    is left.  Others here send SIGINT."""
    coordinator = site.coordinator()
    attempts = site.run_dir / paths.attempts(0)
    for number in (signal.SIGTERM, signal.SIGUSR1):
        _interrupt_a_job(site, number)
    snapshots = list(attempts.glob("*/snapshot-*"))
    done = {path.parent.name: int(path.name.split("-")[1]) for path in snapshots}
    last = site.worker()

    assert (last.ends(), coordinator.ends()) == (0, 0), last.said() + coordinator.said()
    assert len(done) == 2
    member = {name: int(name[1:3]) for name in done}
    for name, steps in done.items():
        assert 0 < steps < 10
        assert site.ends(0, member[name])[int(name[4:]) - 1]["class"] == "released"
    for m in set(member.values()):
        logs = sorted(attempts.glob(f"m{m:02d}.*/log.jsonl"))
        assert sum(len(log.read_text().splitlines()) for log in logs) == 10, "no step done twice"
    assert site.outcome() == reference
    trash = site.run_dir / paths.TRASH
    assert not [*site.run_dir.rglob("snapshot-*"), *trash.iterdir()], "the run is over"


def _interrupt_a_job(site: Site, number: signal.Signals) -> None:
    """Let a worker take some steps of a job of generation 0, and send a signal to its cgroup."""
    attempts = site.run_dir / paths.attempts(0)
    begun = len(list(attempts.glob("*/log.jsonl")))
    worker = site.worker(PBTNAS_TEST_STEP_S="0.3")
    site.until(lambda: len(list(attempts.glob("*/log.jsonl"))) > begun, "a step")
    (training,) = site.training_processes()
    for pid in (training, worker.process.pid, training, worker.process.pid):
        os.kill(pid, number)

    assert worker.ends() == 75, worker.said()
    assert site.training_processes() == []


# -- failures of a job ---------------------------------------------------------------------------


def test_failures_that_are_overcome_leave_no_trace_in_the_outcome(
    site: Site, reference: dict[str, Any]
) -> None:
    """Every kind of failure costs an attempt and not the worker, is told apart, and counts
    against the job only if it may be the job's fault."""
    faults = {
        (0, 0): ("segfault", "crash", True),
        (0, 1): ("kill", "infra", False),
        (0, 2): ("hang", "hang", True),
        (1, 3): ("exit", "error", True),
        (1, 4): ("disk", "infra", False),
        (2, 5): ("memory", "oom", True),
        (3, 0): ("raise", "error", True),
    }
    for (generation, member), (fault, _, _) in faults.items():
        site.plan(generation, member, fault)
    site.plan(2, 1, "chatter")
    run = site.run(1, "--set", "engine.hang_s=15")

    assert run.ends() == 0, run.said()
    for job, (_, kind, counted) in faults.items():
        (end,) = site.ends(*job)
        assert (end["class"], end["counted"]) == (kind, counted), end
    assert "Segmentation fault" in site.ends(0, 0)[0]["text"]
    assert "member 0 attempt 1: crash: the training process died of SIGSEGV" in run.said()
    assert "RuntimeError: asked to fail" in site.ends(3, 0)[0]["text"]
    assert site.outcome() == reference
    assert not site.litter()


def test_a_hopeless_job_is_recorded_as_failed_and_the_search_goes_on(site: Site) -> None:
    """After the configured attempts a member fails with its traceback; one that diverged is not
    tried again; both are replaced."""
    site.plan(0, 1, "raise", "raise", "raise")
    site.plan(0, 3, "diverge", "raise")
    run = site.run(1, "--set", "engine.attempts=2")

    assert run.ends() == 0, run.said()
    assert [end["class"] for end in site.ends(0, 1)] == ["error", "error"]
    assert (site.result(0, 1).outcome, site.result(0, 1).score) == ("failed", None)
    failed = site.record(paths.result(0, 1), "result").meta
    assert "RuntimeError: asked to fail" in failed["traceback"]
    assert site.claims(0, 3) == 1
    assert (site.result(0, 3).outcome, site.result(0, 3).checkpoint) == ("diverged", None)
    assert {birth.member for birth in site.selected(0).births} == {1, 3}
    assert all(result.outcome == "ok" for result in site.selected(GENERATIONS - 1).results)


def test_a_search_without_any_member_left_ends_with_one(site: Site) -> None:
    """When all diverged there is nobody to go on with: one sentence, exit 1, everybody stops."""
    for member in range(MEMBERS):
        site.plan(0, member, "diverge")
    run = site.run(1)

    assert run.ends() == 1, run.said()
    [said] = [line for line in run.said().splitlines() if line.startswith("pbtnas: ")]
    assert said.startswith("pbtnas: all 6 members of generation 0 diverged or failed (6 diverged")
    assert site.processes() == []


@pytest.mark.slow
def test_one_mistake_in_the_users_file_ends_the_run_with_its_place(site: Site) -> None:
    """When all failed by the same line, nobody has to read a record: the sentence, and exit 2."""
    for member in range(MEMBERS):
        site.plan(0, member, "raise")
    run = site.run(2, "--set", "engine.attempts=1")

    assert run.ends() == 2, run.said()
    [said] = [line for line in run.said().splitlines() if line.startswith("pbtnas: ")]
    assert re.search(r"faulty_task.py:\d+: train\(\) raised RuntimeError: asked to fail \(", said)
    assert "by this all 6 members of generation 0 failed" in said


def test_a_machine_that_fails_three_times_in_a_row_takes_no_more_jobs(site: Site) -> None:
    """Three failures of the machine end its worker with 69, and none counts against a job."""
    for member in range(MEMBERS):
        site.plan(0, member, "kill", "kill", "kill")
    site.coordinator()
    worker = site.worker()

    assert worker.ends() == 69, worker.said()
    ends = [end for member in range(MEMBERS) for end in site.ends(0, member)]
    assert [end["class"] for end in ends] == ["infra"] * 3
    assert not any(end["counted"] for end in ends)


# -- signals -------------------------------------------------------------------------------------


def test_an_idle_worker_stops_as_any_and_a_later_signal_ends_at_once(site: Site) -> None:
    """The code of a finished run is that of nothing else; a later signal waits for nothing."""
    waiting = site.worker()
    waiting.until_it_says("waiting up to")
    waiting.send(signal.SIGTERM)
    code_idle = waiting.ends()
    for member in range(MEMBERS):
        site.plan(0, member, "hang")
    site.coordinator("--set", "engine.grace_s=300")
    busy = site.worker()
    busy.until_it_says("training g0000")
    site.until(lambda: list((site.run_dir / paths.attempts(0)).glob("*/log.jsonl")), "a step")
    busy.send(signal.SIGINT)
    time.sleep(0.3)
    still_there = busy.process.poll() is None
    time.sleep(TOGETHER_S)

    def ended() -> bool:
        if busy.process.poll() is None:
            busy.send(signal.SIGINT)
            time.sleep(0.2)
        return busy.process.poll() is not None

    site.until(ended, "a later signal to end it")

    assert code_idle == 75
    assert still_there, "the first signal waits for a snapshot"
    assert busy.ends() == 128 + signal.SIGINT
    site.until(lambda: site.training_processes() == [], "the training process to end")


def test_stopping_a_local_run_stops_everybody_and_the_same_command_goes_on(
    site: Site, reference: dict[str, Any]
) -> None:
    """SIGINT to `pbtnas run` ends with 75, as to a coordinator; resumed, nothing differs."""
    run = site.run(1, PBTNAS_TEST_STEP_S="0.2")
    run.until_it_says("generation 0 done, 1 of 4")
    run.until_it_says("training g0001")
    time.sleep(0.5)
    run.send(signal.SIGINT)
    code = run.ends()
    left = site.processes()
    alone = site.coordinator()
    alone.until_it_says(r"generation 1 of 4; [0-5] of 6 members done, [1-6] to do or in work")
    alone.send(signal.SIGINT)
    code_alone = alone.ends()
    resumed = site.run(1)

    assert (code, code_alone) == (75, 75), run.said()
    assert left == []
    assert resumed.ends() == 0, resumed.said()
    assert site.outcome() == reference


# -- coordinators --------------------------------------------------------------------------------


def test_a_second_coordinator_says_who_holds_the_run_and_leaves(site: Site) -> None:
    """It exits with 3 and names the holder; the first one goes on."""
    first = site.coordinator()
    site.until(lambda: site.has(paths.manifest(0)), "the run to begin")
    again = ["coordinator", str(site.config), str(site.run_dir), "--task", TASK]
    second = CliRunner().invoke(cli, again)

    assert second.exit_code == 3
    host = this_process("c")["host"]
    assert f"on {host} (process {first.process.pid})" in second.output
    assert first.process.poll() is None


def test_nothing_survives_a_killed_worker(site: Site) -> None:
    """Neither a training process that is still importing, nor one in the middle of a step, nor what
    the task has started, in whatever session."""
    coordinator = site.coordinator()
    importing = site.worker()
    site.until(site.training_processes, "a training process to begin")
    importing.kill()
    site.until(lambda: site.processes() == [coordinator.process.pid], "all to end")
    for member in range(MEMBERS):
        site.plan(0, member, "descendants")
    training = site.worker()
    site.until(lambda: len(site.processes()) == 6, "worker, guard, training process and two more")
    training.kill()
    site.until(lambda: site.processes() == [coordinator.process.pid], "all to end")


def test_a_coordinator_killed_at_any_state_is_replaced_by_the_same_command(
    site: Site, reference: dict[str, Any]
) -> None:
    """A successor says how far the run is, and ends it as if nothing had happened."""
    first = site.coordinator()
    worker = site.worker(PBTNAS_TEST_STEP_S="0.02")
    site.until(lambda: site.has(paths.manifest(2)), "generation 2 to begin")
    first.kill()
    site.until(
        lambda: len(list((site.run_dir / paths.results(2)).glob("m*.json"))) == MEMBERS, "all"
    )
    worker.send(signal.SIGSTOP)  # so that it is not done before the successor looks
    (site.run_dir / paths.result(2, 5)).unlink()  # so that there is something left to do
    second = site.coordinator()
    told = second.until_it_says(
        r"generation (\d) of 4; (\d) of 6 members done, (\d) to do or in work"
    )
    worker.send(signal.SIGCONT)

    assert second.ends() == 0, second.said()
    assert worker.ends() == 0, worker.said()
    assert told.groups() == ("2", "5", "1")
    assert site.outcome() == reference
    late = site.worker()
    assert late.ends() == 0, "a finished run is finished for everybody"


# -- crowds --------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_crowd_of_workers_on_a_new_directory(site: Site, reference: dict[str, Any]) -> None:
    """32 workers started at the same instant: none breaks, every job has one result."""
    workers = [site.worker() for _ in range(32)]
    coordinator = site.coordinator()

    assert coordinator.ends() == 0, coordinator.said()
    assert [worker.ends() for worker in workers] == [0] * 32
    for generation in range(GENERATIONS):
        names = sorted(path.name for path in (site.run_dir / paths.results(generation)).iterdir())
        assert names == [f"m{member:02d}.json" for member in range(MEMBERS)]
    assert site.outcome() == reference
    assert not site.litter()
