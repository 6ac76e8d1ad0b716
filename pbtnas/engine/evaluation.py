"""Evaluates the best members of a finished run, and soups of them, for the number to report.

The search score is a noisy maximum over many looks; here the best-ever and the best member of
the last generation are evaluated again, with as many images or episodes as the task's final
evaluation takes.  Any number of processes share the work: each evaluation is a write-once
record, so an interrupted command goes on where it was.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pbtnas.engine.post_search import opened_work
from pbtnas.engine.signals import StopRequest
from pbtnas.protocol.postsearch import Evaluate, Mixture, Outcomes, Plan, WorkItem
from pbtnas.protocol.soups import GreedySoup, greedy_soup, work_items_of
from pbtnas.records import paths
from pbtnas.records.schema import Champion, Soup
from pbtnas.search.seeding import derive
from pbtnas.store.finished import (
    champions,
    front,
    front_member,
    is_front,
    member,
    soup_mark,
    soups,
)
from pbtnas.store.opening import open_files
from pbtnas.tasks.base import HasParts, Task

T = TypeVar("T")


@dataclass(frozen=True)
class FinalEvaluation:
    """A final evaluation, of a member or of a soup.

    Args:
        which: Name: best-ever, best-last, or that of a soup.
        champion: The member, and its score during the search; of a soup, the member that it
            began with.
        soup: The soup, if it is one.
        score: The score in the final evaluation; NaN if it diverged.
        metrics: Further numbers.
        artifacts: Files for people.
    """

    which: str
    champion: Champion
    soup: Soup | None
    score: float
    metrics: Mapping[str, float]
    artifacts: tuple[Path, ...]


def evaluate(
    root: Path,
    task: Task,
    *,
    device: str,
    scratch: Path,
    stop: StopRequest | None = None,
    which: str | None = None,
) -> list[FinalEvaluation]:
    """Evaluate best-ever and best-last of a finished run, and the soups there are, once each.

    With `which`, only that one: a member such as m03, of any run in which it has its checkpoint
    still, or one of the front of a finished run, such as front-3.

    What other processes do at the same time is waited for.  Artifacts go to
    `artifacts/DIGEST-NAME` in the run directory.

    Raises `NotARun` when the run is not finished, `LostCheckpoint` when a checkpoint is missing
    or damaged, `UnfitDevice`, `UnfitProcessor`, and `HandedBack` when `stop` was asked before all
    was done.
    """
    with opened_work(root, task, device, scratch, stop) as work:
        if which is not None:
            named = front_member if is_front(which) else member
            one = {which: work.read(lambda: named(work.store, work.run, which))}
            return _finals(root, work.complete(_plan(work.seed, one, {}, ())), one, {})
        best = work.read(lambda: champions(work.store, work.run))
        made = work.read(lambda: soups(work.store, work.run))
        known = work.complete(_plan(work.seed, best, made, ()))
        others = [m.champion for m in work.read(lambda: front(work.store, work.run))]
        return _finals(root, known, best, made, others)


def make_soups(
    root: Path,
    task: Task,
    *,
    part: str | None,
    device: str,
    scratch: Path,
    stop: StopRequest | None = None,
    which: str | None = None,
) -> list[FinalEvaluation]:
    """Make the greedy soups of best-ever and best-last, and evaluate them beside these.

    Args:
        which: Place in the front, such as front-3, to make the soup of that member alone.
        part: The part of the networks to average, as the task names it; None for everything.

    Raises `NoSuchPart`, and what `evaluate` raises.
    """
    with opened_work(root, task, device, scratch, stop) as work:
        if which is None:
            best = work.read(lambda: champions(work.store, work.run))
        else:
            best = {which: work.read(lambda: front_member(work.store, work.run, which))}
        mark = work.read(lambda: soup_mark(work.store, work.run))
        parts = task.parts if isinstance(task, HasParts) else {}
        soups = [
            greedy_soup(
                which + mark,
                champion,
                *work.generation(champion.generation),
                task.space,
                part,
                parts,
            )
            for which, champion in best.items()
        ]
        known = work.complete(_plan(work.seed, best, {}, soups))
        return _finals(root, known, best, _made(soups, known))


# -- the work --------------------------------------------------------------------------------------


def _plan(
    run_seed: int,
    best: Mapping[str, Champion],
    made: Mapping[str, Soup],
    soups: Sequence[GreedySoup],
) -> Plan:
    """Final evaluations, and before them the soups that are not made yet."""
    seed = derive(run_seed, "final evaluation")

    def plan(known: Outcomes) -> list[WorkItem]:
        # First the soups: their trials wait for each other, final evaluations for nobody.
        items = [item for soup in soups for item in work_items_of(soup, known, run_seed)]
        for which, c in best.items():
            file = paths.checkpoint(c.generation, c.checkpoint)
            items.append(_final(which, Mixture(c.architecture, (file,), (c.checkpoint,)), seed))
        for which, s in {**made, **_made(soups, known)}.items():
            file = paths.soup_checkpoint(s.checkpoint)
            items.append(_final(which, Mixture(s.architecture, (file,), (s.checkpoint,)), seed))
        # Best-ever and best-last may be one and the same: what is wanted twice is done once.
        wanted = {item.record: item for item in reversed(items) if item.record not in known}
        return list(reversed(wanted.values()))

    return plan


def _final(which: str, mixture: Mixture, seed: int) -> WorkItem:
    (checkpoint,) = mixture.digests
    return WorkItem(
        record=paths.evaluation(checkpoint),
        kind="evaluation",
        what=f"{which}: final evaluation",
        work=Evaluate(mixture, seed, final=True),
        core={"checkpoint": checkpoint},
    )


def _made(soups: Sequence[GreedySoup], known: Outcomes) -> dict[str, Soup]:
    names = {soup.which: paths.soup(soup.which) for soup in soups}
    return {which: Soup.from_json(known[name]) for which, name in names.items() if name in known}


def _finals(
    root: Path,
    known: Outcomes,
    best: Mapping[str, Champion],
    made: Mapping[str, Soup],
    others: Sequence[Champion] = (),
) -> list[FinalEvaluation]:
    """All evaluations; `others` are further members that soups may have begun with."""
    finals = [
        _final_evaluation(root, known, which, champion, None) for which, champion in best.items()
    ]
    for which, soup in made.items():
        began = next(
            c
            for c in (*best.values(), *others)
            if (c.generation, c.member) == (soup.generation, soup.member)
        )
        finals.append(_final_evaluation(root, known, which, began, soup))
    return finals


def _final_evaluation(
    root: Path, known: Outcomes, which: str, champion: Champion, soup: Soup | None
) -> FinalEvaluation:
    checkpoint = champion.checkpoint if soup is None else soup.checkpoint
    core = known[paths.evaluation(checkpoint)]
    with open_files(root) as reader:
        names = [paths.artifact_of(checkpoint, leaf) for leaf in core["artifacts"]]
        files = tuple(reader.fetch(name) for name in names if reader.exists(name))
    score = math.nan if core["score"] is None else core["score"]
    return FinalEvaluation(which, champion, soup, score, core["metrics"], files)
