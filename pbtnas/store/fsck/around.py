"""Examines what lies around the chain: products, what is made after the search, hints and views."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from pbtnas.protocol.coordinator import view_of
from pbtnas.records import paths
from pbtnas.records.controls import control_of
from pbtnas.records.envelope import CorruptRecord, Record, RecordError, digest, encode
from pbtnas.records.names import Digest, Name
from pbtnas.records.schema import Result, Soup, Trial
from pbtnas.records.sealed import unseal
from pbtnas.records.task_code import TaskCode
from pbtnas.store.fsck.chain import GIVEN, Chain, parsed
from pbtnas.store.fsck.examination import Examination, Fault
from pbtnas.store.identity import new_nonce

PREPARED = "made again when the task is prepared"
SAME_COMMAND = "made again by the same command"
COOKED = "made again by `pbtnas soup`"
VIEWED = "written again by the coordinator"
GIVE_AGAIN = "not obeyed; give the command again"
CODE_BEFORE = "ignored; the code before it holds"


def examine_products(x: Examination, chain: Chain) -> None:
    """Examine the products: each has its own SHA-256, and the first manifest has it too."""
    started = chain.manifests[0].products if 0 in chain.manifests else {}
    names = {paths.product(name): sha256 for name, sha256 in started.items()}
    for name in sorted({*x.of(paths.product("NAME")), *names}):
        content = x.content(name, PREPARED)
        if content is None:
            if not x.there(name):
                x.missing(name, PREPARED)
            continue
        sha256, newline, data = content[:64], content[64:65], content[65:]
        found = hashlib.sha256(data).hexdigest()
        if newline != b"\n" or found.encode() != sha256:
            x.damaged(name, f"damaged: its SHA-256 is not the one it begins with; {PREPARED}")
        elif names.get(name, found) != found:
            x.damaged(name, f"not the product that the run was started with; {PREPARED}")


# -- after the search --------------------------------------------------------------------------


def examine_afterwards(x: Examination, chain: Chain, algorithm: str) -> None:
    """Examine final evaluations, ratings of subnets, and soups."""
    for name in x.of(paths.evaluation(Digest("DIGEST"))):
        record = x.record(name, "evaluation", SAME_COMMAND)
        if record is not None and paths.evaluation(record.core.get("checkpoint", "?")) != name:
            x.damaged(name, f"of another checkpoint; {SAME_COMMAND}")
    for name in x.of(paths.subnets(Digest("DIGEST"))):
        record = x.record(name, "subnets", SAME_COMMAND)
        if record is not None:
            _subnets(x, name, record.core)
    for name in x.of(paths.trial(Digest("DIGEST"))):
        trial = parsed(x, name, x.record(name, "trial", COOKED), Trial.from_json, COOKED)
        if trial is not None:
            _trial(x, name, trial)
    for name in x.of(paths.soup_checkpoint(Digest("DIGEST"))):
        stem = name.rpartition("/")[2].removesuffix(".safetensors")
        x.check_digest(name, stem, algorithm, COOKED)
    for name in x.of(paths.soup("NAME-soup")):
        soup = parsed(x, name, x.record(name, "soup", COOKED), Soup.from_json, COOKED)
        if soup is not None:
            _soup(x, chain, name, soup)


def _subnets(x: Examination, name: Name, core: Mapping[str, Any]) -> None:
    piece = {key: value for key, value in core.items() if key != "scores"}
    counts = {subnet: len(scores) for subnet, scores in core.get("scores", {}).items()}
    if name != paths.subnets(digest(["subnets", piece])):
        x.damaged(name, f"of another piece; {SAME_COMMAND}")
    elif counts != dict.fromkeys(piece["subnets"], len(piece["at"])):
        x.damaged(name, f"without a score of each subnet and number of steps; {SAME_COMMAND}")


def _trial(x: Examination, name: Name, trial: Trial) -> None:
    if name != paths.trial(digest(["trial", trial.part, list(trial.ingredients)])):
        x.damaged(name, f"of other ingredients; {COOKED}")
    elif (trial.outcome == "ok") != (trial.score is not None):
        x.damaged(name, f"{trial.outcome} with the score {trial.score}; {COOKED}")


def _soup(x: Examination, chain: Chain, name: Name, soup: Soup) -> None:
    """A soup has to follow from the search and from its trials."""
    accepted = [tried for tried in soup.trace if tried.accepted]
    score = accepted[-1].score if accepted else soup.search_score
    expected: dict[str, Any] = {
        "which": paths.soup_of(name.rpartition("/")[2]),
        "score": score,
        "ingredients": (soup.member, *(tried.member for tried in accepted)),
    }
    manifest = chain.manifests.get(soup.generation)
    selected = chain.selections.get(soup.generation)
    if manifest is not None and selected is not None:
        known = {job.member for job in manifest.jobs}
        if not known.issuperset(expected["ingredients"]):
            x.damaged(name, f"of members that there are not; {COOKED}")
            return
        expected["architecture"] = manifest.job(soup.member).architecture
        expected["search_score"] = selected.result(soup.member).score
        _trials_agree(x, name, soup, [selected.result(m) for m in sorted(known)])
    for key, value in expected.items():
        if getattr(soup, key) != value:
            x.damaged(name, f"its {key} does not follow from the search and its trials; {COOKED}")
    file = paths.soup_checkpoint(soup.checkpoint)
    if not x.at_fault(name) and not x.there(file):
        x.missing(file, COOKED)


def _trials_agree(x: Examination, name: Name, soup: Soup, results: list[Result]) -> None:
    """Each line of a soup's trace is a trial, recorded with that outcome."""
    checkpoints = {result.member: result.checkpoint for result in results}
    ingredients = [checkpoints[soup.member]]
    for tried in soup.trace:
        mixture = [*ingredients, checkpoints.get(tried.member)]
        file = paths.trial(digest(["trial", soup.part, mixture]))
        record = x.record(file, "trial", COOKED)
        if record is None:
            if not x.there(file):
                x.missing(file, COOKED)
        elif (record.core["outcome"], record.core["score"]) != (tried.outcome, tried.score):
            x.damaged(file, f"not what {name} says of it; {COOKED}")
            x.damaged(name, f"not what {file} says; {COOKED}")
        if tried.accepted:
            ingredients = mixture


