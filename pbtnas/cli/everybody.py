"""Commands that look at the members and the workers of a run: quickly, and without its task."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pbtnas.cli.shared import disk_errors, run_dir_argument
from pbtnas.errors import ExitCode
from pbtnas.monitoring.text import choices, clipped, printable, span
from pbtnas.records.paths import member_name
from pbtnas.records.schema import last_line, numbers
from pbtnas.tabular import aligned

if TYPE_CHECKING:
    from pbtnas.monitoring.everybody import MemberLine, WorkerLine
    from pbtnas.monitoring.one_member import Ancestor, OneMember

OPTIONS, NAME = 72, 40  # columns

json_option = click.option("--json", "as_json", is_flag=True, help="For programs.")


@click.command()
@run_dir_argument
@click.option("--generation", type=click.IntRange(0), metavar="G", help="Not the newest one.")
@json_option
def members(run_dir: Path, generation: int | None, as_json: bool) -> None:
    """All members of a generation: state, score, age, parents, worker, options.

    Of the newest one, who is still in work too.  `pbtnas show` lists the best, and what to do with
    them.
    """
    from pbtnas.monitoring.everybody import member_lines

    with disk_errors(ExitCode.FAILED, place=run_dir):
        found = member_lines(run_dir, generation)
    if as_json:
        click.echo(json.dumps([row.to_json() for row in found], default=str))
    elif not found:
        click.echo(f"{run_dir}: no generation has begun yet")
    else:
        header = ["member", "state", "score", "age", "parents", "seconds", "worker", "options"]
        right = [False, False, True, True, False, True, False, False]
        _print(aligned([header, *map(_cells, found)], right))


def _cells(row: MemberLine) -> list[str]:
    options = choices(row.options, " ")
    return [
        f"g{row.generation:04d}-{member_name(row.member)}",
        row.state,
        "" if row.score is None else f"{row.score:.6g}",
        str(row.age),
        " + ".join(map(member_name, row.parents)) or "-",
        "" if row.seconds is None else f"{row.seconds:.1f}",
        printable(row.worker),
        options if len(options) <= OPTIONS else f"{len(row.options)} variables: pbtnas member",
    ]


@click.command()
@run_dir_argument
@click.argument("name", metavar="MEMBER")
@json_option
def member(run_dir: Path, name: str, as_json: bool) -> None:
    """One member: architecture, ancestors, what came from which parent, metrics, attempts.

    MEMBER is its slot, e.g. 07 or m07, or with a generation g0012-m07; without one it is shown as
    it was in the newest generation that it has a result of.  `best` is the best so far.  The
    traceback, if it failed, comes last.
    """
    from pbtnas.monitoring.one_member import one_member

    with disk_errors(ExitCode.FAILED, place=run_dir):
        generation, slot = _best(run_dir) if name == "best" else numbers_named(name)
        found = one_member(run_dir, slot, generation)
    if as_json:
        click.echo(json.dumps(found.to_json(), default=str))
    else:
        _print(_told(found))


def _best(run_dir: Path) -> tuple[int | None, int]:
    """Generation and slot of the best member so far.  Raises `NotARun` while there is none."""
    from pbtnas.store.finished import best_so_far
    from pbtnas.store.reader import RunReader
    from pbtnas.store.run_directory import open_run

    open_run(run_dir)
    with RunReader(run_dir) as files:
        best = best_so_far(files)
    return best.generation, best.member


def numbers_named(name: str) -> tuple[int | None, int]:
    """Generation and slot that a name such as 07, m07 or g0012-m07 says.

    Raises `UsageError` for anything else.
    """
    from pbtnas.store.finished import numbers_in

    found = numbers_in(f"m{name}" if name.isdecimal() else name)
    if found is None:
        raise click.UsageError(f"MEMBER {name!r}: expected a name such as 07, m07 or g0012-m07")
    return found


def slot_of(name: str) -> int:
    """The slot that a name such as 07 or m07 means; a generation in it means nothing here."""
    return numbers_named(name)[1]


def _told(found: OneMember) -> list[str]:
    facts = [
        ("member", f"g{found.generation:04d}-{member_name(found.member)}"),
        ("state", found.outcome or "no result yet"),
        *(
            (clipped(name, NAME), "-" if value is None else f"{value:.6g}")
            for name, value in numbers(found.score, found.metrics).items()
        ),
        *((k, printable(str(v))) for k, v in sorted(found.about.items()) if _plain(v)),
        ("born", _birth(found)),
    ]
    lines = aligned([[f"  {name}", value] for name, value in facts])
    lines += ["", "ancestors, through bases:", *map(_ancestor, found.ancestors)]
    if found.architecture:
        rows = [["  variable", "option", "from"]]
        for choice in found.architecture:
            name = clipped(choice.variable, NAME)
            rows.append([f"  {name}", printable(choice.option), choice.origin])
        lines += ["", "architecture:", *aligned(rows)]
    tensors = [
        f"  {section}: " + ", ".join(f"{count} from {origin}" for origin, count in counts.items())
        for section, counts in _sections(found.origins).items()
    ]
    if tensors:
        lines += ["", "tensors at its birth:", *map(printable, tensors)]
    if found.attempts:
        lines += ["", "attempts:", *(_attempt(attempt) for attempt in found.attempts)]
    lines += [printable(f"damaged: {problem}") for problem in found.problems]
    if found.failure or found.traceback:
        text = found.traceback.rstrip().splitlines()
        lines += ["", f"failed ({printable(found.failure)}):", *(f"  {printable(t)}" for t in text)]
    return lines


def _plain(value: Any) -> bool:
    return isinstance(value, str | int | float) and len(str(value)) <= OPTIONS


def _birth(found: OneMember) -> str:
    if found.born is None:
        return "created in the first generation"
    parents = dict.fromkeys(p for p in (found.base, found.donor) if p is not None)
    names = " + ".join(map(member_name, parents))
    return f"into generation {found.born}, child of {names} ({found.operator})"


def _ancestor(ancestor: Ancestor) -> str:
    name = f"  g{ancestor.generation:04d}-{member_name(ancestor.member)}"
    score = "no score" if ancestor.score is None else f"score {ancestor.score:.6g}"
    donor = "" if ancestor.donor is None else f", born here: donor {member_name(ancestor.donor)}"
    return f"{name}  {score}{donor}"


def _sections(origins: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
    sections = origins.get("sections", {})
    return sections if isinstance(sections, Mapping) else {}


def _attempt(attempt: Mapping[str, Any]) -> str:
    text = last_line(attempt["text"])
    told = f"  {attempt['number']}  {attempt['worker']}  {attempt['ended']}"
    return printable(f"{told}: {text}" if text else told)


@click.command()
@run_dir_argument
@json_option
def workers(run_dir: Path, as_json: bool) -> None:
    """All workers of a run: state, device, what they do, attempts and failures of late."""
    from pbtnas.monitoring.everybody import RECENT, worker_rows

    with disk_errors(ExitCode.FAILED, place=run_dir):
        found = worker_rows(run_dir)
    if as_json:
        click.echo(json.dumps([row.to_json() for row in found]))
    elif not found:
        click.echo(f"{run_dir}: no worker yet; `pbtnas worker {run_dir}` starts one")
    else:
        header = ["worker", "state", "device", "seen", "attempts", "failures", "doing"]
        right = [False, False, False, True, True, True, False]
        _print(aligned([header, *map(_worker_cells, found)], right))
        click.echo(
            f"attempts and failures: of the last {RECENT} generations; when a worker was last seen "
            "is a hint, by the times of files"
        )


def _worker_cells(row: WorkerLine) -> list[str]:
    seen = row.seen
    steps = f", {seen.steps} steps" if seen.steps else ""
    doing = f"{printable(seen.doing) or '?'}{steps}"
    counts = [str(row.attempts), str(row.failures)]
    ago = f"{span(seen.changed_s)} ago"
    return [printable(seen.name), row.state, printable(row.device), ago, *counts, doing]


def _print(lines: Iterable[str]) -> None:
    click.echo("\n".join(lines))
