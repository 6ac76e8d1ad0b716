"""Formats text for the screens of `pbtnas status`: plain, and no wider than the terminal."""

from __future__ import annotations

import textwrap
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

COLUMNS = 100  # where the width of the terminal is not known
INDENT = 12  # columns of a title
NARROW = 60  # columns of a screen on which titles have a line of their own
NARROWEST = 34
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


def packed(facts: Iterable[str], width: int, separator: str = ", ") -> list[str]:
    """Facts in lines of so many columns; only one that is longer than a line is broken."""
    lines: list[str] = []
    for fact in map(printable, facts):
        longer = f"{lines[-1]}{separator}{fact}" if lines else fact
        if lines and len(longer) <= width:
            lines[-1] = longer
        else:
            if lines and len(lines[-1]) < width:
                lines[-1] += separator.rstrip()
            lines += wrapped(fact, width)
    return lines or [""]


def joined(facts: Iterable[str], width: int) -> str:
    """The first facts in one line, as many as fit whole."""
    line = ""
    for fact in map(printable, facts):
        longer = f"{line}, {fact}" if line else fact
        if len(longer) > width:
            break
        line = longer
    return line


def whole(items: Sequence[Sequence[str]], most: int, width: int = COLUMNS - INDENT) -> list[str]:
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
    first[-1] = f"{first[-1][: width - len(rest)]}{rest}"
    return first


def entries(sentences: Iterable[str], most: int, width: int = COLUMNS - INDENT) -> list[str]:
    """Sentences in at most `most` lines; those that do not fit are counted, not cut."""
    return whole([wrapped(sentence, width) for sentence in sentences], most, width)


@dataclass(frozen=True)
class Sheet:
    """Lays out titles and lines on a screen of so many columns."""

    columns: int = COLUMNS

    @property
    def width(self) -> int:
        """Columns of a line with a title before it."""
        return max(NARROWEST, self.columns) - (2 if self._narrow else INDENT)

    @property
    def _narrow(self) -> bool:
        return self.columns < NARROW

    def most(self, lines: int) -> int:
        """How many lines it has room for where one of 100 columns has so many."""
        return lines * max(1, -(-COLUMNS // max(NARROWEST, self.columns)))

    def titled(self, title: str, lines: Sequence[str]) -> list[str]:
        """Lines in a column, with a title before the first one, or above it."""
        if not self._narrow or not lines:
            return titled(title, lines)
        return [title, *(f"  {line}" for line in lines)]

    def facts(
        self, title: str, facts: Iterable[str], separator: str = ", ", most: int = 2
    ) -> list[str]:
        """A title and facts, which go on in the next line where they do not fit; whole lines are
        left out where there are too many."""
        lines = packed(filter(None, facts), self.width, separator)
        room = self.most(most)
        return self.titled(title, lines if len(lines) <= room else [*lines[: room - 1], "..."])

    def sentences(self, title: str, sentences: Iterable[str], most: int) -> list[str]:
        """A title and sentences, of which as many are shown as there is room for."""
        return self.titled(title, entries(sentences, self.most(most), self.width))


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


def at_clock(at: float | None) -> str:
    """A time, in seconds since the epoch, as the time of day on this machine."""
    return "--:--:--" if at is None else time.strftime("%H:%M:%S", time.localtime(at))