# -- hints and views ---------------------------------------------------------------------------


def examine_views(x: Examination, chain: Chain) -> None:
    """Examine HEAD, `best.json`, the summary and the metrics.  They may lag, and nothing rests on
    them."""
    head = x.content(paths.HEAD, VIEWED)
    hinted = None if head is None else paths.hinted(head)
    written = b"%d\n" % chain.newest if chain.newest >= 0 else None
    right = hinted is not None and hinted <= chain.newest
    x.aside(paths.HEAD, written, right=right, remedy="restored")
    if chain.whole and chain.bests:
        views = [view_of(best) for best in chain.bests if best is not None]
        best = x.content(paths.BEST, VIEWED)
        x.aside(paths.BEST, views[-1] if views else None, right=best in views, remedy="restored")
    elif x.there(paths.BEST):  # a generation is in work, and another coordinator may write it now
        x.content(paths.BEST, VIEWED)
        x.aside(paths.BEST, None, right=True, remedy=VIEWED)
    summed = x.content(paths.SUMMARY, VIEWED)
    right = summed is not None and unseal(summed) is not None
    x.aside(paths.SUMMARY, None, right=right, remedy=VIEWED)
    over = chain.whole and chain.newest == chain.last and chain.over
    members = {job.member for manifest in chain.manifests.values() for job in manifest.jobs}
    for member in sorted(members):
        name = paths.metrics(member)
        content = x.content(name, VIEWED)
        right = content is not None and _metrics_right(content, chain, member, over=over)
        if over and not x.there(name):
            x.notice(Fault(name, f"missing; {VIEWED}"))
        else:
            x.aside(name, None, right=right, remedy=VIEWED)


