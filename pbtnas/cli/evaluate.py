"""Commands that make the numbers to report of a finished run: final evaluations and soups."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Unpack

import click

from pbtnas.cli.post_search import WorkOptions, carried_out, work_options
from pbtnas.cli.shared import (
    given,
    pin_as,
    until_asked_to_stop,
)

if TYPE_CHECKING:
    from pathlib import Path

    from pbtnas.analysis.found.published import Published
    from pbtnas.engine.evaluation import FinalEvaluation
    from pbtnas.records.schema import Soup, Tried


@click.command()
@work_options
@click.option(
    "--which", metavar="NAME", help="Only this member, e.g. m03 of `pbtnas show`, or front-3."
)
def evaluate(
    as_json: bool, which: str | None, parent: int | None, **options: Unpack[WorkOptions]
) -> None:
    """Evaluate the best members of a finished run, and its soups, for the number to report.

    Start it on as many machines as you like: they share the work, and each prints the complete
    result.
    """
    stop = until_asked_to_stop(parent)  # before the seconds in which torch is imported
    pin_as(options["run_dir"], stop)
    from functools import partial

    from pbtnas.engine.evaluation import evaluate as evaluated
    from pbtnas.store.finished import is_front, is_member

    if which is not None and not (is_member(which) or is_front(which)):
        raise click.BadParameter(
            f"{which!r} is no member's name, such as m03 or g0012-m03, nor a place in the front, "
            "such as front-3",
            param_hint="--which",
        )
    command = ["evaluate", *given("--which", which)]
    finals = carried_out(command, partial(evaluated, which=which), stop, **options)
    if as_json:
        click.echo(json.dumps([_to_json(final) for final in finals]))
        return
    found = _published(options["run_dir"])
    for final in finals:
        _print_final(final)
        if found is not None:
            _print_architecture(*found, final)


def _published(run_dir: Path) -> tuple[str, Published | None] | None:
    """The space with published results that a run searches, if any, and its table if it is kept.

    A table that is damaged is told, and not used.
    """
    from pbtnas.analysis.found.returned import space_of
    from pbtnas.cli.published import is_kept, kept_table
    from pbtnas.data.ground_truth import TableError
    from pbtnas.store.run_directory import open_run

    space = space_of(open_run(run_dir).config["task"])
    if space is None:
        return None
    try:
        return space, kept_table(space) if is_kept(space) else None
    except TableError as error:
        click.echo(f"without published results: {error}", err=True)
        return space, None


def _print_architecture(space: str, table: Published | None, final: FinalEvaluation) -> None:
    """What was found as the space's table calls it, and what it is worth there."""
    from pbtnas.analysis.found.returned import architecture_of
    from pbtnas.models.nb201.text import read, written

    name = architecture_of(space, final.champion.architecture, final.metrics)
    words = f" {list(read(name))} {written(read(name))}" if space == "nb201" else ""
    click.echo(f"    architecture {name}{words}")
    if table is None:
        return
    standings = table.standings(name)
    if standings is None:
        click.echo(f"    {table.name} lacks it")
        return
    for data_set, standing in zip(table.data_sets, standings, strict=True):
        click.echo(
            f"    {data_set} by {table.name}: {standing.accuracy:.2f} %, regret "
            f"{standing.regret:.2f}, above {standing.percentile:.1f} % of the architectures"
        )


@click.command()
@work_options
@click.option("--part", help="Average only this part of the networks, e.g. of drqv2 the encoder.")
@click.option("--which", metavar="NAME", help="Only of this place in the front, e.g. front-3.")
def soup(
    as_json: bool,
    part: str | None,
    which: str | None,
    parent: int | None,
    **options: Unpack[WorkOptions],
) -> None:
    """Build greedy model soups of a finished run.

    Each of best-ever and best-last is averaged with others of the same network, keeping every
    addition that does not lower the score.  Start it on as many machines as you like: they share
    the work, and each prints the complete result.
    """
    stop = until_asked_to_stop(parent)
    pin_as(options["run_dir"], stop)
    from functools import partial

    from pbtnas.engine.evaluation import make_soups
    from pbtnas.store.finished import is_front

    if which is not None and not is_front(which):
        raise click.BadParameter(
            f"{which!r} is no place in the front, such as front-3", param_hint="--which"
        )
    command = ["soup", *given("--part", part), *given("--which", which)]
    finals = carried_out(command, partial(make_soups, part=part, which=which), stop, **options)
    if as_json:
        click.echo(json.dumps([_to_json(final) for final in finals]))
        return
    _print_traces([final.soup for final in finals if final.soup is not None])
    for final in finals:
        _print_final(final)


def _print_final(final: FinalEvaluation) -> None:
    from pbtnas.records.subnets import folded

    best, soup = final.champion, final.soup
    if soup is None:
        who, before = f"member {best.member}", best.score
    else:
        who, before = _ingredients(soup), soup.score
    score = "diverged" if math.isnan(final.score) else f"score {final.score:.6g}"
    click.echo(
        f"{final.which}: {who} of generation {best.generation}: {score} "
        f"(by the search's evaluation {before:.6g})"
    )
    for name, value in folded(final.metrics).items():
        click.echo(f"    {name} {value:.6g}")
    for path in final.artifacts:
        click.echo(f"    {path}")


def _print_traces(soups: Sequence[Soup]) -> None:
    for i, soup in enumerate(soups):
        same = next((s for s in soups[:i] if s.checkpoint == soup.checkpoint), None)
        if same is not None:
            click.echo(f"{soup.which}: the same as {same.which}")
        else:
            _print_trace(soup)


def _print_trace(soup: Soup) -> None:
    click.echo(
        f"{soup.which}: begins with member {soup.member} of generation {soup.generation}, "
        f"score {soup.search_score:.6g}"
    )
    if not soup.trace:
        click.echo("    no other member of that generation has the same network there")
        return
    click.echo("    member   its score  soup's with it")
    for tried in soup.trace:
        click.echo(f"    {tried.member:>6}  {tried.search_score:>10.6g}  {_verdict(tried)}")
    click.echo(f"    the soup: {_ingredients(soup)}: {soup.score:.6g}")


def _ingredients(soup: Soup) -> str:
    if len(soup.ingredients) == 1:
        return f"member {soup.member} alone"
    return f"members {', '.join(map(str, soup.ingredients))}"


def _verdict(tried: Tried) -> str:
    if tried.outcome == "missing":
        return "its checkpoint is not there any more"
    if tried.score is None:
        return "diverged"
    return f"{tried.score:>14.6g}  {'kept' if tried.accepted else 'left out'}"


def _to_json(final: FinalEvaluation) -> dict[str, Any]:
    soup = final.soup
    return {
        "which": final.which,
        "member": final.champion.to_json(),
        "soup": None if soup is None else soup.to_json(),
        "score": None if math.isnan(final.score) else final.score,
        "metrics": dict(final.metrics),
        "artifacts": [str(path) for path in final.artifacts],
    }
