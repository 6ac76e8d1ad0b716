"""Examines the chain of a run: manifests, selections, and the record that it is over.

Each of them holds the digest of the one before, so an intact record with another content is
found by its neighbours.  Which of two neighbours is the wrong one is told by the next: whoever
holds the digest of the other is right about it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from pbtnas.protocol import generations
from pbtnas.protocol.retention import Retention
from pbtnas.records import paths
from pbtnas.records.controls import OUTCOME
from pbtnas.records.envelope import Record, digest, encode
from pbtnas.records.members import members_of
from pbtnas.records.names import Digest, Name
from pbtnas.records.schema import CANCELLED, Champion, Extension, Manifest, Result, Selected
from pbtnas.search.objectives import BY_SCORE, Objectives, recorded
from pbtnas.search.population import rank
from pbtnas.store.controls import steering_of
from pbtnas.store.fsck.examination import Examination
from pbtnas.store.identity import new_nonce

T = TypeVar("T")

GIVEN = "written again by a coordinator that is given the CONFIG"
AGAIN = "published again by the coordinator"
DECIDED = "decided again from the results"
SENSELESS = (KeyError, TypeError, ValueError, AttributeError, IndexError)


@dataclass
class Chain:
    """What the chain says, as far as it can be relied on.

    Args:
        manifests: Manifests, by generation.
        selections: Selections, by generation; without those that do not fit the chain.
        newest: Generation in work or, of a run that is over, the last; -1 before the first.
        last: Number of the last generation that the run will have; None if unknown.
        objectives: What members are ranked by.
        bests: Best members so far after each generation, as far as all before it are known.
        retention: What is kept after the last of these generations.
        extensions: How the run went on after what would have been its last generations.
        end: Name of the record that says, or is to say, that the run is over.
        more: Whether somebody has asked for generations that are not begun.
        over: Whether the run is over: that record is there, and no more is to come.
        cancelled: Number of the generation in whose midst the run was cancelled; None if it was
            not.
    """

    newest: int
    last: int | None
    objectives: Objectives = BY_SCORE
    manifests: dict[int, Manifest] = field(default_factory=dict)
    selections: dict[int, Selected] = field(default_factory=dict)
    bests: list[Champion | None] = field(default_factory=list)
    retention: Retention = field(default_factory=Retention)
    extensions: dict[int, Extension] = field(default_factory=dict)
    end: Name = paths.FINAL
    more: bool = False
    over: bool = False
    cancelled: int | None = None

    @property
    def whole(self) -> bool:
        """Whether every generation can be relied on that was finished, or is in work."""
        return len(self.bests) == self.newest + (self.cancelled is None)

    @property
    def named(self) -> list[Champion]:
        """The best members whose checkpoints are kept, as far as it is known."""
        if len(self.bests) < self.newest:  # the front may be another one by now
            return [best for best in self.bests[-1:] if best is not None]
        return self.retention.named()


@dataclass
class _Link:
    """A record of the chain, with the digest of its own and the one it holds."""

    name: Name
    remedy: str
    own: Digest | None = None
    before: str | None = None


def examine_chain(x: Examination, config: Mapping[str, Any] | None, origin: Digest | None) -> Chain:
    """Examine manifests, selections and `final.json`.

    Args:
        x: Examination of the run.
        config: Resolved configuration; None if it is damaged.
        origin: Digest that the chain begins with; None if that is unknown.
    """
    last = None if config is None else config["search"]["generations"] - 1
    objectives = BY_SCORE if config is None else recorded(config["search"])
    steering, _ = steering_of(x.files, x.run, foreign=True)
    steered = bool(steering.of(*OUTCOME))
    chain = Chain(_newest(x, None if steered else last), last, objectives)
    _ends(x, chain, len(steering.extensions))
    final = x.record(chain.end, "final", AGAIN)
    links = [_Link(paths.CONFIG, GIVEN, origin)]
    for generation in range(chain.newest + 1):
        links.append(_manifest(x, chain, generation))
        links.append(_selection(x, chain, generation, over=chain.over))
        if x.there(paths.extension(generation)):
            links.append(_extension(x, chain, generation))
    if final is not None and chain.newest == last:
        before = final.core.get("fingerprint")
        links[-1].own = links[-1].own and digest(["pbtnas", links[-1].own])
        links.append(_Link(chain.end, AGAIN, Digest("the end"), before))
    _compare(x, chain, links)
    for generation, selected in list(chain.selections.items()):
        if generation in chain.manifests:
            _results_fit(x, chain.manifests[generation], selected)
        if x.at_fault(paths.selection(generation)):
            del chain.selections[generation]
    _fold(x, chain)
    _final(x, chain, final)
    for generation in chain.extensions.keys() & chain.selections.keys():
        births = chain.extensions[generation].births
        chain.selections[generation] = replace(chain.selections[generation], births=births)
    return chain


def _newest(x: Examination, last: int | None) -> int:
    """The number of the newest generation, be it lost: the last, where the run has ended.

    Args:
        x: Examination of the run.
        last: The last generation by the configuration; None if that is unknown, or not the end
            that operators have asked for.
    """
    kinds = (paths.manifest(12), paths.selection(12), paths.result(12, 7), paths.result(12, 7, 1))
    found = {int(name.split("/")[1]) for kind in kinds for name in x.of(kind)}
    if x.there(paths.FINAL) and last is not None:
        found.add(min(last, _said_last(x, last)))
    return max(found, default=-1)


def _said_last(x: Examination, last: int) -> int:
    """The last generation by the records of the end: a control that asked for it may be lost."""
    final = x.peek(paths.FINAL, "final")
    if final is not None and isinstance(count := final.core.get("generations"), int):
        return count - (final.core.get("ended") != CANCELLED)
    selections = (x.peek(name, "selection") for name in x.of(paths.selection(12)))
    ended = any(selection is not None and selection.core.get("ended") for selection in selections)
    return -1 if ended else last


def _ends(x: Examination, chain: Chain, asked: int) -> None:
    """Find out how long the run is: as configured, but for what operators have asked; so many
    times for more generations."""
    for generation in range(chain.newest + 1):
        selection = x.peek(paths.selection(generation), "selection")
        if selection is not None and selection.core.get("ended"):
            chain.last = generation
            if selection.core["ended"] == CANCELLED:
                chain.cancelled = generation
        if not x.there(paths.extension(generation)):
            continue
        record = x.record(paths.extension(generation), "extension", AGAIN)
        extension = parsed(x, paths.extension(generation), record, Extension.from_json, AGAIN)
        chain.last = None
        if extension is not None:
            chain.extensions[generation] = extension
            chain.last = generation + extension.generations
    count = len(list(x.of(paths.extension(12))))
    chain.end = paths.final(count)
    final = x.peek(chain.end, "final")
    if final is not None and final.core.get("ended") == CANCELLED:
        chain.cancelled = chain.last = final.core.get("generations")
    chain.more = asked > count and chain.cancelled is None
    chain.over = x.there(chain.end) and not chain.more


def _extension(x: Examination, chain: Chain, generation: int) -> _Link:
    link = _Link(paths.extension(generation), AGAIN)
    extension = chain.extensions.get(generation)
    if extension is not None and extension.generation != generation:
        x.damaged(link.name, f"of generation {extension.generation}; {AGAIN}")
    elif extension is not None:
        link.own = Record("extension", "", extension.to_json()).digest
        link.before = extension.selection
    return link


def _manifest(x: Examination, chain: Chain, generation: int) -> _Link:
    link = _Link(paths.manifest(generation), AGAIN)
    record = x.record(link.name, "manifest", AGAIN)
    manifest = parsed(x, link.name, record, Manifest.from_json, AGAIN)
    if manifest is None or record is None:
        if not x.there(link.name):
            x.missing(link.name, AGAIN)
    elif manifest.generation != generation:
        x.damaged(link.name, f"of generation {manifest.generation}; {AGAIN}")
    else:
        chain.manifests[generation] = manifest
        link.own, link.before = record.digest, manifest.previous
    return link


def _selection(x: Examination, chain: Chain, generation: int, *, over: bool) -> _Link:
    link = _Link(paths.selection(generation), DECIDED)
    record = x.record(link.name, "selection", DECIDED)
    selected = parsed(x, link.name, record, Selected.from_json, DECIDED)
    if selected is None or record is None:
        if not x.there(link.name) and (over or generation < chain.newest):
            x.missing(link.name, DECIDED)
    elif selected.generation != generation:
        x.damaged(link.name, f"of generation {selected.generation}; {DECIDED}")
    else:
        chain.selections[generation] = selected
        link.own, link.before = record.digest, selected.manifest
    return link


def _compare(x: Examination, chain: Chain, links: list[_Link]) -> None:
    """Find the records whose content is not the one that their neighbours know."""
    broken = [
        None not in (one.own, other.before) and one.own != other.before
        for one, other in zip(links, links[1:], strict=False)
    ]
    known = [other.before is not None for other in links[1:]]
    for i in (i for i, is_broken in enumerate(broken) if is_broken):
        one, other = links[i], links[i + 1]
        witness = i + 1 < len(known) and known[i + 1]
        if other.name == chain.end:
            right = _last_selection_is_right(x, chain)
            blamed = [one, other] if right is None else [other if right else one]
        elif not witness:
            blamed = [one, other]
        else:
            blamed = [other if broken[i + 1] else one]
        for link in blamed:
            neighbour = other if link is one else one
            x.damaged(link.name, f"does not fit {neighbour.name}; {link.remedy}")


def _last_selection_is_right(x: Examination, chain: Chain) -> bool | None:
    """Whether the last selection is what the results come to; None if one of them is lost."""
    selected, manifest = chain.selections[chain.newest], chain.manifests.get(chain.newest)
    if manifest is None:
        return None
    if selected.cancelled:
        return selected == generations.cancelled(manifest)
    results = {}
    for job in manifest.jobs:
        name = paths.result(chain.newest, job.member, selected.retried.get(job.member, 0))
        record = x.peek(name, "result")
        if record is None:
            return None
        results[job.member] = Result.from_json(record.core)
    members = members_of(chain.objectives, manifest.jobs, results)
    decided = Selected(
        generation=chain.newest,
        manifest=Record("manifest", "", manifest.to_json()).digest,
        ranking=tuple(member.number for member in rank(members)),
        births=(),
        results=tuple(results.values()),
        ended=selected.ended,
        retried=selected.retried,
    )
    return digest(decided.to_json()) == digest(selected.to_json())


def _results_fit(x: Examination, manifest: Manifest, selected: Selected) -> None:
    """Note a selection that is not one of this manifest's members."""
    members = [] if selected.cancelled else [job.member for job in manifest.jobs]
    if [r.member for r in selected.results] != members or sorted(selected.ranking) != members:
        name = paths.selection(selected.generation)
        x.damaged(name, f"not of the members of {paths.manifest(manifest.generation)}; {DECIDED}")


