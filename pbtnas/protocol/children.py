"""Carries out births: has children mixed, publishes them, and restores them when they are lost."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pbtnas.protocol.operations import (
    Has,
    Operation,
    Put,
    Say,
    Steps,
    persist,
    publish_checkpoint,
)
from pbtnas.protocol.reading import adopt, read, selection_of
from pbtnas.records import paths
from pbtnas.records.envelope import Record, encode
from pbtnas.records.names import Digest, Name
from pbtnas.records.schema import Child, Job, Selected
from pbtnas.search.births import Birth


class Children:
    """Makes the children of a run, and restores their overlays.

    Args:
        run: Id of the run.
        new_record: Function that makes a record from a kind, core and meta.
    """

    def __init__(
        self, run: str, new_record: Callable[[str, Mapping[str, Any], Mapping[str, Any]], Record]
    ) -> None:
        self._run = run
        self._new_record = new_record

    def child(self, birth: Birth, selected: Selected) -> Steps[Child | None]:
        """The child of a birth: read if it is there, else mixed, published and read back.

        None when a parent's checkpoint is missing, or when another coordinator mixes it too.
        """
        generation = selected.generation
        name = paths.birth(generation, birth.member)
        record = yield from read(name, "birth", self._run)
        while record is None:
            mix = _mix(birth, selected)
            mixed = yield from mix
            if mixed is None:
                return None
            overlay = paths.checkpoint(generation, mixed.digest)
            if not (yield from publish_checkpoint(mixed.file, overlay)):
                return None
            child = Child(birth.member, overlay=mixed.digest, base=mix.base_checkpoint)
            made = self._new_record("birth", child.to_json(), {"origins": mixed.origins})
            yield from persist(Put(name, encode(made, name), grouped=True))
            record = yield from adopt(name, "birth", self._run)
        return Child.from_json(record.core)

    def restore_overlays(self, jobs: Iterable[Job]) -> Steps[None]:
        """Mix the overlays again that jobs begin with, and that are lost."""
        for job in jobs:
            if len(job.inputs) == 2:
                overlay = paths.checkpoint(job.generation - 1, job.inputs[0])
                if not (yield from Has(overlay)):
                    yield from self._restore(job, overlay)

    def _restore(self, job: Job, overlay: Name) -> Steps[None]:
        selected = yield from selection_of(job.generation - 1, self._run)
        if selected is None:
            return
        birth = next((birth for birth in selected.births if birth.member == job.member), None)
        if birth is None:  # a manifest that does not continue that selection
            return
        yield from Say(f"{overlay}: lost; mixing it again")
        mixed = yield from _mix(birth, selected)
        if mixed is not None and mixed.digest == job.inputs[0]:
            yield from publish_checkpoint(mixed.file, overlay)


def _mix(birth: Birth, selected: Selected) -> Mix:
    base = selected.result(birth.base).checkpoint
    donor = selected.result(birth.donor).checkpoint
    assert base is not None and donor is not None, "parents have checkpoints"
    return Mix(selected.generation, birth, base, donor)


@dataclass(frozen=True, slots=True)
class Mix(Operation["Mixed | None"]):
    """Make a child's overlay.  Replies `Mixed`, or None if a parent is missing or damaged."""

    generation: int
    birth: Birth
    base_checkpoint: Digest
    donor_checkpoint: Digest


@dataclass(frozen=True, slots=True)
class Mixed:
    """A child's overlay in a private file, its digest, and which tensors came from where."""

    file: str
    digest: Digest
    origins: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class WriteViews(Operation[None]):
    """Write the views for people (one metrics file a member).  Replies nothing.

    They may lag, and are derived from records alone; after the last generation they are whole.
    """

    final: bool = False
