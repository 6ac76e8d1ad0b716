"""The state of a study on one screen: how many runs are over, and how far the open ones are."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from pbtnas.account import Account, account
from pbtnas.drive import drive
from pbtnas.store import paths
from pbtnas.store.operations import List
from pbtnas.store.posix import PosixStore
from pbtnas.store.reading import newest_generation
from pbtnas.store.study_directory import Study, StudyRun


@dataclass(frozen=True)
class OpenRun:
    """A run in work.

    Args:
        label: of the run.
        generation: in work, from 0; -1 before the first.
        generations: in all.
        done: members of that generation with a result.
        members: of a generation.
    """

    label: str
    generation: int
    generations: int
    done: int
    members: int


@dataclass(frozen=True)
class StudyStatus:
    """What there is to say of a study.

    Args:
        id: of the study.
        runs: how many.
        finished: labels of those that came to their end.
        waiting: labels of those whose turn has not come.
        open: those in work.
        account: what was computed so far, and what was saved.
        over: whether nothing will be added any more.
    """

    id: str
    runs: int
    finished: tuple[str, ...]
    waiting: tuple[str, ...]
    open: tuple[OpenRun, ...]
    account: Account
    over: bool


def study_status(study: Study) -> StudyStatus:
    """Read what is there now.  Raises `RecordError` for records that cannot be used."""
    finished = [run for run in study.runs if (run.root / paths.FINAL).exists()]
    begun = [run for run in study.runs if (run.root / paths.RUN).exists()]
    return StudyStatus(
        study.id,
        len(study.runs),
        tuple(run.label for run in finished),
        tuple(run.label for run in study.runs if run not in begun),
        tuple(_open(run) for run in begun if run not in finished),
        account(run.root for run in begun),
        study.ended() is not None,
    )


def to_json(status: StudyStatus) -> dict[str, Any]:
    """The status as JSON, for programs."""
    return asdict(status)


def render(status: StudyStatus) -> str:
    """The status as text for people, without a newline at its end."""
    state = "over" if status.over else f"{len(status.open)} in work, {len(status.waiting)} waiting"
    lines = [
        f"study       {status.id}   {len(status.finished)} of {status.runs} runs finished, {state}"
    ]
    width = max((len(run.label) for run in status.open), default=0)
    for i, run in enumerate(status.open):
        title = "" if i else "in work"
        lines.append(
            f"{title:12}{run.label:{width}}  generation {run.generation} of {run.generations}, "
            f"{run.done} of {run.members} members done"
        )
    return "\n".join([*lines, f"computed    {status.account}"])


def _open(run: StudyRun) -> OpenRun:
    search = run.config["search"]
    store = PosixStore(run.root, "reader")
    try:
        generation = drive(newest_generation(-1), store.execute)
        names = store.execute(List(paths.results(max(0, generation)))) or set()
    finally:
        store.close()
    done = sum(paths.member_number(name) is not None for name in names)
    return OpenRun(run.label, generation, search["generations"], done, search["population"])
