"""The outcome of a search does not depend on who prepares first, nor on anybody's threads."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pbtnas.config import load
from pbtnas.engine.run_setup import start_run
from pbtnas.records import paths
from pbtnas.records.schema import Selected
from pbtnas.tasks.loading import load_task
from tests.system.site import Running, Site, close_site, make_site

TASK = f"{Path(__file__).with_name('threaded_task.py')}:ThreadedTask"
PRODUCTS = ("points", "shift")


def threaded(site: Site, command: str, threads: str) -> Running:
    """A coordinator or a worker on the task, started where there are so many threads."""
    where = [str(site.config)] if command == "coordinator" else ["--device", "cpu"]
    common = ("--task", TASK, "--scratch", str(site.directory / "scratch"))
    return site.start(command, *where, str(site.run_dir), *common, OMP_NUM_THREADS=threads)


def threaded_site(directory: Path) -> Site:
    site = make_site(directory)
    text = site.config.read_text().replace("FaultyTask", "ThreadedTask")
    site.config.write_text(text.replace("generations: 4", "generations: 2"))
    return site


def prepared(site: Site) -> bool:
    return all((site.run_dir / paths.product(name)).exists() for name in PRODUCTS)


def coordinator_first(site: Site) -> list[Running]:
    coordinator = threaded(site, "coordinator", "4")
    site.until(lambda: prepared(site), "the coordinator to prepare")
    return [coordinator, threaded(site, "worker", "2")]


def worker_first(site: Site) -> list[Running]:
    space = load_task("ThreadedTask", {}, task_file=TASK).space
    start_run(site.run_dir, load(site.config), space)
    worker = threaded(site, "worker", "1")
    site.until(lambda: prepared(site), "the training process to prepare")
    assert not site.has(paths.manifest(0))
    return [worker, threaded(site, "coordinator", "2")]


def fingerprint(site: Site) -> Any:
    return site.record(paths.FINAL, "final").core["fingerprint"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A run in which the coordinator prepared first; to be looked at, and copied."""
    site = threaded_site(tmp_path_factory.mktemp("finished"))
    for process in coordinator_first(site):
        assert process.ends() == 0, process.said()
    yield site
    close_site(site)


def test_whoever_prepares_first_the_outcome_is_the_same(finished: Site, tmp_path: Path) -> None:
    """A coordinator with four threads, or a worker with one: the same products and fingerprint,
    and the first manifest names the products."""
    other = threaded_site(tmp_path / "other")
    processes = worker_first(other)
    assert [process.ends() for process in processes] == [0, 0], processes[0].said()
    close_site(other)

    for site in (finished, other):
        assert site.manifest(0).products == {
            name: (site.run_dir / paths.product(name)).read_bytes()[:64].decode()
            for name in PRODUCTS
        }
        assert site.manifest(1).products == {}
    assert fingerprint(finished) == fingerprint(other)


def test_a_run_with_another_product_is_refused_in_a_sentence(
    finished: Site, tmp_path: Path
) -> None:
    """Coordinator, worker and evaluation say which product is not the run's."""
    site = threaded_site(tmp_path / "site")
    shutil.copytree(finished.run_dir, site.run_dir)
    data = b"\0" * 8
    content = hashlib.sha256(data).hexdigest().encode() + b"\n" + data
    (site.run_dir / paths.product("shift")).write_bytes(content)
    sentence = r"products/shift: this run was started with the product with SHA-256 .*start a new"

    where = ("--device", "cpu", "--task", TASK, "--scratch", str(site.directory / "scratch"))
    evaluation = site.start("evaluate", str(site.run_dir), *where)
    evaluation.until_it_says(sentence)
    assert evaluation.ends() == 1
    (site.run_dir / paths.FINAL).unlink()

    coordinator = threaded(site, "coordinator", "1")
    coordinator.until_it_says(sentence)
    assert coordinator.ends() == 1
    (site.run_dir / paths.result(1, 0)).unlink()
    worker = threaded(site, "worker", "1")
    worker.until_it_says(sentence)
    assert worker.ends() != 0
    close_site(site)


DIGITS = """\
task: {name: digits, images: 100, search_also: [learning_rate, ema_decay]}
search:
  {population: 3, generations: 3, first_epochs: 1, epochs: 1, tau: 0.34, resample_probability: 1,
   objectives: [score, parameters smaller]}
engine: {lease_s: 3, beat_s: 0.2, poll_s: 0.1, snapshot_s: 0}
"""


def digits_site(directory: Path) -> Site:
    site = make_site(directory)
    site.config.write_text(DIGITS)
    return site


def digits(site: Site, command: str, threads: str) -> Running:
    where = [str(site.config)] if command == "coordinator" else ["--device", "cpu"]
    scratch = ("--scratch", str(site.directory / "scratch"))
    return site.start(command, *where, str(site.run_dir), *scratch, OMP_NUM_THREADS=threads)


def outcome(site: Site) -> dict[str, Any]:
    """How it ended, and every birth, checkpoint and score of every generation."""
    selections = [
        Selected.from_json(site.record(paths.selection(g), "selection").core) for g in range(3)
    ]
    results = {f"g{s.generation} m{r.member}": r for s in selections for r in s.results}
    births = [birth for s in selections for birth in s.births]
    return {"final": site.record(paths.FINAL, "final").core, "births": births, "results": results}


@pytest.mark.slow
def test_the_demonstration_in_small(tmp_path: Path) -> None:
    """`make demo-crash` with three members: undisturbed and under SIGKILL, with other numbers of
    threads and with ladders and two objectives, every checkpoint, score, front and fingerprint of
    the built-in task is the same."""
    calm = digits_site(tmp_path / "calm")
    processes = [digits(calm, "coordinator", "2"), digits(calm, "worker", "2")]
    assert [process.ends() for process in processes] == [0, 0], processes[0].said()
    close_site(calm)

    site = digits_site(tmp_path / "killed")
    config = load(site.config)
    start_run(site.run_dir, config, load_task("digits", config.task.options).space)
    worker = digits(site, "worker", "1")
    site.until(lambda: any((site.run_dir / paths.PRODUCTS).iterdir()), "the worker to prepare")
    coordinator = digits(site, "coordinator", "4")
    site.until(lambda: site.has(paths.result(0, 0)), "a result")
    worker.kill()
    worker = digits(site, "worker", "4")
    site.until(lambda: site.has(paths.selection(0)), "a selection")
    coordinator.kill()
    coordinator = digits(site, "coordinator", "1")
    site.until(lambda: site.has(paths.result(1, 1)), "a result of the next generation")
    worker.kill()
    coordinator.kill()
    processes = [digits(site, "coordinator", "2"), digits(site, "worker", "1")]
    assert [process.ends() for process in processes] == [0, 0], processes[0].said()
    close_site(site)

    assert outcome(site) == outcome(calm)
    assert outcome(calm)["final"]["front"]
    assert any(birth.explored for birth in outcome(calm)["births"])
