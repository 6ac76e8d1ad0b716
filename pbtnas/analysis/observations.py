"""What the study and the figures need, taken from the history of a run."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence

from pbtnas.analysis.comparison import ComparisonError
from pbtnas.analysis.evolution import Evolution, Standing, best_scores
from pbtnas.analysis.history import Generation, History
from pbtnas.analysis.outcomes import Curve, Outcome
from pbtnas.search.algorithms import Selection
from pbtnas.search.space import Variable
from pbtnas.store.schema import Champion


def evolution(
    history: History, variables: Sequence[Variable] = (), *, metric: str = "score"
) -> Evolution:
    """The selected generations of a run, up to the first whose records are not all there.

    `variables` are those of its search space, which the run directory does not hold; without
    them there is descent but no options.  Raises `ValueError` when no generation was selected.
    """
    whole = list(itertools.takewhile(_selected, history.generations))
    return Evolution(
        variables=tuple(variables),
        metric=metric,
        epochs=tuple(itertools.accumulate(_epochs(generation) for generation in whole)),
        generations=tuple(
            tuple(_standing(history, generation, member) for member in sorted(generation.jobs))
            for generation in whole
        ),
    )


def curve(history: History, *, algorithm: str | None = None, metric: str = "score") -> Curve:
    """The best score of every selected generation; `algorithm` names it in figures."""
    progress = evolution(history, metric=metric)
    spent = [_spent(g) for g in history.generations[: len(progress.generations)]]
    return Curve(
        run=history.root.name,
        algorithm=algorithm or variant(history),
        seed=history.config["run"]["seed"],
        metric=metric,
        epochs=tuple(itertools.accumulate(spent)),
        scores=tuple(best_scores(progress)),
    )


def outcome(
    history: History, *, algorithm: str | None = None, metric: str = "score", ever: bool = False
) -> Outcome:
    """The number a finished run reports: of its best member in the last generation.

    `ever` takes the best member of all generations instead, as the paper does for GANs.
    `metric` is "score" or one of the task's metrics.  Raises `ComparisonError` when the run is
    not finished, has no such member or does not report the metric.
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
        value=_value(history, best, metric),
        metric=f"{metric} of the best {'ever' if ever else 'at the end'}",
        task=json.dumps(history.config["task"], sort_keys=True),
        budget=sum(map(_spent, history.generations)),
    )


def variant(history: History) -> str:
    """The algorithm, with [lambda, gamma] where shrink-perturb is not the paper's."""
    search = history.config["search"]
    pair = (search["shrink"], search["perturb"])
    name = str(search["algorithm"])
    usual = (Selection.shrink, Selection.perturb)
    return name if pair == usual else f"{name} [{pair[0]:g}, {pair[1]:g}]"


def _value(history: History, best: Champion, metric: str) -> float:
    if metric == "score":
        return best.score
    result = history.generations[best.generation].results[best.member].result
    if metric not in result.metrics:
        raise ComparisonError(
            f"run {history.root.name} does not report {metric!r}; it reports score"
            + "".join(f", {known}" for known in sorted(result.metrics))
        )
    return result.metrics[metric]


def _selected(generation: Generation) -> bool:
    return bool(generation.ranking) and generation.jobs.keys() <= generation.results.keys()


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
