"""Tables of a comparison, for terminal, CSV, Markdown and LaTeX.

A table is data: cells keep their numbers, each renderer writes them its own way.  CSV has
every number in full and in a column of its own.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable
from dataclasses import dataclass

from pbtnas.analysis.compare.statistics import Interval, Spread
from pbtnas.tabular import aligned, markdown

Cell = str | int | float | Spread | Interval

ABSENT = "–"
"""Stands for NaN: there was too little to tell."""


@dataclass(frozen=True)
class Table:
    """A titled table; every row has one cell a column.

    Args:
        title: Its title.
        columns: Names of the columns.
        rows: Cells of each row.
        notes: Sentences below it.
        places: Decimal places of each column's numbers; () where their size decides.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[str, ...] = ()
    places: tuple[int | None, ...] = ()


def to_text(table: Table) -> str:
    """Aligned columns for a terminal: words to the left, numbers to the right."""
    lines = aligned([table.columns, *_written_rows(table)], _numbers(table))
    rule = "-" * max(map(len, lines))
    return "\n".join([table.title, rule, lines[0], rule, *lines[1:], rule, *table.notes]) + "\n"


def to_csv(table: Table) -> str:
    """Comma-separated, with full precision; a spread or interval takes two columns, of which a
    lone cell beside it fills the first."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    widest = [
        max((row[i] for row in table.rows), key=lambda cell: len(_parts(cell)), default=name)
        for i, name in enumerate(table.columns)
    ]
    named = zip(table.columns, widest, strict=True)
    writer.writerow([part for name, cell in named for part in _column_names(name, cell)])
    for row in table.rows:
        cells = [[*_parts(cell), ""] for cell in row]
        pairs = zip(cells, widest, strict=True)
        writer.writerow([part for own, wide in pairs for part in own[: len(_parts(wide))]])
    return text.getvalue()


def to_markdown(table: Table) -> str:
    """A GitHub-flavoured table under its title in bold."""
    lines = [
        f"**{table.title}**",
        "",
        *markdown(table.columns, _written_rows(table), _numbers(table)),
    ]
    lines += [line for note in table.notes for line in ("", note)]
    return "\n".join(lines) + "\n"


def to_latex(table: Table) -> str:
    """A `table` environment with booktabs rules; the notes go below, in small print."""
    lines = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{_latex(table.title)}}}",
        rf"\begin{{tabular}}{{{''.join('r' if number else 'l' for number in _numbers(table))}}}",
        r"\toprule",
        " & ".join(map(_latex, table.columns)) + r" \\",
        r"\midrule",
        *(" & ".join(map(_latex, row)) + r" \\" for row in _written_rows(table)),
        r"\bottomrule",
        r"\end{tabular}",
        *(rf"\par\smallskip{{\footnotesize {_latex(note)}}}" for note in table.notes),
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def written(cell: Cell, places: int | None = None) -> str:
    """A cell as people read it: a spread shows two digits of its std, a number three.

    With `places`, its numbers have so many decimal places, whatever their size, and a spread
    without a std is its mean alone.
    """
    if isinstance(cell, Spread) and places is not None and math.isnan(cell.std):
        return _fixed(cell.mean, places)
    if isinstance(cell, Spread):
        places = decimal_places(cell.std, 2) if places is None else places
        return f"{_fixed(cell.mean, places)} ± {_fixed(cell.std, places)}"
    if isinstance(cell, Interval):
        places = decimal_places(cell.high - cell.low, 2) if places is None else places
        return f"[{_fixed(cell.low, places)}, {_fixed(cell.high, places)}]"
    if isinstance(cell, float):
        return _fixed(cell, decimal_places(cell, 3) if places is None else places)
    return f"{cell:,}" if isinstance(cell, int) else cell


def _written_rows(table: Table) -> list[list[str]]:
    places = table.places or (None,) * len(table.columns)
    return [
        [written(cell, digits) for cell, digits in zip(row, places, strict=True)]
        for row in table.rows
    ]


def _numbers(table: Table) -> list[bool]:
    """Which columns hold numbers rather than words alone."""
    columns = range(len(table.columns))
    return [not all(isinstance(row[i], str) for row in table.rows) for i in columns]


def decimal_places(size: float, digits: int) -> int:
    """Decimal places that show so many significant digits of a number of that size."""
    if not math.isfinite(size) or size == 0:
        return 4
    return min(12, max(0, digits - 1 - math.floor(math.log10(abs(size)))))


def _fixed(value: float, places: int) -> str:
    if math.isnan(value):
        return ABSENT
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    return f"{value:,.{places}f}"


def _column_names(name: str, cell: Cell) -> list[str]:
    if isinstance(cell, Spread):
        stem = name.removesuffix(" (mean ± std)")
        return [f"{stem} mean", f"{stem} std"]
    return [f"{name} low", f"{name} high"] if isinstance(cell, Interval) else [name]


def _parts(cell: Cell) -> list[str | int | float]:
    if isinstance(cell, Spread):
        return [cell.mean, cell.std]
    return [cell.low, cell.high] if isinstance(cell, Interval) else [cell]


_LATEX = {
    "\\": r"\textbackslash{}",
    "±": r"$\pm$",
    "∞": r"$\infty$",
    "–": "--",
    ">": "$>$",
    "<": "$<$",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{character: f"\\{character}" for character in "%_&#${}"},
}


def _latex(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in text)


def in_form(tables: Iterable[Table], form: str) -> str:
    """Tables one below the other, as text, csv, markdown or latex."""
    writers = {"text": to_text, "csv": to_csv, "markdown": to_markdown, "latex": to_latex}
    return "\n".join(map(writers[form], tables))
