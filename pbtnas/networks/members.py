"""Loads members and soups of a finished run from their checkpoints."""

from __future__ import annotations

from pathlib import Path

from pbtnas.checkpoints.files import read_verified
from pbtnas.config import Config
from pbtnas.records import paths
from pbtnas.records.names import Digest, Name
from pbtnas.records.schema import Champion, Soup
from pbtnas.search.seeding import derive
from pbtnas.search.space import Architecture
from pbtnas.store.opening import open_files
from pbtnas.store.run_directory import Run
from pbtnas.tasks.base import Task, Trainee
from pbtnas.tasks.faults import blamed


def load_member(root: Path, run: Run, config: Config, task: Task, champion: Champion) -> Trainee:
    """A trained member as it was when its checkpoint was written."""
    file = paths.checkpoint(champion.generation, champion.checkpoint)
    return _load(root, run, config, task, champion.architecture, file, champion.checkpoint)


def load_soup(root: Path, run: Run, config: Config, task: Task, soup: Soup) -> Trainee:
    """A soup as a member: what is not averaged is the best member's."""
    file = paths.soup_checkpoint(soup.checkpoint)
    return _load(root, run, config, task, soup.architecture, file, soup.checkpoint)


def _load(
    root: Path,
    run: Run,
    config: Config,
    task: Task,
    architecture: Architecture,
    file: Name,
    digest: Digest,
) -> Trainee:
    with blamed("create()", type(task)):
        trainee = task.create(architecture, derive(config.run.seed, "load"))
    with open_files(root) as files:
        trainee.load(read_verified([files.fetch(file)], [digest], algorithm=run.hash))
    return trainee
