"""Starts a run: makes or adopts its directory, and reads its search from the configuration."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pbtnas.config import Config, difference, from_json, outcome, to_json
from pbtnas.config.algorithms import load_algorithm
from pbtnas.engine.other_versions import warn_of_other_versions
from pbtnas.engine.task_defaults import Complete, remarks, whole_difference
from pbtnas.errors import ExitCode, PbtnasError
from pbtnas.processor import this_processor
from pbtnas.protocol.generations import Search
from pbtnas.records import paths
from pbtnas.records.envelope import digest
from pbtnas.records.task_code import TaskCode
from pbtnas.search.algorithms import REPLACING_NOBODY
from pbtnas.search.space import Architecture, SearchSpace
from pbtnas.store.opening import open_files
from pbtnas.store.run_directory import (
    NotYetARun,
    Run,
    change_engine,
    check_space,
    create,
    open_run,
    space_digest,
)
from pbtnas.store.task_code import ACCEPT, check_code
from pbtnas.tasks.base import Task, TaskError
from pbtnas.tasks.faults import blamed
from pbtnas.tasks.optional import LimitsTraining, TrainsEvery
from pbtnas.version import __version__

log = logging.getLogger("pbtnas")


class ChangedConfig(PbtnasError):
    """The configuration given is not the one the run was started with."""

    exit_code = ExitCode.USAGE

    def __init__(self, root: Path, differences: list[str]) -> None:
        lines = "\n".join(f"  {line}" for line in differences)
        remedy = (
            f"go on with the stored one (`pbtnas coordinator {root}` and workers), or use a new "
            "directory"
        )
        with open_files(root) as files:
            begun = files.published(paths.manifest(0))
        if not begun:
            remedy = (
                "it has no job yet: delete it and give the command again, or use a new directory"
            )
        super().__init__(f"{root}: was started with another configuration:\n{lines}\n{remedy}")


class UnfitPopulation(PbtnasError):
    """The population has another size than the architectures it is to hold."""

    exit_code = ExitCode.USAGE


class UnfitArchitecture(PbtnasError):
    """An architecture of `search.architectures` is none of the task's space."""

    exit_code = ExitCode.USAGE


class UnfitSchedule(PbtnasError):
    """No member of the task can have the architectures of `search.schedule` one after the other."""

    exit_code = ExitCode.USAGE


def start_run(
    root: Path,
    config: Config,
    space: SearchSpace,
    complete: Complete | None = None,
    code: TaskCode | None = None,
    *,
    accept: bool = False,
) -> Run:
    """Make the run directory, or adopt the run in it if it has this very configuration.

    Other engine settings are no other configuration: they are recorded, and hold from now on.
    With `complete`, defaults of the task are recorded too, and belong to the configuration: the
    task may have others later.  So is its `code`, which other code takes the place of only with
    `accept`.
    Raises `ChangedConfig` field by field, `NotARun` when the task has another search space than
    the run was started with, `OtherCode`, `UnfitPopulation` and `UnfitSchedule`.
    """
    check_start(config, space)
    code = code if code is not None and code.known else None
    with suppress(NotYetARun):
        run = _adopted(root, open_run(root), config, space, complete)
        return run if code is None else _with_code(root, run, code, accept=accept)
    about = {
        "hash": config.run.checkpoint_hash,
        "seed": config.run.seed,
        "task": config.task.name,
        "space": space_digest(space),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "pbtnas": __version__,
    }
    options = None if complete is None else complete(config.task.in_force)
    run = create(
        root,
        to_json(config, ladders=bool(space.ladders)),
        about=about,
        options=options,
        space=space,
        processor=this_processor(),
        code=code,
        logging=config.logging.to,
    )
    run = _adopted(root, run, config, space, complete)
    return run if code is None else _with_code(root, run, code, accept=accept)


def _adopted(
    root: Path, run: Run, config: Config, space: SearchSpace, complete: Complete | None
) -> Run:
    """The run with the engine settings of the configuration, which otherwise is the run's own."""
    differences = new_settings(root, run, config, complete)
    told: Iterable[str] = ()
    if complete is not None:
        task = from_json(run.config, recorded=run.options).task
        told = remarks(task, complete, recorded=run.options is not None)
    if differences:
        run = change_engine(root, run, to_json(config)["engine"])
        for line in differences:
            log.info("%s: from now on", line)
    for line in told:
        log.warning("%s", line)
    check_space(root, run, space, config.task.name)
    return run


def new_settings(root: Path, run: Run, config: Config, complete: Complete | None) -> list[str]:
    """The engine settings that differ from those of the run, a line for each.

    Nothing is written.  Raises `ChangedConfig` where anything else differs.
    """
    stored = from_json(run.config, recorded=run.options)
    if complete is None:
        differences = difference(stored, config)
    else:
        differences = whole_difference(stored, config, complete)
    if not all(line.startswith("engine.") for line in differences):
        raise ChangedConfig(root, differences)
    return differences


