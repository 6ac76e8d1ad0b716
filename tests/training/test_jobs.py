"""One job in a training process: its seeds, threads, snapshots and inputs, and what it refuses."""

from __future__ import annotations

import errno
import math
import re
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from torch import nn

from pbtnas.checkpoints.files import write
from pbtnas.config import load
from pbtnas.determinism import as_in_the_search
from pbtnas.engine.run_setup import start_run
from pbtnas.errors import MachineTrouble
from pbtnas.protocol.operations import MakeGeneration
from pbtnas.records import paths
from pbtnas.records.envelope import Record, encode
from pbtnas.records.schema import Job, Manifest, last_line
from pbtnas.store.posix import PosixStore
from pbtnas.tasks.base import Evaluation
from pbtnas.tasks.loading import load_task
from pbtnas.training import snapshots
from pbtnas.training.channel import Channel
from pbtnas.training.trainer import Setting, Trainer
from tests.system.site import TASK, Site


class Bench:
    """A training process inside the test, whose task trains and evaluates as the test wants."""

    def __init__(self, site: Site, channel: Channel) -> None:
        config = load(site.config)
        task = load_task(config.task.name, config.task.options, task_file=TASK)
        self.run = start_run(site.run_dir, config, task.space)
        self.root = site.run_dir
        self.store = PosixStore(self.root, "test", primitive=self.run.primitive)
        for generation in (0, 1):
            self.store.execute(MakeGeneration(generation))
        setting = Setting(str(self.root), "w1", TASK, "cpu", str(site.directory))
        self._trainer = Trainer(setting, channel)
        self._create = self._trainer._place.task.create
        self._trainer._place.task.create = self.create  # type: ignore[method-assign]
        self.drawn: list[float] = []
        self.draws = 1
        self.score = 0.5
        self.error: Exception | None = None
        self.threads: list[int] = []
        self.network: Callable[[], Any] | None = None
        self.preview: Any = None

    def create(self, architecture: Any, seed: int) -> Any:
        trainee: Any = self._create(architecture, seed)
        trainee.train, trainee.evaluate = self._train, self._evaluate
        if self.network is not None:
            trainee.trained_network = self.network
        return trainee

    def _train(self, epochs: int, context: Any) -> None:
        self.threads.append(torch.get_num_threads())
        self.drawn += torch.rand(self.draws).tolist()

    def _evaluate(self, context: Any) -> Evaluation:
        self.drawn.append(float(torch.rand(())))
        if self.error is not None:
            raise self.error
        return Evaluation(self.score, preview=self.preview)

    def keep_previews(self, kept: bool) -> None:
        self._trainer._places[self.root] = replace(self._trainer._place, previews=kept)

    def told(self, job: Job, attempt: int = 1) -> dict[str, Any]:
        return self._trainer.carry_out(self.root, job, attempt)

    def snapshot(self, attempt: int, *, trained: bool) -> Path:
        """Where the attempt left off."""
        directory = self.root / paths.attempt(0, 0, attempt)
        state = self._create(FRESH.architecture, 1).state()
        snapshots.save(
            directory, state, done=5, trained=trained, device="cpu", algorithm=self.run.hash
        )
        (path,) = directory.iterdir()
        return path

    def checkpoint(self) -> str:
        """An input of a job of generation 1."""
        private = self.root / ".tmp-input"
        state = self._create(FRESH.architecture, 1).state()
        digest = write(private, state, algorithm=self.run.hash)
        private.rename(self.root / paths.checkpoint(0, digest))
        return digest


FRESH = Job(0, 0, (0, 0, 0), (), seed=1, epochs=2, threads=1)


@pytest.fixture
def bench(site: Site) -> Iterator[Bench]:
    ours, theirs = socket.socketpair()
    with ours, theirs, as_in_the_search(threads=1):
        made = Bench(site, Channel(theirs))
        yield made
        made.store.close()


def test_training_and_evaluation_draw_by_the_seed_of_the_job_alone(bench: Bench) -> None:
    """Whatever was drawn before; and an evaluation draws the same however long training was, for
    a job that is continued has less of it to do."""
    bench.told(FRESH)
    first, bench.drawn, bench.draws = bench.drawn, [], 5
    bench.told(replace(FRESH, member=1))

    assert (bench.drawn[0], bench.drawn[-1]) == (first[0], first[-1])
    assert first[0] != first[-1]


