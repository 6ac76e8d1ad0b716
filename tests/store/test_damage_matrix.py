"""Every kind of file, damaged in every way: found by fsck, and made good again."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pbtnas.store.fsck import check_study
from tests.store import damage_matrix
from tests.store.damage_matrix import ALSO_BLAMED, DAMAGES, KINDS, Subject


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study that is over, made once."""
    return damage_matrix.make_study(tmp_path_factory.mktemp("made") / "study")


@pytest.fixture(scope="module")
def subjects(made: Path) -> dict[str, Subject]:
    return damage_matrix.subjects(made)


def test_nothing_is_wrong_with_an_undamaged_directory(
    made: Path, subjects: dict[str, Subject]
) -> None:
    """fsck has nothing to say of a study as it was written."""
    assert check_study(made) == []
    assert set(subjects) == set(KINDS)


@pytest.mark.parametrize(("what", "damage"), damage_matrix.CELLS)
def test_fsck_finds_the_damage(
    made: Path, subjects: dict[str, Subject], what: str, damage: str
) -> None:
    """It names the damaged file, at once, whatever was done to it, and blames no other."""
    subject = subjects[what]
    path = made / subject.name
    shutil.copy2(path, made.parent / "aside")
    try:
        DAMAGES[damage](path, subject)
        verdict, faults = damage_matrix.examined(made, subject)
    finally:
        path.unlink(missing_ok=True)
        shutil.move(made.parent / "aside", path)

    assert verdict == damage_matrix.expected(subject, damage), faults
    blamed = {fault.name for fault in faults if not fault.notice}
    allowed = {subject.name, *(subjects[other].name for other in ALSO_BLAMED.get(what, ()))}
    assert blamed <= allowed, faults


@pytest.mark.slow
@pytest.mark.parametrize(("what", "damage"), damage_matrix.CELLS)
def test_a_repaired_run_ends_as_it_would_have(
    made: Path, subjects: dict[str, Subject], tmp_path: Path, what: str, damage: str
) -> None:
    """After fsck --repair, the same commands bring back the same records, and the same end."""
    root = tmp_path / "study"
    shutil.copytree(made, root)
    DAMAGES[damage](root / subjects[what].name, subjects[what])
    verdict, faults = damage_matrix.examined(root, subjects[what])
    if verdict == "refused":
        assert "this pbtnas reads" in faults[0].what
        return

    assert damage_matrix.resumed(root, faults) == damage_matrix.fingerprints(made)
