"""Derives numbers for comparisons and figures from the history of a run."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from pbtnas.analysis.compare.budget import granted_epochs
from pbtnas.analysis.compare.comparison import ComparisonError
from pbtnas.analysis.compare.outcomes import Curve, Outcome
from pbtnas.analysis.history.files import RecordFiles
from pbtnas.analysis.history.run import Generation, History
from pbtnas.analysis.plots.evolution import Evolution, Standing, best_scores
from pbtnas.config import SearchConfig
from pbtnas.records import paths
from pbtnas.records.names import Digest
from pbtnas.records.schema import Champion, numbers
from pbtnas.search.space import Variable
from pbtnas.store.opening import open_files

SEARCH_ALSO = "search_also"
"""The option of a task that lists those of its options that are ladders."""


def evolution(
    history: History,
    variables: Sequence[Variable] = (),
    *,
    metric: str = "score",
    before: Evolution | None = None,
) -> Evolution:
    """The selected generations of a run, up to the first whose records are not all there.

    `variables` are those of its search space, which the run directory does not hold; without
    them there is descent but no options.  What an earlier look at the same run found is taken from
    `before`.  Raises `NothingToShow` when no generation was selected.
    """
    whole = list(itertools.takewhile(_selected, history.generations))
    known = () if before is None else before.generations[: len(whole)]
    return Evolution(
        variables=tuple(variables),
        metric=metric,
        epochs=tuple(itertools.accumulate(_epochs(generation) for generation in whole)),
        generations=(
            *known,
            *(
                tuple(_standing(history, generation, member) for member in sorted(generation.jobs))
                for generation in whole[len(known) :]
            ),
        ),
    )


def curve(history: History, *, algorithm: str | None = None, metric: str = "score") -> Curve:
    """The best score of every selected generation; `algorithm` names it in figures."""
    progress = evolution(history, metric=metric)
    return Curve(
        run=history.root.name,
        algorithm=algorithm or variant(history),
        seed=history.config["run"]["seed"],
        metric=metric,
        epochs=work(history, len(progress.generations)),
        scores=tuple(best_scores(progress)),
    )


def work(history: History, generations: int) -> tuple[int, ...]:
    """Network-epochs of all members up to each of the first generations."""
    return tuple(itertools.accumulate(_spent(g) for g in history.generations[:generations]))


def outcome(
    history: History,
    *,
    algorithm: str | None = None,
    metric: str = "score",
    ever: bool = False,
    final: bool = False,
    searched: Collection[str] = (),
) -> Outcome:
    """The number a finished run reports: of its best member in the last generation.

    `ever` takes the best member of all generations instead, as the paper does for GANs;
    `final` the value of its final evaluation instead of the one that selected it.  `metric` is
    "score" or one of the task's metrics; `searched` as in `task_of`.  Raises `ComparisonError`
    when the run is not finished, has no such member, was not evaluated or does not report the
    metric.
    """
    name = history.root.name
    if history.final is None:
        raise ComparisonError(
            f"run {name} is not finished: it is in its generation {len(history.generations)}"
        )
    best = history.final.best_ever if ever else history.final.best_last
    if best is None:
        raise ComparisonError(f"run {name} ended without a member that has a score")
    return Outcome(
        run=name,
        algorithm=algorithm or variant(history),
        seed=history.config["run"]["seed"],
        value=_value(history, best, metric, final=final),
        metric=_label(metric, ever=ever, final=final),
        task=task_of(history, searched),
        budget=budget(history),
    )


def whole(history: History) -> bool:
    """Whether a run is finished, and every record that its curve rests on can be read."""
    final, generations = history.final, history.generations
    return final is not None and len(generations) > 0 and all(map(_selected, generations))


def budget(history: History) -> int:
    """Network-epochs the configuration grants the whole run."""
    return granted_epochs(history.config["search"])


def task_of(history: History, searched: Collection[str] = ()) -> str:
    """The task with its options, as JSON: equal texts mean equal tasks.

    Without the options that are `searched`, by this run or by those beside it: how they are chosen
    belongs to the search.
    """
    task = {key: v for key, v in history.settings["task"].items() if key not in searched}
    task.pop(SEARCH_ALSO, None)
    return json.dumps(task, sort_keys=True)


def searched_options(history: History) -> frozenset[str]:
    """The options of the task that members of the run search for themselves."""
    return also_searched(history.settings)


def also_searched(config: Mapping[str, Any]) -> frozenset[str]:
    """The options of the task that members search for themselves, by a stored configuration."""
    return frozenset(config["task"].get(SEARCH_ALSO, ()))


def final_evaluation(history: History, checkpoint: Digest) -> dict[str, float] | None:
    """The final evaluation of the network with that checkpoint: "score" and metrics.

    A score that diverged is NaN.  None if it was not evaluated, or that cannot be read.
    """
    with open_files(history.root) as reader:
        record = RecordFiles(reader, history.run).read(paths.evaluation(checkpoint), "evaluation")
    if record is None:
        return None
    score = record.core["score"]
    return numbers(math.nan if score is None else float(score), record.core["metrics"])


def final_value(history: History, checkpoint: Digest, metric: str) -> float:
    """One number of a final evaluation; NaN where the score diverged.

    Raises `ComparisonError` where it was not made or does not have the metric.
    """
    found = final_evaluation(history, checkpoint)
    if found is None:
        raise ComparisonError(
            f"run {history.root.name} has no final evaluation: "
            f"`pbtnas evaluate {history.root}` makes it"
        )
    return _reported(history, found, metric)


def variant(history: History) -> str:
    """The algorithm, with [lambda, gamma] where shrink-perturb is not the paper's."""
    search = history.config["search"]
    pair = (search["shrink"], search["perturb"])
    name = str(search["algorithm"])
    usual = (SearchConfig.shrink, SearchConfig.perturb)
    return name if pair == usual else f"{name} [{pair[0]:g}, {pair[1]:g}]"


def _label(metric: str, *, ever: bool, final: bool) -> str:
    whose = f"{metric} of the best {'ever' if ever else 'at the end'}"
    return f"final {whose}" if final else whose


def _value(history: History, best: Champion, metric: str, *, final: bool) -> float:
    if final:
        return final_value(history, best.checkpoint, metric)
    metrics = history.generations[best.generation].results[best.member].result.metrics
    return _reported(history, numbers(best.score, metrics), metric)


def _reported(history: History, found: Mapping[str, float], metric: str) -> float:
    if metric not in found:
        others = sorted(name for name in found if name != "score")
        raise ComparisonError(
            f"run {history.root.name} does not report {metric!r}; it reports "
            + ", ".join(["score", *others])
        )
    return found[metric]


def _selected(generation: Generation) -> bool:
    jobs = generation.jobs
    return bool(generation.ranking and jobs) and jobs.keys() <= generation.results.keys()


def _standing(history: History, generation: Generation, member: int) -> Standing:
    born = history.birth(generation.number, member)
    return Standing(
        member=member,
        architecture=generation.jobs[member].architecture,
        score=generation.results[member].result.score,
        birth=None if born is None else born.birth,
    )


def _epochs(generation: Generation) -> int:
    """Epochs of each member: a generation trains all of them alike."""
    return next(iter(generation.jobs.values())).epochs


def _spent(generation: Generation) -> int:
    return sum(job.epochs for job in generation.jobs.values())