def _with_code(root: Path, run: Run, code: TaskCode, *, accept: bool) -> Run:
    """The run, if it goes on with this code of its task; what else it lacks or has is told."""
    check_code(root, run, code, accept=accept)
    then = run.codes.in_force
    if then is None and not accept:
        log.warning(
            "%s: does not record with which code of its task it was started, so that of here is "
            "not compared; %s records it",
            root,
            ACCEPT,
        )
    elif accept:
        run = open_run(root)
    warn_of_other_versions(run)
    return run


def search_of(
    config: Config,
    space: SearchSpace,
    stored: Mapping[str, Any] | None = None,
    products: Mapping[str, str] | None = None,
) -> Search:
    """What the configuration says of the search, in the form the protocol works with.

    `stored` is the configuration as it stands in the run directory: the chain begins with
    exactly that, so that a later pbtnas with more keys can go on with the run.  `products` are
    the SHA-256 of those that the prepared task uses, by name.
    """
    search = config.search
    stored = stored or to_json(config, ladders=bool(space.ladders))
    return Search(
        space=space,
        algorithm=load_algorithm(search.algorithm),
        selection=search.selection(),
        seed=config.run.seed,
        population=search.population,
        generations=search.generations,
        epochs=search.epochs,
        first_epochs=search.epochs_of(0),
        skip_selection=frozenset(search.skip_selection),
        threads=config.run.threads,
        origin=digest(["origin", outcome(stored), space_digest(space)]),
        products=products or {},
        start=search.start,
        objectives=search.ranking(),
        exploration=search.exploration(),
        schedule=search.schedule,
        architectures=search.architectures,
    )


def check_start(config: Config, space: SearchSpace) -> None:
    """Raise `UnfitPopulation` when each architecture is wanted once, but the members do not do;
    `UnfitSchedule` when a schedule is not of this space, or moves anything but ladders;
    `UnfitArchitecture` when a listed architecture is not of this space."""
    search = config.search
    for member, architecture in enumerate(search.architectures):
        try:
            space.check(architecture)
        except ValueError as error:
            raise UnfitArchitecture(
                f"{config.named('search.architectures')}: member {member}: expected an "
                f"architecture of the task's space, not {list(architecture)}: {error}"
            ) from error
    for generation, architecture in enumerate(search.schedule):
        wrong = _wrong_in(space, architecture, search.schedule[0])
        if wrong is not None:
            raise UnfitSchedule(
                f"{config.named('search.schedule')}: generation {generation}: {wrong}"
            )
    if search.start == "every" and search.population != space.size:
        raise UnfitPopulation(
            f"{config.named('search.population')}: expected {space.size} with search.start every, "
            f"since the space has so many architectures, not {search.population}"
        )


def _wrong_in(space: SearchSpace, architecture: Architecture, first: Architecture) -> str | None:
    """Why a member that began with the first architecture cannot have this one; None if it can."""
    try:
        space.check(architecture)
    except ValueError as error:
        return str(error)
    for variable, option, before in zip(space, architecture, first, strict=True):
        if option != before and not variable.ordered:
            return (
                f"expected option {before} of variable {variable.name!r}, as in generation 0, not "
                f"{option}, since only ladders can move"
            )
    return None


def check_task(config: Config, task: Task) -> None:
    """Raise `TaskError` when members are to be trained beyond the end of the task's schedule, or
    when not every architecture is to be trained to the end although the task needs them all."""
    search = config.search
    whole = isinstance(task, TrainsEvery) and task.trains_every
    if whole and task.space.size == 1 and search.population > 1:
        raise TaskError(
            f"{config.named('search.population')}: expected 1, since the task's only architecture "
            f"is to be trained once in a run, not {search.population}; runs with other seeds train "
            "it again"
        )
    if whole and task.space.size > 1:
        if search.start != "every":
            raise TaskError(
                f"{config.named('search.start')}: expected every, since the task needs each of its "
                f"{task.space.size} architectures as a member, not {search.start}"
            )
        if search.generations > 1 and search.algorithm not in REPLACING_NOBODY:
            raise TaskError(
                f"{config.named('search.algorithm')}: expected one of "
                f"{', '.join(sorted(REPLACING_NOBODY))}, since the task needs each of its "
                f"architectures to the end, not {search.algorithm}"
            )
    epochs = search.epochs_of(0) + (search.generations - 1) * search.epochs
    if isinstance(task, LimitsTraining) and epochs > task.most_epochs:
        raise TaskError(
            f"{config.named('search.generations')}: expected at most {task.most_epochs} epochs of "
            "a member in all generations, which is as long as the task's schedule lasts, not "
            f"{epochs}"
        )


def check_networks(config: Config, task: Task) -> None:
    """Raise `TaskError` when weights are to mutate in a network that the task does not have.

    Else a misspelt name would quietly mutate nothing.
    """
    networks = config.search.mutated_networks
    if not networks:
        return
    with blamed("create()", type(task)):
        weights = task.create((0,) * len(task.space), 0).state().live
    known = sorted({name.partition(".")[0] for name in weights})
    for network in networks:
        if not any(name.startswith(f"{network}.") for name in weights):
            raise TaskError(
                f"{config.named('search.mutated_networks')}: the task has no network {network!r}; "
                f"it has {', '.join(known)}, and parts of them by dotted path"
            )
