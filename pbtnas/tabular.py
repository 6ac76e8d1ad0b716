"""Rows of text as tables: in aligned columns for a terminal, or in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def aligned(rows: Iterable[Sequence[str]], right: Sequence[bool] = ()) -> list[str]:
    """A line for each row, its columns as wide as their widest cell.

    Args:
        rows: Cells of each row, the header's included.
        right: Whether a column is aligned to the right; () for none.
    """
    table = list(rows)
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    sides = right or [False] * len(widths)
    return [
        "  ".join(
            cell.rjust(width) if to_right else cell.ljust(width)
            for cell, width, to_right in zip(row, widths, sides, strict=True)
        ).rstrip()
        for row in table
    ]


def markdown(
    header: Sequence[str], rows: Iterable[Sequence[str]], right: Sequence[bool] = ()
) -> list[str]:
    """The lines of a GitHub-flavoured table.

    Args:
        header: Names of the columns.
        rows: Cells of each row.
        right: Whether a column is aligned to the right; () for none.
    """
    rule = ["---:" if to_right else "---" for to_right in right or [False] * len(header)]
    return [_markdown_row(row) for row in (header, rule, *rows)]


def _markdown_row(cells: Iterable[str]) -> str:
    # A bar inside a cell would open another column, a line break another row.
    plain = (" ".join(cell.replace("|", r"\|").splitlines()) for cell in cells)
    return "| " + " | ".join(plain) + " |"
