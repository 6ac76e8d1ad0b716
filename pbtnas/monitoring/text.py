"""Formats text for the screens of `pbtnas status`: plain, of a fixed width."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

COLUMNS = 100
INDENT = 12  # columns of a title
BAR = 24
_LONG = 8  # characters of a number


def bar(share: float) -> str:
    """A share of 0 to 1, as a bar and in percent."""
    filled = int(share * BAR)
    return f"[{'#' * filled}{'-' * (BAR - filled)}] {int(100 * share)} %"


def titled(title: str, lines: Sequence[str]) -> list[str]:
    """Lines in a column, with a title before the first one."""
    return [f"{title if i == 0 else '':{INDENT}}{line}" for i, line in enumerate(lines)]


def printable(text: str) -> str:
    """Text that cannot move the cursor."""
    return "".join(c if c.isprintable() else " " for c in text)


def choices(options: Mapping[str, Any], separator: str) -> str:
    """The options of an architecture in one line, long numbers with the digits of scores."""
    return separator.join(f"{name}={_short(option)}" for name, option in options.items())


def _short(option: Any) -> str:
    text = str(option)
    return f"{option:.6g}" if isinstance(option, float) and len(text) > _LONG else text


def clipped(text: str, width: int) -> str:
    """Text that cannot move the cursor, cut to so many columns."""
    plain = printable(text)
    return plain if len(plain) <= width else f"{plain[: width - 3]}..."


def wrapped(text: str, width: int) -> list[str]:
    """Text in lines of so many columns, broken between words where that is possible."""
    return textwrap.wrap(printable(text), width) or [""]


def joined(facts: Iterable[str], width: int) -> str:
    """The first facts in one line, as many as fit whole."""
    line = ""
    for fact in map(printable, facts):
        longer = f"{line}, {fact}" if line else fact
        if len(longer) > width:
            break
        line = longer
    return line


def whole(items: Sequence[Sequence[str]], most: int) -> list[str]:
    """The lines of the first items, at most `most`; the last line counts items left out.

    No item is cut, unless it alone has more lines than there is room for.
    """
    if sum(map(len, items)) <= most:
        return [line for item in items for line in item]
    lines: list[str] = []
    shown = 0
    while len(lines) + len(items[shown]) <= most - 1:
        lines += items[shown]
        shown += 1
    if shown:
        return [*lines, f"  and {len(items) - shown} more"]
    first = list(items[0][:most])
    rest = f" ... and {len(items) - 1} more" if len(items) > 1 else " ..."
    first[-1] = f"{first[-1][: COLUMNS - INDENT - len(rest)]}{rest}"
    return first


def entries(sentences: Iterable[str], most: int, width: int = COLUMNS - INDENT) -> list[str]:
    """Sentences in at most `most` lines; those that do not fit are counted, not cut."""
    return whole([wrapped(sentence, width) for sentence in sentences], most)


def span(seconds: float | None) -> str:
    """A duration in its two largest units, as people say it."""
    if seconds is None:
        return "?"
    if seconds < 60:
        return f"{int(seconds)} s"
    minutes = int(seconds) // 60
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min"
    return f"{hours // 24} d {hours % 24} h"
