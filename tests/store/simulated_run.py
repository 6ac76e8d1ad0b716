"""Whole runs on a real directory in a second: protocol and storage are real, training is not.

One coordinator and one worker take turns; when both sleep, the clock is moved.  A checkpoint is
the text of what it was made from, so whoever makes it again makes the same bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pbtnas.engine.views import write_views
from pbtnas.errors import PbtnasError
from pbtnas.protocol.attempts import AttemptFailed, Failure, Halt, Poll, Start, Stopped, Trained
from pbtnas.protocol.children import Mix, Mixed, WriteViews
from pbtnas.protocol.claims import Claims
from pbtnas.protocol.coordinator import Coordinator
from pbtnas.protocol.generations import Search
from pbtnas.protocol.operations import (
    Dead,
    EmptyTrash,
    Now,
    Quarantine,
    Say,
    Sleep,
    Stopping,
    WriteHeartbeat,
)
from pbtnas.protocol.postsearch import CarryOut, Completed, Evaluate, GetReady, PostSearch, WorkItem
from pbtnas.protocol.soups import greedy_soup, work_items_of
from pbtnas.protocol.worker import Pace, Worker
from pbtnas.records import paths
from pbtnas.records.envelope import canonical, digest
from pbtnas.records.heartbeat import Heartbeat
from pbtnas.records.names import Name
from pbtnas.records.schema import Champion, Job, Manifest, Result, Selected
from pbtnas.records.task_code import SourceFile, TaskCode
from pbtnas.search import SearchSpace, layer, switch
from pbtnas.search.algorithms import pbtnas
from pbtnas.store.control_giving import give_control
from pbtnas.store.controls import end_in, steering_of
from pbtnas.store.finished import champions
from pbtnas.store.identity import new_nonce
from pbtnas.store.posix import PosixStore
from pbtnas.store.products import Products
from pbtnas.store.run_directory import change_engine, create, open_run, space_digest
from pbtnas.store.task_code import check_code
from tests.search.rules import selection_rule

MEMBERS, GENERATIONS, SEED = 3, 5, 14
"""With this seed the best-ever member is a child born into generation 1, whose parents' checkpoints
are garbage in the end, and it has a sibling of the same architecture for a soup."""
FAILS = {"generation": 1, "member": 2}
"""The job that fails whenever it is tried, but for a retry."""
SPACE = SearchSpace([layer("layer", ("a", "b")), switch("norm", (False, True))])
CONFIG: dict[str, Any] = {
    "task": {"name": "simulated"},
    "search": {"population": MEMBERS, "generations": GENERATIONS},
    "run": {"seed": SEED, "checkpoint_hash": "sha256"},
    "engine": {"lease_s": 30.0},
}
ABOUT = {"hash": "sha256", "seed": SEED, "task": "simulated", "space": space_digest(SPACE)}
LEASE_S, BEAT_S, POLL_S = 30.0, 5.0, 1.0


def weights(*made_from: Any) -> bytes:
    """A checkpoint: the text of what it was made from."""
    return canonical(made_from)


def trained(job: Job) -> bytes:
    return weights("train", job.architecture, job.inputs, job.seed, job.epochs)


def always_fails(job: Job) -> bool:
    return {"generation": job.generation, "member": job.member} == FAILS


@dataclass
class _Actor:
    """A process: its protocol, and when it goes on."""

    name: str
    steps: Any
    due_s: float = 0.0
    reply: Any = None
    ending: str = ""
    attempt: Any = None


@dataclass
class SimulatedRun:
    """Runs a search, and what comes after it, in a directory.

    Args:
        root: The run directory, which may hold any part of the run already.
        limit_s: Time of the simulated clock after which all processes die.
        generations: Number of generations, of a new run.
    """

    root: Path
    limit_s: float = 5000.0
    said: list[str] = field(default_factory=list)
    now_s: float = 0.0
    generations: int = GENERATIONS
    endings: list[str] = field(default_factory=list)

    def carry_on(self) -> str:
        """Coordinate and work until the run is over; the ending of the coordinator in words, or
        the sentence with which it gave up."""
        try:
            return self._carry_on()
        except PbtnasError as error:
            return str(error)

    def _carry_on(self) -> str:
        search = {**CONFIG["search"], "generations": self.generations}
        create(self.root, {**CONFIG, "search": search}, about=ABOUT)
        run = open_run(self.root)
        with PosixStore(self.root, "simulated", primitive=run.primitive) as store:
            self._store = store
            products = Products(store, self.root)
            products.publish("judge", b"the judge of all members")
            products.unique("word")
            judge = hashlib.sha256(b"the judge of all members").hexdigest()
            settings = Search(
                space=SPACE,
                algorithm=pbtnas,
                selection=selection_rule(MEMBERS, tau=0.25, replaced=1),
                seed=SEED,
                population=MEMBERS,
                generations=self.generations,
                epochs=1,
                first_epochs=2,
                skip_selection=frozenset(),
                threads=1,
                origin=digest(
                    ["origin", {k: v for k, v in run.config.items() if k != "engine"}, run.space]
                ),
                products={"judge": judge},
            )
            coordinator = _Actor("c", None)
            coordinator.steps = Coordinator(
                run.id, settings, self._claims(run.id, "c"), beat_s=BEAT_S, poll_s=POLL_S
            ).coordinate()
            pace = Pace(BEAT_S, POLL_S, attempts=2)
            worker = _Actor("w", Worker(run.id, self._name("w"), self._claims(run.id, "w"), pace))
            worker.steps = worker.steps.work()
            store.execute(
                WriteHeartbeat(paths.worker(self._name("w")), Heartbeat(1, 0, "working").encode())
            )
            (self.root / paths.worker_log(self._name("w"))).touch()
            self._take_turns([coordinator, worker])
            return coordinator.ending

    def _name(self, role: str) -> str:
        return f"host-1-{role}-{len(self.said)}"

    def _claims(self, run: str, role: str) -> Claims:
        holder = {"worker": self._name(role), "host": "host", "pid": 1}
        return Claims(run, holder, lease_s=LEASE_S, new_nonce=new_nonce)

    def _take_turns(self, actors: Sequence[_Actor]) -> None:
        """Until all have come to their end, or nothing more happens for long."""
        while left := [actor for actor in actors if not actor.ending]:
            actor = min(left, key=lambda a: a.due_s)
            self.now_s = max(self.now_s, actor.due_s)
            if self.now_s > self.limit_s:
                for waiting in left:
                    waiting.steps.close()
                    waiting.ending = "waits for ever"
                return
            try:
                operation = actor.steps.send(actor.reply)
            except StopIteration as stop:
                actor.ending = str(getattr(stop.value, "value", stop.value))
                self.endings.append(actor.ending)
            else:
                actor.reply = self._execute(actor, operation)

    def _execute(self, actor: _Actor, operation: Any) -> Any:
        match operation:
            case Now():
                return self.now_s
            case Sleep(seconds):
                actor.due_s = self.now_s + seconds
            case Say(text):
                self.said.append(text)
            case Stopping():
                return False
            case Dead():
                return True  # whoever held a claim when the directory was left is gone
            case Start(attempt):
                actor.attempt = attempt
            case Poll():
                actor.due_s = self.now_s + 0.5
                return self._trained(actor.attempt)
            case Halt():
                actor.attempt = None
            case Mix():
                return self._mix(operation)
            case WriteViews(final) if final:
                self._write_views()
            case WriteViews() | EmptyTrash():
                return None
            case GetReady():
                return True
            case CarryOut(claim):
                return self._carry_out(claim.item)
            case _:
                return self._store.execute(operation)
        return None

    # -- what training processes and coordinators do -------------------------------------------

    def _trained(self, attempt: Any) -> Any:
        if attempt is None:
            return Stopped(1)
        job: Job = attempt.job
        private = self.root / paths.attempt(job.generation, job.member, attempt.number)
        for checkpoint in job.inputs:
            if not self._intact(paths.checkpoint(job.generation - 1, checkpoint)):
                return AttemptFailed(Failure.INPUT, f"{checkpoint} is missing or damaged")
        if always_fails(job) and not (attempt.retry or attempt.repair):
            return AttemptFailed(Failure.ERROR, "ValueError: always")
        data = trained(job)
        checkpoint = hashlib.sha256(data).hexdigest()
        private.mkdir(exist_ok=True)
        leave_snapshot(private)
        (private / "log.jsonl").write_text('{"step": 3}\n')
        score = int(checkpoint[:4], 16) / 65536
        result = Result(job.member, "ok", score, {"draw": score}, checkpoint)
        return Trained(result, self._private(paths.checkpoints(job.generation), data), {})

    def _mix(self, mix: Mix) -> Mixed | None:
        parents = (mix.base_checkpoint, mix.donor_checkpoint)
        if not all(self._intact(paths.checkpoint(mix.generation, parent)) for parent in parents):
            return None
        data = weights("mix", parents, mix.birth.architecture, mix.birth.seed)
        private = self._private(paths.checkpoints(mix.generation), data)
        return Mixed(private, hashlib.sha256(data).hexdigest(), {"donated": []})

    def _intact(self, name: Name) -> bool:
        """Whether a checkpoint is there and whole; a damaged one is put aside."""
        path = self.root / name
        if not self._store.published(name):
            return False
        with suppress(OSError):
            if path.is_file() and not path.is_symlink():
                if hashlib.sha256(path.read_bytes()).hexdigest() == path.stem:
                    return True
        self._store.execute(Quarantine(name))
        return False

    def _private(self, directory: Name, data: bytes) -> str:
        name = f"{directory}/.tmp-simulated"
        (self.root / name).write_bytes(data)
        return name

    def _write_views(self) -> None:
        write_views(self._store)

    # -- after the search ----------------------------------------------------------------------

    def after_the_search(self) -> str:
        """Make the soups and the final evaluations; "" or the sentence why not."""
        try:
            run = open_run(self.root)
            with PosixStore(self.root, "simulated", primitive=run.primitive) as store:
                self._store = store
                best = champions(store, run)
                protocol = PostSearch(
                    run.id, self._name("e"), self._claims(run.id, "e"), poll_s=POLL_S
                )
                actor = _Actor("e", protocol.complete(self._plan(run.id, best)))
                self._take_turns([actor])
                return actor.ending if actor.ending == "waits for ever" else ""
        except PbtnasError as error:
            return str(error)

    def _plan(self, run: str, best: Mapping[str, Champion]) -> Any:
        soups = []
        for which, champion in best.items():
            manifest = self._store.record(paths.manifest(champion.generation), "manifest", run)
            selected = self._store.record(paths.selection(champion.generation), "selection", run)
            assert manifest is not None and selected is not None
            soups.append(
                greedy_soup(
                    which,
                    champion,
                    Manifest.from_json(manifest.core),
                    Selected.from_json(selected.core),
                    SPACE,
                    None,
                    {},
                )
            )

        def plan(known: Mapping[Name, Mapping[str, Any]]) -> list[WorkItem]:
            items = {
                item.record: item for soup in soups for item in work_items_of(soup, known, SEED)
            }
            for which, champion in best.items():
                mixture = next(soup for soup in soups if soup.best == champion).mixture(
                    (champion.checkpoint,)
                )
                record = paths.evaluation(champion.checkpoint)
                core = {"checkpoint": champion.checkpoint}
                work = Evaluate(mixture, SEED, final=True)
                items[record] = WorkItem(record, "evaluation", which, work, core)
            return [item for name, item in items.items() if name not in known]

        return plan

    def _carry_out(self, item: WorkItem) -> Completed:
        if isinstance(item.work, Evaluate):
            if item.work.final:
                leaf = paths.artifact_of(item.work.mixture.digests[0], "samples.txt")
                self._store.replace(leaf, b"for people\n")
                found = {"score": 0.5, "metrics": {}, "artifacts": ["samples.txt"]}
                return Completed(found)
            return Completed({"outcome": "ok", "score": 2.0, "metrics": {}})
        data = weights("soup", item.work.mixture.digests)
        checkpoint = hashlib.sha256(data).hexdigest()
        return Completed({"checkpoint": checkpoint}, self._private(paths.SOUPS, data))


def make_run(root: Path) -> Path:
    """A finished run with every kind of file that a run may have."""
    SimulatedRun(root, limit_s=-1.0).carry_on()  # which only creates it
    give_control(root, open_run(root), {"action": "retry", **FAILS, "retry": 1})
    made = SimulatedRun(root)
    assert made.carry_on() == "the run is finished", made.said
    assert made.after_the_search() == ""
    change_engine(root, open_run(root), {"lease_s": 60.0})
    code = TaskCode("own.py", {"own.py": SourceFile("0" * 64, "")})
    check_code(root, open_run(root), code, accept=True)
    give_control(root, open_run(root), {"action": "note", "text": "a run with every kind of file"})
    (root / paths.COORDINATOR_LOCK).touch()
    # Those of the search were discarded at its end; these are of processes that slept until then.
    for member in range(2):
        leave_snapshot(root / paths.attempt(3, member, 1))
    return root


def make_cancelled_run(root: Path) -> Path:
    """A run that was cancelled in the midst of a generation, and has ended."""
    SimulatedRun(root, limit_s=3.0).carry_on()
    give_control(root, open_run(root), {"action": "cancel"})
    assert SimulatedRun(root).carry_on() == "the run was cancelled"
    return root


def leave_snapshot(attempt: Path) -> None:
    """Write a snapshot into the directory of an attempt."""
    content = weights("snapshot", attempt.name)
    leaf = f"snapshot-{3:09d}-{hashlib.sha256(content).hexdigest()}.safetensors"
    (attempt / leaf).write_bytes(content)


def fingerprint(root: Path) -> str:
    """The fingerprint in the last record of a run."""
    with PosixStore(root, "reader") as store:
        end = end_in(store, steering_of(store, None)[0])
        assert end is not None
        final = store.record(end, "final")
    assert final is not None
    found: str = final.core["fingerprint"]
    return found