def _fold(x: Examination, chain: Chain) -> None:
    """Find out what is kept, from generation to generation; and examine the ends of a run that was
    extended after them."""
    chain.retention = Retention(chain.objectives)
    ends = {generation: number for number, generation in enumerate(sorted(chain.extensions))}
    for generation in range(chain.newest + 1):
        manifest, selected = chain.manifests.get(generation), chain.selections.get(generation)
        if manifest is None or selected is None or selected.cancelled:
            break
        chain.retention.add(generations.champion(manifest, selected), manifest, selected)
        chain.bests.append(chain.retention.best())
        if generation in ends:
            _earlier_end(x, chain, paths.final(ends[generation]), manifest, selected)


def _earlier_end(
    x: Examination, chain: Chain, name: Name, manifest: Manifest, selected: Selected
) -> None:
    """Examine what was the end before the run was extended; not there where it was extended before
    it came to that."""
    if not x.there(name):
        return
    core = generations.ending(
        manifest.generation + 1,
        selected,
        chain.bests[-1],
        generations.champion(manifest, selected),
        chain.retention.front(),
    )
    right = Record("final", x.run or "", core, {"restored": True}, new_nonce())
    remedy = "restored from the selections"
    final = x.record(name, "final", remedy)
    if final is None:
        x.restore(name, encode(right, name))
    elif final.digest != right.digest:
        text = f"not what {paths.selection(manifest.generation)} comes to; {remedy}"
        x.damaged(name, text, encode(right, name))


