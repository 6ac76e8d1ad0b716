"""Defines the cores of records as frozen data: jobs, results, selections.

Each class turns into canonical JSON and back; `from_json` accepts only what `to_json` makes,
because records are checksummed: anything else is a bug, not user input.  What `to_json` gives
shares its parts with the record (`dataclasses.asdict` would copy them, at many times the cost).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, TypeVar

from pbtnas.records.names import Digest
from pbtnas.search.births import Birth
from pbtnas.search.space import Architecture

_LONGEST = 500  # characters of a line in a log or on a screen

T = TypeVar("T")
Outcome = Literal["ok", "diverged", "failed"]

SUBNET = "subnet."
"""Prefix of the metrics of a member that are the scores of its subnets, e.g. "subnet.434"."""

CHOSEN = "chosen."
"""Prefix of the metrics of a supernet that learns an architecture: the option that it would choose
now for each variable of its space, counted from 0, by the index of the variable: "chosen.0"."""

ENTROPY = "entropy"
"""Metric of such a supernet: the mean over variables of the entropy of its mixture, in nats."""

SPENT = "spent_multiply_adds"
"""Metric of a member: the multiply-adds of all forward and backward passes of its job, training and
scoring alike, a backward pass counted as two forward passes."""


EXTENDED = "extended"
"""Key in the meta of a manifest: how many extensions come before it; absent where none does."""

CANCELLED = "cancelled"
"""What `ended` says where an operator has ended the run in the midst of a generation."""

TRAINED_BY = "trained_by"
"""Key in the meta of a manifest: by member, the worker that trained what its job starts from."""


@dataclass(frozen=True)
class Job:
    """Work to do: train and evaluate one member for one generation.

    Its result is a pure function of this record and of the files it names.

    Args:
        generation: Generation it belongs to.
        member: Slot of the member.
        architecture: Option index of every variable.
        inputs: Digests of the checkpoint to start from, overlay before base; produced by the
            generation before.  Empty in generation 0: a fresh member is created from `seed`.
        seed: Seed of this job.
        epochs: Epochs to train.
        threads: Torch threads to train with.
    """

    generation: int
    member: int
    architecture: Architecture
    inputs: tuple[Digest, ...]
    seed: int
    epochs: int
    threads: int

    def to_json(self) -> dict[str, Any]:
        return dict(vars(self))

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Job:
        return cls(
            generation=data["generation"],
            member=data["member"],
            architecture=tuple(data["architecture"]),
            inputs=tuple(data["inputs"]),
            seed=data["seed"],
            epochs=data["epochs"],
            threads=data["threads"],
        )


@dataclass(frozen=True)
class Manifest:
    """The commit point of a generation: everything its workers need to know.

    Args:
        generation: Number of the generation, from 0.
        previous: Digest of the selection before it; of configuration and space for the first.
        config: Number of the configuration in force.
        jobs: Jobs, one for each member alive, by member.
        products: SHA-256 of the products of the task that results rest on, by name; only in the
            first manifest, and there only if there are some.
    """

    generation: int
    previous: Digest
    config: int
    jobs: tuple[Job, ...]
    products: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        data = {
            "generation": self.generation,
            "previous": self.previous,
            "config": self.config,
            "jobs": [job.to_json() for job in self.jobs],
        }
        # Manifests written before there was this key have the same bytes still.
        return {**data, "products": self.products} if self.products else data

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Manifest:
        jobs = tuple(Job.from_json(job) for job in data["jobs"])
        products = data.get("products", {})
        return cls(data["generation"], data["previous"], data["config"], jobs, products)

    def job(self, member: int) -> Job:
        return self._by_member[member]

    @cached_property
    def _by_member(self) -> Mapping[int, Job]:
        return {job.member: job for job in self.jobs}


@dataclass(frozen=True)
class Result:
    """The outcome of a job.

    Args:
        member: Slot of the member.
        outcome: Outcome: ok, diverged (NaN or infinity) or failed (its attempts used up).
        score: Number that selection maximises; None unless ok.
        metrics: Further finite numbers.
        checkpoint: Digest of the trained checkpoint; None unless ok.
    """

    member: int
    outcome: Outcome
    score: float | None
    metrics: Mapping[str, float]
    checkpoint: Digest | None

    def to_json(self) -> dict[str, Any]:
        return dict(vars(self))

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Result:
        return cls(
            data["member"], data["outcome"], data["score"], data["metrics"], data["checkpoint"]
        )


def numbers(score: T, metrics: Mapping[str, T]) -> dict[str, T]:
    """Score and metrics by name, the score first; a metric of that name does not replace it."""
    return {"score": score} | {name: m for name, m in metrics.items() if name != "score"}


@dataclass(frozen=True)
class Selected:
    """The decision at the end of a generation, with a copy of the results it rests on.

    Args:
        generation: Number of the generation.
        manifest: Digest of that generation's manifest.
        ranking: Member numbers, best first.
        births: Births that fill slots of the next generation; empty after the last one.
        results: Results that it rests on, by member.
        ended: "stop" where an operator has ended the run after it, `CANCELLED` where in its midst:
            then it has neither ranking nor results; else "".
        retried: By member, which retry of its job the result is of; those of none left out.
    """

    generation: int
    manifest: Digest
    ranking: tuple[int, ...]
    births: tuple[Birth, ...]
    results: tuple[Result, ...]
    ended: str = ""
    retried: Mapping[int, int] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        data = {
            "generation": self.generation,
            "manifest": self.manifest,
            "ranking": self.ranking,
            "births": [birth_to_json(birth) for birth in self.births],
            "results": [result.to_json() for result in self.results],
        }
        data |= {"ended": self.ended} if self.ended else {}
        # Keys of an object are text.
        retried = {str(member): retry for member, retry in self.retried.items()}
        return {**data, "retried": retried} if retried else data

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Selected:
        return cls(
            generation=data["generation"],
            manifest=data["manifest"],
            ranking=tuple(data["ranking"]),
            births=tuple(birth_from_json(birth) for birth in data["births"]),
            results=tuple(Result.from_json(result) for result in data["results"]),
            ended=data.get("ended", ""),
            retried={int(member): retry for member, retry in data.get("retried", {}).items()},
        )

    @property
    def cancelled(self) -> bool:
        """Whether the run was ended before this generation was over."""
        return self.ended == CANCELLED

    def result(self, member: int) -> Result:
        return self._by_member[member]

    @cached_property
    def _by_member(self) -> Mapping[int, Result]:
        return {result.member: result for result in self.results}


@dataclass(frozen=True)
class Extension:
    """How a run goes on after a generation that would have been its last.

    Args:
        generation: Number of that generation.
        selection: Digest of its selection.
        generations: Number of generations that follow.
        births: Births that fill slots of the next one.
    """

    generation: int
    selection: Digest
    generations: int
    births: tuple[Birth, ...]

    def to_json(self) -> dict[str, Any]:
        return {**vars(self), "births": [birth_to_json(birth) for birth in self.births]}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Extension:
        births = tuple(birth_from_json(birth) for birth in data["births"])
        return cls(data["generation"], data["selection"], data["generations"], births)


def birth_to_json(birth: Birth) -> dict[str, Any]:
    """What only some births have is left out of all others, which stay as they always were."""
    data = dict(vars(birth))
    if birth.operator == "mix":
        del data["operator"], data["networks"]
    if not birth.explored:
        del data["explored"]
    return data


def birth_from_json(data: Mapping[str, Any]) -> Birth:
    return Birth(
        member=data["member"],
        base=data["base"],
        donor=data["donor"],
        inherited=tuple(data["inherited"]),
        architecture=tuple(data["architecture"]),
        seed=data["seed"],
        shrink=data["shrink"],
        perturb=data["perturb"],
        operator=data.get("operator", "mix"),
        networks=tuple(data.get("networks", ())),
        explored=tuple(data.get("explored", ())),
    )


@dataclass(frozen=True)
class Child:
    """A birth carried out: the checkpoint a slot of the next generation starts from.

    Args:
        member: Slot that is filled.
        overlay: Digest of the file with the donated and fresh tensors.
        base: Digest of the base's checkpoint, which holds all others.
    """

    member: int
    overlay: Digest
    base: Digest

    def to_json(self) -> dict[str, Any]:
        return dict(vars(self))

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Child:
        return cls(data["member"], data["overlay"], data["base"])


@dataclass(frozen=True)
class Champion:
    """The best member at some moment, and where its checkpoint lies."""

    generation: int
    member: int
    score: float
    architecture: Architecture
    checkpoint: Digest

    def to_json(self) -> dict[str, Any]:
        return dict(vars(self))

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Champion:
        return cls(
            data["generation"],
            data["member"],
            data["score"],
            tuple(data["architecture"]),
            data["checkpoint"],
        )


@dataclass(frozen=True)
class FrontMember:
    """A member that no other dominates.

    Args:
        champion: Member, and where its checkpoint lies.
        objectives: Value of each objective by name, as it was reported.
    """

    champion: Champion
    objectives: Mapping[str, float]

    def to_json(self) -> dict[str, Any]:
        return {**self.champion.to_json(), "objectives": dict(self.objectives)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> FrontMember:
        return cls(Champion.from_json(data), data["objectives"])


@dataclass(frozen=True)
class Trial:
    """The outcome of averaging some members, by the search's own evaluation.

    Args:
        part: Part of the networks that was averaged; None for everything.
        ingredients: Digests of the averaged checkpoints, the best member's first.
        outcome: Outcome: ok, diverged (NaN or infinity), or missing: the checkpoint of the last
            ingredient was not there any more.
        score: Score of the average; None unless ok.
        metrics: Further finite numbers.
    """

    part: str | None
    ingredients: tuple[Digest, ...]
    outcome: Literal["ok", "diverged", "missing"]
    score: float | None
    metrics: Mapping[str, float]

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Trial:
        return cls(
            data["part"],
            tuple(data["ingredients"]),
            data["outcome"],
            data["score"],
            data["metrics"],
        )


@dataclass(frozen=True)
class Tried:
    """One line of a soup's trace: a member, and what became of the soup with it.

    Args:
        member: Slot of the member whose weights were added.
        search_score: Score of the member during the search.
        outcome: Outcome of the `Trial`.
        score: Score of the soup with it; None unless ok.
        accepted: Whether it stayed in.
    """

    member: int
    search_score: float
    outcome: str
    score: float | None
    accepted: bool

    def to_json(self) -> dict[str, Any]:
        return dict(vars(self))


@dataclass(frozen=True)
class Soup:
    """A greedy soup: the average of a best member and of others that did not lower its score.

    Args:
        which: Name of the soup, e.g. best-ever-soup.
        part: Part of the networks that was averaged; None for everything.
        generation: Generation whose members were averaged.
        member: Slot of the best of them, with which it began.
        architecture: Architecture of the best member.
        search_score: Score of the best member during the search.
        score: Score of the soup by the search's evaluation; the best member's if it is alone.
        ingredients: Members that were averaged, the best first.
        trace: Candidates that were tried, in this order.
        checkpoint: Digest of the soup's checkpoint.
    """

    which: str
    part: str | None
    generation: int
    member: int
    architecture: Architecture
    search_score: float
    score: float
    ingredients: tuple[int, ...]
    trace: tuple[Tried, ...]
    checkpoint: Digest

    def to_json(self) -> dict[str, Any]:
        return {**vars(self), "trace": [tried.to_json() for tried in self.trace]}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Soup:
        return cls(
            **{
                **data,
                "architecture": tuple(data["architecture"]),
                "ingredients": tuple(data["ingredients"]),
                "trace": tuple(Tried(**tried) for tried in data["trace"]),
            }
        )


NO_FAILURE = ("released", "repair", "superseded")  # classes of ends that are none


def last_line(text: str) -> str:
    """What a traceback comes to, short enough for a log; "" if there is none."""
    lines = text.strip().splitlines()
    last = lines[-1].strip() if lines else ""
    return last if len(last) <= _LONGEST else f"{last[: _LONGEST - 3]}..."
