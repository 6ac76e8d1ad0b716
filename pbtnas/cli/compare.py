"""Commands that compare finished runs, draw them, and report on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pbtnas.cli.places import PlainPath, RunPath
from pbtnas.cli.shared import (
    disk_errors,
    format_option,
    leave,
    load_task_of,
    reference_point_option,
    task_file_option,
)
from pbtnas.errors import ExitCode

if TYPE_CHECKING:
    from pbtnas.analysis.compare.verdict import Question
    from pbtnas.analysis.history.run import History
    from pbtnas.analysis.plots.catalogue import Figures, Measure
    from pbtnas.analysis.tables import Table
    from pbtnas.search.space import Variable

runs_argument = click.argument(
    "directories",
    nargs=-1,
    required=True,
    metavar="RUN_DIR... | STUDY_DIR",
    type=RunPath(),
)
only_option = click.option(
    "--only",
    multiple=True,
    metavar="NAME",
    help="Runs of that name only; patterns as in a shell, may be repeated.",
)
partial_option = click.option(
    "--partial", is_flag=True, help="Leave unfinished runs out instead of refusing."
)
metric_option = click.option(
    "--metric", default="score", show_default=True, help="Or one of the task's, such as fid."
)
better_option = click.option(
    "--better",
    type=click.Choice(["larger", "smaller"]),
    help="Which values are; needed for another metric than the score.",
)


@click.command()
@runs_argument
@only_option
@partial_option
@metric_option
@better_option
@click.option("--ever", is_flag=True, help="The best of all generations, not of the last.")
@click.option("--final", is_flag=True, help="Its final evaluation, of `pbtnas evaluate`.")
@reference_point_option
@click.option(
    "--claims", metavar="A>B,...", help="What was claimed beforehand; every pair by default."
)
@click.option(
    "--tests",
    type=click.IntRange(1),
    help="Made in all, here and elsewhere, to correct p for; one a claim by default.",
)
@click.option(
    "--reference", default="random-search", show_default=True, help="Whose final score to reach."
)
@click.option(
    "--ddof", default=0, show_default=True, type=click.IntRange(0, 1), help="Of the deviations."
)
@click.option(
    "--pool", is_flag=True, help="Judge the claims on all tasks together, as the paper does."
)
@click.option(
    "--unequal-budgets",
    is_flag=True,
    help="Compare runs of different budgets, too: where the rest was spent elsewhere, on a sweep.",
)
@click.option(
    "--soups",
    is_flag=True,
    help="Instead: what `pbtnas soup` made, beside the best members it began with.",
)
@click.option(
    "--as-published",
    is_flag=True,
    help="Soups by scores of the search, rejected ones if none was accepted, as in Table 5.",
)
@click.option(
    "--ranks",
    metavar="TRUTH",
    help="Instead: how far rankings by shared weights agree with ground truth. TRUTH is a variant "
    "that trains every architecture alone, a run directory of that kind, a table's file, or "
    "`table` for the kept cell64-table.",
)
@click.option(
    "--last",
    type=click.IntRange(1),
    metavar="K",
    help="With --ranks: rows of Mean-k and Std-k; all that every supernet has by default, up to "
    "64.",
)
@click.option(
    "--found",
    metavar="TABLE",
    help="Instead: what the architecture that each run returns is worth by published results. "
    "TABLE is a table's file, its name, or `table` for the kept one of each space.",
)
@click.option(
    "--at-equal-cost",
    is_flag=True,
    help="With --found: read every run where the cheapest ended, by multiply-adds of all jobs.",
)
@format_option
@click.option(
    "-o",
    "--output",
    type=PlainPath(file_okay=False),
    help="Directory for all tables in all formats.",
)
def compare(
    directories: tuple[Path, ...],
    only: tuple[str, ...],
    metric: str,
    better: str | None,
    claims: str | None,
    ranks: str | None,
    last: int | None,
    found: str | None,
    at_equal_cost: bool,
    form: str,
    output: Path | None,
    **others: Any,
) -> None:
    """Which algorithm is better: mean and spread over seeds, tests, and cost of equal quality.

    Runs are paired by seed.  Those of a study have the study's names, others the name of their
    algorithm.
    """
    from pbtnas.analysis import tables
    from pbtnas.analysis.compare import verdict
    from pbtnas.analysis.compare.gathering import gather

    # The other options are fields of a question under the same names.
    question = verdict.Question(
        metric=metric,
        maximise=_maximise(metric, better),
        claims=None if claims is None else verdict.parse_claims(claims),
        **others,
    )
    _refuse_contradictions(question)
    if last is not None and ranks is None:
        raise click.UsageError("--last is of --ranks: give --ranks TRUTH, too")
    if at_equal_cost and found is None:
        raise click.UsageError("--at-equal-cost is of --found: give --found TABLE, too")
    if found is not None and ranks is not None:
        raise click.UsageError("--found and --ranks are two questions: give one of them")
    if ranks is not None:
        made = _ranks(directories, only, ranks, last, question)
    elif found is not None:
        made = _found(directories, only, found, question, at_equal_cost=at_equal_cost)
    else:
        made = verdict.tables(gather(directories, only), question)
    click.echo(tables.in_form(made.values(), form), nl=False)
    if output is not None:
        with disk_errors(ExitCode.USAGE, place=output):
            for path in _write(made, output):
                click.echo(path, err=True)


def _ranks(
    directories: Sequence[Path],
    only: Sequence[str],
    word: str,
    last: int | None,
    question: Question,
) -> dict[str, Table]:
    """The tables of `--ranks`; unfinished runs are refused, or left out and named."""
    from pbtnas.analysis.compare.gathering import gather
    from pbtnas.analysis.compare.verdict import Question, refuse_unfinished, with_left_out
    from pbtnas.analysis.rank_study import rank_tables, read_runs
    from pbtnas.cli.truth import ground_truth_of

    if question != Question(partial=question.partial, ddof=question.ddof):
        raise click.UsageError(
            "--ranks compares rankings: of the other options it takes --only, --partial, --last, "
            "--ddof, --format and -o"
        )
    found = ground_truth_of(word, "--ranks", gather(directories).runs)
    gathered = gather(directories, only)
    refuse_unfinished(gathered, partial=question.partial)
    ranked = read_runs(gathered.finished, found.truth)
    tables = rank_tables(ranked, found.truth, k=last, simulated=found.simulated, ddof=question.ddof)
    return tables | {"ranks": with_left_out(tables["ranks"], gathered)}


def _found(
    directories: Sequence[Path],
    only: Sequence[str],
    word: str,
    question: Question,
    *,
    at_equal_cost: bool,
) -> dict[str, Table]:
    """The tables of `--found`; unfinished runs are refused, or left out and named."""
    from pbtnas.analysis.compare.gathering import gather
    from pbtnas.analysis.compare.verdict import Question, refuse_unfinished, with_left_out
    from pbtnas.analysis.found.mixtures import mixture_tables
    from pbtnas.analysis.found.returned import returned
    from pbtnas.analysis.found.study import found_tables, read_found
    from pbtnas.cli.published import published_tables

    allowed = Question(
        partial=question.partial, ddof=question.ddof, claims=question.claims, tests=question.tests
    )
    if question != allowed:
        raise click.UsageError(
            "--found compares architectures: of the other options it takes --only, --partial, "
            "--claims, --tests, --at-equal-cost, --ddof, --format and -o"
        )
    gathered = gather(directories, only)
    refuse_unfinished(gathered, partial=question.partial)
    runs = gathered.finished
    published = published_tables(word, sorted({returned(run).space for run in runs}))
    found = read_found(runs, published)
    made = found_tables(found, published, question, at_equal_cost=at_equal_cost)
    first = next(iter(made))
    made |= {first: with_left_out(made[first], gathered)}
    return made | mixture_tables(runs, ddof=question.ddof)


@click.command()
@click.argument("directory", metavar="RUN_DIR|STUDY_DIR", type=RunPath())
@only_option
@metric_option
@better_option
@click.option("--ever", is_flag=True, help="The best of all generations, not of the last.")
@click.option("--final", is_flag=True, help="Its final evaluation, of `pbtnas evaluate`.")
@reference_point_option
@click.option("-o", "--output", type=PlainPath(file_okay=False), help="Where to draw to.")
@task_file_option
def plot(
    directory: Path,
    only: tuple[str, ...],
    metric: str,
    better: str | None,
    ever: bool,
    final: bool,
    reference_point: str | None,
    output: Path | None,
    task_file: str | None,
) -> None:
    """Draw a run or a study, as PNG and SVG.

    A run: every member's score, the family tree, origins of layers, options and diversity, the
    schedules of its ladders, its front and hypervolume.  A study: score against work, fronts and
    hypervolumes, and population size, shrink-perturb and ablations where it varies them; for
    these --metric, --ever and --final say which number.  Of a space with published results, whose
    table is kept, what was found.
    """
    from pbtnas.analysis.plots.catalogue import Measure
    from pbtnas.analysis.plots.style import save
    from pbtnas.records import paths
    from pbtnas.store.opening import beside
    from pbtnas.store.study_directory import is_study

    measure = Measure(metric=metric, maximise=_maximise(metric, better), ever=ever, final=final)
    if is_study(directory):
        figures = _figures_of_study(directory, only, measure, reference_point)
    elif measure != Measure():
        raise click.UsageError("--metric, --ever and --final are for studies")
    else:
        figures = _figures_of_run(directory, task_file, reference_point)
    output = output or beside(directory, paths.ARTIFACTS)
    with disk_errors(ExitCode.USAGE, place=output):
        output.mkdir(parents=True, exist_ok=True)
        for name, draw in figures.items():
            for path in save(draw(), output / name):
                click.echo(path)


def _figures_of_study(
    directory: Path, only: Sequence[str], measure: Measure, reference: str | None
) -> Figures:
    """The figures of a study's finished runs; the others are named on stderr."""
    from pbtnas.analysis.compare.gathering import gather
    from pbtnas.analysis.plots.catalogue import study_figures
    from pbtnas.analysis.supernets import rated_twice
    from pbtnas.cli.published import kept_tables

    gathered = gather([directory], only)
    if not gathered.finished:
        leave(ExitCode.USAGE, f"{directory}: none of its runs is finished yet")
    figures = study_figures(gathered.finished, measure, reference, kept_tables())
    for name in gathered.unfinished:
        click.echo(f"left out, not finished: {name}", err=True)
    for run in gathered.finished:
        if (why := rated_twice(run.history)) is not None:
            click.echo(f"left out of figures of subnets: {why}", err=True)
    return figures


