"""Finished runs of one member that nobody trained, made by hand in a moment."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pbtnas.checkpoints.files import write
from pbtnas.config import Config, SearchConfig, TaskConfig, to_json
from pbtnas.processor import Processor
from pbtnas.records import paths
from pbtnas.records.envelope import Record, encode
from pbtnas.records.schema import Champion, Job, Manifest, Result, Selected, Soup
from pbtnas.search.space import Architecture, SearchSpace
from pbtnas.store.identity import new_nonce
from pbtnas.store.posix import PosixStore
from pbtnas.store.products import Products
from pbtnas.store.reader import RunReader
from pbtnas.store.run_directory import create, open_run, space_digest
from pbtnas.tasks.base import Trainee
from pbtnas.tasks.loading import load_task
from pbtnas.tasks.optional import Recalls

FINGERPRINT = "f" * 64
PROCESSOR = Processor("Some CPU", "AVX2")


def finished(
    root: Path,
    name: str,
    options: Mapping[str, Any],
    *,
    task_file: str | None = None,
    products: Mapping[str, bytes] | None = None,
    seed: int = 1,
    recorded: Mapping[str, Any] | None = None,
    told: bool = False,
) -> Trainee:
    """Make a run of one member, whose state is as the seed initialised it; returns it.

    `recorded` are all options that it says it was started with; None as runs begun before there
    was such a record.  `told` says that it records its space and a processor too.
    """
    config = Config(
        TaskConfig(name, dict(options)), SearchConfig(population=2, generations=1, epochs=1)
    )
    task = load_task(name, options, task_file=task_file)
    about = {"hash": "sha256", "space": space_digest(task.space)}
    space, processor = (task.space, PROCESSOR) if told else (None, None)
    create(root, to_json(config), about=about, options=recorded, space=space, processor=processor)
    store = PosixStore(root, "maker")
    known = Products(store, root)
    for product, data in (products or {}).items():
        known.publish(product, data)
    if isinstance(task, Recalls):
        task.recall(known.lookup)
    architecture = last_options(task.space)
    trainee = task.create(architecture, seed)
    _crown(root, trainee, architecture)
    store.close()
    return trainee


def last_options(space: SearchSpace) -> Architecture:
    """The architecture of the run's member: the last option of every variable."""
    return tuple(len(variable.options) - 1 for variable in space)


def add_member(root: Path, trainee: Trainee, architecture: Architecture) -> str:
    """Add member 0, of the same architecture and a lower score; returns its checkpoint's digest."""
    digest = _checkpoint(root, trainee, lambda d: paths.checkpoint(0, d))
    with RunReader(root) as files:
        record = files.record(paths.selection(0), "selection")
    assert record is not None, "the run is finished"
    best = Selected.from_json(record.core).result(1)
    results = (Result(0, "ok", 0.25, {"loss": 2.0}, digest), best)
    _put(root, paths.selection(0), "selection", Selected(0, "m", (1, 0), (), results).to_json())
    jobs = tuple(Job(0, member, architecture, (), member, epochs=1, threads=1) for member in (0, 1))
    _put(root, paths.manifest(0), "manifest", Manifest(0, "origin", 0, jobs).to_json())
    return digest


def add_soup(root: Path, trainee: Trainee, architecture: Architecture) -> None:
    """Add a soup of members 1 and 0 that has the state of this trainee."""
    (root / paths.SOUPS).mkdir(exist_ok=True)
    digest = _checkpoint(root, trainee, paths.soup_checkpoint)
    soup = Soup("best-ever-soup", None, 0, 1, architecture, 0.5, 0.75, (1, 0), (), digest)
    _put(root, paths.soup("best-ever-soup"), "soup", soup.to_json())


def add_evaluation(root: Path, pictures: Mapping[str, bytes], **metrics: float) -> None:
    """Add the final evaluation of the best-ever."""
    path = next(iter((root / paths.checkpoints(0)).glob("*.safetensors")))
    core = {"checkpoint": path.stem, "score": 0.25, "metrics": {"loss": 2.0, **metrics}}
    for leaf, data in pictures.items():
        (root / paths.artifact(f"{path.stem[:12]}-{leaf}")).write_bytes(data)
    core["artifacts"] = sorted(pictures)
    _put(root, paths.evaluation(path.stem), "evaluation", core)


def _crown(root: Path, trainee: Trainee, architecture: Architecture) -> None:
    (root / paths.checkpoints(0)).mkdir(parents=True)
    digest = _checkpoint(root, trainee, lambda d: paths.checkpoint(0, d))
    result = Result(1, "ok", 0.5, {"loss": 1.0}, digest)
    selected = Selected(0, "m", (1,), (), (result,))
    _put(root, paths.selection(0), "selection", selected.to_json())
    champion = Champion(0, 1, 0.5, architecture, digest).to_json()
    core = {"fingerprint": FINGERPRINT, "generations": 1}
    core |= {"best_ever": champion, "best_last": champion}
    _put(root, paths.FINAL, "final", core)


def _checkpoint(root: Path, trainee: Trainee, name: Any) -> str:
    private = root / "made.safetensors"
    digest = write(private, trainee.state(), algorithm="sha256")
    private.rename(root / name(digest))
    return digest


def _put(root: Path, name: str, kind: str, core: Mapping[str, Any]) -> None:
    record = Record(kind, open_run(root).id, core, {}, new_nonce())
    (root / name).write_bytes(encode(record, name))
