"""Formats text for the screens of `pbtnas status`: plain, of a fixed width."""

from __future__ import annotations

from collections.abc import Sequence

COLUMNS = 100
BAR = 24


def bar(share: float) -> str:
    """A share of 0 to 1, as a bar and in percent."""
    filled = int(share * BAR)
    return f"[{'#' * filled}{'-' * (BAR - filled)}] {int(100 * share)} %"


def titled(title: str, lines: Sequence[str]) -> list[str]:
    """Lines in a column, with a title before the first one."""
    return [f"{title if i == 0 else '':12}{line}" for i, line in enumerate(lines)]


def capped(lines: Sequence[str], most: int) -> list[str]:
    """At most `most` lines; the last one counts those left out."""
    if len(lines) <= most:
        return list(lines)
    return [*lines[: most - 1], f"  and {len(lines) - most + 1} more"]


def clipped(text: str, width: int) -> str:
    """Text that cannot move the cursor, cut to so many columns."""
    plain = "".join(c if c.isprintable() else " " for c in text)
    return plain if len(plain) <= width else f"{plain[: width - 3]}..."


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
