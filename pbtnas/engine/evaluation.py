"""Evaluates the best members of a finished run, and soups of them, for the number to report.

The search score is a noisy maximum over many looks; here the best-ever and the best member of
the last generation are evaluated again, with as many images or episodes as the task's final
evaluation takes.  Any number of processes share the work: each evaluation is a write-once
record, so an interrupted command goes on where it was.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from pbtnas.config import from_json
from pbtnas.engine.driver import drive, once_reachable
from pbtnas.engine.evaluator import Evaluator
from pbtnas.engine.signals import StopRequest
from pbtnas.processor import check_pinned, remark
from pbtnas.protocol.claims import Claims
from pbtnas.protocol.operations import AskedToStop
from pbtnas.protocol.postsearch import Evaluate, Mixture, Outcomes, Plan, PostSearch, WorkItem
from pbtnas.protocol.soups import GreedySoup, greedy_soup, work_items_of
from pbtnas.records import paths
from pbtnas.records.schema import Champion, Manifest, Selected, Soup
from pbtnas.search.seeding import derive
from pbtnas.store.finished import champions, member, soups
from pbtnas.store.identity import new_nonce, this_process
from pbtnas.store.posix import PosixStore
from pbtnas.store.run_directory import NotARun, Run, open_run
from pbtnas.tasks.base import HandedBack, HasParts, Task

T = TypeVar("T")
log = logging.getLogger("pbtnas")


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

    With `which`, a member's name such as m03, only that one, of any run in which it has its
    checkpoint still.

    What other processes do at the same time is waited for.  Artifacts go to
    `artifacts/DIGEST-NAME` in the run directory.

    Raises `NotARun` when the run is not finished, `LostCheckpoint` when a checkpoint is missing
    or damaged, `UnfitDevice`, `UnfitProcessor`, and `HandedBack` when `stop` was asked before all
    was done.
    """
    with _opened(root, task, device, scratch, stop) as work:
        if which is not None:
            one = {which: work.read(lambda: member(work.store, work.run, which))}
            return _finals(root, work.complete(_plan(work.seed, one, {}, ())), one, {})
        best = work.read(lambda: champions(work.store, work.run))
        made = work.read(lambda: soups(work.store, work.run))
        known = work.complete(_plan(work.seed, best, made, ()))
        return _finals(root, known, best, made)


def make_soups(
    root: Path,
    task: Task,
    *,
    part: str | None,
    device: str,
    scratch: Path,
    stop: StopRequest | None = None,
) -> list[FinalEvaluation]:
    """Make the greedy soups of best-ever and best-last, and evaluate them beside these.

    Args:
        part: The part of the networks to average, as the task names it; None for everything.

    Raises `NoSuchPart`, and what `evaluate` raises.
    """
    with _opened(root, task, device, scratch, stop) as work:
        best = work.read(lambda: champions(work.store, work.run))
        parts = task.parts if isinstance(task, HasParts) else {}
        soups = [
            greedy_soup(
                which,
                champion,
                *work.read(partial(_generation, work, champion)),
                task.space,
                part,
                parts,
            )
            for which, champion in best.items()
        ]
        known = work.complete(_plan(work.seed, best, {}, soups))
        return _finals(root, known, best, _made(soups, known))


# -- what a finished run has -----------------------------------------------------------------------


def _generation(work: _Work, champion: Champion) -> tuple[Manifest, Selected]:
    """The records of a champion's generation.  Raises `NotARun` if one is missing."""
    root, number = work.store.root, champion.generation
    manifest = work.store.record(paths.manifest(number), "manifest", work.run.id)
    selection = work.store.record(paths.selection(number), "selection", work.run.id)
    if manifest is None or selection is None:
        name = paths.selection(number) if manifest is not None else paths.manifest(number)
        raise NotARun(f"{root / name}: missing; `pbtnas fsck {root}` says more")
    return Manifest.from_json(manifest.core), Selected.from_json(selection.core)


# -- the work --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Work:
    """A finished run, and this process as one of those that work on it.

    Args:
        store: The run directory.
        run: The run in that directory.
        seed: The seed of the run.
        protocol: The protocol that this process follows.
        evaluator: The driver that carries out the protocol's operations.
    """

    store: PosixStore
    run: Run
    seed: int
    protocol: PostSearch
    evaluator: Evaluator

    def read(self, look: Callable[[], T]) -> T:
        """What is read of the run, as soon as its directory can be reached."""
        return _or_handed_back(look, self.store.root, self.evaluator.stop)

    def complete(self, plan: Plan) -> Outcomes:
        known = drive(self.protocol.complete(plan), self.evaluator.execute)
        if known is None:
            raise HandedBack
        return known


def _or_handed_back(step: Callable[[], T], root: Path, stop: StopRequest) -> T:
    try:
        return once_reachable(step, root, stop)
    except AskedToStop:
        raise HandedBack from None


@contextmanager
def _opened(
    root: Path, task: Task, device: str, scratch: Path, stop: StopRequest | None
) -> Iterator[_Work]:
    stop = stop or StopRequest(())
    identity = this_process("e")
    name = identity["worker"]

    def opened() -> tuple[Run, PosixStore]:
        run = open_run(root)
        return run, PosixStore(root, name, primitive=run.primitive)

    run, store = _or_handed_back(opened, root, stop)
    config = from_json(run.config, recorded=run.options)
    engine = config.engine
    claims = Claims(run.id, identity, lease_s=engine.lease_s, new_nonce=new_nonce)
    protocol = PostSearch(run.id, name, claims, poll_s=engine.poll_s)
    with store:
        check_pinned(config.run.cpu_capability)
        if said := remark(run.processor, config.run.cpu_capability):
            log.warning("%s", said)
        evaluator = Evaluator(store, stop, run, config, task, name, device, scratch)
        yield _Work(store, run, config.run.seed, protocol, evaluator)


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
    root: Path, known: Outcomes, best: Mapping[str, Champion], made: Mapping[str, Soup]
) -> list[FinalEvaluation]:
    finals = [
        _final_evaluation(root, known, which, champion, None) for which, champion in best.items()
    ]
    for which, soup in made.items():
        began = next(
            c for c in best.values() if (c.generation, c.member) == (soup.generation, soup.member)
        )
        finals.append(_final_evaluation(root, known, which, began, soup))
    return finals


def _final_evaluation(
    root: Path, known: Outcomes, which: str, champion: Champion, soup: Soup | None
) -> FinalEvaluation:
    checkpoint = champion.checkpoint if soup is None else soup.checkpoint
    core = known[paths.evaluation(checkpoint)]
    files = tuple(root / paths.artifact_of(checkpoint, leaf) for leaf in core["artifacts"])
    score = math.nan if core["score"] is None else core["score"]
    return FinalEvaluation(which, champion, soup, score, core["metrics"], files)
