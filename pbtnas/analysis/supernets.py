"""Reads what runs say about every architecture of a space: supernets, and networks alone.

The names of subnets are those of the metrics `subnet.NAME` of a supernet's results; a network alone
has the name of its architecture.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pbtnas.analysis.compare.comparison import ComparisonError
from pbtnas.analysis.history.files import RecordFiles
from pbtnas.analysis.history.run import Generation, History
from pbtnas.analysis.instances import join_groups
from pbtnas.analysis.ranks import Array
from pbtnas.records import paths
from pbtnas.records.schema import SUBNET, Result
from pbtnas.search.population import subnet_name
from pbtnas.store.arrays import read_arrays
from pbtnas.store.opening import open_files

ACCURACY, STEPS, TRAINED = "rows.accuracy", "rows.steps", "rows.trained"
"""Tensors in the section `extra` of a supernet's checkpoint: after each of its last mini-batches
the accuracies of its subnets, the mini-batches until then, and the column of the one trained."""


@dataclass(frozen=True, eq=False)
class SubnetRows:
    """Accuracies of the subnets of a run, one row a time, in the order of the ground truth.

    Args:
        values: Accuracies; NaN where a subnet has none; float64 [R, n].
        at: Mini-batches, or epochs, trained until each row.
        trained: Column of the subnet that the last mini-batch before each row has trained; -1
            for one without a column.  None where several supernets were trained at once.
        dense: Whether a row is a mini-batch, and not a generation.
    """

    values: Array
    at: tuple[int, ...]
    trained: tuple[int, ...] | None
    dense: bool


@dataclass(frozen=True, eq=False)
class _Part:
    """The rows of one member, whose columns have names."""

    names: tuple[str, ...]
    values: Array
    at: tuple[int, ...]
    trained: tuple[int, ...] | None = None


def has_subnets(history: History) -> bool:
    """Whether the results of a run rate subnets."""
    return any(
        name.startswith(SUBNET)
        for generation in history.generations
        for found in generation.results.values()
        for name in found.result.metrics
    )


def subnet_rows(history: History, names: Sequence[str], of: str = "the ground truth") -> SubnetRows:
    """The accuracies of the subnets after each of the last mini-batches of a finished run.

    Where its members have not kept them, those after each generation.  The members' rows are
    joined; the subnets of a member that diverged have no accuracy.  `of` says whose the names are.
    Raises `ComparisonError` unless the subnets have these names, `CorruptRecord` for a damaged
    checkpoint.
    """
    results = _last_results(history)
    parts = [_dense(history, result) for result in results if result.checkpoint is not None]
    found = [part for part in parts if part is not None]
    if len(found) < len(parts) or not found:
        return rows_by_generation(history, names, of)
    return _joined(history, found, names, of, dense=True)


def rows_by_generation(
    history: History, names: Sequence[str], of: str = "the ground truth"
) -> SubnetRows:
    """The accuracies of the subnets after each generation; raises `ComparisonError`, as above."""
    epochs = np.cumsum([_epochs(generation) for generation in history.generations])
    parts = []
    for result in _last_results(history):
        found = [_accuracies(generation, result.member) for generation in history.generations]
        own = tuple(dict.fromkeys(name for each in found for name in each))
        values = [[each.get(name, math.nan) for name in own] for each in found]
        parts.append(_Part(own, np.array(values, np.float64), tuple(epochs.tolist())))
    return _joined(history, parts, names, of, dense=False)


def single_trainings(history: History) -> dict[str, float] | None:
    """The score of each architecture, NaN without one, by its name; None for another run.

    That is a run that began with each architecture of its space once and has replaced none.
    """
    if history.config["search"].get("start") != "every" or has_subnets(history):
        return None
    last = history.generations[-1]
    members = {member: job.architecture for member, job in last.jobs.items()}
    first = {member: job.architecture for member, job in history.generations[0].jobs.items()}
    if members != first:
        return None
    scores = {}
    for member, architecture in members.items():
        score = last.results[member].result.score
        scores[subnet_name(architecture)] = math.nan if score is None else score
    return scores


def rated_twice(history: History) -> str | None:
    """Why a run gives no ranking: several of its members rate a subnet; None if it gives one."""
    generation = history.generations[-1]
    counts = Counter(n for member in generation.results for n in _accuracies(generation, member))
    for name, count in counts.items():
        if count > 1:
            return f"run {history.root.name} has {count} members with a subnet {name}, expected one"
    return None


def subnet_names(history: History) -> tuple[str, ...]:
    """The names of a run's subnets that have an accuracy in some generation, in order."""
    parts = [
        _accuracies(generation, member)
        for generation in history.generations
        for member in sorted(generation.results)
    ]
    return tuple(sorted({name for part in parts for name in part}))


