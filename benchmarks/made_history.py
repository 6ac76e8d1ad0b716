"""Makes the records of a long run without running it: members with results, claims and births."""

from __future__ import annotations

import hashlib
import random
from pathlib import Path
from typing import Any

from pbtnas.config import SearchConfig
from pbtnas.protocol import generations
from pbtnas.protocol.generations import Search
from pbtnas.records import paths
from pbtnas.records.envelope import Record, encode
from pbtnas.records.heartbeat import Heartbeat
from pbtnas.records.names import Digest
from pbtnas.records.schema import Child, Result
from pbtnas.records.spaces import space_to_json
from pbtnas.search import SearchSpace, layer
from pbtnas.search.algorithms import ALGORITHMS
from pbtnas.store.run_directory import space_digest

RUN, WORKER = "0123456789abcdef", "host-1-w-0"
SPACE = SearchSpace([layer(f"blocks.{i}", ("a", "b", "c")) for i in range(8)])
EPOCHS = 2


def make_run(root: Path, members: int, number: int) -> None:
    """A run with so many generations of so many members; the last is in work and has no results."""
    search = Search(
        space=SPACE,
        algorithm=ALGORITHMS["pbt-nas"],
        selection=SearchConfig(population=members, generations=number, epochs=EPOCHS).selection(),
        seed=1,
        population=members,
        generations=number,
        epochs=EPOCHS,
        first_epochs=EPOCHS,
        skip_selection=frozenset(),
        threads=1,
        origin="made",
    )

    def put(name: str, kind: str, core: Any, meta: Any = None) -> None:
        (root / name).write_bytes(encode(Record(kind, RUN, core, meta or {}, "n"), name))

    for directory in paths.TOP_DIRECTORIES:
        (root / directory).mkdir(parents=True, exist_ok=True)
    (root / paths.FORMAT).write_bytes(paths.FORMAT_TEXT)
    about = {"seed": 1, "task": "made", "hash": "sha256", "space": space_digest(SPACE)}
    put(paths.RUN, "run", {**about, "created": "2026-01-01", "primitive": "link"})
    settings = {"algorithm": "pbt-nas", "population": members, "generations": number}
    epochs = {"epochs": EPOCHS, "first_epochs": EPOCHS, "shrink": 0.4, "perturb": 0.1}
    config = {
        "task": {"name": "made"},
        "search": {**settings, **epochs},
        "run": {"seed": 1},
        "engine": {"lease_s": 60.0},
    }
    put(paths.CONFIG, "config", config, {"space": space_to_json(SPACE), "options": {}})
    holder = {"holder": {"worker": WORKER, "pid": 1}}
    manifest = generations.first_manifest(search)
    for generation in range(number):
        for leaf in paths.GENERATION_DIRECTORIES:
            directory = root / paths.generation(generation) / leaf
            directory.mkdir(parents=True, exist_ok=True)
        put(paths.manifest(generation), "manifest", manifest.to_json())
        (root / paths.HEAD).write_bytes(b"%d\n" % generation)
        if generation == number - 1:
            return
        results = {}
        for job in manifest.jobs:
            checkpoint = Digest(hashlib.sha256(b"%d %d" % (generation, job.member)).hexdigest())
            # Rises, ever more slowly, as scores do.
            score = 1 - 1 / (2 + generation / 50) + random.Random(job.seed).gauss(0, 0.02)
            found = Result(job.member, "ok", score, {"loss": 1 - score}, checkpoint)
            results[job.member] = found
            slot = paths.job_slot(generation, job.member)
            meta = {"worker": WORKER, "attempt": 1, "train_s": 1.0, "wall_s": 1.1, "device": "cpu"}
            put(paths.claim(slot, 1), "claim", holder)
            (root / paths.beat(slot, 1)).write_bytes(Heartbeat(1, 3, "training").encode())
            put(paths.result(generation, job.member), "result", found.to_json(), meta)
        selected = generations.select(search, manifest, results)
        put(paths.selection(generation), "selection", selected.to_json())
        children = {}
        for birth in selected.births:
            overlay = Digest(hashlib.sha256(b"b%d %d" % (generation, birth.member)).hexdigest())
            base = results[birth.base].checkpoint
            assert base is not None, "all have a checkpoint"
            child = Child(birth.member, overlay, base)
            origins = {"sections": {"live": {"base": 24, "donor": 8}}}
            name = paths.birth(generation, birth.member)
            put(name, "birth", child.to_json(), {"origins": origins})
            children[birth.member] = child
        manifest = generations.next_manifest(search, manifest, selected, children)
