"""Why members have no score, in words: one cause a member, and the commonest of a generation."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from pbtnas.records.schema import Result, last_line

LACKS = "reports no finite"
SHOWN = 2  # causes of a generation; the others are counted

# The last line of what is recorded of a mistake in the user's file: its place, and a sentence.
_MISTAKE = re.compile(r"failed: error: (?P<place>[^:]+\.py:\d+): (?P<sentence>.+)")


def cause(result: Result, meta: Mapping[str, Any]) -> str:
    """Why a member has no score, or cannot be ranked, as its result records it; "" if it can."""
    if result.outcome == "failed":
        words = last_line(str(meta.get("traceback", ""))) or "no message"
        return f"failed: {meta.get('class', '?')}: {words}"
    if result.outcome == "diverged":
        words = last_line(str(meta.get("diverged", "")))
        return f"diverged: {words}" if words else "diverged"
    return without(meta.get("lacks", ()))


def without(objectives: Iterable[str]) -> str:
    """Why a member with a score cannot be ranked; "" if it lacks no objective."""
    names = ", ".join(map(repr, objectives))
    return f"{LACKS} {names}" if names else ""


def mistake(generation: int, causes: Iterable[str]) -> str:
    """The mistake in the user's file by which all members of the first generation failed, with
    file and line; "" if they did not, or not by the same one."""
    found = [_MISTAKE.fullmatch(why) for why in causes]
    whole = [each for each in found if each is not None]
    # Directories are shown as each worker sees them, and numbers are those of an architecture.
    kinds = {
        (each["place"].rpartition("/")[2], re.sub(r"\d+", "0", each["sentence"])) for each in whole
    }
    if generation > 0 or len(kinds) != 1 or len(whole) < len(found):
        return ""
    return f"{whole[0]['place']}: {whole[0]['sentence']}"


def nobody_left(generation: int, causes: Iterable[str]) -> str:
    """The sentence on a generation whose members have no score, the commonest cause first."""
    causes = tuple(causes)
    if by_mistake := mistake(generation, causes):
        return (
            f"{by_mistake} (by this all {len(causes)} members of generation {generation} failed; "
            "mend it, and start in a new directory)"
        )
    examples: dict[str, str] = {}
    counts: Counter[str] = Counter()
    for why in causes:
        kind = re.sub(r"\d+", "0", why)  # the same at another step is the same cause
        examples.setdefault(kind, why)
        counts[kind] += 1
    ordered = counts.most_common()
    told = [f"{count} {examples[kind]}" for kind, count in ordered[:SHOWN]]
    others = sum(count for _, count in ordered[SHOWN:])
    told += [f"{others} of other causes"] if others else []
    lack = any(why.startswith(LACKS) for why in examples.values())
    happened = "diverged, failed or lack an objective" if lack else "diverged or failed"
    return f"all {counts.total()} members of generation {generation} {happened} ({'; '.join(told)})"
