"""The catalogue of mutants fits the code as it is."""

from __future__ import annotations

from collections import Counter

from tests.mutants.catalogue import MUTANTS
from tests.mutants.mutant import Outdated
from tests.mutants.place import ROOT


def test_every_mutant_can_be_applied() -> None:
    """Its old text occurs exactly once in its file, and what it makes of that compiles."""
    texts = {file: (ROOT / file).read_text() for file in {mutant.file for mutant in MUTANTS}}
    outdated = []
    for mutant in MUTANTS:
        try:
            assert mutant.apply(texts[mutant.file]) != texts[mutant.file], mutant.name
        except Outdated as error:
            outdated.append(str(error))

    assert outdated == []


def test_every_mutant_names_tests_that_exist() -> None:
    """A renamed test is renamed here too; names of mutants are unique."""
    wanted = {test for mutant in MUTANTS for test in mutant.tests}
    missing = []
    for test in sorted(wanted):
        file, _, function = test.partition("::")
        if not (ROOT / file).is_file() or f"def {function.partition('[')[0]}(" not in (
            (ROOT / file).read_text() if function else "def ("
        ):
            missing.append(test)

    assert missing == []
    assert [name for name, count in Counter(m.name for m in MUTANTS).items() if count > 1] == []
    assert all(mutant.tests for mutant in MUTANTS)
