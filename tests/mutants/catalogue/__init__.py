"""All mutants, by what they break."""

from __future__ import annotations

from tests.mutants.catalogue import (
    afterwards,
    claims,
    coordinating,
    files,
    searching,
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
    *training.MUTANTS,
    *searching.MUTANTS,
)
