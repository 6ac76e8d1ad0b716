"""`pbtnas subnets`: the subnets of a finished run, ranked by shared weights or after tuning."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Unpack

import click

from pbtnas.cli.post_search import WorkOptions, carried_out, work_options
from pbtnas.cli.shared import given, pin_as, until_asked_to_stop
from pbtnas.records.paths import member_name
from pbtnas.tabular import aligned

if TYPE_CHECKING:
    from pbtnas.protocol.subnets import Rating, Tuning


class _Steps(click.ParamType[tuple[int, ...]]):
    """Numbers of steps, such as 0,1,2,5: ascending, each once."""

    name = "steps"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        if isinstance(value, tuple):
            return value
        words = [word.strip() for word in str(value).split(",")]
        if all(word.isdecimal() for word in words):
            steps = tuple(int(word) for word in words)
            if list(steps) == sorted(set(steps)):
                return steps
        self.fail(f"expected numbers of steps in ascending order, such as 0,1,5, not {value!r}")


@click.command()
@work_options
@click.option(
    "--finetune",
    type=click.IntRange(1),
    metavar="STEPS",
    help="Tune each subnet alone from the shared weights for so many steps.",
)
@click.option(
    "--at",
    type=_Steps(),
    metavar="STEPS,STEPS,...",
    help="Score after each of these numbers of steps; 0 and all of --finetune, if not given.",
)
@click.option(
    "--truth",
    metavar="RUN|TABLE",
    help="Show true ranks too: of a run that trains every architecture alone, of a table's file, "
    "or of `table`, the kept cell64-table.",
)
@click.option(
    "--statistics",
    metavar="NAME",
    help="What normalisation uses, where the task has a choice, e.g. recalibrated.",
)
def subnets(
    as_json: bool,
    finetune: int | None,
    at: tuple[int, ...] | None,
    statistics: str | None,
    truth: str | None,
    parent: int | None,
    **options: Unpack[WorkOptions],
) -> None:
    """Rate the subnets of a finished run, whose networks share weights, and rank them.

    Start it on as many machines as you like: they share the work, and each prints the complete
    ranking.
    """
    stop = until_asked_to_stop(parent)  # before the seconds in which torch is imported
    pin_as(options["run_dir"], stop)
    from functools import partial

    from pbtnas.analysis import tables
    from pbtnas.analysis.rated_subnets import ratings_table, true_ranks
    from pbtnas.cli.truth import ground_truth_of
    from pbtnas.engine.subnets import rate_subnets
    from pbtnas.protocol.subnets import ranked

    how = _tuning(finetune, at, statistics)
    # Before the work: what cannot be read is said at once.
    true = None if truth is None else ground_truth_of(truth, "--truth").truth
    command = ["subnets", *given("--finetune", finetune), *given("--statistics", statistics)]
    command += given("--at", ",".join(map(str, at)) if at is not None else None)
    found = carried_out(command, partial(rate_subnets, how=how), stop, **options)
    ranking = ranked(found, -1)
    places = None if true is None else true_ranks(ranking, true)
    if as_json:
        click.echo(
            json.dumps([_to_json(rank, r, how, places) for rank, r in enumerate(ranking, 1)])
        )
        return
    click.echo("\n".join(_table(ranking, how, places)))
    if true is not None:
        standings = ratings_table(ranking, _columns(how), true)
        click.echo("\n" + tables.to_text(standings), nl=False)


def _tuning(finetune: int | None, at: tuple[int, ...] | None, statistics: str | None) -> Tuning:
    from pbtnas.protocol.subnets import Tuning

    if finetune is None:
        if at is not None:
            raise click.UsageError("--at: give --finetune STEPS, too")
        return Tuning((0,), statistics)
    at = at or (0, finetune)
    if at[-1] > finetune:
        raise click.UsageError(
            f"--at: expected at most the {finetune} steps of --finetune, not {at[-1]}"
        )
    return Tuning(at, statistics)


def _columns(how: Tuning) -> list[str]:
    return [f"after {steps}" if steps else "shared" for steps in how.at]


def _table(ranking: Sequence[Rating], how: Tuning, places: Mapping[str, int] | None) -> list[str]:
    several = len({rating.member for rating in ranking}) > 1
    true = ["true rank"] if places is not None else []
    rows = [("rank", "subnet", *(["member"] if several else []), *_columns(how), *true)]
    for rank, rating in enumerate(ranking, 1):
        scores = ("-" if score is None else f"{score:.6g}" for score in rating.scores)
        member = [member_name(rating.member)] if several else []
        place = [] if places is None else [str(places[rating.subnet])]
        rows.append((str(rank), rating.subnet, *member, *scores, *place))
    return aligned(rows)


def _to_json(
    rank: int, rating: Rating, how: Tuning, places: Mapping[str, int] | None
) -> dict[str, Any]:
    true = {} if places is None else {"true_rank": places[rating.subnet]}
    return {
        "rank": rank,
        "subnet": rating.subnet,
        "member": rating.member,
        "at": list(how.at),
        "scores": list(rating.scores),
        **true,
    }