@dataclass(frozen=True)
class RatedSubnet:
    """A subnet, and its score after each number of steps of tuning; None where it has none."""

    subnet: str
    scores: tuple[float | None, ...]


def tuned_subnets(history: History) -> dict[tuple[int, ...], list[RatedSubnet]]:
    """What `pbtnas subnets --finetune` has recorded of a run, by the numbers of steps.

    Only of the members that the run ended with, and with the task's own statistics.
    """
    ended = {result.checkpoint for result in _last_results(history)}
    found: dict[tuple[int, ...], list[RatedSubnet]] = {}
    with open_files(history.root) as reader:
        files = RecordFiles(reader, history.run)
        for leaf in sorted(name.rpartition("/")[2] for name in files.names(paths.ARTIFACTS)):
            if paths.kind_afterwards(leaf) != "subnets":
                continue
            record = files.read(paths.within(paths.ARTIFACTS, leaf), "subnets")
            if record is None or record.core["checkpoint"] not in ended:
                continue
            at = tuple(record.core["at"])
            if len(at) > 1 and record.core["statistics"] is None:
                scores = record.core["scores"]
                found.setdefault(at, []).extend(
                    RatedSubnet(name, tuple(scores[name])) for name in record.core["subnets"]
                )
    return found


def picked(history: History) -> str | None:
    """The name of the architecture that a finished run ended with as its best."""
    best = None if history.final is None else history.final.best_last
    return None if best is None else subnet_name(best.architecture)


def _last_results(history: History) -> list[Result]:
    last = history.generations[-1]
    return [last.results[member].result for member in sorted(last.jobs)]


def _epochs(generation: Generation) -> int:
    return next(iter(generation.jobs.values())).epochs


def _accuracies(generation: Generation, member: int) -> Mapping[str, float]:
    metrics = generation.results[member].result.metrics
    return {n.removeprefix(SUBNET): value for n, value in metrics.items() if n.startswith(SUBNET)}


def _dense(history: History, result: Result) -> _Part | None:
    """The rows in a member's last checkpoint; None where it has none."""
    assert result.checkpoint is not None, "asked for by the caller"
    generation = history.generations[-1].number
    keys = {f"extra/{key}": key for key in (ACCURACY, STEPS, TRAINED)}
    name = paths.checkpoint(generation, result.checkpoint)
    try:
        with open_files(history.root) as files:
            read = read_arrays(
                files.fetch(name),
                result.checkpoint,
                tuple(keys),
                algorithm=str(history.about["hash"]),
            )
    except OSError as error:
        raise ComparisonError(
            f"run {history.root.name}: its checkpoint {history.root}/{name} cannot be read "
            f"({error.strerror})"
        ) from error
    tensors = {keys[key]: array for key, array in read.tensors.items()}
    if len(tensors) < len(keys):
        return None
    return _Part(
        tuple(read.info["subnets"]),
        tensors[ACCURACY].astype(np.float64),
        tuple(tensors[STEPS].tolist()),
        tuple(tensors[TRAINED].tolist()),
    )


def _joined(
    history: History, parts: Sequence[_Part], names: Sequence[str], of: str, *, dense: bool
) -> SubnetRows:
    """The rows of all members side by side, in the order of the names."""
    run = history.root.name
    place = {name: i for i, name in enumerate(names)}
    known = [name for part in parts for name in part.names]
    lacking = [name for name in known if name not in place]
    if lacking and set(names) <= set(known):
        raise ComparisonError(
            f"{of} has no architecture {lacking[0]}, expected all {len(known)} of which run {run} "
            "has a subnet"
        )
    for name in known:
        if name not in place:
            raise ComparisonError(
                f"run {run} has a subnet {name}, expected the {len(names)} architectures of {of}, "
                f"{names[0]} to {names[-1]}"
            )
    lost = [i for name, i in place.items() if name not in known]
    diverged = any(result.score is None for result in _last_results(history))
    if lost and not diverged:
        raise ComparisonError(
            f"run {run} has accuracies of {len(known)} subnets, expected those of all "
            f"{len(names)} architectures of {of}; there is none of {names[lost[0]]}"
        )
    joined = [([place[name] for name in part.names], part.values) for part in parts if part.names]
    if lost:
        joined.append((lost, np.full((len(parts[0].at), len(lost)), math.nan)))
    try:
        values = join_groups(joined)
    except ValueError as error:
        raise ComparisonError(f"run {run}: {error}") from error
    trained = None
    if len(parts) == 1 and parts[0].trained is not None:
        own = parts[0].names
        trained = tuple(place[own[i]] if i >= 0 else -1 for i in parts[0].trained)
    return SubnetRows(values, parts[0].at, trained, dense)
