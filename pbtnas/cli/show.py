"""The command that shows what a run has found: its members, the best one, and what to do next."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

import click

from pbtnas.cli.places import as_typed
from pbtnas.cli.shared import disk_errors, leave, run_dir_argument, task_file_option
from pbtnas.errors import ExitCode, PbtnasError
from pbtnas.monitoring.text import choices, clipped, printable
from pbtnas.records.schema import CHOSEN, SUBNET, numbers
from pbtnas.records.subnets import folded
from pbtnas.tabular import aligned

if TYPE_CHECKING:
    from pbtnas.monitoring.members import MemberRow
    from pbtnas.networks.naming import Naming
    from pbtnas.search.space import Architecture

Row = dict[str, Any]
OPTIONS, NAME = 72, 40  # columns


@click.command()
@run_dir_argument
@click.argument("member", required=False)
@task_file_option
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.option("--csv", "as_csv", is_flag=True, help="For spreadsheets: a row for each member.")
@click.option("--all", "whole", is_flag=True, help="Every subnet of a supernet, not the best one.")
@click.option("--code", metavar="FILE", help="Print this file of the task as the run knows it.")
def show(
    run_dir: Path,
    member: str | None,
    task_file: str | None,
    as_json: bool,
    as_csv: bool,
    whole: bool,
    code: str | None,
) -> None:
    """What a run has found: its members, the best architecture, and the next commands.

    MEMBER is a name in the first column, such as m03 or g0012-m03, or a place in the front of a run
    of several objectives, such as front-2.  Listed are the members of the
    newest generation, and others that still have a checkpoint.
    """
    if code is not None:
        click.echo(_text_of(run_dir, code), nl=False)
        return
    if as_json and as_csv:
        raise click.UsageError("give --json or --csv, not both")
    with disk_errors(ExitCode.FAILED, place=run_dir):
        rows, note, finished = table_of(run_dir, task_file)
        if member is not None:
            member = _in_front(run_dir, member)
    if member is not None:
        rows = [row for row in rows if _is_called(row, member)][:1]
        if not rows:
            leave(ExitCode.USAGE, f"{run_dir}: lists no member {member!r}; see `pbtnas show`")
    if as_json:
        click.echo(json.dumps(rows, default=str))
    elif as_csv:
        _write_csv(rows)
    else:
        if member:
            lines = _member_lines(run_dir, rows[0], whole)
        else:
            lines = _lines(run_dir, rows, whole)
        done = finished and member is None
        click.echo(
            as_typed("\n".join([*lines, note, *_next_commands(run_dir, rows, task_file, done)]))
        )


def _text_of(run_dir: Path, file: str) -> str:
    """A file of the task's code, as the run knows it."""
    from pbtnas.store.run_directory import open_run

    with disk_errors(ExitCode.FAILED, place=run_dir):
        code = open_run(run_dir).codes.in_force
    if code is None or not code.files:
        leave(ExitCode.USAGE, f"{run_dir}: records no files of its task")
    if file not in code.files:
        known = ", ".join(code.files)
        leave(ExitCode.USAGE, f"{run_dir}: --code {file}: records no such file, but {known}")
    text = code.files[file].text
    if text is None:
        leave(ExitCode.USAGE, f"{run_dir}: --code {file}: only its digest is recorded")
    return text


def show_end(run_dir: Path, task_file: str | None) -> None:
    """The end screen of `pbtnas run`, which is finished whatever hinders showing it."""
    try:
        rows, note, _ = table_of(run_dir, task_file)
    except (PbtnasError, OSError) as error:
        click.echo(f"pbtnas: the members cannot be shown: {error}", err=True)
        return
    lines = [*_lines(run_dir, rows), note, *_next_commands(run_dir, rows, task_file, True)]
    click.echo(as_typed("\n" + "\n".join(lines)))


def table_of(run_dir: Path, task_file: str | None) -> tuple[list[Row], str, bool]:
    """The rows as JSON, best first; a sentence on what is lacking in them ("" if nothing); and
    whether the run is finished."""
    from pbtnas.analysis.history.run import History
    from pbtnas.monitoring.members import members
    from pbtnas.networks.naming import naming_of
    from pbtnas.store.run_directory import open_run

    naming = naming_of(run_dir, open_run(run_dir), task_file)
    history = History.read(run_dir)
    found = members(history)
    known = (r.architecture for r in found if r.architecture is not None and r.parameters is None)
    counts, lacking = naming.parameters(known)
    rows = [_row(row, naming, counts) for row in found]
    note = "\n".join(filter(None, (naming.note, lacking)))
    return rows, note, history.final is not None


def _row(row: MemberRow, naming: Naming, counts: Mapping[Architecture, int]) -> Row:
    from pbtnas.store.finished import named_member

    architecture = row.architecture
    return {
        "name": named_member(row.generation, row.member),
        **asdict(row),
        "options": {} if architecture is None else naming.options(architecture),
        "parameters": counts.get(architecture or ()) if row.parameters is None else row.parameters,
    }


def _in_front(run_dir: Path, name: str) -> str:
    """The name of the member that has a place in the front; any other name as it is."""
    from pbtnas.store.finished import front_member, is_front, named_member
    from pbtnas.store.opening import open_files
    from pbtnas.store.run_directory import open_run

    if not is_front(name):
        return name
    with open_files(run_dir) as files:
        found = front_member(files, open_run(run_dir), name)
    return named_member(found.generation, found.member)


def _is_called(row: Row, name: str) -> bool:
    """Whether a row is of the member of that name, which other commands understand too."""
    from pbtnas.store.finished import numbers_in

    generations = (None, row["generation"])
    return numbers_in(name) in [(generation, row["member"]) for generation in generations]


