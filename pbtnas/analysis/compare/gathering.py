"""Collects the runs to be compared: those of a study, or any that are named one by one."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from itertools import combinations
from pathlib import Path
from typing import Any

from pbtnas.analysis.compare.observations import (
    also_searched,
    budget,
    searched_options,
    task_of,
    variant,
    whole,
)
from pbtnas.analysis.history.run import History
from pbtnas.store.run_directory import NotARun, NotYetARun
from pbtnas.store.study_directory import is_study, open_study

_MOST_OPTIONS = 2  # that can be read as the name of a task


@dataclass(frozen=True)
class NamedRun:
    """A run under the name that tables and figures have for it.

    Args:
        name: Name in the study; outside of one, the algorithm with what is unusual about it.
            Runs that differ in nothing but their seed share it.
        history: Records of the run.
        searched: Options of the task that some of the runs search, or of the study that they
            are taken from; they tell no tasks apart.
    """

    name: str
    history: History
    searched: frozenset[str] = frozenset()

    @property
    def task(self) -> str:
        """The task with its options, as JSON: equal texts mean that runs can be compared."""
        return task_of(self.history, self.searched)

    @property
    def seed(self) -> int:
        return int(self.history.config["run"]["seed"])

    @property
    def finished(self) -> bool:
        """Whether it has ended and all that is compared and drawn can be read."""
        return whole(self.history)


@dataclass(frozen=True)
class Gathered:
    """The runs to be compared.

    Args:
        runs: Runs that have begun, by name and seed.
        unbegun: Directory names of runs that have no configuration yet.
    """

    runs: tuple[NamedRun, ...]
    unbegun: tuple[str, ...]

    @property
    def finished(self) -> list[NamedRun]:
        return [run for run in self.runs if run.finished]

    @property
    def unfinished(self) -> list[str]:
        """Directories, by their names, of runs that have not come to their end or are damaged."""
        begun = [
            run.history.root.name + (" is damaged" if run.history.final else "")
            for run in self.runs
            if not run.finished
        ]
        return sorted([*begun, *self.unbegun])


def gather(
    directories: Sequence[Path],
    only: Sequence[str] = (),
    *,
    read: Callable[[Path], History] = History.read,
) -> Gathered:
    """Read run directories and studies; a study stands for all of its runs.

    `only` are patterns as in a shell, of which a run's name has to match one; none takes all.
    `read` reads one of the runs.
    Raises `NotARun` where a directory is neither, or nothing is left.
    """
    runs: list[NamedRun] = []
    unbegun: list[str] = []
    searched: set[str] = set()
    for directory in directories:
        searched |= _searched_in_study(directory)
        for name, root in _runs_of(directory):
            if name is not None and not _wanted(name, only):
                continue
            try:
                history = read(root)
            except NotYetARun:
                if name is None:  # named by the user: a slip; in a study its turn has not come
                    raise
                unbegun.append(root.name)
                continue
            if not history.config:
                unbegun.append(root.name)
                continue
            _check_configuration(history)
            run = NamedRun(name or variant(history), history)
            if _wanted(run.name, only):
                runs.append(run)
    if not runs and not unbegun:
        wanted = f" named {' or '.join(only)}" if only else ""
        raise NotARun(f"{', '.join(map(str, directories))}: there are no runs{wanted}")
    runs.sort(key=lambda run: (run.name, run.seed))
    searched = searched.union(*(searched_options(run.history) for run in runs))
    runs = [replace(run, searched=frozenset(searched)) for run in runs]
    return Gathered(tuple(_comparable_options(runs)), tuple(unbegun))


def _check_configuration(history: History) -> None:
    """Raise `NotARun` for a run whose configuration lacks what runs are compared by."""
    for wanted in ("task.name", "search.algorithm", "search.shrink", "search.perturb"):
        section, _, key = wanted.partition(".")
        if key not in history.config.get(section, {}):
            raise NotARun(
                f"{history.root}: its configuration has no {wanted}, so it cannot be "
                f"compared; `pbtnas fsck {history.root}` says more"
            )


def _comparable_options(runs: Sequence[NamedRun]) -> Iterable[NamedRun]:
    """The runs, of which either all say which defaults their task's options had, or none does.

    Beside runs that do not record it, only the options that were given can be compared.
    """
    if all(run.history.options is not None for run in runs):
        return runs
    return [replace(run, history=replace(run.history, options=None)) for run in runs]


def settings_of(runs: Iterable[NamedRun]) -> dict[str, list[NamedRun]]:
    """The runs by task, in order; keys name what tells the tasks apart, "" for a single one.

    That is one or two options of the task.  Where these are not enough, a task that only one name
    has is called by that name, and options tell the others apart.
    """
    by_task: dict[str, list[NamedRun]] = {}
    for run in runs:
        by_task.setdefault(run.task, []).append(run)
    labels = _labels([json.loads(task) for task in by_task], most=_MOST_OPTIONS)
    if labels is None:
        labels = _labels_by_name(by_task)
    return dict(zip(labels, by_task.values(), strict=True))


def comparable(runs: Iterable[NamedRun]) -> dict[str, list[NamedRun]]:
    """The runs by task and budget, for only such are compared; keys tell the groups apart."""
    groups: dict[str, list[NamedRun]] = {}
    for label, alike in settings_of(runs).items():
        budgets = sorted({budget(run.history) for run in alike})
        for granted in budgets:
            spent = f"{granted:,} network-epochs" if len(budgets) > 1 else ""
            group = [run for run in alike if budget(run.history) == granted]
            groups[", ".join(filter(None, (label, spent)))] = group
    return groups


def _labels_by_name(by_task: Mapping[str, Sequence[NamedRun]]) -> list[str]:
    """The name of the runs for each task whose only name no other task has."""
    names = {task: {run.name for run in runs} for task, runs in by_task.items()}
    tasks_of = Counter(name for found in names.values() for name in found)
    labels = {t: n for t, found in names.items() if len(found) == 1 for n in found}
    labels = {task: name for task, name in labels.items() if tasks_of[name] == 1}
    others = [task for task in by_task if task not in labels]
    labels |= zip(others, _told_apart(others), strict=True)
    if len(set(labels.values())) < len(by_task):  # a name is an option, too
        return _told_apart(list(by_task))
    return [labels[task] for task in by_task]


def _told_apart(tasks: Sequence[str]) -> list[str]:
    """A name for each task, by its options; by number where these read the same."""
    found = _labels([json.loads(task) for task in tasks])
    return found or [f"task {number}" for number, _ in enumerate(tasks, 1)]


def _labels(tasks: Sequence[dict[str, Any]], most: int | None = None) -> list[str] | None:
    """A name for each task: the fewest options that tell all apart, words before numbers.

    None where that takes more than `most` of them, or all do not.
    """
    keys = sorted({key for task in tasks for key in task})
    telling = [key for key in keys if len({repr(task.get(key)) for task in tasks}) > 1]
    telling.sort(key=lambda key: not any(isinstance(task.get(key), str) for task in tasks))
    if len(tasks) == 1:
        return [""]
    for count in range(1, min(len(telling), most or len(telling)) + 1):
        for chosen in combinations(telling, count):
            labels = [_label(task, chosen) for task in tasks]
            if all(labels) and len(set(labels)) == len(labels):
                return labels
    return None


def _label(task: dict[str, Any], keys: Sequence[str]) -> str:
    values = [(key, task[key]) for key in keys if key in task]
    return " ".join(value if isinstance(value, str) else f"{key} {value}" for key, value in values)


def _wanted(name: str, only: Sequence[str]) -> bool:
    return not only or any(fnmatchcase(name, pattern) for pattern in only)


def _searched_in_study(directory: Path) -> set[str]:
    """The options that any run of a study searches, also one that is not asked for: which runs of
    a study can be compared does not depend on which are."""
    if not is_study(directory):
        return set()
    return {name for run in open_study(directory).runs for name in also_searched(run.config)}


def _runs_of(directory: Path) -> Iterator[tuple[str | None, Path]]:
    """(name, run directory) for each run; the name is None outside of a study."""
    if is_study(directory):
        yield from ((run.name, run.root) for run in open_study(directory).runs)
    else:
        yield None, directory
