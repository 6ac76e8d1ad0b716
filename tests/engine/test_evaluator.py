"""One evaluation after the search: its seed, its settings, and what it refuses."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from pbtnas.checkpoints.files import write
from pbtnas.config import from_json, load
from pbtnas.engine.evaluation import _plan
from pbtnas.engine.evaluator import Evaluator
from pbtnas.engine.run_setup import start_run
from pbtnas.engine.signals import StopRequest
from pbtnas.protocol.operations import MakeGeneration
from pbtnas.protocol.postsearch import CarryOut, Evaluate, GetReady, HeldClaim, Mixture, WorkItem
from pbtnas.records import paths
from pbtnas.records.envelope import Record, encode
from pbtnas.records.schema import Champion, Manifest
from pbtnas.search.seeding import derive
from pbtnas.store.posix import PosixStore
from pbtnas.store.products import OtherProducts
from pbtnas.tasks.base import Evaluation
from pbtnas.tasks.loading import load_task
from tests.system.site import TASK, Site

ARCHITECTURE = (0, 0, 0)


class Watched:
    """A task whose networks are evaluated as a test wants."""

    def __init__(self, task: Any, evaluate: Callable[[Any], Evaluation]) -> None:
        self._task, self._evaluate = task, evaluate

    def __getattr__(self, name: str) -> Any:
        return getattr(self._task, name)

    def create(self, architecture: Any, seed: int) -> Any:
        trainee = self._task.create(architecture, seed)
        trainee.evaluate = self._evaluate
        return trainee


Make = Callable[[Callable[[Any], Evaluation]], Evaluator]


@pytest.fixture
def make(site: Site) -> Iterator[Make]:
    """Makes the evaluator of a run whose jobs have three threads."""
    site.config.write_text(site.config.read_text().replace("seed: 5", "seed: 5, threads: 3"))
    config = load(site.config)
    task: Any = load_task(config.task.name, config.task.options, task_file=TASK)
    run = start_run(site.run_dir, config, task.space)
    with PosixStore(site.run_dir, "me", primitive=run.primitive) as store:
        store.execute(MakeGeneration(0))

        def making(evaluate: Callable[[Any], Evaluation]) -> Evaluator:
            watched: Any = Watched(task, evaluate)
            scratch = site.directory / "scratch"
            stop = StopRequest(())
            return Evaluator(store, stop, run, from_json(run.config), watched, "me", "cpu", scratch)

        yield making


def evaluated(evaluator: Evaluator, seed: int) -> Any:
    """What a final evaluation of a member comes to."""
    root, task = evaluator.store.root, evaluator._task
    assert evaluator.execute(GetReady())
    file = paths.checkpoint(0, "member")
    digest = write(root / file, task.create(ARCHITECTURE, 1).state(), algorithm="xxh3-128")
    mixture = Mixture(ARCHITECTURE, (file,), (digest,))
    work = Evaluate(mixture, seed, final=True)
    item = WorkItem(paths.evaluation(digest), "evaluation", "member", work, {})
    return evaluator.execute(CarryOut(HeldClaim(item, 1)))


def test_an_evaluation_is_a_function_of_its_seed_and_has_the_threads_of_a_job(make: Make) -> None:
    """Whatever this process has drawn before, and however many threads it was started with."""
    threads = []

    def draw(context: Any) -> Evaluation:
        threads.append(torch.get_num_threads())
        return Evaluation(float(torch.rand(())))

    evaluator, before = make(draw), torch.get_num_threads()
    found = [evaluated(evaluator, seed).found["score"] for seed in (7, 7, 8)]

    assert found[0] == found[1] != found[2]
    assert threads == [3] * 3
    assert torch.get_num_threads() == before


def test_a_score_that_is_no_number_is_recorded_as_none(make: Make) -> None:
    """And metrics that are none are left out: a record holds no NaN."""
    done = evaluated(make(lambda context: Evaluation(math.nan, {"a": math.inf, "b": 5.0})), 7)

    assert (done.found["score"], done.found["metrics"]) == (None, {"b": 5.0})


def test_an_evaluation_with_other_products_is_refused(make: Make, site: Site) -> None:
    """The score would be that of another task: nothing is evaluated."""
    evaluator = make(lambda context: Evaluation(0.0))
    store, run = evaluator.store, evaluator._run
    manifest = Manifest(0, "origin", 0, (), {"points": "0" * 64})
    store.put(paths.manifest(0), encode(Record("manifest", run.id, manifest.to_json(), {}, "n")))

    with pytest.raises(OtherProducts, match="products/points: this run was started with"):
        evaluator.execute(GetReady())


def test_final_evaluations_have_a_seed_that_the_search_never_had(tmp_path: Path) -> None:
    """The number to report is measured with care, and is no maximum over looks with one seed."""
    best = {"best-ever": Champion(4, 0, 10.0, ARCHITECTURE, "c0")}
    (item,) = _plan(3, best, {}, ())({})

    assert isinstance(item.work, Evaluate)
    assert (item.work.seed, item.work.final) == (derive(3, "final evaluation"), True)


def test_an_artifact_that_cannot_be_kept_costs_no_number(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    """The number took long to compute: it is recorded, and each bad artifact is told."""
    artifacts: Any = {"a.txt": "text", "a/b": b"", "good.png": b"image"}

    done = evaluated(make(lambda context: Evaluation(0.5, {}, artifacts)), 1)

    assert done.found["score"] == 0.5 and done.found["artifacts"] == ["good.png"]
    assert "the artifact 'a.txt' of evaluate() is 'text', expected bytes" in caplog.text
    assert "the artifact 'a/b' of evaluate() has an unsafe name" in caplog.text
