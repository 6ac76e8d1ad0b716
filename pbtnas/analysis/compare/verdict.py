"""The answer to "which algorithm is better?", as the tables that `compare` and `report` show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pbtnas.analysis.compare.comparison import Comparison, ComparisonError, compare, epochs_to_match
from pbtnas.analysis.compare.gathering import Gathered, NamedRun, settings_of
from pbtnas.analysis.compare.hypervolumes import hypervolumes
from pbtnas.analysis.compare.observations import curve, outcome, variant
from pbtnas.analysis.compare.outcomes import Curve
from pbtnas.analysis.compare.soups import published_soups_table, soups_table
from pbtnas.analysis.compare.tables import (
    pairs_table,
    pooled_table,
    reach_table,
    summary_table,
    values_table,
)
from pbtnas.analysis.tables import Table


@dataclass(frozen=True, kw_only=True)
class Question:
    """Settings of a comparison: what is compared, and how.

    Args:
        metric: "score", or one of the task's metrics.
        maximise: Whether a larger value is better.
        ever: Whether to take the best member of all generations instead of the last one.
        final: Whether to take its final evaluation instead of the score that selected it.
        partial: Whether to leave unfinished runs out instead of refusing them.
        claims: Pairs (better, worse) fixed beforehand; None for every pair.
        reference: Algorithm whose final score the others are to reach.
        ddof: Delta degrees of freedom of the standard deviations; 0 as in the paper.
        pool: Whether to judge the claims on the pairs of all tasks together, as the paper does.
        soups: Whether to compare soups with the best members they began with, by final evaluation.
        as_published: Whether to compare soups by scores of the search, as the published code does
            for agents.
        tests: Number of tests made in all, for the correction of p; None for one a claim.
        unequal_budgets: Whether runs of different budgets are compared, too.
        reference_point: Values of the objectives, as text, against which hypervolumes are compared
            instead of the metric; None for the metric.
    """

    metric: str = "score"
    maximise: bool = True
    ever: bool = False
    final: bool = False
    partial: bool = False
    claims: Sequence[tuple[str, str]] | None = None
    reference: str = "random-search"
    ddof: int = 0
    pool: bool = False
    soups: bool = False
    as_published: bool = False
    tests: int | None = None
    unequal_budgets: bool = False
    reference_point: str | None = None


def parse_claims(text: str) -> list[tuple[str, str]]:
    """Pairs from "pbt-nas>random-search, pbt-nas>searl".  Raises `ComparisonError`."""
    claims = []
    for claim in text.split(","):
        better, sign, worse = (part.strip() for part in claim.partition(">"))
        if not (better and sign and worse) or ">" in worse:
            raise ComparisonError(f"claim {claim.strip()!r}: expected BETTER>WORSE, in quotes")
        if better == worse:
            raise ComparisonError(f"claim {claim.strip()!r}: nothing beats itself")
        claims.append((better, worse))
    return claims


def judge(gathered: Gathered, question: Question) -> Comparison:
    """Compare the finished runs, by name and seed.

    Raises `ComparisonError` for runs that must not be compared, and for unfinished ones unless
    the question allows to leave them out.
    """
    refuse_unfinished(gathered, partial=question.partial)
    if question.reference_point is not None:
        volumes = hypervolumes(gathered.finished, question.reference_point)
        outcomes = [volume.outcome for volume in volumes]
    else:
        outcomes = [
            outcome(
                run.history,
                algorithm=run.name,
                metric=question.metric,
                ever=question.ever,
                final=question.final,
                searched=run.searched,
            )
            for run in gathered.finished
        ]
    return compare(
        outcomes,
        maximise=question.maximise,
        claims=question.claims,
        tests=question.tests,
        unequal_budgets=question.unequal_budgets,
        ddof=question.ddof,
    )


def tables(gathered: Gathered, question: Question) -> dict[str, Table]:
    """The answer to a question as tables, by the names of their files.

    "summary", "pairs" where there are two algorithms, "reach" where the reference was run, and
    "values"; with `pool` a summary of each task, and "pooled"; with `soups` only "soups".
    Raises what `judge` and `soups_table` raise.
    """
    if question.soups:
        return {"soups": _soups(gathered, question)}
    if question.pool:
        return _pooled(gathered, question)
    comparison = judge(gathered, question)
    summary = with_left_out(summary_table(comparison), gathered)
    found = {"summary": summary}
    if comparison.pairs:
        found["pairs"] = pairs_table(comparison)
    if question.reference in {run.name for run in gathered.finished}:
        curves = _curves(gathered.finished, question)
        reaches = epochs_to_match(curves, reference=question.reference)
        what = curves[0].metric
        found["reach"] = reach_table(reaches, reference=question.reference, what=what)
    return {**found, "values": values_table(comparison)}


def _curves(runs: Sequence[NamedRun], question: Question) -> list[Curve]:
    if question.reference_point is not None:
        return [volume.curve for volume in hypervolumes(runs, question.reference_point)]
    return [curve(run.history, algorithm=run.name) for run in runs]


def _pooled(gathered: Gathered, question: Question) -> dict[str, Table]:
    """The paper's test: pairs by task and seed, whatever the scales of the tasks.

    Runs have the names of their algorithms here, because a study's differ from task to task.
    """
    refuse_unfinished(gathered, partial=question.partial)
    if question.claims is None:
        raise ComparisonError("pooling needs --claims: the better one must be the same everywhere")
    comparisons = {}
    for label, runs in settings_of(gathered.finished).items():
        renamed = tuple(replace(run, name=variant(run.history)) for run in runs)
        comparisons[label] = judge(Gathered(renamed, ()), question)
    found = {}
    for label, comparison in comparisons.items():
        summary = summary_table(comparison)
        titled = replace(summary, title=f"{label}: {summary.title}") if label else summary
        found["-".join(["summary", *label.split()])] = titled
    pooled = pooled_table(list(comparisons.values()))
    return {**found, "pooled": with_left_out(pooled, gathered)}


def _soups(gathered: Gathered, question: Question) -> Table:
    refuse_unfinished(gathered, partial=question.partial)
    if question.as_published:
        table = published_soups_table(gathered.finished, ddof=question.ddof)
    else:
        table = soups_table(
            gathered.finished,
            metric=question.metric,
            maximise=question.maximise,
            ddof=question.ddof,
        )
    return with_left_out(table, gathered)


def refuse_unfinished(gathered: Gathered, *, partial: bool) -> None:
    """Raise `ComparisonError` for unfinished runs unless they may be left out, or for no other."""
    if gathered.unfinished and not partial:
        raise ComparisonError(f"{_unfinished(gathered)}; --partial leaves them out")
    if not gathered.finished:
        raise ComparisonError("none of these runs is finished")


def with_left_out(table: Table, gathered: Gathered) -> Table:
    """The table, with a note of the runs that are left out."""
    if not gathered.unfinished:
        return table
    return replace(table, notes=(*table.notes, f"{_unfinished(gathered)}: left out."))


def _unfinished(gathered: Gathered) -> str:
    names = gathered.unfinished
    shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    all_runs = len(gathered.runs) + len(gathered.unbegun)
    without = {run.name for run in gathered.runs} - {run.name for run in gathered.finished}
    none = f", and none of {', '.join(sorted(without))} is" if without and gathered.finished else ""
    return f"{len(names)} of {all_runs} runs not finished ({shown}){none}"
