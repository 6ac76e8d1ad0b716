"""`pbtnas evaluate` and `pbtnas soup` on a real finished run, by one process and by several."""

from __future__ import annotations

import errno
import json
import logging
import math
import re
import shutil
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner, Result

from pbtnas.cli import app as cli
from pbtnas.config import from_json
from pbtnas.engine import evaluator
from pbtnas.engine.evaluation import FinalEvaluation, evaluate, make_soups
from pbtnas.networks.members import load_member, load_soup
from pbtnas.records import paths
from pbtnas.records.envelope import decode
from pbtnas.store import fsck
from pbtnas.store.finished import champions, soups
from pbtnas.store.posix import PosixStore
from pbtnas.store.run_directory import open_run
from pbtnas.tasks.base import Context, Diverged, Evaluation
from pbtnas.tasks.loading import load_task
from pbtnas.weights.averaging import average
from tests.system.site import TASK, Running, Site, close_site, make_site, other_task

ALIKE = """\
task: {name: FaultyTask}
run: {seed: 5}
search: {population: 6, generations: 4, epochs: 2, parents: 2, replaced: 4, inherit_probability: 0}
engine: {lease_s: 3, beat_s: 0.2, poll_s: 0.1, hang_s: 60, snapshot_s: 0, grace_s: 20}
"""


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run in whose last generation two architectures are left."""
    made = make_site(tmp_path_factory.mktemp("finished"))
    made.config.write_text(ALIKE)
    run = made.run(1)
    assert run.ends() == 0, run.said()
    close_site(made)
    return made.run_dir


@pytest.fixture
def run_dir(site: Site, finished: Path) -> Path:
    """A copy of it for one test."""
    shutil.copytree(finished, site.run_dir)
    return site.run_dir


@pytest.fixture(scope="module")
def alone(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What one undisturbed process makes of it."""
    root = tmp_path_factory.mktemp("alone") / "run"
    shutil.copytree(finished, root)
    cook(root)
    return outcome(root)


def faulty() -> Any:
    return load_task("FaultyTask", {}, task_file=TASK)


def cook(root: Path, task: Any = None) -> list[FinalEvaluation]:
    return make_soups(
        root, task or faulty(), part=None, device="cpu", scratch=root.parent / "scratch"
    )


def score(root: Path, task: Any = None) -> list[FinalEvaluation]:
    return evaluate(root, task or faulty(), device="cpu", scratch=root.parent / "scratch")


def outcome(root: Path) -> dict[str, Any]:
    """All that was made after the search, by name: what must not depend on who made it."""
    found: dict[str, Any] = {}
    for directory in (paths.ARTIFACTS, paths.SOUPS):
        for path in (root / directory).iterdir():
            kind = paths.kind_afterwards(path.name)
            name = f"{directory}/{path.name}"
            found[name] = (
                decode(path.read_bytes(), name, kind=kind).core if kind else path.read_bytes()
            )
    return found


def workers(root: Path) -> set[str]:
    """Who published the records made after the search."""
    names = [name for name in outcome(root) if paths.kind_afterwards(name)]
    return {json.loads((root / name).read_bytes())["meta"]["worker"] for name in names}


def claims(root: Path) -> list[Path]:
    return [p for p in (root / "claims").glob("*.json") if not p.name.endswith(".end.json")]


def soup(site: Site, **environment: str) -> Running:
    command = ("soup", str(site.run_dir), "--device", "cpu", "--task", TASK)
    return site.start(*command, "--scratch", str(site.directory / "scratch"), **environment)


def call(*arguments: object) -> Result:
    return CliRunner().invoke(cli.cli, [str(a) for a in arguments], prog_name="pbtnas")


def soup_here(site: Site) -> Result:
    """The same command in this process, which has imported torch."""
    scratch = ("--scratch", site.directory / "scratch")
    return call("soup", site.run_dir, "--device", "cpu", "--task", TASK, *scratch)


# -- several processes ---------------------------------------------------------------------------


def test_two_processes_share_the_work_and_make_the_same(
    site: Site, run_dir: Path, alone: dict[str, Any]
) -> None:
    """Both do some of it, both print the whole result, and every byte is that of one alone."""
    hold = site.directory / "hold"
    hold.touch()
    first = soup(site, PBTNAS_TEST_HOLD=str(hold))
    second = soup(site, PBTNAS_TEST_HOLD=str(hold))
    site.until(lambda: len(claims(run_dir)) == 2, "each to hold a claim")
    hold.unlink()

    assert (first.ends(), second.ends()) == (0, 0), first.said() + second.said()
    assert outcome(run_dir) == alone
    assert len(workers(run_dir)) == 2
    told = [re.sub(r"^\d\d:.*\n", "", p.said(), flags=re.MULTILINE) for p in (first, second)]
    assert told[0] == told[1]
    assert re.search("best-last-soup: (members|member . alone|the same as best-last)", told[0])


