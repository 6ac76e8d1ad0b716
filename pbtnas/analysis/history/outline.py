"""Reads of each generation what its selection knew: two records, instead of two for every member.

That is what figures of a population rest on.  Attempts, the metadata of results and the origins of
tensors are left out, except of generations that are not selected yet.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from pbtnas.analysis.history.files import RecordFiles
from pbtnas.analysis.history.generation import Born, Generation, ResultWithMeta, read_generation
from pbtnas.analysis.history.run import History, Told
from pbtnas.records import paths
from pbtnas.records.schema import Manifest, Selected
from pbtnas.store.opening import open_files
from pbtnas.store.run_directory import check_format


def outline(
    run_dir: Path, before: History | None = None, told: Told = lambda done, count: None
) -> History:
    """The outline of a run; generations that an earlier look found selected are not read again.

    `told` is called as by `History.read`.  Raises what that raises.
    """
    check_format(run_dir)
    with open_files(run_dir) as reader:
        files = RecordFiles(reader)
        begun, count = History.beginning(files)
        known = () if before is None or before.run != begun.run else before.generations
        generations: list[Generation] = []
        for number in range(count):
            told(number, count)
            generation = known[number] if number < len(known) else None
            if generation is None or not _whole(generation):
                generation = _selected(files, number)
            if generation is None:  # in work, or damaged
                over = begun.over(number, count)
                generation = read_generation(files, number, over, generations)
            generations.append(generation)
            files.forget_names()
        told(count, count)
        problems = tuple(dict.fromkeys(files.problems))
        return replace(begun, generations=tuple(generations), problems=problems)


def _whole(generation: Generation) -> bool:
    return generation.selection is not None and bool(generation.jobs)


def _selected(files: RecordFiles, number: int) -> Generation | None:
    """A generation by its manifest and its selection; None where one of them is not to be had, or
    the run was cancelled there."""
    selection = files.read(paths.selection(number), "selection")
    manifest = None if selection is None else files.read(paths.manifest(number), "manifest")
    if selection is None or manifest is None:
        return None
    selected = Selected.from_json(selection.core)
    if selected.cancelled:
        return None
    return Generation(
        number=number,
        jobs={job.member: job for job in Manifest.from_json(manifest.core).jobs},
        results={
            result.member: ResultWithMeta(result, retry=selected.retried.get(result.member, 0))
            for result in selected.results
        },
        attempts={},
        repairs={},
        ranking=selected.ranking,
        births={birth.member: Born(birth) for birth in selected.births},
        selection=selection.digest,
    )
