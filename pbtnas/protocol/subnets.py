"""Plans the rating of subnets: pieces of a few subnets, and the ranking that they come to.

A member whose networks share weights holds many subnets.  Each is scored with these weights, or
after tuning it alone from them, by the search's own evaluation.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from pbtnas.protocol.postsearch import Mixture, Outcomes, Rate, WorkItem
from pbtnas.records import paths
from pbtnas.records.envelope import digest
from pbtnas.records.schema import Champion
from pbtnas.search.seeding import derive

PIECE = 16  # subnets that one process rates under one claim


@dataclass(frozen=True)
class Tuning:
    """How subnets are rated.

    Args:
        at: Numbers of steps of tuning after which a subnet is scored, ascending; (0,) for the
            shared weights as they are.
        statistics: What normalisation uses; None for the task's own choice.
    """

    at: tuple[int, ...] = (0,)
    statistics: str | None = None


@dataclass(frozen=True)
class Rating:
    """What was found of one subnet.

    Args:
        subnet: Name of the subnet.
        member: Slot of the member that holds it.
        scores: Score after each number of steps of tuning; None where it is not finite.
    """

    subnet: str
    member: int
    scores: tuple[float | None, ...]


def rating_items(
    members: Mapping[int, Champion], subnets: Mapping[int, Sequence[str]], how: Tuning, seed: int
) -> list[WorkItem]:
    """Return the work items of rating the subnets of some members, which wait for nobody.

    Args:
        members: Members by slot.
        subnets: Names of each member's subnets, by slot.
        how: How they are rated.
        seed: Seed of the run.
    """
    return [
        _item(member, names[start : start + PIECE], how, derive(seed, "subnets"))
        for slot, member in members.items()
        for names in (tuple(subnets[slot]),)
        for start in range(0, len(names), PIECE)
    ]


def ratings(items: Iterable[WorkItem], known: Outcomes) -> Iterator[Rating]:
    """The ratings that the outcomes of items hold, in the order of the items."""
    for item in items:
        core = known[item.record]
        for name in core["subnets"]:
            yield Rating(name, core["member"], tuple(core["scores"][name]))


def ranked(found: Iterable[Rating], at: int) -> list[Rating]:
    """Ratings by falling score, those without a score last; ties stay in order.

    Args:
        found: Ratings.
        at: Index of the score that counts.
    """

    def order(rating: Rating) -> tuple[bool, float]:
        score = rating.scores[at]
        return (True, 0.0) if score is None else (False, -score)

    return sorted(found, key=order)


def _item(member: Champion, names: tuple[str, ...], how: Tuning, seed: int) -> WorkItem:
    file = paths.checkpoint(member.generation, member.checkpoint)
    mixture = Mixture(member.architecture, (file,), (member.checkpoint,))
    core = {
        "checkpoint": member.checkpoint,
        "generation": member.generation,
        "member": member.member,
        "subnets": list(names),
        "at": list(how.at),
        "statistics": how.statistics,
    }
    return WorkItem(
        record=paths.subnets(digest(["subnets", core])),
        kind="subnets",
        what=f"{paths.member_name(member.member)}: subnets {names[0]} to {names[-1]}",
        work=Rate(mixture, seed, names, how.at, how.statistics),
        core=core,
    )
