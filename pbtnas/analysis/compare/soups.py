"""Compares greedy soups with the best members that they began with."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pbtnas.analysis.compare.comparison import ComparisonError
from pbtnas.analysis.compare.gathering import NamedRun
from pbtnas.analysis.compare.observations import final_value
from pbtnas.analysis.compare.statistics import signed_rank, spread
from pbtnas.analysis.history.files import RecordFiles
from pbtnas.analysis.history.run import History
from pbtnas.analysis.tables import Cell, Table
from pbtnas.records import paths
from pbtnas.records.names import Digest
from pbtnas.records.schema import Soup
from pbtnas.store.opening import open_files


class NoSoups(ComparisonError):
    """`pbtnas soup` was given for none of the runs."""


@dataclass(frozen=True)
class SoupOutcome:
    """A soup of a run, with the final evaluations of it and of its best member.

    Args:
        run: Name of the run in tables.
        seed: Seed of the run.
        task: Task with its options, as JSON.
        which: Name of the soup, e.g. best-ever-soup.
        ingredients: Number of members averaged.
        member: Value of the best member alone.
        soup: Value of the soup.
    """

    run: str
    seed: int
    task: str
    which: str
    ingredients: int
    member: float
    soup: float


def soup_outcomes(run: NamedRun, metric: str = "score") -> list[SoupOutcome]:
    """All soups of a finished run, by name; none where none was made.

    Raises `ComparisonError` where a record of a soup cannot be read, or a final evaluation is
    missing, lacks the metric or diverged.
    """
    history = run.history
    return [
        _outcome(
            run,
            soup,
            member=_value(
                history,
                _member_checkpoint(history, soup),
                metric,
                f"the member that {soup.which} began with",
            ),
            soup_value=_value(history, soup.checkpoint, metric, soup.which),
        )
        for soup in _soups(run)
    ]


def published_outcome(run: NamedRun, soup: Soup) -> SoupOutcome | None:
    """The soup's score as the published code reports it for agents: from the search alone.

    Where no candidate was accepted that is the best soup that was rejected, whose score is below
    the member's.  None where no candidate was tried, or none of the soups has a score.
    """
    rejected = [tried.score for tried in soup.trace if tried.score is not None]
    if len(soup.ingredients) > 1:
        value = soup.score
    elif rejected:
        value = max(rejected)
    else:
        return None
    return _outcome(run, soup, member=soup.search_score, soup_value=value)


def soups_table(
    runs: Sequence[NamedRun], *, metric: str = "score", maximise: bool = True, ddof: int = 0
) -> Table:
    """A row for every name and soup: over seeds, the soup minus the best member alone.

    Raises `NoSoups`, `ComparisonError` where runs of one name trained different tasks, and what
    `soup_outcomes` raises.
    """
    found = [outcome for run in runs for outcome in soup_outcomes(run, metric)]
    if not found:
        raise _none(runs)
    return _table(
        found,
        f"Greedy soups minus the best member they began with (final {metric})",
        ("A soup of one member alone is that member.",),
        maximise=maximise,
        ddof=ddof,
    )


def published_soups_table(runs: Sequence[NamedRun], *, ddof: int = 0) -> Table:
    """The same of scores in the search, as the published code has it for agents (Table 5).

    Raises `NoSoups`, and `ComparisonError` where runs of one name trained different tasks or no
    soup had a candidate.
    """
    soups = [(run, soup) for run in runs for soup in _soups(run)]
    if not soups:
        raise _none(runs)
    outcomes = [published_outcome(run, soup) for run, soup in soups]
    found = [outcome for outcome in outcomes if outcome is not None]
    dropped = [
        f"{soup.which} of {run.history.root.name}"
        for (run, soup), outcome in zip(soups, outcomes, strict=True)
        if outcome is None
    ]
    left_out = f"Dropped, no member to try: {', '.join(dropped)}."
    if not found:
        raise ComparisonError(f"nothing is left to compare as published. {left_out}")
    return _table(
        found,
        "Greedy soups minus the best member they began with (score in the search, as published)",
        (
            "Where no member was accepted, the soup is the best one that was rejected.",
            *([left_out] if dropped else []),
        ),
        maximise=True,
        ddof=ddof,
    )


def _none(runs: Sequence[NamedRun]) -> NoSoups:
    where = runs[0].history.root if runs else "RUN_DIR"
    return NoSoups(f"none of these runs has a soup: `pbtnas soup {where}` makes them")


def _soups(run: NamedRun) -> list[Soup]:
    """The records of all soups of a run, by name."""
    history = run.history
    with open_files(history.root) as reader:
        files = RecordFiles(reader, history.run)
        leaves = sorted(name.rpartition("/")[2] for name in files.names(paths.SOUPS))
        names = [which for leaf in leaves if (which := paths.soup_of(leaf)) is not None]
        records = [files.read(paths.soup(which), "soup") for which in names]
    if files.problems:
        raise ComparisonError(f"run {history.root.name}: {files.problems[0]}")
    return [Soup.from_json(record.core) for record in records if record is not None]


def _outcome(run: NamedRun, soup: Soup, *, member: float, soup_value: float) -> SoupOutcome:
    return SoupOutcome(
        run=run.name,
        seed=run.seed,
        task=run.task,
        which=soup.which,
        ingredients=len(soup.ingredients),
        member=member,
        soup=soup_value,
    )


def _table(
    outcomes: Iterable[SoupOutcome],
    title: str,
    notes: Sequence[str],
    *,
    maximise: bool,
    ddof: int,
) -> Table:
    rows: dict[tuple[str, str], list[SoupOutcome]] = {}
    for found in outcomes:
        rows.setdefault((found.run, found.which), []).append(found)
    return Table(
        title=title,
        columns=(
            "run",
            "soup",
            "seeds",
            "of several members",
            "best member (mean ± std)",
            "soup (mean ± std)",
            "difference (mean ± std)",
            "p",
            "smallest p",
        ),
        rows=tuple(_row(found, maximise, ddof) for found in rows.values()),
        notes=(
            f"{'Larger' if maximise else 'Smaller'} is better. "
            f"The standard deviation is over seeds, ddof = {ddof}.",
            "p: that the soup is better, Wilcoxon signed-rank over seeds, one-sided, exact, not "
            "corrected.",
            *notes,
        ),
    )


def _row(found: Sequence[SoupOutcome], maximise: bool, ddof: int) -> tuple[Cell, ...]:
    name, which = found[0].run, found[0].which
    if len({outcome.task for outcome in found}) > 1:
        raise ComparisonError(f"runs named {name} trained different tasks: compare them apart")
    differences = [outcome.soup - outcome.member for outcome in found]
    test = signed_rank([d if maximise else -d for d in differences])
    return (
        name,
        which,
        len(found),
        sum(outcome.ingredients > 1 for outcome in found),
        spread([outcome.member for outcome in found], ddof=ddof),
        spread([outcome.soup for outcome in found], ddof=ddof),
        spread(differences, ddof=ddof),
        test.p,
        test.smallest_p,
    )


def _member_checkpoint(history: History, soup: Soup) -> Digest:
    """The checkpoint of the member that a soup began with."""
    result = history.generations[soup.generation].results[soup.member].result
    assert result.checkpoint is not None, "soups begin with a best member, which has one"
    return result.checkpoint


def _value(history: History, checkpoint: Digest, metric: str, what: str) -> float:
    value = final_value(history, checkpoint, metric)
    if not math.isfinite(value):
        raise ComparisonError(
            f"run {history.root.name}: {metric} of {what} is {value}, not a finite number"
        )
    return value