def test_a_result_says_where_it_was_made_and_how_large_the_network_is(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    """So `show` needs no task; a network that cannot be had costs the number, not the result."""
    unknown = bench.told(FRESH)["meta"]
    bench.network = lambda: nn.Linear(2, 3)
    known = bench.told(replace(FRESH, member=1))["meta"]
    bench.network = lambda: {}["nothing"]
    failing = bench.told(replace(FRESH, member=2))

    assert known["parameters"] == 9 and known["processor"]
    assert known["cpu_capability"] == torch.backends.cpu.get_cpu_capability()
    assert "parameters" not in unknown and "parameters" not in failing["meta"]
    assert failing["result"]["outcome"] == "ok" and "KeyError: 'nothing'" in caplog.text


def test_a_job_has_its_threads(bench: Bench) -> None:
    """As its record says, whatever the job before had."""
    for threads in (1, 3, 2):
        bench.told(replace(FRESH, threads=threads))

    assert bench.threads == [1, 3, 2]


def test_what_is_trained_is_not_trained_again(bench: Bench) -> None:
    """A snapshot says whether only the evaluation is left."""
    bench.snapshot(1, trained=True)
    told = bench.told(FRESH, attempt=2)

    assert told["result"]["score"] == 0.5
    assert bench.threads == []


def test_a_damaged_snapshot_costs_what_it_would_have_saved(bench: Bench) -> None:
    """It is deleted, and the job is trained from its inputs."""
    path = bench.snapshot(1, trained=True)
    path.write_bytes(path.read_bytes()[:-8])
    told = bench.told(FRESH, attempt=2)

    assert told["result"]["score"] == 0.5
    assert bench.threads == [1]
    assert not path.exists()


def test_a_mistake_in_the_users_file_ends_with_its_place(bench: Bench) -> None:
    """After the traceback one line with file, line and what was raised, or with the rule broken;
    a failure of the machine has none."""
    bench.score = cast(float, "good")
    told = bench.told(FRESH)
    assert told["failure"] == "error"
    assert re.match(r".*test_jobs\.py:\d+: the score of evaluate\(\) is 'good'", told["text"])

    def raises(error: Exception) -> dict[str, Any]:
        bench.error = error
        return bench.told(FRESH)

    told = raises(KeyError("loss"))
    assert (told["failure"], told["text"].startswith("Traceback")) == ("error", True)
    last = last_line(told["text"])
    assert re.fullmatch(r".*test_jobs\.py:\d+: evaluate\(\) raised KeyError: 'loss'", last)
    told = raises(FileNotFoundError(errno.ENOENT, "No such file", "labels.csv"))
    assert "evaluate() raised FileNotFoundError" in last_line(told["text"])
    assert last_line(raises(MemoryError("too much"))["text"]) == "MemoryError: too much"
    assert raises(MachineTrouble("the server is down")) == {
        "failure": "infra",
        "text": "the server is down",
    }


@pytest.mark.parametrize("score", [math.nan, math.inf, -math.inf])
def test_a_score_that_is_no_number_is_a_divergence(bench: Bench, score: float) -> None:
    """Nothing is ranked by it, and nothing inherits from its member."""
    bench.score = score
    told = bench.told(FRESH)

    assert (told["result"]["outcome"], told["file"]) == ("diverged", None)


def test_only_a_damaged_input_is_called_damaged(bench: Bench) -> None:
    """One that is missing leaves the others where they are."""
    good, gone = bench.checkpoint(), "0" * 32
    job = replace(FRESH, generation=1, inputs=(gone, good))
    told = bench.told(job)
    assert (told["failure"], told["damaged"]) == ("input", None)

    path = bench.root / paths.checkpoint(0, gone)
    path.write_bytes((bench.root / paths.checkpoint(0, good)).read_bytes())
    told = bench.told(job)
    assert (told["failure"], told["damaged"]) == ("input", gone)

    told = bench.told(replace(job, inputs=(good,)))
    assert told["result"]["outcome"] == "ok"


def test_nothing_is_trained_with_other_products_than_the_runs(bench: Bench) -> None:
    """Its result would be that of another task; no job is to blame."""
    manifest = Manifest(0, "origin", 0, (FRESH,), {"points": "0" * 64})
    record = Record("manifest", bench.run.id, manifest.to_json(), {}, "n")
    bench.store.put(paths.manifest(0), encode(record))

    assert "products/points: this run was started with" in bench.told(FRESH)["unable"]
    assert bench.threads == []


def test_a_task_that_ends_the_process_fails_its_attempt_with_a_traceback(bench: Bench) -> None:
    """It is no crash without words, and the process serves the next job."""

    def leave(epochs: int, context: Any) -> None:
        raise SystemExit(0)

    bench._train = leave  # type: ignore[method-assign]
    told = bench.told(FRESH)

    assert told["failure"] == "error" and "raise SystemExit(0)" in told["text"]


PICTURE = b"\x89PNG\r\n\x1a\n and the rest"


def test_a_preview_is_kept_beside_the_result(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    """The result is the same with it, without it, with one that is no picture, and where the disk
    refuses it."""
    directory = bench.root / paths.previews(0)
    plain = bench.told(FRESH)["result"]
    bench.preview = PICTURE
    with_picture = bench.told(FRESH)["result"]
    assert [path.name for path in directory.iterdir()] == ["m00.png"]
    assert (directory / "m00.png").read_bytes() == PICTURE

    bench.preview = "a picture"
    with_words = bench.told(replace(FRESH, member=1))
    assert "the preview is a value of type 'str', expected the bytes of a picture" in caplog.text
    bench.preview = PICTURE
    bench.keep_previews(False)
    bench.told(replace(FRESH, member=1))
    assert [path.name for path in directory.iterdir()] == ["m00.png"]
    bench.keep_previews(True)
    (directory / "m00.png").unlink()
    directory.rmdir()
    directory.touch()
    refused = bench.told(FRESH)["result"]
    assert "m00.png: not kept: " in caplog.text

    assert plain == with_picture == refused
    assert with_words["result"]["outcome"] == "ok"