def _metrics_right(content: bytes, chain: Chain, member: int, *, over: bool) -> bool:
    """Whether the lines about a member are those that the selections know, or some of them."""
    try:
        lines = [json.loads(line) for line in content.splitlines()]
        told = [(line["generation"], line["outcome"], line["score"]) for line in lines]
    except (ValueError, KeyError, TypeError, RecursionError):
        return False
    if content and not content.endswith(b"\n"):
        return False
    known = [
        (generation, result.outcome, result.score)
        for generation, selected in sorted(chain.selections.items())
        for result in selected.results
        if result.member == member
    ]
    return told == known if over else set(known).issuperset(_selected_only(told, chain))


def _selected_only(told: list[tuple[int, str, Any]], chain: Chain) -> list[tuple[int, str, Any]]:
    """Lines about generations that were selected from: of others, results may be put aside."""
    return [line for line in told if line[0] in chain.selections]


# -- the run itself ----------------------------------------------------------------------------


def examine_settings(x: Examination, run: Record | None, config: Mapping[str, Any] | None) -> None:
    """Examine later engine settings and code; `run.json` and the configuration have to agree."""
    _numbered(x, paths.engine, "engine", "ignored; give its settings again")
    _numbered(x, paths.code, "code", CODE_BEFORE)
    for name in x.of(paths.control(1)):
        _control(x, name)
    for name in x.of(paths.launch(1)):
        _launch(x, name)
    for name in x.of(paths.code(1)):
        record = x.record(name, "code", CODE_BEFORE)
        accepted = parsed(x, name, record, _accepted, CODE_BEFORE)
        if record is not None and accepted is not None and accepted != record.meta.get("to"):
            x.damaged(name, f"not the code that it says; {CODE_BEFORE}")
    if run is None or config is None:
        return
    agreed = {
        "seed": config["run"].get("seed"),
        "task": config["task"].get("name"),
        "hash": config["run"].get("checkpoint_hash"),
    }
    for key, value in agreed.items():
        if value is not None and run.core.get(key) != value:
            x.damaged(paths.RUN, f"its {key} is not that of {paths.CONFIG}; {GIVEN}")
    if x.at_fault(paths.CONFIG):
        # The chain begins with both, and does not tell which of them is the wrong one.
        x.damaged(paths.RUN, f"does not fit {paths.CONFIG} or {paths.manifest(0)}; {GIVEN}")


def _control(x: Examination, name: Name) -> None:
    """A control.  Its number is used: whoever has looked at it in vain does not look again, so
    that a note of it takes its place."""
    record = x.record(name, "control", GIVE_AGAIN)
    try:
        if record is not None:
            control_of(int(name[-9:-5]), record, name)
    except CorruptRecord as error:
        x.damaged(name, f"{str(error).removeprefix(f'{name}: ')}; {GIVE_AGAIN}")
    if x.at_fault(name) and x.run is not None:
        core = {"action": "note", "text": "what was asked under this number is lost"}
        x.restore(name, encode(Record("control", x.run, core, {}, new_nonce()), name))


def _launch(x: Examination, name: Name) -> None:
    """The record of a launch, which may be older than the run, and so bears no id of it."""
    try:
        x.files.record(name, "launch")
    except RecordError as error:
        x.damaged(name, f"{str(error).removeprefix(f'{name}: ')}; {GIVE_AGAIN}")
    except OSError as error:
        x.unreadable(name, error, GIVE_AGAIN)


def _accepted(core: Mapping[str, Any]) -> Digest:
    return TaskCode.from_json(core["code"]).digest


def _numbered(x: Examination, name_of: Callable[[int], Name], kind: str, remedy: str) -> None:
    """Examine settings, or code, of which the last hold.  A gap hides those after it: so what is
    lost before the last ones may say what these say."""
    last = max((int(name[-9:-5]) for name in x.of(name_of(1))), default=0)
    holding: Record | None = None
    for number in range(last, 0, -1):
        name = name_of(number)
        record = x.record(name, kind, remedy)
        if record is None and not x.there(name):
            x.missing(name, remedy)
        if record is not None:
            holding = record
        elif holding is not None:
            x.restore(name, encode(replace(holding, nonce=new_nonce()), name))
