"""A run or a study as one HTML file that needs nothing else: no network, no script, no font.

What a report shows is data (`Report`); the template lays it out and escapes every text, for
names, options and tracebacks come from whoever wrote the directory.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pbtnas.analysis.compare.comparison import ComparisonError
from pbtnas.analysis.compare.gathering import Gathered, NamedRun, comparable
from pbtnas.analysis.compare.observations import budget, evolution, variant
from pbtnas.analysis.compare.soups import NoSoups, soups_table
from pbtnas.analysis.compare.verdict import Question, tables
from pbtnas.analysis.fronts.measured import measured
from pbtnas.analysis.history.run import History
from pbtnas.analysis.plots.catalogue import Figures, run_figures, study_figures
from pbtnas.analysis.plots.evolution import NothingToShow
from pbtnas.analysis.plots.style import to_svg
from pbtnas.analysis.report.commands import Code, run_again, study_again
from pbtnas.analysis.report.tables import (
    champions_table,
    code_table,
    failures_table,
    front_table,
    generations_table,
    machines_table,
    runs_table,
    settings_table,
    state_of,
)
from pbtnas.analysis.schedules import schedule, schedule_table
from pbtnas.analysis.tables import Table, written
from pbtnas.errors import from_extra
from pbtnas.search.space import Variable
from pbtnas.store.study_directory import is_study

CAPTIONS = {
    "scores": "Score of every living member, stitched through its ancestors.",
    "lineage": "Family tree: from bases to children, coloured by score; crosses were replaced.",
    "origins": "Where the layers of the population began.",
    "options": "How frequent every option is, by generation.",
    "front": "What no other member dominates; of seeds, what half of them attain, in a shade from "
    "what all to what at least one attain.",
    "hypervolume": "How much of the space of objectives is dominated.",
    "schedules": "Ladders of the ancestors of the best member; dots are all members.",
    "diversity": "How much of the search space is left.",
    "curves": "Best score against work; bands are one standard deviation over seeds.",
    "population": "Final score by size of the population.",
    "spectrum": "Final score by the two constants of shrink-perturb.",
    "ablations": "What every variant is worth beside PBT-NAS, paired by seed.",
}


@dataclass(frozen=True)
class Picture:
    """A figure as SVG, and a sentence about it."""

    caption: str
    svg: bytes

    @property
    def uri(self) -> str:
        return "data:image/svg+xml;base64," + base64.b64encode(self.svg).decode()


@dataclass(frozen=True)
class Section:
    """One heading with what stands below it, in this order."""

    title: str
    notes: Sequence[str] = ()
    tables: Sequence[Table] = ()
    pictures: Sequence[Picture] = ()
    code: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Report:
    """A whole page: its title, a line below it, facts by name, and sections."""

    title: str
    subtitle: str
    facts: Mapping[str, str]
    sections: Sequence[Section]


def run_report(
    history: History,
    variables: Sequence[Variable],
    notes: Sequence[str],
    reference: str | None = None,
) -> Report:
    """The report of a run, finished or not.

    Hypervolumes are against the reference point, given as text.  Without `variables` it has no
    options; `notes` say why.  Raises `NothingToShow` for a run without a configuration.
    """
    if not history.config:
        raise NothingToShow(f"{history.root}: the run has no configuration yet")
    search, task = history.config["search"], history.config["task"]["name"]
    try:
        pictures = _pictures(run_figures(history, variables, reference))
    except ValueError as error:  # no generation yet
        pictures, notes = [], [*notes, f"No figures: {error}."]
    champions = [champions_table(history, variables)] if history.final else []
    return Report(
        title=history.root.resolve().name,
        subtitle=f"{search['algorithm']} on {task}, seed {history.config['run']['seed']}",
        facts=_facts(history),
        sections=[
            Section("Figures", notes, pictures=pictures),
            Section("Course", tables=[*champions, generations_table(history)]),
            *_front(history, reference),
            *_schedules(history, variables),
            Section("Settings", tables=[settings_table(history), code_table(history)]),
            *_soups([NamedRun(variant(history), history)]),
            Section("Failures", history.problems, tables=[failures_table([history])]),
            Section("Doing it again", _AGAIN, [machines_table([history])], code=run_again(history)),
        ],
    )


def study_report(root: Path, gathered: Gathered, question: Question) -> Report:
    """The report of a study, or of several runs; unfinished ones are named and left out."""
    histories = [run.history for run in gathered.runs]
    # With a reference point both are compared: hypervolumes, and scores.
    questions = [question] if question.reference_point is None else [question, Question()]
    compared = [
        _comparison(label, Gathered(tuple(runs), ()), each)
        for label, runs in comparable(gathered.finished).items()
        for each in questions
    ]
    finished = gathered.finished
    names = sorted({run.name for run in gathered.runs})
    return Report(
        title=root.resolve().name,
        subtitle=", ".join(names),
        facts={
            "runs": f"{len(finished)} of {len(gathered.runs) + len(gathered.unbegun)} finished",
            "seeds": ", ".join(str(seed) for seed in sorted({run.seed for run in gathered.runs})),
            "not finished": ", ".join(gathered.unfinished),
            "job hours": f"{sum(map(_job_hours, histories)):.2f}",
        },
        sections=[
            *compared,
            *_soups(finished),
            Section("Figures", pictures=_pictures(_figures_of_study(finished, question))),
            Section("Runs", tables=[runs_table(gathered.runs), _differences(gathered.runs)]),
            Section("Failures", _problems(histories), tables=[failures_table(histories)]),
            Section(
                "Doing it again",
                _AGAIN,
                [machines_table(histories)],
                code=_again(root, gathered.runs),
            ),
        ],
    )


def to_html(report: Report) -> str:
    """Render the whole page.  Raises `MissingExtra` without jinja2."""
    with from_extra("report", "a report"):
        import jinja2
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("pbtnas.analysis.report", "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["written"] = written
    environment.tests["number"] = lambda cell: not isinstance(cell, str)
    return environment.get_template("report.html").render(report=report)


_AGAIN = (
    "A search is a function of its configuration and seed: on the same kind of processor, with "
    "the same versions, these commands end with the same fingerprint, with any number of workers.",
)


def _figures_of_study(runs: Sequence[NamedRun], question: Question) -> Figures:
    return study_figures(runs, reference=question.reference_point)


def _comparison(label: str, gathered: Gathered, question: Question) -> Section:
    title = f"Comparison: {label}" if label else "Comparison"
    try:
        return Section(title, tables=list(tables(gathered, question).values()))
    except ComparisonError as error:
        return Section(title, [f"These runs cannot be compared: {error}."])


def _soups(runs: Sequence[NamedRun]) -> list[Section]:
    try:
        return [Section("Soups", tables=[soups_table(runs)])]
    except NoSoups:
        return []
    except ComparisonError as error:
        return [Section("Soups", [f"Soups cannot be compared: {error}."])]


def _front(history: History, reference: str | None) -> list[Section]:
    """The front of a run with several objectives."""
    if not history.objectives.several:
        return []
    return [Section("Front", tables=[front_table(measured(history), reference)])]


def _schedules(history: History, variables: Sequence[Variable]) -> list[Section]:
    """The schedule of the best member, of a run with ladders."""
    if not any(variable.ordered for variable in variables):
        return []
    try:
        found = schedule(evolution(history, variables))
    except NothingToShow:  # no generation yet
        return []
    return [Section("Schedule", tables=[schedule_table(found)])]


def _pictures(figures: Figures) -> list[Picture]:
    return [
        Picture(CAPTIONS[name.rpartition("-")[2]], to_svg(draw())) for name, draw in figures.items()
    ]


def _facts(history: History) -> dict[str, str]:
    final = history.final
    facts = {
        "state": state_of(history),
        "fingerprint": final.fingerprint if final else "",
        "begun": str(history.about.get("created", "")),
        "begun on": "" if history.processor is None else str(history.processor),
        "budget": f"{budget(history):,} network-epochs",
        "job hours": f"{_job_hours(history):.2f}",
    }
    best = next(iter(history.best_so_far()[-1:]), None)
    if best is not None:
        where = f"member {best.member} of generation {best.generation}"
        facts["best ever"] = f"{best.score:.6g} ({where})"
    return facts


def _job_hours(history: History) -> float:
    reported = [r for g in history.generations for r in g.results.values()]
    return math.fsum(float(r.meta.get("wall_s") or 0) for r in reported) / 3600


def _problems(histories: Sequence[History]) -> list[str]:
    return [f"{h.root.name}: {problem}" for h in histories for problem in h.problems]


def _again(root: Path, runs: Sequence[NamedRun]) -> Code:
    """The study, or the first seed of every name."""
    if is_study(root):
        return study_again(root.resolve().name, runs)
    firsts = {run.name: run.history for run in reversed(runs)}
    again = map(run_again, reversed(firsts.values()))
    return {title: text for code in again for title, text in code.items()}


def _differences(runs: Sequence[NamedRun]) -> Table:
    """Differences between the configurations of the names, without seeds."""
    flat = {run.name: _flat(run.history.settings) for run in reversed(runs)}
    flat = dict(reversed(flat.items()))
    keys = list(dict.fromkeys(key for values in flat.values() for key in values))
    telling = [
        key
        for key in keys
        if key != "run.seed" and len({values.get(key, "") for values in flat.values()}) > 1
    ]
    return Table(
        title="What the runs differ in",
        columns=("key", *flat),
        rows=tuple((key, *(values.get(key, "") for values in flat.values())) for key in telling),
        notes=() if telling else ("Nothing but their seeds.",),
    )


def _flat(config: Mapping[str, Any]) -> dict[str, str]:
    return {
        f"{section}.{key}": str(value)
        for section, values in config.items()
        for key, value in values.items()
    }
