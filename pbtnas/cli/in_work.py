"""Commands with which an operator changes what becomes of the generation in work."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from pbtnas.cli.control import asked
from pbtnas.cli.shared import run_dir_argument

if TYPE_CHECKING:
    from pbtnas.cli.control import Asked
    from pbtnas.records.envelope import Record
    from pbtnas.store.controls import UnfitControl


@click.command()
@run_dir_argument
def cancel(run_dir: Path) -> None:
    """End a run now, without finishing its generation.

    What is trained is handed back as by `pbtnas pause`, and all processes end as when the run is
    finished.  The generations before stay as they are, their best members can be evaluated and
    exported, and `pbtnas status` says who has cancelled the run.  Nothing takes this back: to go
    on later, use `pbtnas pause`, or `pbtnas stop` and `pbtnas extend`.
    """
    with asked(run_dir) as found:
        found.refuse_in_study("cancel")
        if found.steering.cancelled:
            click.echo(f"{run_dir}: is cancelled already")
            return
        found.refuse_if_over("there is nothing to cancel")
        found.give({"action": "cancel"})


@click.command()
@run_dir_argument
@click.argument("member")
def retry(run_dir: Path, member: str) -> None:
    """Let a member be trained again that has failed in the generation in work.

    MEMBER is its name, such as 07 or m07.  Its job gets `engine.attempts` more attempts, and what
    comes of them counts: so this changes the outcome, and the fingerprint says so.  It goes on
    from the last snapshot, if there is one.  It may be asked from the first counted failure on,
    and before the generation is selected from; to have more time for that, use `pbtnas pause`.
    """
    from pbtnas.cli.everybody import numbers_named
    from pbtnas.records import paths

    asked_for, number = numbers_named(member)
    with asked(run_dir) as found:
        found.refuse_in_study("retry")
        found.refuse_if_over("nothing is tried again in it")
        generation = found.newest
        name = f"generation {generation} {paths.member_name(number)}"
        if asked_for not in (None, generation):
            raise _unfit(found, f"generation {asked_for} is not in work, but {generation}")
        if found.files.published(paths.selection(generation)):
            raise _unfit(found, f"generation {generation} is selected from already")
        due = _due(found, generation, number)
        if due <= found.steering.retries(generation).get(number, 0):
            click.echo(f"{run_dir}: {name} is to be tried again already")
            return
        core = {"action": "retry", "generation": generation, "member": number, "retry": due}
        found.give(core)
        if found.files.published(paths.selection(generation)):
            raise _unfit(
                found,
                f"generation {generation} was selected from in the same moment; `pbtnas show "
                f"{run_dir}` says what became of {paths.member_name(number)}",
            )


def _due(found: Asked, generation: int, member: int) -> int:
    """The number of the retry that a member may have next that has failed, or is about to; ends
    the command for others."""
    from pbtnas.records import paths
    from pbtnas.records.retries import last_try
    from pbtnas.records.schema import Manifest

    manifest = found.files.record(paths.manifest(generation), "manifest", found.run.id)
    jobs = () if manifest is None else Manifest.from_json(manifest.core).jobs
    name = f"generation {generation} {paths.member_name(member)}"
    if all(job.member != member for job in jobs):
        raise _unfit(found, f"{name}: there is no such member")

    def read(retry: int) -> Record | None:
        return found.files.record(paths.result(generation, member, retry), "result", found.run.id)

    result, retry = last_try(read)
    if result is None and _is_failing(found, generation, member):
        return 1
    if result is None:
        raise _unfit(found, f"{name} has not failed: it has no result yet")
    if result.core["outcome"] == "diverged":
        raise _unfit(found, f"{name} diverged, as it would again: the same job gives the same bits")
    if result.core["outcome"] != "failed":
        raise _unfit(found, f"{name} has not failed: its score is {result.core['score']:.6g}")
    return retry + 1


def _is_failing(found: Asked, generation: int, member: int) -> bool:
    """Whether an attempt at a job has failed in a way that counts."""
    from pbtnas.records import paths

    claims = paths.latest_claims(found.files.names(paths.claims(generation)))
    latest = claims[member].number if member in claims else 0
    slot = paths.job_slot(generation, member)
    ends = (
        found.files.record(paths.end(slot, attempt), "end", found.run.id)
        for attempt in range(1, latest + 1)
    )
    return any(end is not None and end.core["counted"] for end in ends)


def _unfit(found: Asked, sentence: str) -> UnfitControl:
    from pbtnas.store.controls import UnfitControl

    return UnfitControl(f"{found.root}: {sentence}")
