"""The coordinators of a study in one process: whose turn it is, and when the study is over."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from pbtnas.engine.driver import drive
from pbtnas.protocol.addressed import InRun, RunOfStudy
from pbtnas.protocol.operations import (
    Get,
    Now,
    Published,
    Put,
    Quarantine,
    Say,
    Sleep,
    Stopping,
)
from pbtnas.protocol.study_coordinator import (
    EndCoordinator,
    StartCoordinator,
    StudyCoordinator,
    StudyOutcomes,
)
from pbtnas.protocol.term import CoordinatorEnding
from pbtnas.records import paths
from pbtnas.records.envelope import Record, decode, encode
from pbtnas.search.algorithms import NoParentsError

STUDY = "study0"
RUNS = tuple(RunOfStudy(f"{name}-s{seed}", seed) for seed in (1, 2, 3) for name in ("a", "b"))


class Broken(Exception):
    """What somebody has to mend."""


class Office:
    """A study in memory, whose runs take ten seconds each.

    Args:
        outcomes: Why a run does not simply finish, by label.
    """

    def __init__(self, outcomes: Mapping[str, CoordinatorEnding | Exception] | None = None) -> None:
        self.outcomes = outcomes or {}
        self.files: dict[str, bytes] = {}  # "LABEL/NAME", and those of the study
        self.started: list[str] = []
        self.running: set[str] = set()
        self.watch: Callable[[], None] = lambda: None
        self.now_s = 0.0

    def coordinate(self, open_seeds: int = 1) -> StudyOutcomes:
        coordinator = StudyCoordinator(STUDY, RUNS, open_seeds, lambda: "n", broken=(Broken,))
        return drive(coordinator.coordinate(), self._execute)

    def ended(self) -> Mapping[str, str] | None:
        """What the study's directory says of its runs."""
        data = self.files.get(paths.STUDY_ENDED)
        if data is None:
            return None
        found: Mapping[str, str] = decode(data, paths.STUDY_ENDED, kind="ended").core["runs"]
        return found

    def final(self, label: str) -> bytes:
        best = {"generation": 1, "checkpoint": f"best-of-{label}"}
        core = {"fingerprint": f"fingerprint-of-{label}", "best_ever": best, "best_last": None}
        return encode(Record("final", label, core))

    def _execute(self, operation: Any) -> Any:
        self.watch()
        match operation:
            case Now():
                return self.now_s
            case Sleep(seconds):
                self.now_s += seconds
            case Stopping():
                return False
            case Get(name):
                return self.files.get(name)
            case Quarantine(name):
                self.files.pop(name, None)
            case Put(name, data):
                self.files[name] = data
                return Published.WON
            case InRun(label, Get(name)):
                return self.files.get(f"{label}/{name}")
            case StartCoordinator(label):
                self.started.append(label)
                self.running.add(label)
                return _Coordinator(self, label)
            case EndCoordinator(label):
                self.running.discard(label)
            case Say() | InRun():
                return None
            case _:
                raise AssertionError(operation)
        return None


class _Coordinator:
    """Coordinates one run of it, as protocols do."""

    def __init__(self, office: Office, label: str) -> None:
        self._office, self._label = office, label

    def coordinate(self) -> Any:
        yield Sleep(10.0)
        outcome = self._office.outcomes.get(self._label, CoordinatorEnding.FINISHED)
        if isinstance(outcome, Exception):
            raise outcome
        if outcome is CoordinatorEnding.FINISHED:
            self._office.files[f"{self._label}/{paths.FINAL}"] = self._office.final(self._label)
        return outcome


@pytest.mark.parametrize("open_seeds", [1, 2])
def test_no_more_seeds_are_open_than_asked_for(open_seeds: int) -> None:
    """All runs of the earliest seeds are coordinated together, and those after them wait."""
    office, most = Office(), 0

    def watch() -> None:
        nonlocal most
        most = max(most, len({label.rpartition("s")[2] for label in office.running}))

    office.watch = watch
    outcomes = office.coordinate(open_seeds)

    assert most == open_seeds
    assert office.started == [run.label for run in RUNS]
    assert office.ended() == outcomes.ended
    assert outcomes.ended == {run.label: f"fingerprint-of-{run.label}" for run in RUNS}


def test_a_study_is_over_only_when_all_its_runs_are() -> None:
    """One that somebody has to mend ends no other, and keeps the study open."""
    office = Office({"b-s1": Broken("damaged"), "a-s2": NoParentsError("all diverged")})
    outcomes = office.coordinate()

    assert outcomes.broken == {"b-s1": "damaged"}
    assert outcomes.failed == ["a-s2"]
    assert outcomes.ended.keys() == {run.label for run in RUNS} - {"b-s1"}
    assert office.ended() is None


def test_a_run_whose_end_is_damaged_is_not_over() -> None:
    """Its coordinator publishes the same again."""
    office = Office()
    office.files[f"a-s1/{paths.FINAL}"] = b"torn"
    office.files[f"b-s1/{paths.FINAL}"] = office.final("b-s1")
    outcomes = office.coordinate()

    assert "a-s1" in office.started and "b-s1" not in office.started
    assert outcomes.ended["a-s1"] == "fingerprint-of-a-s1"


def test_what_could_not_go_on_is_not_tried_again() -> None:
    """The directory of a study that is over says which runs these are."""
    first = Office({"a-s2": NoParentsError("all diverged")})
    assert first.coordinate().over
    again = Office()
    again.files = first.files
    outcomes = again.coordinate()

    assert again.started == []
    assert outcomes.failed == ["a-s2"]