def _final(x: Examination, chain: Chain, final: Record | None) -> None:
    if not chain.whole or chain.newest != chain.last or chain.newest < 0 or chain.more:
        return
    if not x.there(chain.end):
        x.missing(chain.end, AGAIN)
    if final is None:
        return
    selected = chain.selections.get(chain.newest)
    if selected is None:
        return
    cancelled = chain.cancelled is not None
    count = chain.newest + (not cancelled)
    champion = None
    if count:
        champion = generations.champion(chain.manifests[count - 1], chain.selections[count - 1])
    best, front = next(iter(chain.bests[-1:]), None), chain.retention.front()
    core = generations.ending(count, selected, best, champion, front, cancelled=cancelled)
    if final.digest != Record("final", "", core).digest:
        x.damaged(chain.end, f"not what {paths.selection(chain.newest)} comes to; {AGAIN}")


def parsed(
    x: Examination,
    name: Name,
    record: Record | None,
    from_json: Callable[[Mapping[str, Any]], T],
    remedy: str,
) -> T | None:
    """What a record says; None if there is none, or if it is none of ours, which is noted."""
    if record is None:
        return None
    try:
        return from_json(record.core)
    except SENSELESS:
        x.damaged(name, f"not what a {record.kind} holds; {remedy}")
        return None