def _figures_of_run(
    directory: Path, task_file: str | None, reference: str | None = None
) -> Figures:
    """The figures of a run; why there are none of options is said on stderr."""
    from pbtnas.analysis.fronts.measured import check_several
    from pbtnas.analysis.history.outline import outline
    from pbtnas.analysis.plots.catalogue import run_figures
    from pbtnas.analysis.plots.evolution import NothingToShow
    from pbtnas.cli.reading import reading_told

    history = outline(directory, told=reading_told())
    check_several(history, reference)
    variables, notes = _variables(history, task_file)
    for note in notes:
        click.echo(note, err=True)
    try:
        return run_figures(history, variables, reference)
    except NothingToShow as error:
        leave(error.exit_code, f"{directory}: {error}")


@click.command()
@runs_argument
@only_option
@click.option(
    "-o",
    "--output",
    type=PlainPath(dir_okay=False),
    help="The file; in the directory of figures by default.",
)
@reference_point_option
@task_file_option
def report(
    directories: tuple[Path, ...],
    only: tuple[str, ...],
    output: Path | None,
    reference_point: str | None,
    task_file: str | None,
) -> None:
    """A run or a study as one HTML file: figures, tables, configuration, failures, versions.

    The file needs no network and no other file.  Unfinished runs are reported as far as they
    are.
    """
    from pbtnas.analysis.compare.gathering import gather
    from pbtnas.analysis.compare.verdict import Question
    from pbtnas.analysis.fronts.measured import check_several
    from pbtnas.analysis.history.run import History
    from pbtnas.analysis.report import page as making
    from pbtnas.cli.reading import reading_told
    from pbtnas.records import paths
    from pbtnas.store.opening import beside
    from pbtnas.store.study_directory import is_study

    root = directories[0]
    if len(directories) > 1 or is_study(root):
        question = Question(reference_point=reference_point)
        made = making.study_report(root, gather(directories, only), question)
    else:
        history = History.read(root, reading_told())
        check_several(history, reference_point)
        made = making.run_report(history, *_variables(history, task_file), reference_point)
    output = output or beside(root, paths.REPORT)
    with disk_errors(ExitCode.USAGE, place=output):
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(making.to_html(made), encoding="utf-8")
    click.echo(output)