def _lines(run_dir: Path, rows: Sequence[Row], whole: bool = False) -> list[str]:
    if not rows:
        return [f"{run_dir}: no member has a result yet"]
    header = ["member", "score", "age", "parents", "parameters", "seconds", "", "options"]
    best = max((r for r in rows if r["score"] is not None), key=_rank, default=None)
    shown = [row for row in rows if row["generation"] == rows[0]["generation"] or row is best]
    lines = aligned(
        [header, *map(_cells, shown)], [False, True, True, False, True, True, False, False]
    )
    if len(shown) < len(rows):
        others = len(rows) - len(shown)
        lines.append(f"and {others} of earlier generations with a checkpoint: --json, --csv")
    return (
        lines if best is None else [*lines, "", "the best:", *_member_lines(run_dir, best, whole)]
    )


def _rank(row: Row) -> tuple[float, int]:
    """Of equal scores the earliest is the best, as in the records."""
    return row["score"], -row["generation"]


def _cells(row: Row) -> list[str]:
    return [
        row["name"],
        row["outcome"] if row["score"] is None else f"{row['score']:.6g}",
        str(row["age"]),
        _parents(row),
        "" if row["parameters"] is None else f"{row['parameters']:,}",
        "" if row["seconds"] is None else f"{row['seconds']:.1f}",
        "" if row["checkpoint"] else "no checkpoint",
        _options(row["options"]),
    ]


def _parents(row: Row) -> str:
    return " + ".join(f"m{parent:02d}" for parent in row["parents"]) or "-"


def _options(options: Mapping[str, Any]) -> str:
    """All of them, or none where they would not fit beside the numbers."""
    text = choices(options, " ")
    return text if len(text) <= OPTIONS else f"{len(options)} variables: show RUN MEMBER"


def _member_lines(run_dir: Path, row: Row, whole: bool) -> list[str]:
    metrics = row["metrics"] if whole else folded(row["metrics"])
    generations = f"{row['age']} generation{'' if row['age'] == 1 else 's'}"
    told = [
        ("member", f"{row['name']}, {row['outcome']}, trained in {generations}"),
        ("parents", _parents(row)),
        # Metrics have the names that the task gives them, those of our own lines too.
        *(
            (clipped(name, NAME), "-" if value is None else f"{value:.6g}")
            for name, value in numbers(row["score"], metrics).items()
        ),
        *([("all subnets", "show --all")] if len(metrics) < len(row["metrics"]) else []),
        ("parameters", "unknown" if row["parameters"] is None else f"{row['parameters']:,}"),
        ("seconds", "unknown" if row["seconds"] is None else f"{row['seconds']:.1f}"),
        ("processor", f"{row['processor'] or 'unknown'}, {row['cpu_capability'] or 'unknown'}"),
        *((f"option {clipped(n, NAME)}", printable(str(o))) for n, o in row["options"].items()),
        ("checkpoint", f"{run_dir}/{row['checkpoint']}" if row["checkpoint"] else "discarded"),
    ]
    return aligned([[f"  {name}", value] for name, value in told])


def _next_commands(
    run_dir: Path, rows: Sequence[Row], task_file: str | None, whole: bool
) -> list[str]:
    """What to type next: about the run as a whole, or about the best of these rows."""
    named = [row for row in rows if row["checkpoint"] is not None]
    if not named:
        return []
    best = max(named, key=_rank)
    which, subnet = best["name"], _best_subnet(best)
    part = "" if subnet is None else f" --subnet {quote(subnet)}"
    task = f" --task {task_file}" if task_file else _task_wanted(run_dir)
    rated = whole and any(name.startswith(SUBNET) for name in named[0]["metrics"])
    # A supernet that learns an architecture is no network by itself: `evaluate` says which it is.
    exported = subnet is not None or not any(name.startswith(CHOSEN) for name in best["metrics"])
    output = f"-o {run_dir.name}-{which}"
    return [
        "next:",
        *([f"  pbtnas subnets {run_dir}{task}"] if rated else []),
        f"  pbtnas evaluate {run_dir}{'' if whole else f' --which {which}'}{task}",
        *([f"  pbtnas export {run_dir} --which {which}{part} {output}{task}"] if exported else []),
        f"  pbtnas show {run_dir} {which}{task}",
        f"  pbtnas report {run_dir}",
    ]


def _best_subnet(row: Row) -> str | None:
    """The name of the best subnet of a supernet, which is what people export; None for others."""
    scores = {
        name.removeprefix(SUBNET): score
        for name, score in row["metrics"].items()
        if name.startswith(SUBNET)
    }
    return max(scores, key=lambda name: scores[name], default=None)


def _task_wanted(run_dir: Path) -> str:
    """What to add to a command, where the task is in a file that was not given."""
    from pbtnas.config import from_json
    from pbtnas.store.run_directory import open_run
    from pbtnas.tasks.loading import installed_tasks

    name = from_json(open_run(run_dir).config).task.name
    return "" if name in installed_tasks() else f" --task FILE.py:{name}"


def _write_csv(rows: Sequence[Row]) -> None:
    plain = ["name", "generation", "member", "outcome", "score", "age", "parents", "parameters",
             "seconds", "checkpoint", "processor", "cpu_capability"]  # fmt: skip
    metrics = dict.fromkeys(name for row in rows for name in row["metrics"])
    options = dict.fromkeys(name for row in rows for name in row["options"])
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow([*plain, *(f"metric {m}" for m in metrics), *(f"option {o}" for o in options)])
    for row in rows:
        cells = [row[key] if key != "parents" else _parents(row) for key in plain]
        cells += [row["metrics"].get(name) for name in metrics]
        writer.writerow([*cells, *(row["options"].get(name) for name in options)])
