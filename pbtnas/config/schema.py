"""The sections of a configuration: one frozen dataclass each.

Types, defaults, ranges and help stand here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from typing import Any, Literal

from pbtnas.config.fields import closest, describe_fields, number, setting
from pbtnas.search.algorithms import ALGORITHMS, REPLACING_NOBODY, SelectionRule
from pbtnas.search.budget import granted_epochs
from pbtnas.search.exploring import Exploration
from pbtnas.search.objectives import ARCHIVE, SCORE, NoObjective, Objectives, objectives_of

ALGORITHM_GROUP = "pbtnas.algorithms"
"""The entry point group in which other packages install algorithms."""


LOGGER_GROUP = "pbtnas.loggers"
"""The entry point group in which other packages install loggers."""

LOGGERS = ("tensorboard", "wandb", "mlflow")


def logger_names() -> list[str]:
    """Names of our loggers, and then of installed ones in alphabetical order."""
    installed = {point.name for point in entry_points(group=LOGGER_GROUP)}
    return [*LOGGERS, *sorted(installed.difference(LOGGERS))]


def algorithm_names() -> list[str]:
    """Names of our algorithms, and then of installed ones in alphabetical order."""
    installed = {point.name for point in entry_points(group=ALGORITHM_GROUP)}
    return [*ALGORITHMS, *sorted(installed.difference(ALGORITHMS))]


class RecordedOptions(dict[str, Any]):
    """All options of a task, as a run that was started with them has recorded them."""


@dataclass(frozen=True)
class TaskConfig:
    """The section `task`: a name, and options that only the task itself understands.

    Args:
        name: Name of the task.
        options: All other keys of the section, as given; the task checks them with `parse`.
        places: "file:line" of each option for error messages, and by "" of the section.
        recorded: All options that the run was started with, those at their defaults included;
            empty for a run that is yet to be started.
    """

    name: str
    options: dict[str, Any] = field(default_factory=dict)
    places: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)
    recorded: Mapping[str, Any] = field(default_factory=dict)

    @property
    def in_force(self) -> dict[str, Any]:
        """The options to make the task from: whatever its defaults have become, a run has those
        that it was started with."""
        if not self.recorded:
            return dict(self.options)
        return RecordedOptions({**self.recorded, **self.options})


@dataclass(frozen=True)
class TaskName:
    """The problem to search networks for."""

    name: str = setting(help="Which task; every other key of this section is an option of it.")


OF_LADDERS = {("search", key) for key in ("explore", "explore_rungs", "resample_probability")}
"""Keys that a run with ladders stores even at their defaults."""


@dataclass(frozen=True, kw_only=True)
class SearchConfig:
    """How members are trained, selected and mixed (paper section 4, Algorithms 1 and 2)."""

    algorithm: str = setting(
        "pbt-nas",
        help="How the next generation is made: pbt-nas mixes the best; random-search replaces "
        "nobody; searl mutates copies of the best; no-mixing mixes each of the best with itself; "
        "random-search-shrink-perturb shrink-perturbs everybody; weighted-sum is pbt-nas by the "
        "sum of the objectives; or one that another package installs.",
    )
    start: Literal["stratified", "every", "one-network", "listed"] = setting(
        "stratified",
        newer=True,
        help="The architectures of generation 0: stratified shows each option of a variable as "
        "evenly as the population allows; every has each architecture of the space once, in "
        "order; one-network gives all members the same network, drawn at random, and shows each "
        "rung of a ladder evenly; listed takes those of architectures.",
    )
    architectures: tuple[tuple[int, ...], ...] = setting(
        (),
        newer=True,
        help="With start listed, the architecture of each member in generation 0, as option "
        "indices, such as [[3, 3, 3, 1, 3, 2]]; all different.",
    )
    schedule: tuple[tuple[int, ...], ...] = setting(
        (),
        newer=True,
        help="The architecture of the single member in each generation, as option indices, instead "
        "of one that it keeps; `pbtnas run --schedule-of RUN` makes it of a finished run.",
    )
    population: int = number(
        min=1, help="Members of every generation; a single one where nobody is ever replaced."
    )
    generations: int = number(min=1, help="Times that all members are trained and evaluated.")
    epochs: int = number(min=1, help="Training of a member in a generation, in the task's epochs.")
    first_epochs: int | None = number(
        None, min=1, help="The same in generation 0; null means as in all others."
    )
    skip_selection: tuple[int, ...] = number(
        (), min=0, help="Generations, counted from 0, after which nobody is replaced."
    )
    tau: float = number(
        0.25, min=0, max=0.5, help="Share of the population that is replaced, and of its parents."
    )
    parents: int | None = number(
        None, min=1, help="How many of the best may become parents; null means by tau."
    )
    replaced: int | None = number(
        None, min=0, help="How many of the worst are replaced; null means by tau."
    )
    inherit_probability: float = number(
        0.25, min=0, max=1, help="Chance that a variable is taken from the donor."
    )
    shrink: float = number(
        0.4,
        min=0,
        max=1,
        help="Lambda: factor on donated weights; 1 with perturb 0 copies them exactly, 0 with "
        "perturb 1 reinitialises them.  Without effect on random-search and searl.",
    )
    perturb: float = number(
        0.1, min=0, max=1, help="Gamma: factor on the fresh weights added to donated ones."
    )
    mutated_networks: tuple[str, ...] = setting(
        (),
        help="What searl may mutate the weights of: the first part or parts of parameters' names, "
        "such as [actor] or [generator.cells]; [] means all networks.  Averaged copies never "
        "mutate; in the published code the target critic did, a generator's average did not.",
    )
    objectives: tuple[str, ...] = setting(
        (SCORE,),
        newer=True,
        help="What members are ranked by, the most important first: score, or a metric with "
        "larger or smaller and perhaps a bound, such as 'fid smaller at_most 40'; parameters and "
        "multiply_adds of the trained network are counted where they are asked for.",
    )
    archive: int = number(
        ARCHIVE,
        min=2,
        newer=True,
        help="How many members that no other dominates are kept, with several objectives.",
    )
    explore: Literal["none", "step", "resample"] = setting(
        "step",
        newer=True,
        help="How the ladders of a child move from what it inherits: step moves each to any rung "
        "with resample_probability, and otherwise up or down; resample moves it to any rung with "
        "that probability, and otherwise not at all; none never does.  Without effect on spaces "
        "without ladders.",
    )
    explore_rungs: int = number(
        1,
        min=1,
        newer=True,
        help="Largest number of rungs of a step; all from 1 to it are equally likely.",
    )
    resample_probability: float = number(
        0.25,
        min=0,
        max=1,
        newer=True,
        help="Chance that a ladder of a child moves to a rung drawn from all of it.",
    )

    def epochs_of(self, generation: int) -> int:
        """Epochs every member is trained in that generation."""
        if generation == 0 and self.first_epochs is not None:
            return self.first_epochs
        return self.epochs

    def granted_epochs(self) -> int:
        """Network-epochs of the whole run: those of all members in all generations."""
        return granted_epochs(
            population=self.population,
            generations=self.generations,
            epochs=self.epochs,
            first_epochs=self.first_epochs,
        )

    def selection(self) -> SelectionRule:
        """The constants for the algorithm: tau as counts, unless exact counts are given."""
        share = round(self.tau * self.population)
        return SelectionRule(
            parents=max(2, share) if self.parents is None else self.parents,
            replaced=share if self.replaced is None else self.replaced,
            inherit_probability=self.inherit_probability,
            shrink=self.shrink,
            perturb=self.perturb,
            mutated_networks=self.mutated_networks,
        )

    def ranking(self) -> Objectives:
        """What members are ranked by.  Raises `NoObjective`, but not once it is checked."""
        return objectives_of(self.objectives, self.archive)

    def exploration(self) -> Exploration:
        """How ladders move in children."""
        return Exploration(self.explore, self.explore_rungs, self.resample_probability)

    def conflicts(self) -> Iterator[tuple[str, str]]:
        """Broken rules between the fields, for `parse`."""
        try:
            self.ranking()
        except NoObjective as error:
            yield "objectives", str(error)
        if self.population == 1 and self.algorithm not in REPLACING_NOBODY:
            yield "population", f"at least 2 with search.algorithm {self.algorithm}"
        if self.schedule:
            yield from self._conflicts_of_schedule()
        yield from self._conflicts_of_architectures()
        if self.parents is not None and self.parents > self.population:
            yield "parents", f"at most the population, which is {self.population}"
        if self.replaced is not None and self.replaced >= self.population:
            yield "replaced", f"less than the population, which is {self.population}"
        if self.algorithm not in ALGORITHMS and self.algorithm not in algorithm_names():
            match = closest(self.algorithm, algorithm_names())
            hint = f" (is {match!r} meant?)" if match else ""
            yield "algorithm", f"one of {', '.join(algorithm_names())}{hint}"
        if len(set(self.skip_selection)) < len(self.skip_selection):
            yield "skip_selection", "every generation once"
        last = self.generations - 1
        if any(generation >= last for generation in self.skip_selection):
            yield "skip_selection", f"generations before the last, which is {last}"

    def _conflicts_of_architectures(self) -> Iterator[tuple[str, str]]:
        listed = self.architectures
        if self.start != "listed":
            if listed:
                yield "architectures", f"[] with search.start {self.start}; listed takes them"
        elif len(listed) != self.population:
            yield (
                "architectures",
                f"{self.population} architectures, as many as search.population says, and there "
                f"are {len(listed)}",
            )
        elif len(set(listed)) < len(listed):
            yield "architectures", "every architecture once"

    def _conflicts_of_schedule(self) -> Iterator[tuple[str, str]]:
        if len(self.schedule) != self.generations:
            yield "schedule", f"{self.generations} architectures, one for each generation"
        if self.population != 1:
            yield "population", "1 with search.schedule, which is that of a single member"
        if self.algorithm != "random-search":
            yield "algorithm", "random-search with search.schedule, which leaves nothing to decide"
        if self.start != "stratified":
            yield "start", "stratified with search.schedule, which says how generation 0 starts"


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """What else decides the bits of the outcome."""

    seed: int = number(0, min=0, help="Every random number of the run derives from it.")
    threads: int = number(
        1, min=1, help="Torch threads of a job; results may differ in the last bits by it."
    )
    checkpoint_hash: Literal["xxh3-128", "blake3", "sha256"] = setting(
        "xxh3-128", help="Names checkpoints and detects damage; the other two also detect forgery."
    )
    cpu_capability: Literal["default", "avx2", "avx512"] = setting(
        "default",
        newer=True,
        help="Compute with these instructions on every processor: equal runs then have equal bits "
        "on processors that differ.  default is whatever each processor has.",
    )


PREVIEWS_MIB = 64.0


@dataclass(frozen=True, kw_only=True)
class EngineConfig:
    """How the work is carried out; never changes the outcome of a search."""

    lease_s: float = number(
        60.0, min=0.01, help="Seconds without a heartbeat after which a claim expires."
    )
    beat_s: float = number(5.0, min=0.01, help="Seconds between two heartbeats of a worker.")
    poll_s: float = number(
        1.0, min=0.01, help="Longest wait between two looks at the run directory, in seconds."
    )
    snapshot_s: float = number(
        300.0, min=0, help="Seconds between snapshots in the middle of a job; 0 means none."
    )
    hang_s: float = number(
        600.0, min=0.01, help="A job without progress for so many seconds counts as hung."
    )
    start_s: float = number(
        300.0, min=0.01, help="Seconds a training process has to get ready for its first job."
    )
    attempts: int = number(
        3, min=1, help="Counted failures after which a member is recorded as failed."
    )
    grace_s: float = number(
        20.0, min=0, help="Seconds a job has for its snapshot when its worker is asked to stop."
    )
    previews_mib: float = number(
        PREVIEWS_MIB,
        min=0,
        newer=True,
        help="Room for the pictures that members give with their scores, in MiB; of more, the "
        "oldest generations go.  0 keeps none.",
    )

    def conflicts(self) -> Iterator[tuple[str, str]]:
        """Broken rules between the fields, for `parse`."""
        if self.lease_s < 3 * self.beat_s:
            yield "lease_s", f"at least 3 times engine.beat_s, which is {self.beat_s}"


@dataclass(frozen=True, kw_only=True)
class LoggingConfig:
    """What is told to other tools; never changes the outcome of a search, nor its fingerprint."""

    to: tuple[str, ...] = setting(
        (),
        help="Loggers beside the coordinator: tensorboard, wandb, mlflow, or one that another "
        "package installs.",
    )

    def conflicts(self) -> Iterator[tuple[str, str]]:
        """Broken rules between the fields, for `parse`."""
        if not self.to:  # without a look at all installed packages
            return
        known = logger_names()
        if not set(self.to) <= set(known) or len(set(self.to)) < len(self.to):
            yield "to", f"names of {', '.join(known)}, each once"


@dataclass(frozen=True)
class Config:
    """A whole configuration, checked.  Made by `load` and `from_json`.

    Args:
        task: Section `task`.
        search: Section `search`.
        run: Section `run`.
        engine: Section `engine`.
        logging: Section `logging`; it is no part of what is stored and compared.
        places: "file:line" by dotted key, e.g. "search.population", and by section.
    """

    task: TaskConfig
    search: SearchConfig
    run: RunConfig = RunConfig()
    engine: EngineConfig = EngineConfig()
    logging: LoggingConfig = LoggingConfig()
    places: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)

    def named(self, key: str) -> str:
        """A dotted key as messages name it, behind the place where it, or its section, stands."""
        place = self.places.get(key) or self.places.get(key.partition(".")[0])
        return f"{place}: {key}" if place else key


SECTIONS: dict[str, type[Any]] = {
    "task": TaskName,
    "search": SearchConfig,
    "run": RunConfig,
    "engine": EngineConfig,
    "logging": LoggingConfig,
}

NOT_STORED = ("logging",)
"""Sections that say nothing of a run, but what stands beside it."""


def describe() -> str:
    """All sections and keys with defaults, ranges and help, as text for people."""
    return "\n\n".join(
        f"{name}: {cls.__doc__}\n{describe_fields(cls)}" for name, cls in SECTIONS.items()
    )