def _maximise(metric: str, better: str | None) -> bool:
    """Whether larger values are better, where both options fit together."""
    if better is None and metric != "score":
        raise click.UsageError(f"--metric {metric} needs --better larger or --better smaller")
    if better == "smaller" and metric == "score":
        raise click.UsageError("larger scores are better, whatever they measure")
    return better != "smaller"


def _refuse_contradictions(question: Question) -> None:
    """Raise `click.UsageError` for options that make no sense together."""
    unasked = question.claims is None and question.tests is None and not question.pool
    if question.soups and (not unasked or question.ever):
        raise click.UsageError(
            "--soups compares each soup with its own best member: no claims, pooling or --ever"
        )
    measured_otherwise = question.metric != "score" or question.ever or question.final
    if question.reference_point is not None and (
        measured_otherwise or question.pool or question.soups
    ):
        raise click.UsageError(
            "--reference-point compares hypervolumes of the search: no --metric, --ever, --final, "
            "--pool or --soups"
        )
    in_search = not question.final and question.metric == "score"
    if question.as_published and not (question.soups and in_search):
        raise click.UsageError("--as-published needs --soups, and is of scores in the search only")


def _variables(history: History, task_file: str | None) -> tuple[tuple[Variable, ...], list[str]]:
    """The search space of a run, as it records, or as its task has it; and a note where that is
    not to be had here."""
    if history.space is not None:
        return tuple(history.space), []
    from pbtnas.config import from_json
    from pbtnas.tasks.base import TaskError  # imports torch, for seconds

    try:
        config = from_json(history.config, recorded=history.options)
        return tuple(load_task_of(config.task, task_file).space), []
    except TaskError as error:
        return (), [f"Options are left out: {error}."]


def _write(found: Mapping[str, Table], directory: Path) -> list[Path]:
    """All tables as compare.txt, .md and .tex, and each as a CSV file of its own."""
    from pbtnas.analysis import tables

    whole = {"txt": tables.to_text, "md": tables.to_markdown, "tex": tables.to_latex}
    contents = {
        f"compare.{suffix}": "\n".join(map(writer, found.values()))
        for suffix, writer in whole.items()
    }
    contents |= {f"{name}.csv": tables.to_csv(table) for name, table in found.items()}
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in contents.items():
        (directory / name).write_text(text, encoding="utf-8")
    return [directory / name for name in contents]
