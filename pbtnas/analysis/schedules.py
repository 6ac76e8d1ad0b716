"""Schedules: the rungs of each ladder along the ancestry of a run's winner.

The winner is the best member of the last generation.  Its ancestors (through bases) trained the
weights that it goes on from, each with the rungs that it had: a schedule of what is searched
besides the network.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pbtnas.analysis.compare.observations import evolution
from pbtnas.analysis.history.run import History
from pbtnas.analysis.plots.evolution import Evolution, ancestry, ranked
from pbtnas.analysis.tables import Table
from pbtnas.config import Config, from_json
from pbtnas.errors import ExitCode, PbtnasError
from pbtnas.records.paths import member_name
from pbtnas.search.space import Architecture, Variable


class NoSchedule(PbtnasError):
    """A run that has no winner, or not yet."""

    exit_code = ExitCode.USAGE


@dataclass(frozen=True)
class Schedule:
    """What the winner's ancestors were trained with, by generation.

    Args:
        ladders: Index and variable of each ladder; empty for a run without ladders.
        ancestors: [G] slot of the winner's ancestor; the last is the winner's own.
        epochs: [G] total epochs of a member at the end of each generation.
        architectures: [G] network of the winner with the rungs of its ancestor.
    """

    ladders: tuple[tuple[int, Variable], ...]
    ancestors: tuple[int, ...]
    epochs: tuple[int, ...]
    architectures: tuple[Architecture, ...]

    def rungs(self, index: int) -> list[int]:
        """[G] the rung of one ladder in each generation."""
        return [architecture[index] for architecture in self.architectures]


def schedule(seen: Evolution) -> Schedule:
    """The schedule of the best member of the last generation that was selected.

    Ancestors may have had other networks: weights of a part that changed came from donors, or
    began fresh.  The network is the winner's throughout.
    """
    ancestors = ancestry(seen, ranked(seen)[0])
    lived = [seen.at(g, member).architecture for g, member in enumerate(ancestors)]
    ladders = {i: variable for i, variable in enumerate(seen.variables) if variable.ordered}
    return Schedule(
        ladders=tuple(ladders.items()),
        ancestors=tuple(ancestors),
        epochs=seen.epochs,
        architectures=tuple(
            tuple(rungs[i] if i in ladders else option for i, option in enumerate(lived[-1]))
            for rungs in lived
        ),
    )


def schedule_table(found: Schedule) -> Table:
    """A row a generation: the ancestor, its training so far, and the value of each ladder."""
    return Table(
        title="Schedule of the best member at the end",
        columns=("generation", "ancestor", "epochs", *(v.name for _, v in found.ladders)),
        rows=tuple(
            (
                str(generation),
                member_name(found.ancestors[generation]),
                str(found.epochs[generation]),
                *(f"{variable.options[architecture[i]]:.6g}" for i, variable in found.ladders),
            )
            for generation, architecture in enumerate(found.architectures)
        ),
        notes=(
            "What each of its ancestors (through bases) was trained with. `pbtnas run "
            "--schedule-of` trains its network alone, from scratch, with this schedule.",
        ),
    )


def alone(source: Path, overrides: Sequence[str] = ()) -> Config:
    """The configuration of a run that trains the winner of a finished run alone, from scratch.

    It has the schedule as its own, so that nobody needs the source to go on with it.  `overrides`
    are those of `load`.  Raises `NoSchedule`, `NotARun`, `ConfigError`.
    """
    history = History.read(source)
    if history.final is None:
        raise NoSchedule(f"{source}: is not finished, so its best member is not known yet")
    if history.final.best_last is None:
        raise NoSchedule(f"{source}: ended without a member that has a score")
    seen = evolution(history, tuple(history.space or ()))
    if len(seen.generations) != history.final.generations:
        raise NoSchedule(f"{source}: not all records can be read; `pbtnas fsck {source}` says more")
    given: Mapping[str, Any] = history.config["search"]
    search = {
        # What else decides a search has nothing to decide on a single member.
        "algorithm": "random-search",
        "schedule": schedule(seen).architectures,
        "population": 1,
        **{key: given[key] for key in ("generations", "epochs", "first_epochs")},
    }
    config = {**history.config, "search": search}
    return from_json(config, f"the schedule of {source}", overrides, history.options)
