"""Damages each kind of file in each way, and says what `pbtnas fsck` has to find.

    python -m tests.store.damage_matrix

prints the table of docs/reliability.md: it damages a study of two runs one file a time, examines
it, repairs it, and goes on with its runs until they are over again.  With names of files behind it,
only their rows.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pbtnas.errors import PbtnasError
from pbtnas.records import paths
from pbtnas.records.envelope import Record, canonical, decode, encode
from pbtnas.records.heartbeat import Heartbeat
from pbtnas.records.kinds import RUN_KINDS, STUDY_KINDS, Kind, Role
from pbtnas.records.names import Name
from pbtnas.store.fsck import Fault, check_study, repair
from pbtnas.store.study_directory import Study, create_study
from tests.store.simulated_run import (
    CONFIG,
    SEED,
    SimulatedRun,
    fingerprint,
    make_cancelled_run,
    make_run,
)
from tests.study.ended import end_study

LABEL = f"simulated-s{SEED}"
RUN = f"{paths.STUDY_RUNS}/{LABEL}/"  # what names in the run begin with, in the study
CANCELLED_LABEL = f"cancelled-s{SEED}"
CANCELLED = f"{paths.STUDY_RUNS}/{CANCELLED_LABEL}/"


def make_study(root: Path) -> Path:
    """A study that is over, with a run that has every kind of file, and a cancelled one."""
    study = plan_study(root)
    make_run(root / RUN)
    make_cancelled_run(root / CANCELLED)
    end_study(study, fingerprints(root))
    return root


def plan_study(root: Path) -> Study:
    """The study with these runs, made or opened."""
    planned = [
        {"name": name, "seed": SEED, "config": CONFIG} for name in ("simulated", "cancelled")
    ]
    return create_study(root, planned, pbtnas="0")


def fingerprints(root: Path) -> dict[str, str]:
    """With which fingerprint each run of the study has ended, by label."""
    return {LABEL: fingerprint(root / RUN), CANCELLED_LABEL: fingerprint(root / CANCELLED)}


def in_run(name: str) -> str:
    """A name in the study, as it is in the run that it belongs to."""
    return name.removeprefix(RUN).removeprefix(CANCELLED)


# -- what is damaged ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Subject:
    """A file to damage.

    Args:
        what: What people call it.
        name: Its name in the study.
        forged: Its content after somebody has changed it and made its checksum fit.
        other: The content of another file of its kind, or of another run's; None if there is
            no such thing.
    """

    what: str
    name: Name
    forged: bytes
    other: bytes | None

    @property
    def kind(self) -> Kind:
        inside = in_run(self.name)
        found = (STUDY_KINDS if inside == self.name else RUN_KINDS).of(inside)
        assert found is not None
        return found


def subjects(root: Path) -> dict[str, Subject]:
    """One file of every kind that is ever read, by what people call it."""
    run = root / RUN
    final = json.loads((run / paths.FINAL).read_bytes())["core"]
    best, last = final["best_ever"], final["best_last"]
    attempts = paths.attempts(3)
    snapshot = next((run / attempts).glob("m01.*/snapshot-*"))
    beat = next((run / paths.WORKERS).glob("*.beat"))
    manifest = json.loads((run / paths.manifest(4)).read_bytes())["core"]
    overlay = next(job["inputs"][0] for job in manifest["jobs"] if len(job["inputs"]) == 2)
    selection = json.loads((run / paths.selection(2)).read_bytes())["core"]
    born = selection["births"][0]["member"]
    soup = json.loads((run / paths.soup("best-ever-soup")).read_bytes())["core"]
    of_cancelled_run = json.loads((root / CANCELLED / paths.FINAL).read_bytes())["core"]
    stopped = of_cancelled_run["generations"]  # the generation in whose midst it was cancelled
    trial = next(
        path
        for path in (run / paths.SOUPS).glob("*.trial.json")
        if json.loads(path.read_bytes())["core"]["ingredients"][0] == best["checkpoint"]
    )
    named: list[tuple[str, str, Callable[[Any], Any] | None]] = [
        ("FORMAT", paths.FORMAT, None),
        ("run", paths.RUN, lambda core: {**core, "space": "another"}),
        ("configuration", paths.CONFIG, lambda core: {**core, "task": {"name": "x"}}),
        ("engine settings", paths.engine(2), lambda core: {"engine": {"lease_s": 1.0}}),
        ("code", paths.code(1), lambda core: {"code": {**core["code"], "main": "x"}}),
        ("retry", paths.control(1), lambda core: {**core, "member": 0}),
        ("note", paths.control(2), lambda core: {**core, "text": "x"}),
        ("term", paths.claim(paths.TERM, 1), lambda core: {"holder": {"worker": "x"}}),
        ("term's heartbeat", paths.beat(paths.TERM, 1), None),
        ("manifest", paths.manifest(2), lambda core: {**core, "config": 1}),
        ("first manifest", paths.manifest(0), lambda core: {**core, "previous": "x"}),
        ("claim", paths.claim(paths.job_slot(2, 0), 1), lambda core: {"holder": {"worker": "x"}}),
        ("end", paths.end(paths.job_slot(1, 2), 1), lambda core: {**core, "text": "x"}),
        ("result", paths.result(2, 0), lambda core: {**core, "score": 0.75}),
        ("failed result", paths.result(1, 2), lambda core: {**core, "outcome": "diverged"}),
        ("result of a retry", paths.result(1, 2, 1), lambda core: {**core, "score": 0.75}),
        ("last result", paths.result(4, 1), lambda core: {**core, "score": 0.75}),
        ("selection", paths.selection(2), lambda core: {**core, "births": []}),
        (
            "last selection",
            paths.selection(4),
            lambda core: {**core, "ranking": core["ranking"][::-1]},
        ),
        ("birth", paths.birth(2, born), lambda core: {**core, "overlay": "x"}),
        ("best-ever's checkpoint", paths.checkpoint(best["generation"], best["checkpoint"]), None),
        ("last checkpoint", paths.checkpoint(last["generation"], last["checkpoint"]), None),
        ("overlay", paths.checkpoint(3, overlay), None),
        ("snapshot", str(snapshot.relative_to(run)), None),
        ("product", paths.product("judge"), None),
        ("final", paths.FINAL, lambda core: {**core, "best_ever": core["best_last"]}),
        ("evaluation", paths.evaluation(best["checkpoint"]), lambda core: {**core, "score": 9.0}),
        ("soup", paths.soup("best-ever-soup"), lambda core: {**core, "score": 9.0}),
        ("trial", f"{paths.SOUPS}/{trial.name}", lambda core: {**core, "score": 9.0}),
        ("soup's checkpoint", paths.soup_checkpoint(soup["checkpoint"]), None),
        ("HEAD", paths.HEAD, None),
        ("best.json", paths.BEST, None),
        ("metrics", paths.metrics(1), None),
        ("worker's heartbeat", f"{paths.WORKERS}/{beat.name}", None),
    ]
    found = [_subject(root, what, Name(RUN + name), changed) for what, name, changed in named]
    of_cancelled: list[tuple[str, str, Callable[[Any], Any]]] = [
        ("cancel", paths.control(1), lambda core: {"action": "pause"}),
        (
            "selection of a cancelled run",
            paths.selection(stopped),
            lambda core: {**core, "ended": "stop"},
        ),
        ("final of a cancelled run", paths.FINAL, lambda core: {**core, "best_ever": None}),
    ]
    found += [
        _subject(root, what, Name(CANCELLED + name), changed)
        for what, name, changed in of_cancelled
    ]
    found += [
        _subject(root, "study", paths.STUDY, lambda core: {"runs": [], "pbtnas": "0"}),
        _subject(root, "study's end", paths.STUDY_ENDED, lambda core: {"runs": {LABEL: "f" * 64}}),
    ]
    return {subject.what: subject for subject in found}


def _subject(root: Path, what: str, name: Name, changed: Callable[[Any], Any] | None) -> Subject:
    content = (root / name).read_bytes()
    place = next((run for run in (RUN, CANCELLED) if name.startswith(run)), "")
    siblings = sorted(
        path
        for path in (root / place).rglob("*")
        if path.is_file() and path != root / name and _kind(root, path) == _kind(root, root / name)
    )
    other = siblings[0].read_bytes() if siblings else None
    if changed is None:
        forged = _FORGED.get(what, lambda data: other)(content)
        return Subject(what, name, forged or content + b" ", other)
    inside = in_run(name)
    body = json.loads(content)
    record = decode(content, inside, kind=body["kind"])
    forged = encode(Record(record.kind, record.run, changed(record.core), {}, "x"), inside)
    if other is None:
        other = encode(Record(record.kind, "another run", record.core, {}, "x"), inside)
    return Subject(what, name, forged, other)


def _kind(root: Path, path: Path) -> Kind | None:
    return RUN_KINDS.of(in_run(str(path.relative_to(root))))


_FORGED: Mapping[str, Callable[[bytes], bytes | None]] = {
    "FORMAT": lambda data: b"pbtnas/2\n",
    "term's heartbeat": lambda data: Heartbeat(99, 1, "forged").encode(),
    "worker's heartbeat": lambda data: Heartbeat(99, 1, "forged").encode(),
    "HEAD": lambda data: b"1\n",
    "best.json": lambda data: canonical({**json.loads(data), "score": 9.0}) + b"\n",
    "metrics": lambda data: data.replace(b'"score": 0.', b'"score": 1.'),
    "product": lambda data: None,
}


# -- how ---------------------------------------------------------------------------------------


def _write(path: Path, content: bytes) -> None:
    path.unlink()
    path.write_bytes(content)


def _flip(path: Path, subject: Subject) -> None:
    data = bytearray(path.read_bytes())
    data[-len(data) // 3] ^= 1
    _write(path, bytes(data))


def _cut(path: Path, subject: Subject) -> None:
    _write(path, path.read_bytes()[: path.stat().st_size // 2])


def _zero(path: Path, subject: Subject) -> None:
    _write(path, bytes(path.stat().st_size))


def _empty(path: Path, subject: Subject) -> None:
    _write(path, b"")


def _remove(path: Path, subject: Subject) -> None:
    path.unlink()


def _garbage(path: Path, subject: Subject) -> None:
    _write(path, bytes(range(256)))


def _forge(path: Path, subject: Subject) -> None:
    _write(path, subject.forged)


def _mistake(path: Path, subject: Subject) -> None:
    assert subject.other is not None
    _write(path, subject.other)


def _pipe(path: Path, subject: Subject) -> None:
    path.unlink()
    os.mkfifo(path)


DAMAGES: Mapping[str, Callable[[Path, Subject], None]] = {
    "flip": _flip,
    "truncate": _cut,
    "zero": _zero,
    "empty": _empty,
    "absent": _remove,
    "garbage": _garbage,
    "forged": _forge,
    "wrong name": _mistake,
    "unreadable": _pipe,
}


# -- what has to be found ----------------------------------------------------------------------

MAY_BE_ABSENT = "it need not exist"
IS_DONE = "nothing that is still to be done begins with it"
MAY_SAY_SO = "nothing else tells what it should say"
LAGS = "it may lag"

SILENT: Mapping[tuple[str, str], str] = {
    **{
        (what, "absent"): MAY_BE_ABSENT
        for what in (
            *("engine settings", "code", "retry", "note", "cancel", "end", "snapshot"),
            *("evaluation", "soup"),
            *("term's heartbeat", "worker's heartbeat", "study's end"),
        )
    },
    **{
        (what, "forged"): MAY_SAY_SO
        for what in (
            *("engine settings", "retry", "note", "cancel", "term", "claim", "end"),
            *("evaluation",),
            *("term's heartbeat", "worker's heartbeat"),
        )
    },
    ("HEAD", "forged"): LAGS,
    ("overlay", "absent"): IS_DONE,
    ("HEAD", "truncate"): "it says the same without its newline",
}
"""What fsck cannot find, and why."""

NOTICED = {("term", "absent"), ("claim", "absent")}
REFUSED = {("FORMAT", "forged")}
NO_SUCH_CELL = {("FORMAT", "wrong name"), ("HEAD", "wrong name"), ("best.json", "wrong name")} | {
    (what, "wrong name") for what in ("term's heartbeat", "worker's heartbeat")
}

ALSO_BLAMED: Mapping[str, tuple[str, ...]] = {
    "best-ever's checkpoint": ("final", "study's end"),
    "last checkpoint": ("final", "study's end"),
    "final": ("study's end",),
    "final of a cancelled run": ("study's end",),
    "run": ("configuration",),
    "configuration": ("run",),
    "trial": ("soup",),
}
"""What is put aside with a file, because it rests on it."""


KINDS = (
    *("FORMAT", "run", "configuration", "engine settings", "code", "retry", "note", "cancel"),
    *("term", "term's heartbeat"),
    *("first manifest", "manifest", "claim", "end", "result", "failed result"),
    *("result of a retry", "last result", "selection"),
    *("last selection", "birth", "best-ever's checkpoint", "last checkpoint", "overlay"),
    *("snapshot", "product", "final", "evaluation", "soup", "trial", "soup's checkpoint"),
    *("HEAD", "best.json", "metrics", "worker's heartbeat"),
    *("selection of a cancelled run", "final of a cancelled run", "study", "study's end"),
)


CELLS = [
    (what, damage) for what in KINDS for damage in DAMAGES if (what, damage) not in NO_SUCH_CELL
]


def expected(subject: Subject, damage: str) -> str:
    """What fsck says of a damaged file: fault, notice, nothing, or that it is refused."""
    cell = (subject.what, damage)
    if cell in REFUSED:
        return "refused"
    if cell in SILENT:
        return "nothing"
    if cell in NOTICED or subject.kind.role in (Role.HINT, Role.VIEW, Role.SIGN):
        return "notice"
    return "fault"


def examined(root: Path, subject: Subject) -> tuple[str, list[Fault]]:
    """What fsck says of a file, and all that it says."""
    try:
        faults = check_study(root)
    except PbtnasError as error:
        return "refused", [Fault(subject.name, str(error))]
    said = [fault for fault in faults if fault.name == subject.name]
    verdict = "nothing" if not said else "notice" if said[0].notice else "fault"
    return verdict, faults


def resumed(root: Path, faults: list[Fault]) -> dict[str, str] | str:
    """The fingerprints with which the runs end after a repair, or the sentence why they do not."""
    repair(root, faults)
    study = plan_study(root)
    run = SimulatedRun(root / RUN)
    ending = run.carry_on()
    if ending != "the run is finished":
        return ending
    if sentence := run.after_the_search():
        return sentence
    ending = SimulatedRun(root / CANCELLED).carry_on()
    if ending != "the run was cancelled":
        return ending
    end_study(study, fingerprints(root))
    left = [fault for fault in check_study(root) if not fault.notice]
    return fingerprints(root) if not left else f"{left[0].name}: {left[0].what}"


def main() -> None:
    """Print the table of docs/reliability.md."""
    with tempfile.TemporaryDirectory() as place:
        made = make_study(Path(place) / "made")
        reference = fingerprints(made)
        found = subjects(made)
        print(f"| file | {' | '.join(DAMAGES)} | after `--repair` |")
        print(f"|---|{'---|' * len(DAMAGES)}---|")
        for what in sys.argv[1:] or KINDS:
            row, endings = [], set()
            for damage in DAMAGES:
                if (what, damage) in NO_SUCH_CELL:
                    row.append("")
                    continue
                copy = Path(place) / "copy"
                shutil.copytree(made, copy)
                DAMAGES[damage](copy / found[what].name, found[what])
                verdict, faults = examined(copy, found[what])
                row.append(verdict)
                if verdict != "refused":
                    ending = resumed(copy, faults)
                    endings.add("same end" if ending == reference else f"{ending}")
                shutil.rmtree(copy)
            print(f"| {what} | {' | '.join(row)} | {'; '.join(sorted(endings))} |", flush=True)


if __name__ == "__main__":
    main()
