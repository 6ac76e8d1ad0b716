"""All mutants, by what they break."""

from __future__ import annotations

from tests.mutants.catalogue import (
    afterwards,
    claims,
    coordinating,
    damage,
    files,
    images,
    processes,
    ranking,
    searching,
    sharing,
    studies,
    training,
    working,
)
from tests.mutants.mutant import Mutant

MUTANTS: tuple[Mutant, ...] = (
    *claims.MUTANTS,
    *working.MUTANTS,
    *coordinating.MUTANTS,
    *studies.MUTANTS,
    *afterwards.MUTANTS,
    *files.MUTANTS,
    *damage.MUTANTS,
    *training.MUTANTS,
    *processes.MUTANTS,
    *searching.MUTANTS,
    *ranking.MUTANTS,
    *sharing.MUTANTS,
    *images.MUTANTS,
)
