"""Studies end to end: real processes on a real directory, with the tiny task."""

from __future__ import annotations

import os
import random
import signal
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from pbtnas.analysis.history.account import Account
from pbtnas.cli.app import cli
from pbtnas.monitoring.accounting import account
from pbtnas.records import paths
from pbtnas.records.envelope import decode
from pbtnas.search.seeding import derive
from pbtnas.store.study_directory import open_study
from tests.system.site import GENERATIONS, MEMBERS, SEED, TASK, Running, Site, close_site, make_site

STUDY = f"""\
config: config.yaml
seeds: [{SEED}, 6]
runs:
  pbt-nas: {{}}
  random-search: {{search.algorithm: random-search}}
  copy-exactly: {{search.shrink: 1, search.perturb: 0}}
"""


def command(site: Site, workers: int) -> list[str]:
    """How the study of this site is started, in the directory `run` of it."""
    file = site.directory / "study.yaml"
    if not file.exists():
        file.write_text(STUDY)
    started = ["study", str(file), str(site.run_dir), "--workers", str(workers)]
    return [*started, "--scratch", str(site.directory / "scratch"), "--task", TASK]


def start(site: Site, *more: str, workers: int = 2, **environment: str) -> Running:
    """The study of this site as a process of its own."""
    return site.start(*command(site, workers), *more, **environment)


def start_here(site: Site) -> Result:
    """The same in this process, which has imported torch, for a study that ends at once."""
    return CliRunner().invoke(cli, command(site, workers=0))


def run_of(site: Site, label: str) -> Site:
    """One run of the study, to look at it as the other tests look at theirs."""
    return Site(site.directory, site.run_dir / paths.STUDY_RUNS / label, site.environment)


def ended(site: Site) -> Any:
    """How each run of a study that is over ended, by its label."""
    data = (site.run_dir / paths.STUDY_ENDED).read_bytes()
    return decode(data, paths.STUDY_ENDED, kind="ended").core["runs"]


def computed(site: Site) -> Account:
    return account(run.root for run in open_study(site.run_dir).runs)


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The fingerprints of the study's runs, with nothing reused and nobody disturbed."""
    site = make_site(tmp_path_factory.mktemp("study"))
    study = start(site, "--no-reuse", workers=1)
    assert study.ends() == 0, study.said()
    close_site(site)
    assert computed(site).reused == 0
    found: dict[str, str] = ended(site)
    return found


def test_a_study_ends_as_its_runs_would_alone_but_with_less_work(
    site: Site, undisturbed: dict[str, str], reference: dict[str, Any]
) -> None:
    """What is reused gives the bits that computing gives: the fingerprints are those of a study
    without reuse, and all records of the run are those of `pbtnas run`."""
    study = start(site)

    assert study.ends() == 0, study.said()
    assert ended(site) == undisturbed
    assert run_of(site, f"pbt-nas-s{SEED}").outcome() == reference
    counted = computed(site)
    assert counted.steps == 6 * GENERATIONS * MEMBERS
    # The first generation is the same for all; two of three runs have it from the third.
    assert counted.reused >= 2 * 2 * MEMBERS
    assert f"{counted}" in study.said()
    assert not site.litter()


def test_a_study_survives_kills_and_hands_its_jobs_back_when_it_is_stopped(
    site: Site, undisturbed: dict[str, str]
) -> None:
    """The study itself is killed, its workers and training processes are, and SIGINT stops
    everybody; the same command goes on from there, and the fingerprints stay."""
    rng = random.Random(1)
    killed = start(site, PBTNAS_TEST_STEP_S="0.01")
    site.until(lambda: _in_work(site), "a job to be in work")
    _kill_somebody_else(site, killed, rng)
    site.until(lambda: _in_work(site), "a job to be in work")
    killed.kill()
    stopped = start(site, PBTNAS_TEST_STEP_S="0.02")
    site.until(lambda: _in_work(site), "a job to be in work")
    _kill_somebody_else(site, stopped, rng)
    site.until(partial(_at_least, site, 1), "a run to end")
    site.until(lambda: _in_work(site), "a job to be in work")
    stopped.send(signal.SIGINT)
    code = stopped.ends()
    left = site.processes()
    over = (site.run_dir / paths.STUDY_ENDED).exists()
    last = start(site)

    assert (code, left, over) == (75, [], False), stopped.said()
    assert last.ends() == 0, last.said()
    assert ended(site) == undisturbed


