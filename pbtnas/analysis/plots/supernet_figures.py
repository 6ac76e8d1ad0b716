"""Finds which figures of weight sharing the runs of a study have data for.

The ground truth is that of the study itself: its first variant that trains every architecture
alone.  Figures that need it are left out where there is none.
"""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pbtnas.analysis.compare.gathering import NamedRun
from pbtnas.analysis.found.mixtures import entropy_curves
from pbtnas.analysis.instances import tau_mean_std
from pbtnas.analysis.plots import mini_batches, rank_stability
from pbtnas.analysis.plots import sharing as plots_sharing
from pbtnas.analysis.plots.mixture_entropy import mixture_entropy
from pbtnas.analysis.rank_study import MOST_ROWS, Truth, truth_of, usual_k
from pbtnas.analysis.ranks import Array
from pbtnas.analysis.rated_subnets import score_rows
from pbtnas.analysis.supernets import (
    SubnetRows,
    has_subnets,
    rated_twice,
    rows_by_generation,
    single_trainings,
    subnet_names,
    subnet_rows,
    tuned_subnets,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Figures = dict[str, "Callable[[], Figure]"]
_MOST_PANELS = 4


def supernet_figures(runs: Sequence[NamedRun]) -> Figures:
    """The figures, each drawn when it is called.

    `entropy` where runs learn an architecture, for each space of theirs; `stability` where a
    variant has two instances; with ground truth, `rank-boxes` there too, and
    `finetune` where `pbtnas subnets --finetune` has tuned the subnets of a run; `last-steps` of
    each variant that keeps dense rows; `sharing` where variants have groups or prefixes.  Runs
    that rate a subnet twice are left out.  Raises what reading the runs raises.
    """
    figures = entropy_figures(runs)
    supernets = [
        run for run in runs if has_subnets(run.history) and rated_twice(run.history) is None
    ]
    supernets.sort(
        key=lambda run: _task(run).get("sharing", "all") != "all"
    )  # what the paper is about
    if not supernets:
        return figures
    truth = _truth(runs)
    names = subnet_names(supernets[0].history) if truth is None else truth.names
    figures |= _stability(supernets, names)
    if truth is None:
        return figures
    rows: dict[str, list[SubnetRows]] = defaultdict(list)
    for run in supernets:
        rows[run.name].append(subnet_rows(run.history, truth.names))
    return (
        figures
        | _rank_boxes(rows, truth)
        | _finetune(supernets, truth)
        | {
            **_last_steps(rows, truth),
            **_sharing(supernets, rows, truth),
        }
    )


def entropy_figures(runs: Sequence[NamedRun]) -> Figures:
    """How decided supernets with a method are; the figure's name has the space where it is one of
    several."""
    spaces = {
        space: curves
        for space, curves in entropy_curves(runs).items()
        if any(curve.method != "rs-ws" for curve in curves.values())
    }
    return {
        "entropy" if len(spaces) == 1 else f"{space}-entropy": functools.partial(
            mixture_entropy, curves
        )
        for space, curves in spaces.items()
    }


def _truth(runs: Sequence[NamedRun]) -> Truth | None:
    alone = [run for run in runs if single_trainings(run.history) is not None]
    if not alone:
        return None
    return truth_of(alone[0].name, [run for run in alone if run.name == alone[0].name])


def _stability(runs: Sequence[NamedRun], names: Sequence[str]) -> Figures:
    """S-Tau by generation of the variants with several instances; those of the usual epochs."""
    found: dict[str, list[SubnetRows]] = defaultdict(list)
    for run in runs:
        found[run.name].append(rows_by_generation(run.history, names))
    several = {name: each for name, each in found.items() if len(each) > 1}
    if not several:
        return {}
    axes = [rows.at for instances in several.values() for rows in instances]
    epochs = max(axes, key=axes.count)
    arms = {
        name: np.array([rows.values for rows in instances])
        for name, instances in several.items()
        if all(rows.at == epochs for rows in instances)
    }
    return {"stability": lambda: rank_stability.stability(arms, epochs)}


def _rank_boxes(rows: Mapping[str, Sequence[SubnetRows]], truth: Truth) -> Figures:
    """Over instances, and over the last rows of the first instance of the first variant."""
    panels = {
        f"{name}: instances": np.array([each.values[-1] for each in instances])
        for name, instances in rows.items()
        if len(instances) > 1
    }
    panels = dict(list(panels.items())[: _MOST_PANELS - 1])
    first = next(iter(rows))
    instance = rows[first][0]
    if len(instance.values) > 1:
        times = "mini-batches" if instance.dense else "generations"
        panels[f"{first}: last {times} of one instance"] = instance.values[-MOST_ROWS:]
    if not panels:
        return {}
    return {"rank-boxes": lambda: rank_stability.rank_boxes(panels, truth.means, truth.names)}


def _finetune(runs: Sequence[NamedRun], truth: Truth) -> Figures:
    """Of the runs whose subnets were tuned, those with the numbers of steps of the first."""
    found: dict[str, tuple[tuple[int, ...], Array]] = {}
    for run in runs:
        for at, rated in tuned_subnets(run.history).items():
            if len(rated) == len(truth.names):
                found.setdefault(run.history.root.name, (at, score_rows(rated, truth)))
    if not found:
        return {}
    steps = next(iter(found.values()))[0]
    starts = {name: rows for name, (at, rows) in found.items() if at == steps}
    starts = dict(list(starts.items())[:_MOST_PANELS])
    return {"finetune": lambda: mini_batches.finetune(starts, truth.means, steps)}


def _last_steps(rows: Mapping[str, Sequence[SubnetRows]], truth: Truth) -> Figures:
    """The first instance of each variant with dense rows."""
    dense = {name: instances[0] for name, instances in rows.items() if instances[0].dense}
    return {
        "last-steps" if len(dense) == 1 else f"last-steps-{name}": functools.partial(
            mini_batches.last_steps,
            found.values,
            truth.means,
            found.at,
            _all_known(found.trained),
            name=f"{name}, first instance" if len(rows[name]) > 1 else name,
        )
        for name, found in dense.items()
    }


def _all_known(trained: tuple[int, ...] | None) -> tuple[int, ...] | None:
    return None if trained is None or min(trained) < 0 else trained


def _sharing(
    runs: Sequence[NamedRun], rows: Mapping[str, Sequence[SubnetRows]], truth: Truth
) -> Figures:
    """Mean-k and Std-k of variants with groups or a prefix, by their numbers."""
    k = usual_k(rows)
    series: dict[str, dict[str, dict[int, list[SubnetRows]]]] = {"groups": {}, "prefix": {}}
    seen = set()
    for run in runs:
        options = _task(run)
        kind = options.get("sharing")
        if kind not in series or run.name in seen:
            continue
        seen.add(run.name)
        label = str(options.get("grouping", "random")) if kind == "groups" else "prefix"
        by_setting = series[kind].setdefault(label, {})
        by_setting.setdefault(int(options[kind]), []).extend(rows[run.name])

    def measured(by_setting: Mapping[int, Sequence[SubnetRows]]) -> plots_sharing.Sharing:
        spreads = {
            setting: [tau_mean_std(each.values, truth.means, k) for each in instances]
            for setting, instances in by_setting.items()
        }
        return plots_sharing.Sharing(
            mean={setting: [each.mean for each in found] for setting, found in spreads.items()},
            std={setting: [each.std for each in found] for setting, found in spreads.items()},
        )

    groups, prefixes = (
        {label: measured(found) for label, found in series[kind].items()}
        for kind in ("groups", "prefix")
    )
    if not groups and not prefixes:
        return {}
    whole = _one_group(runs) if groups else None
    if whole is not None:
        one = measured({1: rows[whole]})
        groups = {
            label: plots_sharing.Sharing({**one.mean, **found.mean}, {**one.std, **found.std})
            for label, found in groups.items()
        }
    return {"sharing": lambda: plots_sharing.sharing(groups, prefixes, k=k, whole=whole or "")}


def _one_group(runs: Sequence[NamedRun]) -> str | None:
    """The variant in which all subnets share that is most like those with groups, if any.

    It is what they would be with one group; its other options differ the least.
    """
    grouped = [_task(run) for run in runs if _task(run).get("sharing") == "groups"]

    def differing(options: Mapping[str, Any]) -> int:
        keys = (grouped[0].keys() | options.keys()) - {"sharing", "groups", "grouping"}
        return sum(grouped[0].get(key) != options.get(key) for key in keys)

    every = {run.name: _task(run) for run in runs if _task(run).get("sharing", "all") == "all"}
    return min(every, key=lambda name: differing(every[name]), default=None)


def _task(run: NamedRun) -> Mapping[str, Any]:
    """The options of a run's task, defaults included."""
    options: Mapping[str, Any] = run.history.settings["task"]
    return options
