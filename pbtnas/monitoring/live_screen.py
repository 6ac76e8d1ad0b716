"""Draws frames of a run, or the status of a study, in colours, for a terminal of any size.

The score of a member is a colour, and where there are none a bar: by its rank among all scores that
are shown, so that one bad score does not make all others equal.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.text import Text

from pbtnas.monitoring import run_screen, study_screen
from pbtnas.monitoring.events import Event
from pbtnas.monitoring.frames import Cell, Frame
from pbtnas.monitoring.progress import Status
from pbtnas.monitoring.study_screen import StudyStatus, UnfinishedRun
from pbtnas.monitoring.text import NARROWEST, Sheet, at_clock, packed, printable, span
from pbtnas.records import paths

COLOURS = tuple(f"color({number})" for number in (53, 60, 24, 30, 36, 71, 149, 220))
"""From the lowest scores to the highest: those of the 256 colours that are closest to matplotlib's
viridis, which the colour-blind read too."""
BARS, BARS_IN_ASCII = "▁▂▃▄▅▆▇█", "12345678"
MARKS = {
    "diverged": ("~", "bold white on #8a3324"),
    "failed": ("x", "bold white on #b00020"),
    "in work": (">", "bold cyan"),
    "put back": ("?", "bold yellow"),
    "pending": (".", "dim"),
}
LEGEND = ("by rank", *(f"{mark} {state}" for state, (mark, _) in MARKS.items()), "+ born")
LABEL = 5  # columns of a member's name
FEWEST_EVENTS, MOST_WORKERS, MOST_TROUBLE = 3, 6, 6


@dataclass(frozen=True)
class Canvas:
    """What is drawn on.

    Args:
        columns: Its width.
        lines: Its height.
        colours: Whether there are any.
        ascii: Whether there are only the characters of ASCII.
    """

    columns: int
    lines: int
    colours: bool = True
    ascii: bool = False

    @property
    def sheet(self) -> Sheet:
        return Sheet(self.columns)


def canvas(console: Console) -> Canvas:
    """The terminal of a console, as large as it is now; without colours where NO_COLOR is set."""
    colours = console.color_system is not None and not console.no_color
    width, height = console.size
    return Canvas(max(NARROWEST, width), height, colours, console.options.ascii_only)


def drawn(frame: Frame, on: Canvas, *, log: bool = True) -> Text:
    """A run: how far it is, its members, workers, troubles, and, with `log`, what happened last."""
    status = frame.status
    head = _head(status, on)
    found = run_screen.trouble_lines(status, on.sheet)
    trouble = _plain(found[: max(MOST_TROUBLE, on.lines // 4)], "yellow")
    room = on.lines - len(head) - len(trouble)
    workers = [] if status.over else _workers(status, on, max(2, min(MOST_WORKERS, room // 4)))
    fewest = FEWEST_EVENTS + 1 if log else 0
    members = _members(frame.cells, on, room - len(workers) - fewest)
    room -= len(workers) + len(members)
    happened = _log(frame.events, on, room) if log else []
    return _stacked([*head, *members, *workers, *trouble, *happened], on)


def drawn_study(status: StudyStatus, on: Canvas) -> Text:
    """A study: how many of its runs are over, how far the open ones are, its workers, troubles."""
    sheet = on.sheet
    over = "over" if status.over else f"{len(status.open)} in work, {len(status.waiting)} waiting"
    finished = f"{len(status.finished)} of {status.runs} runs finished"
    left = "" if status.over or status.left_s is None else f"about {span(status.left_s)} left"
    head = [
        *_titled(sheet.facts("study", [status.id, f"{finished}, {over}"], "   ")),
        *_progress("progress", status.progress, on, ["of the network-epochs", left]),
    ]
    rest = [
        *([] if status.over else study_screen.worker_lines(status.workers, sheet)),
        *study_screen.trouble_lines(status, sheet),
    ]
    below = _titled(rest[: max(4, on.lines // 2)])
    room = max(2, on.lines - len(head) - len(below) - 1)
    runs: list[Text] = []
    for i, run in enumerate(status.open):
        lines = _run(run, on, status.open)
        if len(runs) + len(lines) > room - (i + 1 < len(status.open)):
            runs.append(Text(f"  and {len(status.open) - i} more in work"))
            break
        runs += lines
    return _stacked([*head, *runs, *below], on)


def _run(run: UnfinishedRun, on: Canvas, beside: Sequence[UnfinishedRun]) -> list[Text]:
    members, generation = max(1, run.members), run.generation or 0
    share = (generation + run.done / members) / max(1, run.generations)
    best = "" if run.best_ever is None else f"best {run.best_ever.score:.6g}"
    width = min(max(len(each.label) for each in beside), max(12, on.columns // 3))
    facts = [f"{generation} of {run.generations}", f"{run.done} of {run.members} done", best]
    return _progress(f"  {run.label:{width}}", min(1.0, share), on, facts)


def _head(status: Status, on: Canvas) -> list[Text]:
    sheet, members = on.sheet, status.members
    what = [f"{status.algorithm} on {status.task}", f"seed {run_screen.or_unknown(status.seed)}"]
    state = run_screen.state_of(status)
    best = run_screen.best_of(status.best_ever)
    last = run_screen.best_of(status.best_last)
    lines = [
        *_titled(sheet.facts("run", [status.run or "?", state, ", ".join(what)], "   ")),
        *_progress("search", status.progress, on, run_screen.time_of(status)),
        *_progress(
            "generation",
            members.done / max(1, members.all),
            on,
            _counts(status),
        ),
        *_titled(sheet.facts("best", [best, f"last complete generation: {last}"], "; ")),
    ]
    if status.front is not None:
        lines += _titled(sheet.facts("objectives", run_screen.front_of(status.front)[0]))
    lines += _titled(run_screen.asked_of(status, sheet))
    if status.ended:
        lines += _titled(sheet.sentences("ended", [status.ended], 3))
    return lines


def _counts(status: Status) -> list[str]:
    members, complete = status.members, run_screen.generation_of(status)
    if status.generation is None:
        return [complete]
    counts = {"in work": members.in_work, "put back": members.put_back, "pending": members.pending}
    told = [f"{count} {what}" for what, count in counts.items() if count]
    return [f"{complete} complete", f"{members.done} of {members.all} done", *told]


def _progress(title: str, share: float, on: Canvas, facts: Sequence[str]) -> list[Text]:
    """A bar with facts behind it, which go on below where they do not fit."""
    title = f"{title:12}" if len(title) < 12 else f"{title}  "
    width = max(8, min(40, on.columns // 4))
    full = int(share * width)
    whole, rest = ("#", "-") if on.ascii else ("━", "─")
    line = Text().append(title, "bold")
    line.append(whole * full, "green")
    line.append(rest * (width - full), "dim")
    line.append(f" {int(100 * share):3d} %  ")
    begin = len(line)
    room = on.columns - begin
    told = list(filter(None, facts))
    if not told:
        return [line]
    if max(map(len, told)) <= room:
        first, *more = packed(told, room)
        return [line.append(first), *(Text(f"{'':{begin}}{part}") for part in more)]
    return [line, *(Text(f"{'':12}{part}") for part in packed(told, on.columns - 12))]


def _members(cells: Mapping[int, Mapping[int, Cell]], on: Canvas, room: int) -> list[Text]:
    """The members as cells: a row each, with a column for each generation; or, where they are too
    many, all of the newest generation one after the other."""
    if not cells or room < 2:
        return []
    scores = sorted(
        cell.score
        for column in cells.values()
        for cell in column.values()
        if cell.score is not None
    )
    slots = sorted({member for column in cells.values() for member in column})
    newest = max(cells)
    if len(slots) + 1 <= room:
        fit = max(1, (on.columns - LABEL) // 2)
        shown = sorted(cells)[-fit:]
        rows = [Text(_heading(shown, on), "bold")]
        for slot in slots:
            row = Text(f"{paths.member_name(slot):{LABEL}}")
            for number in shown:
                row.append_text(_cell(cells[number].get(slot), scores, on))
            rows.append(row)
        return [*rows, *([_legend(on)] if len(rows) + 1 <= room else [])]
    each = max(1, on.columns // 2)
    rows = []
    for number in (newest, newest - 1):
        below = _grid(number, cells.get(number, {}), scores, on, each)
        if cells.get(number) and (not rows or len(rows) + len(below) < room):
            rows += below
    return [*rows[:room], *([_legend(on)] if len(rows) + 1 <= room else [])]


def _grid(
    number: int, cells: Mapping[int, Cell], scores: Sequence[float], on: Canvas, each: int
) -> list[Text]:
    """The members of one generation, so many in a line."""
    slots = sorted(cells)
    rows = [Text(f"members of generation {number}, m00 first", "bold")]
    for begin in range(0, len(slots), each):
        row = Text()
        for slot in slots[begin : begin + each]:
            row.append_text(_cell(cells[slot], scores, on))
        rows.append(row)
    return rows


def _heading(shown: Sequence[int], on: Canvas) -> str:
    """The numbers of the first and of the last generation shown, above their columns."""
    first, last = f"g{shown[0]}", f"g{shown[-1]}"
    between = 2 * len(shown) - len(first) - len(last)
    numbers = first + " " * between + last if between > 0 else last
    return f"{'':{LABEL}}{numbers}"[: on.columns]


def _legend(on: Canvas) -> Text:
    scale = Text("low ")
    for level in range(len(COLOURS)):
        scale.append_text(_level(level, " ", on))
    scale.append(" high")
    for text in LEGEND:
        if len(scale) + len(text) + 2 <= on.columns:
            scale.append(f"  {text}")
    return scale


def _cell(cell: Cell | None, scores: Sequence[float], on: Canvas) -> Text:
    if cell is None:
        return Text("  ")
    if cell.score is None:
        mark, style = MARKS.get(cell.state, (" ", ""))
        return Text(f"{mark} ", style if on.colours else "")
    rank = bisect_left(scores, cell.score) / max(1, len(scores) - 1)
    level = min(len(COLOURS) - 1, int(rank * len(COLOURS)))
    return _level(level, "+" if cell.born else " ", on)


def _level(level: int, mark: str, on: Canvas) -> Text:
    if on.colours:
        ink = "black" if level >= len(COLOURS) // 2 else "white"
        return Text(f"{mark} ", f"{ink} on {COLOURS[level]}")
    return Text((BARS_IN_ASCII if on.ascii else BARS)[level] + mark)


def _workers(status: Status, on: Canvas, most: int) -> list[Text]:
    return _titled(run_screen.worker_lines(status, on.sheet, most))


def _log(events: Sequence[Event], on: Canvas, room: int) -> list[Text]:
    """The latest events, as many as there is room for, none cut."""
    lines: list[Text] = []
    for event in reversed(events):
        style = "red" if event.bad else "dim" if event.kind == "opened" else ""
        told = _plain(packed([f"{at_clock(event.at)} {event.line}"], on.columns), style)
        if len(lines) + len(told) > room - 1:
            break
        lines = [*told, *lines]
    return [Text("last events", "bold"), *lines] if lines else []


def _titled(lines: Sequence[str]) -> list[Text]:
    """Lines of a screen of plain text, the titles of which are bold."""
    found = []
    for line in lines:
        title = 0 if line.startswith(" ") else len(line.partition("  ")[0])
        text = Text(printable(line))
        text.stylize("bold", 0, title)
        found.append(text)
    return found


def _plain(lines: Sequence[str], style: str) -> list[Text]:
    return [Text(printable(line), style) for line in lines]


def _stacked(lines: Sequence[Text], on: Canvas) -> Text:
    whole = Text("\n", no_wrap=True, overflow="crop").join(lines[: on.lines])
    whole.no_wrap, whole.overflow = True, "crop"
    return whole