def test_a_killed_process_is_followed_by_another(
    site: Site, run_dir: Path, alone: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    """SIGKILL in the middle of an evaluation: its piece is taken over, and nothing differs."""
    caplog.set_level(logging.INFO)
    hold = site.directory / "hold"
    hold.touch()
    first = soup(site, PBTNAS_TEST_HOLD=str(hold))
    site.until(lambda: claims(run_dir), "a claim")
    (claim,) = claims(run_dir)
    first.kill()
    hold.unlink()
    second = soup_here(site)

    assert second.exit_code == 0, second.output
    assert "attempt 2" in caplog.text
    assert claim.with_name(claim.name.replace(".001.", ".002.")).exists()
    assert outcome(run_dir) == alone


def test_a_stopped_process_hands_its_claim_back(
    site: Site, run_dir: Path, alone: dict[str, Any]
) -> None:
    """SIGTERM ends it and its companion with 75, and the same command goes on."""
    hold = site.directory / "hold"
    hold.touch()
    command = ("soup", str(run_dir), "--device", "cpu", "--task", TASK, "--workers", "2")
    first = site.start(*command, PBTNAS_TEST_HOLD=str(hold))
    site.until(lambda: len(claims(run_dir)) == 2, "both to hold a claim")
    first.send(signal.SIGTERM)
    code = first.ends()
    left = site.processes()
    ends = list((run_dir / "claims").glob("*.end.json"))
    hold.unlink()
    second = soup_here(site)

    assert code == 75, first.said()
    assert left == []
    assert len(ends) == 2
    assert second.exit_code == 0, second.output
    assert outcome(run_dir) == alone


# -- one process ---------------------------------------------------------------------------------


def test_a_soup_is_the_average_that_its_record_tells_of(run_dir: Path) -> None:
    """Its checkpoint, loaded as a member, has the mean of its ingredients' weights, and its
    score by the search's evaluation is the one of the record."""
    task = faulty()
    finals = {final.which: final for final in cook(run_dir, task)}
    store, run = PosixStore(run_dir, "reader"), open_run(run_dir)
    made, best = soups(store, run)["best-last-soup"], champions(store, run)["best-last"]
    config = from_json(run.config)
    states = []
    for member in made.ingredients:
        name = paths.result(made.generation, member)
        digest = decode((run_dir / name).read_bytes(), name, kind="result").core["checkpoint"]
        found = load_member(run_dir, run, config, task, replace(best, checkpoint=digest))
        states.append(found.state())
    loaded = load_soup(run_dir, run, config, task, made).state()
    store.close()

    assert finals["best-last-soup"].soup == made
    assert len(made.trace) >= 1, "the run has candidates"
    expected = average(states[0], states[1:])
    assert all(torch.equal(loaded.live[name], t) for name, t in expected.live.items())
    accepted = [tried.score for tried in made.trace if tried.accepted]
    assert made.score == (accepted[-1] if accepted else best.score)


def test_evaluate_tells_members_and_soups_and_does_nothing_twice(run_dir: Path) -> None:
    """The second time nothing is prepared, claimed or written."""
    cook(run_dir)
    before = {path: path.stat().st_mtime_ns for path in run_dir.rglob("*")}
    task = faulty()
    task.prepare = None
    finals = score(run_dir, task)

    assert [final.which for final in finals] == [
        "best-ever",
        "best-last",
        "best-ever-soup",
        "best-last-soup",
    ]
    assert {path: path.stat().st_mtime_ns for path in run_dir.rglob("*")} == before
    told = json.loads(call("evaluate", run_dir, "--task", TASK, "--json").stdout)
    assert [final.score for final in finals] == [final["score"] for final in told]
    shown = call("evaluate", run_dir, "--task", TASK).stdout.splitlines()
    networks = [(final["soup"] or final["member"])["checkpoint"] for final in told]
    for i, (final, network) in enumerate(zip(told, networks, strict=True)):
        first = told[networks.index(network)]["which"]
        again = f"{final['which']}: the same as {first}"
        assert (again in shown) == (networks.index(network) < i)
        assert sum(line.startswith(f"{final['which']}: ") for line in shown) == 1
    assert len(set(networks)) < len(networks)
    assert fsck.check(run_dir) == []


def test_a_candidate_that_is_gone_is_told_in_the_trace(run_dir: Path) -> None:
    """An old run directory has only the best-ever's checkpoint: that is no error."""
    soup = next(final.soup for final in cook(run_dir) if final.which == "best-last-soup")
    assert soup is not None
    gone = soup.trace[0].member
    shutil.rmtree(run_dir / paths.SOUPS)
    shutil.rmtree(run_dir / "claims")
    name = paths.result(soup.generation, gone)
    digest = decode((run_dir / name).read_bytes(), name, kind="result").core["checkpoint"]
    (run_dir / paths.checkpoint(soup.generation, digest)).unlink()

    result = call("soup", run_dir, "--task", TASK, "--device", "cpu")

    assert result.exit_code == 0, result.stderr
    assert f"{gone:>6}" in result.stdout
    assert "its checkpoint is not there any more" in result.stdout


@pytest.mark.parametrize("how", ["missing", "damaged"])
def test_a_lost_champion_is_one_sentence(run_dir: Path, how: str) -> None:
    """With the file, and with what can be done."""
    store = PosixStore(run_dir, "reader")
    best = champions(store, open_run(run_dir))["best-last"]
    store.close()
    path = run_dir / paths.checkpoint(best.generation, best.checkpoint)
    path.unlink() if how == "missing" else path.write_bytes(path.read_bytes()[:-8])

    result = call("evaluate", run_dir, "--task", TASK, "--device", "cpu")

    assert result.exit_code == 1
    (line,) = (line for line in result.stderr.splitlines() if line.startswith("pbtnas: "))
    assert f"{path}: {how}" in line
    assert f"pbtnas fsck {run_dir} --repair" in line


def test_a_damaged_soup_is_found_and_made_again(run_dir: Path) -> None:
    """By fsck, which puts it aside; then the soup is made to the same bits."""
    cook(run_dir)
    path = min((run_dir / paths.SOUPS).glob("*.safetensors"))
    content = path.read_bytes()
    path.write_bytes(content[:-8])
    faults = fsck.check(run_dir)
    fsck.repair(run_dir, faults)
    assert [fault.name for fault in faults] == [str(path.relative_to(run_dir))]
    assert not path.exists()
    cook(run_dir)

    assert path.read_bytes() == content


class Diverging:
    """A task whose final evaluations find NaN, once as a score and once as an exception."""

    def __init__(self, task: Any, error: Exception | None) -> None:
        self._task, self._error = task, error

    def __getattr__(self, name: str) -> Any:
        return getattr(self._task, name)

    def create(self, architecture: Any, seed: int) -> Any:
        trainee, error = self._task.create(architecture, seed), self._error

        def evaluate(context: Context) -> Evaluation:
            assert context.final
            if error is not None:
                raise error
            return Evaluation(math.nan, {"fid": math.inf, "images": 5.0})

        trainee.evaluate = evaluate
        return trainee


@pytest.mark.parametrize("error", [None, Diverged("a parameter is nan")])
def test_an_evaluation_that_diverges_is_a_result(
    run_dir: Path, error: Exception | None, caplog: pytest.LogCaptureFixture
) -> None:
    """It is said and recorded; what is finite is kept."""
    finals = score(run_dir, Diverging(faulty(), error))

    assert all(math.isnan(final.score) for final in finals)
    assert finals[0].metrics == ({"images": 5.0} if error is None else {})
    assert "the score is not finite" in caplog.text
    result = call("evaluate", run_dir, "--task", TASK)
    assert result.exit_code == 0
    assert ": diverged (by the search's evaluation" in result.stdout
    told = json.loads(call("evaluate", run_dir, "--task", TASK, "--json").stdout)
    assert told[0]["score"] is None


def test_a_full_disk_is_waited_out(
    run_dir: Path,
    alone: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """While claims are taken, a soup is written or a record published; said once each time."""
    caplog.set_level(logging.WARNING)
    fails = {"claim": 5, "write": 2, "put": 3}
    write, put = evaluator.write, PosixStore.put

    def full(what: str) -> None:
        if fails[what]:
            fails[what] -= 1
            raise OSError(errno.ENOSPC, "No space left on device")

    def writing(*arguments: Any, **options: Any) -> str:
        full("write")
        return write(*arguments, **options)

    def putting(self: PosixStore, name: str, *arguments: Any, **options: Any) -> Any:
        if name.startswith("claims/"):
            full("claim")
        if name.endswith(".trial.json"):
            full("put")
        return put(self, name, *arguments, **options)

    monkeypatch.setattr(evaluator, "write", writing)
    monkeypatch.setattr(evaluator, "LOOK_S", 0.01)
    monkeypatch.setattr(PosixStore, "put", putting)
    cook(run_dir)

    assert outcome(run_dir) == alone
    assert not any(fails.values())
    assert caplog.text.count("waiting: ") == caplog.text.count("writing works again") == 3


def test_a_part_is_refused_where_the_task_has_none(run_dir: Path) -> None:
    """In a sentence, with exit code 2, and nothing is written."""
    result = call("soup", run_dir, "--task", TASK, "--part", "encoder", "--device", "cpu")

    assert result.exit_code == 2
    assert "pbtnas: --part encoder: the networks of this task have no parts" in result.stderr
    assert not claims(run_dir)


def test_other_code_than_the_runs_is_refused(run_dir: Path, tmp_path: Path) -> None:
    """A task file that was changed since is told, with exit code 2."""
    for command in ("evaluate", "soup"):
        result = call(command, run_dir, "--task", other_task(tmp_path), "--device", "cpu")
        assert result.exit_code == 2
        assert "has another search space than the one the run was started with" in result.stderr
    assert not claims(run_dir)


def test_an_unfinished_run_has_nothing_to_evaluate(run_dir: Path) -> None:
    """It is told how to see how far it is."""
    (run_dir / paths.FINAL).unlink()
    for command in ("evaluate", "soup"):
        result = call(command, run_dir, "--task", TASK, "--device", "cpu")
        assert result.exit_code == 2
        assert "the run is not finished yet; `pbtnas status` tells how far" in result.stderr
        assert "best-so-far is for pbtnas play" in result.stderr