def _at_least(site: Site, finished: int) -> bool:
    return len(list((site.run_dir / paths.STUDY_RUNS).glob(f"*/{paths.FINAL}"))) >= finished


def _in_work(site: Site) -> bool:
    runs = site.run_dir / paths.STUDY_RUNS
    claims = list(runs.glob("*/generations/*/claims/m??.*.json"))
    return len(claims) > len(list(runs.glob("*/generations/*/results/*.json")))


def _kill_somebody_else(site: Site, study: Running, rng: random.Random) -> None:
    victims = [pid for pid in site.processes() if pid != study.process.pid]
    if victims:
        os.kill(rng.choice(victims), signal.SIGKILL)
        time.sleep(rng.uniform(0.0, 0.5))


def test_workers_from_elsewhere_serve_all_runs_of_a_study(
    site: Site, undisturbed: dict[str, str]
) -> None:
    """`pbtnas worker STUDY` may come before the study, works on whatever run has work, and ends
    with the study."""
    worker, study = site.worker(), start(site, workers=0)

    assert (study.ends(), worker.ends()) == (0, 0), study.said() + worker.said()
    assert ended(site) == undisturbed


def test_a_run_that_cannot_go_on_is_named_and_the_others_do(
    site: Site, undisturbed: dict[str, str]
) -> None:
    """All members of the second seed diverge: its runs are over, the exit code says so, and so
    it does when the command is given again."""
    faulty = Path(site.environment["PBTNAS_TEST_FAULTS"])
    faulty.mkdir()
    for member in range(MEMBERS):
        (faulty / str(derive(6, "job", 0, member))).write_text("diverge\n" * 3)
    first = start(site)
    codes = [first.ends(), start_here(site).exit_code]

    assert codes == [1, 1], first.said()
    assert "random-search-s6: all 6 members of generation 0 diverged" in first.said()
    outcomes = ended(site)
    assert {k: v for k, v in outcomes.items() if k.endswith(f"-s{SEED}")} == {
        k: v for k, v in undisturbed.items() if k.endswith(f"-s{SEED}")
    }


def test_a_damaged_run_is_named_and_the_others_go_on(
    site: Site, undisturbed: dict[str, str]
) -> None:
    """Nobody can work on a run whose first record is damaged; coordinator and workers say so,
    and carry the others to their end."""
    first = start(site, workers=0)
    site.until(lambda: _begun(site), "the first run")
    first.send(signal.SIGTERM)
    assert first.ends() == 75
    damaged = f"pbt-nas-s{SEED}"
    (run_of(site, damaged).run_dir / paths.RUN).write_bytes(b"{")
    study = start(site)

    assert study.ends() == 1, study.said()
    assert study.said().count(f"{damaged}: run.json: not an intact record") >= 2
    finals = {path.parent.name for path in site.run_dir.glob(f"*/*/{paths.FINAL}")}
    assert finals == undisturbed.keys() - {damaged}


def test_another_study_is_refused_and_so_is_a_second_conductor(site: Site) -> None:
    """A directory belongs to one study, and to one process at a time; each is one sentence."""
    first = start(site, workers=0)
    site.until(lambda: _begun(site), "the first run")
    second = start_here(site)
    (site.directory / "study.yaml").write_text(STUDY.replace("shrink: 1", "shrink: 0.9"))
    other = start_here(site)
    codes = [second.exit_code, other.exit_code]
    first.send(signal.SIGTERM)

    assert (codes, first.ends()) == ([3, 2], 75), second.output + other.output
    assert "another process conducts this study" in second.output
    assert f"copy-exactly-s{SEED}: search.shrink: stored 1.0, given 0.9" in other.output


def _begun(site: Site) -> bool:
    return run_of(site, f"pbt-nas-s{SEED}").has(paths.manifest(0))
