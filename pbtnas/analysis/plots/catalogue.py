"""Lists the figures of a run and of a study, each drawn when it is asked for."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING

from pbtnas.analysis.compare.gathering import NamedRun, settings_of
from pbtnas.analysis.compare.hypervolumes import (
    all_measured,
    common_objectives,
    have_common_objectives,
    hypervolumes,
)
from pbtnas.analysis.compare.observations import budget, curve, evolution, outcome, variant
from pbtnas.analysis.found.published import Published
from pbtnas.analysis.found.returned import Returned, returned, space_of
from pbtnas.analysis.fronts.measured import Measured, front_volume, measured, reference_point
from pbtnas.analysis.history.run import History
from pbtnas.analysis.plots import ablations as plots_ablations
from pbtnas.analysis.plots import curves as plots_curves
from pbtnas.analysis.plots import found as plots_found
from pbtnas.analysis.plots import fronts as plots_fronts
from pbtnas.analysis.plots import lineage as plots_lineage
from pbtnas.analysis.plots import population as plots_population
from pbtnas.analysis.plots import schedules as plots_schedules
from pbtnas.analysis.plots.supernet_figures import supernet_figures
from pbtnas.search.space import Variable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Figures = dict[str, "Callable[[], Figure]"]
"""By the name of the file; calling one draws it."""


def run_figures(
    history: History, variables: Sequence[Variable], reference: str | None = None
) -> Figures:
    """Figures of one run: scores, family tree, origins of layers, options, diversity, schedules;
    with several objectives its front, and the hypervolume against the reference point.

    Without `variables`, which only the task knows, what rests on options is left out.  Raises
    `NothingToShow` while no generation was selected.
    """
    seen = evolution(history, variables)
    figures: Figures = {
        "scores": lambda: plots_lineage.member_curves(seen),
        "lineage": lambda: plots_lineage.phylogeny(seen),
    }
    if any(variable.modules for variable in variables):
        figures["origins"] = lambda: plots_population.layer_origins(seen)
    if variables:
        figures["options"] = lambda: plots_population.option_frequencies(seen)
        figures["diversity"] = lambda: plots_population.diversity({history.root.name: seen})
    if any(variable.ordered for variable in variables):
        figures["schedules"] = lambda: plots_schedules.schedules(seen)
    if history.objectives.several:
        figures |= _figures_of_front(history, reference)
    return figures


def _figures_of_front(history: History, reference: str | None) -> Figures:
    run = measured(history)
    if not run.unbeaten:  # nobody is within the bounds
        return {}
    volume = front_volume(run, reference)
    return {
        "front": lambda: plots_fronts.front(run),
        "hypervolume": lambda: plots_fronts.volumes(run, volume.reference, volume.against),
    }


@dataclass(frozen=True, kw_only=True)
class Measure:
    """Which number of a run is drawn; the fields are those of `verdict.Question`."""

    metric: str = "score"
    maximise: bool = True
    ever: bool = False
    final: bool = False

    def of(self, run: NamedRun) -> float:
        """Raises `ComparisonError` where a run does not have it."""
        found = outcome(
            run.history,
            metric=self.metric,
            ever=self.ever,
            final=self.final,
            searched=run.searched,
        )
        return found.value


NO_TABLES: Mapping[str, Published] = MappingProxyType({})

SCORE = Measure()
"""Of the best member of the last generation."""


def study_figures(
    runs: Sequence[NamedRun],
    measure: Measure = SCORE,
    reference: str | None = None,
    published: Mapping[str, Published] = NO_TABLES,
) -> Figures:
    """Figures of finished runs: scores against work, and whatever else they vary.

    One set for each task, whose name the figures then carry.  "population" where a variant was
    run with several sizes, "spectrum" where shrink-perturb has several settings, "ablations"
    where something shares the budget of PBT-NAS; these three draw `measure`.  "front" where runs
    have several objectives, and "hypervolume" where a reference point is given.  Where runs train
    supernets, those of `supernet_figures` over all tasks.  "found" and "cost" where they search a
    space of which there are `published` results.  Raises `ComparisonError` where a run does not
    have what is measured.
    """
    figures: Figures = {}
    for label, alike in settings_of(runs).items():
        words = re.sub(r"[^A-Za-z0-9._-]+", "-", label)
        drawn = _figures_of_task(alike, measure) | _figures_of_fronts(alike, reference)
        for name, draw in drawn.items():
            figures[f"{words}-{name}" if words else name] = draw
    return figures | supernet_figures(runs) | figures_of_found(runs, published)


def figures_of_found(runs: Sequence[NamedRun], published: Mapping[str, Published]) -> Figures:
    """What runs have found, for each space with a table; its name where there are several."""
    groups: dict[str, list[Returned]] = defaultdict(list)
    for run in runs:
        space = space_of(run.history.settings["task"])
        if space is not None and space in published:
            groups[space].append(returned(run))
    figures: Figures = {}
    for space, found in groups.items():
        suffix, table = f"-{space}" if len(groups) > 1 else "", published[space]
        figures[f"found{suffix}"] = partial(plots_found.found, found, table)
        if any(run.costs for run in found):
            figures[f"cost{suffix}"] = partial(plots_found.cost, found, table)
    return figures


def _figures_of_fronts(runs: Sequence[NamedRun], reference: str | None) -> Figures:
    """Fronts by name, attained over seeds; raises `ComparisonError` where `reference` is given for
    runs that have no objectives in common."""
    if reference is None and not have_common_objectives(runs):
        return {}
    groups: dict[str, list[Measured]] = defaultdict(list)
    for run, found in zip(runs, all_measured(runs), strict=True):
        groups[run.name].append(found)
    nobody = not any(found.unbeaten for group in groups.values() for found in group)
    if nobody and reference is None:
        return {}
    if reference is None:
        return {"front": lambda: plots_fronts.fronts(groups)}
    volumes = [volume.curve for volume in hypervolumes(runs, reference)]
    point = reference_point(reference, common_objectives(runs))
    front: Figures = {} if nobody else {"front": lambda: plots_fronts.fronts(groups, point)}
    return front | {
        "hypervolume": lambda: plots_curves.score_curves(
            volumes, title="Hypervolume of all members so far"
        ),
    }


def _figures_of_task(runs: Sequence[NamedRun], measure: Measure) -> Figures:
    curves = [curve(run.history, algorithm=run.name) for run in runs]
    figures: Figures = {"curves": lambda: plots_curves.score_curves(curves)}
    metric = measure.metric
    sizes = _by_population(runs, measure)
    if sizes:
        figures["population"] = lambda: plots_curves.population_size(sizes, metric=metric)
    spectrum = _by_shrink_perturb(runs, measure)
    if len(spectrum) > 1:
        figures["spectrum"] = lambda: plots_ablations.spectrum(spectrum, metric=metric)
    reference, values = _beside_reference(runs, measure)
    if len(values) > 1:
        figures["ablations"] = lambda: plots_ablations.ablations(
            values, metric=metric, reference=reference, maximise=measure.maximise
        )
    return figures


def _by_population(
    runs: Sequence[NamedRun], measure: Measure
) -> Mapping[str, Mapping[int, Sequence[float]]]:
    """Values of all seeds by variant and population size, of variants with several sizes."""
    values: dict[str, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    for run in runs:
        size = run.history.config["search"]["population"]
        values[variant(run.history)][size].append(measure.of(run))
    return {name: by_size for name, by_size in values.items() if len(by_size) > 1}


def _by_shrink_perturb(
    runs: Sequence[NamedRun], measure: Measure
) -> Mapping[tuple[float, float], Sequence[float]]:
    """Values of all seeds of PBT-NAS by (lambda, gamma), at the budget that most runs have."""
    mixing = [run for run in runs if run.history.config["search"]["algorithm"] == "pbt-nas"]
    budgets = [budget(run.history) for run in mixing]
    values: dict[tuple[float, float], list[float]] = defaultdict(list)
    for run, spent in zip(mixing, budgets, strict=True):
        if spent == max(budgets, key=budgets.count):
            search = run.history.config["search"]
            values[search["shrink"], search["perturb"]].append(measure.of(run))
    return values


def _beside_reference(
    runs: Sequence[NamedRun], measure: Measure
) -> tuple[str, Mapping[str, Mapping[int, float]]]:
    """The name of PBT-NAS, and values by name and seed of all that it can be compared with."""
    ours = [run for run in runs if variant(run.history) == "pbt-nas"]
    if not ours:
        return "", {}
    reference = min((run.name for run in ours), key=lambda name: (name != "pbt-nas", name))
    own = [run for run in ours if run.name == reference]
    granted, seeds = budget(own[0].history), {run.seed for run in own}
    values: dict[str, dict[int, float]] = defaultdict(dict)
    for run in runs:
        if budget(run.history) == granted and run.seed in seeds:
            values[run.name][run.seed] = measure.of(run)
    return reference, values
