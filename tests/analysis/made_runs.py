"""Run directories made by hand, as the coordinator and its workers would write them.

A story is the list of everything written, in order.  The directory after any number of its
writes is one that a reader may meet.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pbtnas.protocol import generations
from pbtnas.protocol.generations import Search
from pbtnas.records import paths
from pbtnas.records.envelope import Record, digest, encode
from pbtnas.records.heartbeat import Heartbeat
from pbtnas.records.schema import Champion, Child, Job, Result, Selected
from pbtnas.records.spaces import space_to_json
from pbtnas.search import SearchSpace, ladder, layer, switch
from pbtnas.search.algorithms import ALGORITHMS
from pbtnas.search.exploring import Exploration
from pbtnas.search.objectives import BY_SCORE, Objectives, objectives_of
from pbtnas.store.run_directory import space_digest
from pbtnas.store.study_directory import create_study, open_study
from tests.search.rules import selection_rule

RUN = "0123456789abcdef"
TRACEBACK = "Traceback (most recent call last):\n  ...\nValueError: no such layer"

Story = list[tuple[str, bytes]]


SPACE = SearchSpace([layer("first", ("a", "b", "c")), switch("norm", (False, True))])
TWO = objectives_of(["score", "size smaller"], 24)
SIZED = "made by hand, with sizes"
LADDERS = SearchSpace([*SPACE, ladder("rate", 0.001, 0.1, steps=5)])


def search(
    *,
    population: int = 6,
    count: int = 4,
    seed: int = 7,
    algorithm: str = "pbt-nas",
    space: SearchSpace = SPACE,
    objectives: Objectives = BY_SCORE,
) -> Search:
    """A search over a tiny space, with that many generations."""
    return Search(
        space=space,
        algorithm=ALGORITHMS[algorithm],
        selection=selection_rule(population),
        seed=seed,
        population=population,
        generations=count,
        epochs=2,
        first_epochs=4,
        skip_selection=frozenset(),
        threads=1,
        origin="made by hand",
        exploration=Exploration("step", 1, 0.25),
        objectives=objectives,
    )


def outcome_of(job: Job, *, sized: bool = False) -> Result:
    """Member 2 of generation 1 fails, member 3 of it diverges, all others have a score, and a size
    if it is asked for."""
    if job.generation == 1 and job.member in (2, 3):
        return Result(job.member, "failed" if job.member == 2 else "diverged", None, {}, None)
    checkpoint = digest([job.generation, job.member, job.inputs, job.seed])
    score = int(checkpoint[:4], 16) / 4096 + 1
    size = {"size": 100.0 + int(checkpoint[4:8], 16) % 900} if sized else {}
    return Result(job.member, "ok", score, {"loss": 0.5, **size}, checkpoint)


def story(made: Search) -> Story:
    """Everything written in a run from its beginning to its end."""
    writes = list(_beginning(made))
    champions: list[Champion] = []
    # A run of one objective may have sizes all the same, to be compared by them.
    sized = made.objectives.several or made.origin == SIZED
    manifest = generations.first_manifest(made)
    while True:
        generation = manifest.generation
        writes.append(record(paths.manifest(generation), "manifest", manifest.to_json()))
        results = {job.member: outcome_of(job, sized=sized) for job in manifest.jobs}
        for job in manifest.jobs:
            writes += _job(job, results[job.member])
        selected = generations.select(made, manifest, results)
        writes.append(record(paths.selection(generation), "selection", selected.to_json()))
        champion = generations.champion(manifest, selected)
        assert champion is not None, "somebody has a score"
        champions.append(champion)
        if made.last(generation):
            return [*writes, _final(made, selected, champions)]
        children = {}
        for birth in selected.births:
            base = selected.result(birth.base).checkpoint
            assert base is not None, "parents have checkpoints"
            child = Child(birth.member, digest([generation, birth.member]), base)
            name, origins = paths.birth(generation, birth.member), {"donated": ["first.weight"]}
            writes.append(record(name, "birth", child.to_json(), {"origins": origins}))
            children[birth.member] = child
        manifest = generations.next_manifest(made, manifest, selected, children)


def write(root: Path, writes: Iterable[tuple[str, bytes]], *, primitive: str = "link") -> None:
    """Write records where they belong; as directories where that is the primitive."""
    for name, data in writes:
        path = root / name
        if primitive == "directory":
            path = path / "record"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def beat(root: Path, name: str, at: float, *, phase: str, done: int = 0) -> None:
    """A heartbeat that last changed at that time."""
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(Heartbeat(1, done, phase).encode())
    os.utime(path, (at, at))


def claim(slot: str, number: int, worker: str) -> tuple[str, bytes]:
    """A claim of a slot."""
    return record(paths.claim(slot, number), "claim", {"holder": {"worker": worker, "pid": 1}})


def opened(root: Path, generation: int, at: float) -> None:
    """Pretend that a generation was opened at that time."""
    os.utime(root / paths.manifest(generation), (at, at))


def record(
    name: str, kind: str, core: Mapping[str, Any], meta: Mapping[str, Any] | None = None
) -> tuple[str, bytes]:
    """A record, ready to be written."""
    return name, encode(Record(kind, RUN, core, meta or {}, "nonce"), name)


def study(
    root: Path,
    *,
    seeds: Iterable[int] = (1, 2, 3),
    populations: Mapping[str, int] | None = None,
    unbegun: Iterable[str] = (),
    sized: Iterable[str] = (),
    objectives: Objectives = TWO,
) -> Path:
    """A study of pbt-nas and random-search, or of pbt-nas by names with their populations; those
    that are `sized` select by the objectives, and the others report sizes then."""
    sizes = populations or {"pbt-nas": 6, "random-search": 6}
    planned, writes = [], {}
    for seed in seeds:
        for name, size in sizes.items():
            algorithm = name if name in ALGORITHMS else "pbt-nas"
            made = search(population=size, seed=seed, algorithm=algorithm)
            if name in sized:
                made = replace(made, objectives=objectives)
            elif sized:
                made = replace(made, origin=SIZED)
            planned.append({"name": name, "seed": seed, "config": config_of(made)})
            writes[f"{name}-s{seed}"] = story(made)
    create_study(root, planned, pbtnas="0.1.0")
    for run in open_study(root).runs:
        if run.label not in unbegun:
            write(run.root, writes[run.label])
    return root


def config_of(made: Search) -> dict[str, Any]:
    """The resolved configuration of a search."""
    names = {algorithm: name for name, algorithm in ALGORITHMS.items()}
    objectives = made.objectives
    return {
        "task": {"name": "tiny"},
        "search": {
            "algorithm": names[made.algorithm],
            "population": made.population,
            "generations": made.generations,
            "epochs": made.epochs,
            "first_epochs": made.first_epochs,
            "shrink": 0.4,
            "perturb": 0.1,
        }
        | ({"objectives": list(map(str, objectives.each))} if objectives.several else {}),
        "run": {"seed": made.seed},
        "engine": {"lease_s": 30.0},
    }


def _beginning(made: Search) -> Story:
    about = {
        "seed": made.seed,
        "task": "tiny",
        "hash": "sha256",
        "space": space_digest(made.space),
        "created": "2026-01-01",
    }
    # A run without ladders may be older than the record of its space.
    meta = {"space": space_to_json(made.space)} if made.space.ladders else {}
    return [
        (paths.FORMAT, paths.FORMAT_TEXT),
        record(paths.RUN, "run", {**about, "primitive": "link"}),
        record(paths.CONFIG, "config", config_of(made), meta),
        claim(paths.TERM, 1, "host-1-c"),
    ]


def _job(job: Job, result: Result) -> Story:
    """What a member's job leaves: claims, ends and a result."""
    slot, worker = paths.job_slot(job.generation, job.member), f"host-{job.member % 2}-w"
    writes: Story = []
    ends: list[str] = []
    if result.outcome == "failed":
        ends = ["error", "error", "oom"]
    elif (job.generation, job.member) == (1, 0):
        ends = ["released"]
    for number, kind in enumerate(ends, start=1):
        writes.append(claim(slot, number, worker))
        end = {"class": kind, "counted": kind != "released", "text": TRACEBACK, "worker": worker}
        writes.append(record(paths.end(slot, number), "end", end))
    last = len(ends) + 1
    writes.append(claim(slot, last, worker))
    meta: dict[str, Any] = {"worker": worker, "attempt": last, "train_s": 2.5, "wall_s": 3.0}
    if result.outcome == "failed":
        meta = {"worker": worker, "class": "oom", "traceback": TRACEBACK}
    name = paths.result(job.generation, job.member)
    return [*writes, record(name, "result", result.to_json(), meta)]


def _final(made: Search, selected: Selected, champions: list[Champion]) -> tuple[str, bytes]:
    best = max(champions, key=lambda champion: champion.score)  # the earliest of equals
    core = {
        "fingerprint": generations.fingerprint(selected),
        "generations": made.generations,
        "best_ever": best.to_json(),
        "best_last": champions[-1].to_json(),
    }
    return record(paths.FINAL, "final", core)
