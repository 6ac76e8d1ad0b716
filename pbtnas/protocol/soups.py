"""Plans greedy model soups: the next trial or average, given the known outcomes.

The members of the best member's generation that have its network, on whatever rungs of ladders,
are tried in the order of their scores; each is averaged in for good if the search's own evaluation
does not find the soup worse with it (paper, section 5.5; Wortsman et al., "Model soups", 2022,
Recipe 1).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from pbtnas.errors import ExitCode, PbtnasError
from pbtnas.protocol.postsearch import Evaluate, Mixture, Outcomes, WorkItem, WriteAverage
from pbtnas.records import paths
from pbtnas.records.envelope import digest
from pbtnas.records.names import Digest
from pbtnas.records.schema import Champion, Manifest, Selected, Soup, Trial, Tried
from pbtnas.search.seeding import derive
from pbtnas.search.space import SearchSpace


class NoSuchPart(PbtnasError):
    """The task's networks have no part of that name."""

    exit_code = ExitCode.USAGE


@dataclass(frozen=True)
class Candidate:
    """Names a member that may be averaged in."""

    member: int
    score: float
    checkpoint: Digest


@dataclass(frozen=True)
class GreedySoup:
    """Describes a greedy soup to make.

    Args:
        which: Name of the soup.
        part: Name of the averaged part of the networks; None for all modules.
        modules: Dotted paths of the part's modules; empty for all modules.
        best: Member that the soup begins with.
        candidates: Other members, by falling score.
    """

    which: str
    part: str | None
    modules: tuple[str, ...]
    best: Champion
    candidates: tuple[Candidate, ...]

    def mixture(self, checkpoints: Sequence[Digest]) -> Mixture:
        files = tuple(paths.checkpoint(self.best.generation, c) for c in checkpoints)
        return Mixture(self.best.architecture, files, tuple(checkpoints), self.modules)


@dataclass(frozen=True)
class SoupProgress:
    """Describes the progress of a greedy soup.

    Args:
        trace: Candidates tried so far, with their outcomes.
        ingredients: Checkpoints in the soup, the best member's first.
        members: Members that the ingredients belong to.
        score: Score of the soup so far.
        next: Ingredients of the next trial; None at the end.
    """

    trace: tuple[Tried, ...]
    ingredients: tuple[Digest, ...]
    members: tuple[int, ...]
    score: float
    next: tuple[Digest, ...] | None


def advance(
    soup: GreedySoup, trial_of: Callable[[tuple[Digest, ...]], Trial | None]
) -> SoupProgress:
    """Advance a soup as far as the outcomes of its trials are known.

    Its score begins with what the best member got in the search: that is not measured again.
    """
    ingredients: tuple[Digest, ...] = (soup.best.checkpoint,)
    members: tuple[int, ...] = (soup.best.member,)
    score = soup.best.score
    trace: list[Tried] = []
    for candidate in soup.candidates:
        mixture = (*ingredients, candidate.checkpoint)
        trial = trial_of(mixture)
        if trial is None:
            return SoupProgress(tuple(trace), ingredients, members, score, mixture)
        accepted = trial.score is not None and trial.score >= score
        trace.append(Tried(candidate.member, candidate.score, trial.outcome, trial.score, accepted))
        if accepted and trial.score is not None:
            ingredients, members = mixture, (*members, candidate.member)
            score = trial.score
    return SoupProgress(tuple(trace), ingredients, members, score, None)


def greedy_soup(
    which: str,
    best: Champion,
    manifest: Manifest,
    selected: Selected,
    space: SearchSpace,
    part: str | None,
    parts: Mapping[str, Sequence[str]],
) -> GreedySoup:
    """Return the greedy soup of a best member's generation.

    Args:
        which: Name of the best member: best-ever or best-last.
        best: Best member.
        manifest: Manifest of its generation.
        selected: Selection of its generation.
        space: Search space of the task.
        part: Key of `parts`, or None for all modules.
        parts: Modules of each part of the task's networks.

    Raises `NoSuchPart` with one sentence.
    """
    if part is not None and part not in parts:
        known = ", ".join(parts) or "no parts, only everything"
        raise NoSuchPart(f"--part {part}: the networks of this task have {known}")
    modules = () if part is None else tuple(parts[part])
    decisive = [
        i for i, v in enumerate(space) if not v.ordered and _decides(v.name, v.modules, modules)
    ]
    architectures = {job.member: job.architecture for job in manifest.jobs}
    candidates = []
    for result in selected.results:
        member = result.member
        if member == best.member or result.score is None or result.checkpoint is None:
            continue
        if all(architectures[member][i] == best.architecture[i] for i in decisive):
            candidates.append(Candidate(member, result.score, result.checkpoint))
    candidates.sort(key=lambda candidate: (-candidate.score, candidate.member))
    name = f"{which}-soup" if part is None else f"{which}-{part}-soup"
    return GreedySoup(name, part, modules, best, tuple(candidates))


def work_items_of(soup: GreedySoup, known: Outcomes, seed: int) -> list[WorkItem]:
    """Return the next item of a greedy soup: a trial, then the soup; none once it is recorded.

    Every trial has a seed of its own, from the run's `seed` and from what is averaged.
    """

    def trial_of(ingredients: tuple[Digest, ...]) -> Trial | None:
        core = known.get(paths.trial(_digest(soup, ingredients)))
        return None if core is None else Trial.from_json(core)

    progress = advance(soup, trial_of)
    if progress.next is not None:
        return [_trial(soup, progress, seed)]
    name = paths.soup(soup.which)
    if name in known:
        return []
    core = Soup(
        which=soup.which,
        part=soup.part,
        generation=soup.best.generation,
        member=soup.best.member,
        architecture=soup.best.architecture,
        search_score=soup.best.score,
        score=progress.score,
        ingredients=progress.members,
        trace=progress.trace,
        checkpoint=Digest(""),  # known when it is made
    ).to_json()
    work = WriteAverage(soup.mixture(progress.ingredients))
    return [WorkItem(name, "soup", f"{soup.which}: making it", work, core)]


def _trial(soup: GreedySoup, progress: SoupProgress, seed: int) -> WorkItem:
    assert progress.next is not None, "there is something to try"
    name = _digest(soup, progress.next)
    candidate = soup.candidates[len(progress.trace)]
    done = ", ".join(paths.member_name(member) for member in progress.members)
    return WorkItem(
        record=paths.trial(name),
        kind="trial",
        what=f"{soup.which}: {done} with {paths.member_name(candidate.member)}",
        work=Evaluate(
            soup.mixture(progress.next), derive(seed, "soup", int(name[:16], 16)), final=False
        ),
        core={"part": soup.part, "ingredients": list(progress.next)},
    )


def _digest(soup: GreedySoup, ingredients: Sequence[Digest]) -> Digest:
    """Return the digest of an average: two soups that reach the same average try it once."""
    return digest(["trial", soup.part, list(ingredients)])


def _decides(name: str, owned: Sequence[str], modules: Sequence[str]) -> bool:
    """Whether a variable decides these modules; every variable decides all modules."""
    if not modules:
        return True
    return any(f"{path}.".startswith(f"{m}.") for path in (name, *owned) for m in modules)
